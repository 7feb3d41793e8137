"""The two database engines as tests meet them: fresh, empty and migrated in milliseconds."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg

from broker.db import migrate, postgres, sqlite
from broker.db.database import Clock, Database, Transaction, system_clock
from tests import canaries, leashed_postgres

SETTING = "BROKER_TEST_PG_URL"
NO_SERVER = (
    "PostgreSQL did not start, and no test is skipped for that. Set {setting} to a server where "
    "databases may be created (postgresql://user@host:5432/postgres). {why}"
)
SOCKET_PATH = 107  # bytes, the longest path of a Unix socket on Linux
SOCKET_NAME = len("/broker-pg-12345678/data/.s.PGSQL.5432")
NOT_DURABLE = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")


class NoServer(Exception):
    """There is no PostgreSQL to test against; the message says how to name one."""


class Engine(Protocol):
    """Makes databases for tests."""

    def database(self, folder: Path, /) -> AbstractContextManager[str]:
        """The URL of a fresh, empty, migrated database, gone when the context ends."""
        ...


async def connect(url: str, *, clock: Clock = system_clock) -> Database:
    """Open the database at `url`, whichever engine it names."""
    if url.startswith("sqlite:///"):
        return await sqlite.connect(Path(url.removeprefix("sqlite:///")), clock=clock)
    database = await postgres.connect(url, clock=clock)
    await database.read(_nothing)  # measures the offset of the clocks, before a test moves one
    return database


def _nothing(tx: Transaction) -> None:
    """A unit of work that touches no row."""


class SqliteEngine:
    """Copies one migrated file."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"
        migrate.upgrade(f"sqlite:///{self._template}")

    @contextmanager
    def database(self, folder: Path, /) -> Iterator[str]:
        path = folder / f"broker-{secrets.token_hex(4)}.db"
        shutil.copyfile(self._template, path)
        path.chmod(0o600)
        yield f"sqlite:///{path}"
        canaries.search_files(folder, path.name + "*")  # promise 13
        for file in folder.glob(path.name + "*"):
            file.unlink()


class PostgresEngine:
    """Clones one migrated database: some 20 ms on a server that need not be durable."""

    def __init__(self, server: str) -> None:
        """`server` is the URL of a database whose user may create others."""
        self._server = server
        self._family = f"broker_test_{secrets.token_hex(4)}"
        self._made = 0
        self._admin = psycopg.connect(server, autocommit=True)
        self._admin.execute(f'CREATE DATABASE "{self._family}"')
        migrate.upgrade(self._url(self._family))

    @contextmanager
    def database(self, _folder: Path, /) -> Iterator[str]:
        self._made += 1
        name = f"{self._family}_{self._made}"
        self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._family}"')
        try:
            yield self._url(name)
        finally:
            self._admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def close(self) -> None:
        """Drop the template and let go of the server."""
        self._admin.execute(f'DROP DATABASE "{self._family}" WITH (FORCE)')
        self._admin.close()

    def _url(self, name: str) -> str:
        return urlsplit(self._server)._replace(path="/" + name).geturl()


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server: the one the setting names, else a leashed one of our own."""
    if named := os.environ.get(SETTING):
        try:
            psycopg.connect(named, connect_timeout=10).close()
        except psycopg.Error as error:
            why = f"The one it names now does not answer: {error}"
            raise NoServer(NO_SERVER.format(setting=SETTING, why=why)) from error
        yield named
        return
    with own_server(sys.executable) as url:
        yield url


@contextmanager
def own_server(python: str) -> Iterator[str]:
    """A server that ends with this process, however this process ends; sweeps lost ones first."""
    parent = short_folder()
    leashed_postgres.sweep(parent)
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [python, leashed_postgres.__file__, str(parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        ) as leash,  # leaving closes its standard input and waits for it
    ):
        assert leash.stdout is not None
        sockets = leash.stdout.readline().strip()
        if not sockets:
            leash.wait()
            complaints.seek(0)
            raise NoServer(NO_SERVER.format(setting=SETTING, why=complaints.read().strip()))
        url = f"postgresql://postgres@/postgres?host={sockets}"
        with psycopg.connect(url, autocommit=True) as admin:
            for name in NOT_DURABLE:
                admin.execute(f"ALTER SYSTEM SET {name} = off")
            admin.execute("SELECT pg_reload_conf()")
        yield url


def short_folder() -> Path:
    """Where the server's folder goes: a socket's path must stay short."""
    folder = Path(tempfile.gettempdir()).resolve()
    fits = len(os.fsencode(folder)) + SOCKET_NAME <= SOCKET_PATH
    return folder if fits else Path("/tmp")
