"""The engine for scale-out: the same text, the database's time, and a place in line."""

from __future__ import annotations

from asyncio import gather

import pytest

from broker.db import postgres
from broker.db.database import Transaction, Unavailable, Unstorable, system_clock
from tests import engines

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("WHERE a = :a AND b = :b_2", "WHERE a = %(a)s AND b = %(b_2)s"),
        ("CAST(:x AS text)", "CAST(%(x)s AS text)"),
        ("x::text = :x", "x::text = %(x)s"),
    ],
)
def test_a_parameter_is_translated_and_nothing_else(
    ours: str, theirs: str, database_url: str
) -> None:
    """`:name` becomes `%(name)s`; a cast's two colons stay."""
    assert database_url
    assert postgres.translated(ours) == theirs


async def test_transactions_that_stand_in_each_others_way_are_run_again(database_url: str) -> None:
    """Units that lock two rows in opposite order all end well (deadlock, retried)."""
    joint = "&" if "?" in database_url else "?"
    db = await postgres.connect(f"{database_url}{joint}options=-cdeadlock_timeout%3D20ms")
    for name in ("a", "b"):
        await db.write(_keep, name)
    await gather(*(db.write(_swap, *pair) for pair in [("a", "b"), ("b", "a")] * 4))
    rows = await db.read(lambda tx: tx.all("SELECT value FROM installation"))
    await db.close()
    assert {row["value"] for row in rows} == {b"8"}


async def test_the_clock_is_the_database_s(database_url: str) -> None:
    """Promise 7: a replica whose clock is ten minutes off still tells the database's time."""
    db = await postgres.connect(database_url, clock=lambda: system_clock() - 600_000_000)
    now = await db.read(lambda tx: tx.now)
    await db.close()
    assert abs(now - system_clock()) < 5_000_000


async def test_nobody_there_is_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not answer is a sentence, not a stack trace of the driver."""
    monkeypatch.setattr(postgres, "CONNECT_S", 0.5)
    with pytest.raises(Unavailable):
        await postgres.connect(database_url.replace("broker_test", "no_such"))


async def test_a_lost_connection_is_unavailable_and_the_next_unit_works(database_url: str) -> None:
    """A server that drops our connections costs one answer, and the pool comes back."""
    db = await engines.connect(database_url)
    pid = await db.read(lambda tx: tx.find("SELECT pg_backend_pid() AS pid"))
    assert pid is not None

    def cut(tx: Transaction) -> None:
        tx.run("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        await db.write(cut)
    await db.write(_keep, "after")
    await db.close()


async def test_a_text_with_u0000_is_unstorable(database_url: str) -> None:
    """Promise of `Unstorable`: one sentence without the value, and the next unit works."""
    db = await engines.connect(database_url)
    with pytest.raises(Unstorable) as refused:
        await db.write(_keep, "canary\0")
    assert "canary" not in str(refused.value)
    await db.write(_keep, "after")
    await db.close()


def _keep(tx: Transaction, name: str) -> None:
    tx.run("INSERT INTO installation (name, value) VALUES (:name, :v)", name=name, v=b"0")


def _swap(tx: Transaction, first: str, second: str) -> None:
    for name in (first, second):
        row = tx.find("SELECT value FROM installation WHERE name = :n" + tx.for_update, n=name)
        assert row is not None
        value = str(int(row["value"]) + 1).encode()
        tx.run("UPDATE installation SET value = :v WHERE name = :n", v=value, n=name)
