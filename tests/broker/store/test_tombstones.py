"""Deleted people, and whose past they are."""

from __future__ import annotations

from broker.db.database import Database
from broker.domain.users import SuspendedBy
from broker.store import tombstones
from tests.broker.store.people import DIRECTORY, PROJECT, deleted, kept, person


async def test_the_last_of_each_name_counts(db: Database) -> None:
    """Safety 6: by userName in the project, by externalId in the directory, the newest of each."""
    old = deleted("kim", 1, suspended_by=SuspendedBy.ADMIN)
    by_name, by_id = deleted("KIM", 2), deleted("other", 3, external_id="e-1")
    elsewhere = deleted("moe", 4, external_id="e-1", directory="dir_2")
    await db.write(kept, old, by_name, by_id, elsewhere, person("lee"))
    found = await db.read(tombstones.last, PROJECT, DIRECTORY, "e-1", "Kim")
    assert {each.id for each in found} == {by_name.id, by_id.id}
    assert await db.read(tombstones.last, PROJECT, DIRECTORY, None, "lee") == []


async def test_history_is_linked_by_external_id(db: Database) -> None:
    """U16: earlier lives of one externalId in the directory, the newest first."""
    first, second = (deleted(f"kim-{n}", n, external_id="e-1") for n in (1, 2))
    now = person("kim", external_id="e-1")
    await db.write(kept, first, second, now, deleted("kim", 3))
    assert await db.read(tombstones.history, now) == [second, first]
    assert await db.read(tombstones.history, person("lee")) == []
