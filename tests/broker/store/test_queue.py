"""Those who wait, in the order of their numbers."""

from __future__ import annotations

from broker.db.database import Database
from broker.store import queue
from tests.broker.store.people import PROJECT, kept, person, waiting


async def test_the_order_is_that_of_the_numbers(db: Database) -> None:
    """U4 to U6: the smallest number is next, whoever was made first; nobody else is in it."""
    third, first, second = waiting("a", 9), waiting("b", 2), waiting("c", 5)
    await db.write(kept, third, first, person("not waiting"), second)
    head = await db.write(queue.head, PROJECT)
    assert head == first
    assert await db.read(queue.page, PROJECT, skip=1, limit=5) == [second, third]
    assert await db.read(queue.length, PROJECT) == 3
    assert await db.read(queue.length, PROJECT, before=9) == 2
    assert await db.read(queue.places, PROJECT, last=5) == {first.id: 1, second.id: 2}
    assert await db.write(queue.head, "prj_2") is None
