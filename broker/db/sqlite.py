"""The default engine: SQLite in WAL mode, one writer whose waiting units share a COMMIT."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import aiosqlite

from broker.db.database import Clock, Duplicate, Row, Unavailable, Unit, system_clock

P = ParamSpec("P")
T = TypeVar("T")

BATCH = 512
_UNIQUE = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"}
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA cache_size=-32000",
)


class SqliteTransaction:
    """A transaction on one connection; rows are fetched whole, so no cursor leaves its thread."""

    __slots__ = ("_connection", "now")
    for_update = ""
    skip_locked = ""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection = connection
        self.now = now

    def find(self, sql: str, **params: Any) -> Row | None:
        rows = self._connection.execute(sql, params).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, **params: Any) -> list[Row]:
        return self._connection.execute(sql, params).fetchall()

    def run(self, sql: str, **params: Any) -> None:
        self._connection.execute(sql, params).fetchall()


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
        reader: aiosqlite.Connection,
        inline: sqlite3.Connection,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._inline = inline
        self._clock = clock
        self._waiting: list[Work] = []
        self._drain: asyncio.Task[None] | None = None
        self._closed = False

    async def write(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise Unavailable("the database is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Work(lambda tx: unit(tx, *args, **kwargs), answer))
        if self._drain is None:
            self._drain = asyncio.create_task(self._drained())
        return await answer

    async def read(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        def snapshot(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return unit(SqliteTransaction(connection, self._clock()), *args, **kwargs)
            finally:
                connection.execute("COMMIT")

        return await _hop(self._reader, snapshot)

    async def peek(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._inline.execute("BEGIN")
        try:
            return unit(SqliteTransaction(self._inline, self._clock()), *args, **kwargs)
        finally:
            self._inline.execute("COMMIT")

    async def close(self) -> None:
        self._closed = True
        while self._drain is not None:
            await self._drain
        self._inline.close()
        await self._reader.close()
        await self._writer.close()  # last, so that it folds the WAL back into the file

    async def _drained(self) -> None:
        """Hand waiting units to the writer's thread, a batch a hop, until none waits."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await _hop(self._writer, partial(self._commit, batch))
                for work in batch:
                    work.tell()
        finally:
            self._drain = None

    def _commit(self, batch: list[Work], connection: sqlite3.Connection) -> None:
        """Run every unit under its own SAVEPOINT, then one COMMIT; runs on the writer's thread."""
        try:
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
    reader = await aiosqlite.connect(path, isolation_level=None, cached_statements=512)
    inline = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    await _hop(writer, _prepare)
    await _hop(reader, _prepare_reader)
    _prepare_reader(inline)
    return SqliteDatabase(writer, reader, inline, clock)


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
