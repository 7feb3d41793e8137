"""The default engine: SQLite in WAL mode, one writer whose waiting units share a COMMIT."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import aiosqlite

from broker.db.database import PARAMETER, Clock, Duplicate, Row, Unavailable, Unit, system_clock

P = ParamSpec("P")
T = TypeVar("T")

BATCH = 512
LINGER_S = 0.002
READERS = 3
"""Threads that read: a long look at everything leaves others to everybody else."""
_UNIQUE = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"}
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA cache_size=-32000",
)


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[str, Callable[[dict[str, Any]], Any]]:
    """The same text with numbered parameters, and what picks their values in that order.

    The driver looks a named parameter up by its name each time, which costs more than to bind it.
    """
    names = list(dict.fromkeys(PARAMETER.findall(sql)))
    text = PARAMETER.sub(lambda found: f"?{names.index(found[1]) + 1}", sql)
    if len(names) > 1:
        return text, itemgetter(*names)
    return text, lambda params: tuple(params[name] for name in names)


class SqliteTransaction:
    """A transaction on one connection; rows are fetched whole, so no cursor leaves its thread."""

    __slots__ = ("_connection", "now")
    for_update = ""
    skip_locked = ""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection = connection
        self.now = now

    def find(self, sql: str, **params: Any) -> Row | None:
        rows = self._done(sql, params)
        return dict(zip(rows[0].keys(), rows[0], strict=True)) if rows else None

    def all(self, sql: str, **params: Any) -> list[Row]:
        rows = self._done(sql, params)
        names = rows[0].keys() if rows else ()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def run(self, sql: str, **params: Any) -> None:
        self._done(sql, params)

    def _done(self, sql: str, params: dict[str, Any]) -> list[sqlite3.Row]:
        """For mappings: a row of the driver compares a name with one after the other, each time."""
        text, values = _numbered(sql)
        return self._connection.execute(text, values(params)).fetchall()


class Work:
    """A unit that waits for the writer. Its repr shows no argument: drivers log what they run."""

    __slots__ = ("answer", "call", "error", "result")

    def __init__(
        self, call: Callable[[SqliteTransaction], Any], answer: asyncio.Future[Any]
    ) -> None:
        self.call = call
        self.answer = answer
        self.result: Any = None
        self.error: BaseException | None = None

    def tell(self) -> None:
        if self.answer.done():  # its caller went away; the work is kept all the same
            return
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class SqliteDatabase:
    """One file, one writing connection, readers beside it."""

    def __init__(
        self,
        writer: aiosqlite.Connection,
        readers: Sequence[aiosqlite.Connection],
        inline: sqlite3.Connection,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        for reader in readers:
            self._free.put_nowait(reader)
        self._inline = inline
        self._clock = clock
        self._waiting: list[Work] = []
        self._drain: asyncio.Task[None] | None = None
        self._closed = False
        self._looking = False
        self._answered, self._took_s = 0, 0.0

    async def write(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise Unavailable("the database is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Work(lambda tx: unit(tx, *args, **kwargs), answer))
        if self._drain is None:
            self._drain = asyncio.create_task(self._drained())
        return await answer

    async def write_on_snapshot(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.write(unit, *args, **kwargs)  # nobody else writes meanwhile

    async def read(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        def snapshot(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return unit(SqliteTransaction(connection, self._clock()), *args, **kwargs)
            finally:
                connection.execute("COMMIT")

        reader = await self._free.get()
        try:
            return await _hop(reader, snapshot)
        finally:
            self._free.put_nowait(reader)

    async def peek(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Look without a hop, on the snapshot of this turn of the event loop.

        What is answered in one turn had arrived before it began, so one snapshot serves all of it:
        taking and leaving one are two system calls each, half of what a look costs.
        """
        self._look()
        return unit(SqliteTransaction(self._inline, self._clock()), *args, **kwargs)

    def version(self) -> int:
        self._look()
        (version,) = self._inline.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _look(self) -> None:
        if not self._looking:
            self._inline.execute("BEGIN")
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look_away)

    def _look_away(self) -> None:
        if self._looking:
            self._looking = False
            self._inline.execute("COMMIT")

    async def close(self) -> None:
        self._closed = True
        while self._drain is not None:
            await self._drain
        self._look_away()
        self._inline.close()
        for reader in self._readers:
            await reader.close()
        await self._writer.close()  # last, so that it folds the WAL back into the file

    async def _drained(self) -> None:
        """Hand waiting units to the writer's thread, a batch a hop, until none waits.

        Those who were just answered are about to ask again: they are waited for, a fraction of what
        the COMMIT took, and share the next one. Where one caller asks at a time nobody waits.
        """
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                if len(self._waiting) < self._answered:
                    await asyncio.sleep(min(self._took_s / 4, LINGER_S))
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                began = loop.time()
                await _hop(self._writer, partial(self._commit, batch))
                self._took_s, self._answered = loop.time() - began, len(batch)
                self._look_away()  # whoever hears of a change sees it
                for work in batch:
                    work.tell()
        finally:
            self._drain = None

    def _commit(self, batch: list[Work], connection: sqlite3.Connection) -> None:
        """Run every unit, then one COMMIT; on the writer's thread.

        Nearly always none fails, so the first try takes no SAVEPOINT; where one fails all are run
        again, each under its own, and that one alone is undone. Units are written to be run again,
        as PostgreSQL does it too.
        """
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not self._together(connection, batch):
                connection.execute("BEGIN IMMEDIATE")
                for work in batch:
                    self._run(connection, work)
            connection.execute("COMMIT")
        except sqlite3.Error as error:  # a full disk or a locked file takes the whole batch
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for work in batch:
                work.error = Unavailable("the database cannot write now")
                work.error.__cause__ = error

    def _together(self, connection: sqlite3.Connection, batch: list[Work]) -> bool:
        """Run every unit in one transaction; False, and nothing done, where one failed."""
        try:
            for work in batch:
                work.result = work.call(SqliteTransaction(connection, self._clock()))
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return False
        return True

    def _run(self, connection: sqlite3.Connection, work: Work) -> None:
        connection.execute("SAVEPOINT unit")
        try:
            work.result = work.call(SqliteTransaction(connection, self._clock()))
        except BaseException as error:
            if not connection.in_transaction:  # SQLite gave the whole batch up (SQLITE_FULL …)
                raise sqlite3.OperationalError("the transaction was rolled back") from error
            work.error = _duplicate(error) or error
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")


