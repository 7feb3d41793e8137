"""Migrations: Alembic, one text for both engines, under a lock that names its holder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x62726F6B6572  # "broker"
LOCK_WAIT_S = 60.0


class Locked(Exception):
    """Another process is migrating; the message names it (safety 40)."""


def upgrade(url: str, *, wait_s: float = LOCK_WAIT_S) -> None:
    """Bring the database at `url` to the newest revision; Locked after `wait_s` seconds."""
    engine = _engine(url)
    try:
        lock = _postgres_lock if engine.dialect.name == "postgresql" else _file_lock
        with lock(engine, wait_s), engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # safety 38
        engine = create_engine(f"sqlite:///{path}", isolation_level=None)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return create_engine("postgresql+psycopg://" + url.partition("://")[2])


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _file_lock(engine: Engine, wait_s: float) -> Iterator[None]:
    """A lock file beside the database, which holds the process id of its holder."""
    path = Path(f"{engine.url.database}.migrating")
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        deadline = time.monotonic() + wait_s
        while not _flocked(file.fileno()):
            if time.monotonic() > deadline:
                raise Locked(f"process {file.read().strip() or 'unknown'} is migrating {path}")
            time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _flocked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _postgres_lock(engine: Engine, wait_s: float) -> Iterator[None]:
    """An advisory lock of the session; PostgreSQL itself says who holds it."""
    with engine.connect() as connection:
        deadline = time.monotonic() + wait_s
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
            if time.monotonic() > deadline:
                raise Locked(f"{_holder(connection)} is migrating this database")
            time.sleep(0.1)
        try:
            yield
        finally:
            connection.scalar(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})


def _holder(connection: Connection) -> str:
    holder = connection.execute(
        text(
            "SELECT a.application_name, a.client_addr, a.pid FROM pg_locks l"
            " JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted"
            " AND l.classid = :high AND l.objid = :low"
        ),
        {"high": LOCK_KEY >> 32, "low": LOCK_KEY & 0xFFFFFFFF},
    ).first()
    return f"session {holder.pid} of {holder.client_addr or 'this host'}" if holder else "another"
