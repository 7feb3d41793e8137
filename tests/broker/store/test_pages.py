"""Pages of a shelf: where they begin, in which order, and what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count as counting

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from broker.db.database import Database, Transaction
from broker.store import pages, resources
from broker.store.pages import Order, Where
from broker.store.resources import Keys, Shelf
from tests.watching import Watched, scans

NUMBERS = counting()
ARRIVAL = Order()
EVERYBODY = Where()


def put(tx: Transaction, shelf: Shelf, *names: str) -> list[int]:
    """Keep a resource of each name; their numbers."""
    return [
        resources.insert(tx, shelf, f"usr_{next(NUMBERS)}", Keys(name, None, ""), b"{}", b"{}")
        for name in names
    ]


def page(tx: Transaction, shelf: Shelf, offset: int, limit: int) -> tuple[int, list[int]]:
    """The total, and the page behind the first `offset`."""
    total, at, between = pages.extent(tx, shelf, offset)
    found = pages.page(tx, shelf, EVERYBODY, ARRIVAL, at, limit=limit, offset=between)
    return total, [each.at[-1] for each in found]


def shelf() -> Shelf:
    """A directory nobody has used."""
    return Shelf("prj_1", f"dir_{next(NUMBERS)}", "User")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=some.lists(some.tuples(some.booleans(), some.integers(0, 999)), max_size=40))
@pytest.mark.parametrize("bits", [1, 3])
async def test_every_page_is_a_slice_of_everything(
    db: Database, monkeypatch: pytest.MonkeyPatch, bits: int, steps: Sequence[tuple[bool, int]]
) -> None:
    """After any creations and deletions each startIndex and count finds what a list would hold,
    each total is its length, and no more steps are made than a block has numbers.
    """
    monkeypatch.setattr(pages, "BLOCK_BITS", bits)
    monkeypatch.setattr(resources, "BLOCK_BITS", bits)
    here, beside = shelf(), shelf()
    held: list[int] = []

    def played(tx: Transaction) -> None:
        for creates, which in steps:
            if creates or not held:
                held.extend(put(tx, here, "kim"))
                put(tx, beside, *["lee"] * (which % 3))
            else:
                resources.delete(tx, here, held.pop(which % len(held)))

    def compared(tx: Transaction) -> None:
        for offset in range(len(held) + 2):
            assert pages.extent(tx, here, offset)[2] < 1 << bits or offset >= len(held)
            for limit in (1, 3, 99):
                assert page(tx, here, offset, limit) == (
                    len(held),
                    held[offset : offset + limit],
                )
        assert pages.count(tx, here, EVERYBODY) == len(held)

    await db.write(played)
    await db.read(compared)


async def test_what_is_undone_is_not_counted(db: Database) -> None:
    """The sums are written in the transaction of what they count: all of it, or nothing."""
    here = shelf()

    def failing(tx: Transaction) -> None:
        put(tx, here, "kim", "lee")
        raise LookupError

    with pytest.raises(LookupError):
        await db.write(failing)
    assert await db.read(pages.count, here, EVERYBODY) == 0
    (kim,) = await db.write(put, here, "kim")
    await db.write(resources.delete, here, kim)
    await db.write(resources.delete, here, kim)  # twice is once
    assert await db.read(pages.count, here, EVERYBODY) == 0


async def test_a_page_deep_inside_reads_no_more_than_the_first(db: Database) -> None:
    """A block is sought, not counted through: one row a block, then the page, on both engines."""
    watched, here = Watched(db), shelf()
    await db.write(put, here, *(f"user-{n:05}" for n in range(5000)))
    for offset in (0, 2500, 4990):
        watched.clear()
        total, found = await watched.read(page, here, offset, 10)
        assert (total, len(found)) == (5000, 10)
        blocks, _ = watched.asked
        assert blocks.rows <= 6
        assert watched.rows == blocks.rows + 10
        assert [plan for plan in await watched.plans() if scans(plan)] == []
    assert (await db.read(page, here, 4995, 10))[1] == (await db.read(page, here, 0, 5000))[1][
        4995:
    ]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [Order(), Order(True), Order(True, True)])
async def test_what_is_beside_a_place_is_found_at_any_place(
    db: Database, order: Order, *, backwards: bool
) -> None:
    """From each resource on, and from nowhere, the nearest come first; among equal names the
    order is that of arrival either way; bytes order, not a locale (both engines alike).
    """
    watched, here = Watched(db), shelf()
    names = ["b", "ä", "a", "Z", "b", "a", "b"]
    numbered = list(zip(names, await db.write(put, here, *names), strict=True))
    listed = [n for _, n in numbered]
    if order.by_name:
        numbered.sort(key=lambda each: each[0].encode(), reverse=order.descending)
        listed = [n for _, n in numbered]
    everything = await db.read(pages.page, here, EVERYBODY, order, limit=99)
    assert [each.at[-1] for each in everything] == listed
    places: dict[int, pages.Place] = {-1: ()} | dict(enumerate(each.at for each in everything))
    for place, at in places.items():
        ahead = listed[place + 1 :] if not backwards else listed[: place if at else None][::-1]
        for limit in (1, 3, 99):
            found = await watched.read(
                pages.page, here, EVERYBODY, order, at, backwards=backwards, limit=limit
            )
            assert [each.at[-1] for each in found] == ahead[:limit]
    assert [plan for plan in await watched.plans() if scans(plan)] == []


async def test_writers_at_once_lose_no_count(db: Database) -> None:
    """Creations and deletions of many writers at once are all in the sum, on both engines."""
    here = shelf()
    made = await asyncio.gather(*(db.write(put, here, f"user-{n}") for n in range(60)))
    gone = [db.write(resources.delete, here, n) for (n,) in made[::3]]
    await asyncio.gather(*gone, *(db.write(put, here, "late") for _ in range(10)))
    assert await db.read(pages.count, here, EVERYBODY) == 60 - 20 + 10
    assert await db.read(pages.count, here, Where(name="late")) == 10
