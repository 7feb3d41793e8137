"""What both engines promise a unit of work."""

from __future__ import annotations

import asyncio
import threading
from asyncio import gather

import pytest

from broker.db.database import Database, Duplicate, Transaction
from tests.clocks import MovableClock
from tests.waiting import until


def keep(tx: Transaction, name: str, value: bytes = b"1") -> None:
    tx.run("INSERT INTO installation (name, value) VALUES (:name, :value)", name=name, value=value)


def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in tx.all("SELECT name FROM installation ORDER BY name")]


def add_one(tx: Transaction, name: str) -> int:
    row = tx.find("SELECT value FROM installation WHERE name = :name" + tx.for_update, name=name)
    assert row is not None
    count = int(row["value"]) + 1
    tx.run(
        "UPDATE installation SET value = :value WHERE name = :name",
        name=name,
        value=str(count).encode(),
    )
    return count


async def test_a_unit_is_kept_whole_and_its_result_comes_back(db: Database) -> None:
    """What a unit wrote is there once its caller is answered, for each way of reading."""
    await db.write(keep, "a", value=b"\x00\xff")
    assert await db.read(names) == ["a"]
    assert await db.peek(names) == ["a"]
    row = await db.peek(lambda tx: tx.find("SELECT value FROM installation"))
    assert row is not None
    assert row["value"] == b"\x00\xff"


async def test_a_failed_unit_leaves_nothing_and_its_neighbors_everything(db: Database) -> None:
    """A unit that raises undoes only itself, however many wait beside it."""

    def half(tx: Transaction) -> None:
        keep(tx, "half")
        raise KeyError("no further")

    results = await gather(
        db.write(keep, "a"), db.write(half), db.write(keep, "b"), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), KeyError, type(None)]
    assert await db.read(names) == ["a", "b"]


async def test_a_unique_constraint_ends_its_unit_as_a_duplicate(db: Database) -> None:
    """Both engines say Duplicate, and nothing of the unit stays."""
    await db.write(keep, "a")

    def twice(tx: Transaction) -> None:
        keep(tx, "before")
        keep(tx, "a")

    with pytest.raises(Duplicate):
        await db.write(twice)
    assert await db.read(names) == ["a"]


async def test_no_update_is_lost_among_32_callers(db: Database) -> None:
    """Read, add one, write: 320 of 320 arrive (stack.md, finding 2)."""
    await db.write(keep, "count", value=b"0")

    async def client() -> None:
        for _ in range(10):
            await db.write(add_one, "count")

    await gather(*(client() for _ in range(32)))
    assert await db.write(add_one, "count") == 321


async def test_a_caller_that_goes_away_does_not_undo_its_unit(db: Database) -> None:
    """A cancelled request leaves a whole unit behind, never half of one."""
    caller = asyncio.create_task(db.write(keep, "kept"))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await db.write(keep, "after")

    async def both_are_kept() -> bool:
        return await db.read(names) == ["after", "kept"]

    await until(both_are_kept)


async def test_a_read_is_one_snapshot_and_leaves_room_for_others(db: Database) -> None:
    """Whatever others write or read while a unit reads, it sees what it saw at first."""
    began, go_on = threading.Event(), threading.Event()

    def twice(tx: Transaction) -> tuple[list[str], list[str]]:
        before = names(tx)
        began.set()
        assert go_on.wait(30)
        return before, names(tx)

    reading = asyncio.create_task(db.read(twice))
    await asyncio.to_thread(began.wait, 30)
    await db.write(keep, "late")
    assert [await db.read(names), await db.peek(names)] == [["late"], ["late"]]
    go_on.set()
    assert await reading == ([], [])


async def test_a_write_on_a_snapshot_sees_one_moment(db: Database) -> None:
    """What another commits meanwhile is not there for such a unit, unless it writes over it: then
    it begins again, so no update is lost.
    """
    await db.write(keep, "count", value=b"0")
    begun, other_is_done = threading.Event(), threading.Event()
    seen: list[tuple[list[str], list[str]]] = []

    def slowly(tx: Transaction, name: str) -> int:
        before = names(tx)
        begun.set()
        if tx.for_update:  # SQLite's writer keeps everybody else out
            other_is_done.wait(10)
        seen.append((before, names(tx)))
        return add_one(tx, name)

    async def beside(name: str, *, writes: str) -> int:
        begun.clear()
        other_is_done.clear()
        slow = asyncio.create_task(db.write_on_snapshot(slowly, name))
        await asyncio.to_thread(begun.wait)
        await db.write(keep, writes)
        await db.write(add_one, "count")
        other_is_done.set()
        return await slow

    await db.write(keep, "mine", value=b"0")
    assert await beside("mine", writes="a") == 1
    assert len(seen) == 1
    await beside("count", writes="b")
    assert all(before == after for before, after in seen)
    assert await db.write(add_one, "count") == 4


async def test_the_time_of_a_transaction_is_the_clock_handed_in(
    db: Database, clock: MovableClock
) -> None:
    """`now` follows the clock a test moves, within the millisecond it takes to ask."""
    before = await db.write(lambda tx: tx.now)
    clock.advance(3_600_000_000)
    after = await db.write(lambda tx: tx.now)
    assert 3_600_000_000 <= after - before < 3_660_000_000


async def test_nothing_is_taken_after_closing(database_url: str) -> None:
    """A closed database says Unavailable; what was handed over before is kept."""
    from broker.db.database import Unavailable
    from tests import engines

    database = await engines.connect(database_url)
    await database.write(keep, "a")
    await database.close()
    with pytest.raises(Unavailable):
        await database.write(keep, "b")
    again = await engines.connect(database_url)
    assert await again.read(names) == ["a"]
    await again.close()
