"""The engine for scale-out: PostgreSQL, a unit on a worker thread with a pooled connection."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, ParamSpec, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.errors import (
    DataError,
    DeadlockDetected,
    ForeignKeyViolation,
    ProgramLimitExceeded,
    SerializationFailure,
    UniqueViolation,
)
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from broker.db.database import (
    PARAMETER,
    Clock,
    Duplicate,
    Row,
    Unavailable,
    Unit,
    Unstorable,
    system_clock,
)

P = ParamSpec("P")
T = TypeVar("T")
Connection = psycopg.Connection[dict[str, Any]]

TRIES = 8
CLOCK_EVERY_S = 60.0
CONNECT_S = 10.0
ONE_SNAPSHOT = IsolationLevel.REPEATABLE_READ


@cache
def translated(sql: str) -> str:
    """The same text with psycopg's parameters: `:name` becomes `%(name)s`."""
    return PARAMETER.sub(r"%(\1)s", sql)


class PostgresTransaction:
    """A transaction on one pooled connection."""

    __slots__ = ("_connection", "now")
    for_update = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: Connection, now: int) -> None:
        self._connection = connection
        self.now = now

    def find(self, sql: str, **params: Any) -> Row | None:
        return self._connection.execute(translated(sql), params).fetchone()

    def all(self, sql: str, **params: Any) -> list[Row]:
        return list(self._connection.execute(translated(sql), params).fetchall())

    def run(self, sql: str, **params: Any) -> None:
        self._connection.execute(translated(sql), params)


class DatabaseClock:
    """The process clock plus its offset to the database's, measured once a minute."""

    def __init__(self, process: Clock) -> None:
        self._process = process
        self._offset = 0
        self._measured = float("-inf")
        self._lock = threading.Lock()

    def __call__(self) -> int:
        return self._process() + self._offset

    def follow(self, connection: Connection) -> None:
        """Measure again when the last reading is a minute old; one thread at a time."""
        if time.monotonic() - self._measured < CLOCK_EVERY_S or not self._lock.acquire(False):
            return
        try:
            before = self._process()
            row = connection.execute(
                "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS micros"
            ).fetchone()
            after = self._process()
            self._offset = (row["micros"] if row else after) - (before + after) // 2
            self._measured = time.monotonic()
        finally:
            self._lock.release()


class PostgresDatabase:
    """A pool of connections, and as many threads as there are connections."""

    def __init__(self, pool: ConnectionPool[Connection], threads: int, clock: Clock) -> None:
        self._pool = pool
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="postgres")
        self._clock = DatabaseClock(clock)

    async def write(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_a_thread(lambda tx: unit(tx, *args, **kwargs))

    async def write_on_snapshot(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_a_thread(lambda tx: unit(tx, *args, **kwargs), ONE_SNAPSHOT)

    async def read(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_a_thread(lambda tx: unit(tx, *args, **kwargs), ONE_SNAPSHOT)

    async def peek(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_a_thread(lambda tx: unit(tx, *args, **kwargs), ONE_SNAPSHOT)

    def version(self) -> None:
        return None

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._pool.close)

    async def _on_a_thread(
        self, call: Callable[[PostgresTransaction], T], isolation: IsolationLevel | None = None
    ) -> T:
        try:
            work = self._threads.submit(self._attempts, call, isolation)
        except RuntimeError as error:
            raise Unavailable("the database is closed") from error
        return await asyncio.shield(asyncio.wrap_future(work))

    def _attempts(
        self, call: Callable[[PostgresTransaction], T], isolation: IsolationLevel | None
    ) -> T:
        """Run the unit until no other transaction stood in its way.

        Another may have deleted the row that a new one refers to: the next try sees that.
        """
        tries = TRIES
        while True:
            tries -= 1
            try:
                return self._once(call, isolation)
            except (SerializationFailure, DeadlockDetected, ForeignKeyViolation) as error:
                if not tries:
                    raise Unavailable("too many transactions stood in the way") from error
                time.sleep(random.uniform(0, 0.05))  # so that the two do not meet again in step
            except UniqueViolation as error:
                raise Duplicate(error.diag.constraint_name or "") from error
            except (DataError, ProgramLimitExceeded) as error:
                # Without the driver's words: they may quote the value.
                raise Unstorable("the database has no place for a value") from error
            except (psycopg.OperationalError, PoolTimeout) as error:
                raise Unavailable("the database cannot be reached now") from error

    def _once(
        self, call: Callable[[PostgresTransaction], T], isolation: IsolationLevel | None
    ) -> T:
        with self._pool.connection() as connection:
            connection.isolation_level = isolation  # said with BEGIN, so it costs no round trip
            self._clock.follow(connection)
            return call(PostgresTransaction(connection, self._clock()))


async def connect(
    url: str, *, connections: int = 10, clock: Clock = system_clock
) -> PostgresDatabase:
    """Open a pool on `url` (`postgresql://…`); Unavailable where nobody answers in 10 s."""
    pool: ConnectionPool[Connection] = ConnectionPool(
        url,
        connection_class=Connection,
        min_size=1,
        max_size=connections,
        timeout=10.0,
        kwargs={"row_factory": dict_row, "application_name": "broker"},
        open=False,
    )
    try:
        await asyncio.to_thread(pool.open, wait=True, timeout=CONNECT_S)
    except PoolTimeout as error:
        pool.close()
        raise Unavailable("the database cannot be reached now") from error
    return PostgresDatabase(pool, connections, clock)