async def connect(path: Path, *, clock: Clock = system_clock) -> SqliteDatabase:
    """Open the file, made with mode 0600 where it is missing (safety 38)."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    writer = await aiosqlite.connect(path, isolation_level=None, cached_statements=512)
    readers = [
        await aiosqlite.connect(path, isolation_level=None, cached_statements=512)
        for _ in range(READERS)
    ]
    inline = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    await _hop(writer, _prepare)
    for reader in readers:
        await _hop(reader, _prepare_reader)
    _prepare_reader(inline)
    return SqliteDatabase(writer, readers, inline, clock)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    for pragma in _PRAGMAS:
        connection.execute(pragma).fetchall()


def _prepare_reader(connection: sqlite3.Connection) -> None:
    _prepare(connection)
    connection.execute("PRAGMA query_only=ON").fetchall()


async def _hop(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` on the connection's own thread in one hop.

    aiosqlite offers that only as `_execute`; its version is pinned and a test guards this line.
    """
    execute: Callable[..., Awaitable[T]] = connection._execute
    return await execute(work, connection._conn)


def _duplicate(error: BaseException) -> Duplicate | None:
    if isinstance(error, sqlite3.IntegrityError) and error.sqlite_errorname in _UNIQUE:
        duplicate = Duplicate(str(error))
        duplicate.__cause__ = error
        return duplicate
    return None
