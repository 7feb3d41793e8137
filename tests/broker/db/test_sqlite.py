"""The default engine: one writer, a batch a COMMIT, and what it says when the disk is full."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import stat
from asyncio import gather
from pathlib import Path

import aiosqlite
import pytest

from broker.db import migrate, sqlite
from broker.db.database import Transaction, Unavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A migrated file."""
    path = tmp_path / "broker.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


def keep(tx: Transaction, name: str, value: bytes = b"1") -> None:
    tx.run("INSERT INTO installation (name, value) VALUES (:name, :value)", name=name, value=value)


async def test_aiosqlite_runs_a_function_in_one_hop() -> None:
    """The one private line we use is there, in the version we pin, and runs on another thread."""
    import threading

    connection = await aiosqlite.connect(":memory:")
    threads = [await sqlite._hop(connection, lambda _: threading.get_ident()) for _ in range(2)]
    await connection.close()
    assert threads[0] == threads[1] != threading.get_ident()
    from importlib.metadata import version

    assert version("aiosqlite") == "0.22.1"


async def test_waiting_units_share_one_commit(path: Path) -> None:
    """100 units that wait together cost one or two transactions, not 100."""
    db = await sqlite.connect(path)
    statements: list[str] = []
    await sqlite._hop(db._writer, lambda c: c.set_trace_callback(statements.append))
    await gather(*(db.write(keep, f"{n:03}") for n in range(100)))
    await sqlite._hop(db._writer, lambda c: c.set_trace_callback(None))
    await db.close()
    assert statements.count("COMMIT") <= 2


async def test_a_full_disk_answers_everyone_and_keeps_nothing(path: Path) -> None:
    """When the file cannot grow, each waiting caller hears Unavailable and the rest goes on."""
    db = await sqlite.connect(path)

    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()

    await sqlite._hop(db._writer, limit)
    big = b"x" * 100_000
    results = await gather(
        *(db.write(keep, f"{n}", value=big) for n in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [Unavailable] * 3
    assert await db.read(lambda tx: tx.all("SELECT name FROM installation")) == []
    await db.write(keep, "small")
    await db.close()


async def test_readers_cannot_write(path: Path) -> None:
    """A unit handed to `read` or `peek` that writes is refused by SQLite itself."""
    db = await sqlite.connect(path)
    for reading in (db.read, db.peek):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reading(keep, "a")
    await db.close()


async def test_the_file_and_its_journal_are_for_the_owner_alone(tmp_path: Path) -> None:
    """Safety 38: database, -wal and -shm have mode 0600."""
    path = tmp_path / "new.db"
    migrate.upgrade(f"sqlite:///{path}")
    db = await sqlite.connect(path)
    await db.write(keep, "a")
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(Path(f"{path}{suffix}").stat().st_mode) == 0o600
    await db.close()


async def test_no_argument_of_a_unit_reaches_a_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 17: the driver logs what it runs at debug level; our secrets are not in it."""
    caplog.set_level(logging.DEBUG)
    db = await sqlite.connect(path)
    await db.write(keep, "canary-3f1c", value=b"canary-9b2d")
    await db.read(lambda tx: tx.find("SELECT 1 AS one WHERE 'canary-77aa' = :x", x="canary-5e0e"))
    await db.close()
    assert caplog.records
    assert "canary" not in caplog.text


async def test_synchronous_is_full_and_the_journal_is_wal(path: Path) -> None:
    """An answered write survives a power cut: synchronous=FULL (2) on the writer."""
    db = await sqlite.connect(path)

    def pragmas(tx: Transaction) -> list[object]:
        rows = [tx.find(f"PRAGMA {n}") for n in ("synchronous", "journal_mode", "foreign_keys")]
        return [row and next(iter(row.values())) for row in rows]

    assert await db.write(pragmas) == [2, "wal", 1]
    await db.close()


async def test_closing_waits_for_what_was_handed_over(path: Path) -> None:
    """Units that wait when the service stops are committed, not dropped."""
    db = await sqlite.connect(path)
    waiting = [asyncio.create_task(db.write(keep, f"{n}")) for n in range(20)]
    await asyncio.sleep(0)
    await db.close()
    await gather(*waiting)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM installation").fetchone() == (20,)
    connection.close()
