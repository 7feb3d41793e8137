"""Deleted people, and whose past they are."""

from __future__ import annotations

from dataclasses import replace

from broker.db.database import Database
from broker.domain.users import Status, SuspendedBy
from broker.store import tombstones, users
from tests.broker.store.people import DIRECTORY, PROJECT, deleted, kept, person


async def test_a_barred_one_counts_before_the_newest(db: Database) -> None:
    """Safety 6: by userName in the project, by externalId in the directory; any tombstone that an
    administrator suspended, however old, and else the newest.
    """
    barred = deleted("kim", 1, suspended_by=SuspendedBy.ADMIN, external_id="e-1")
    newest = deleted("other", 3, external_id="e-2")
    older = deleted("KIM", 2, external_id="e-2")
    elsewhere = deleted("moe", 4, external_id="e-3", directory="dir_2")
    await db.write(kept, barred, newest, older, elsewhere, person("lee"))
    for names, found in (
        (("e-2", "Kim"), barred),
        (("e-1", "new"), barred),
        (("e-2", "new"), newest),
        (("e-3", "lee"), None),
        ((None, "lee"), None),
    ):
        assert await db.read(tombstones.past, PROJECT, DIRECTORY, *names) == found


async def test_a_name_is_barred_once_and_lifted_for_good(db: Database) -> None:
    """Safety 6: names left again and again leave one tombstone; an administrator's yes ends it."""
    left = deleted("kim", 1, suspended_by=SuspendedBy.ADMIN)
    for tombstone in (left, replace(left, id="usr_2"), replace(left, id="usr_3", external_id="e")):
        await db.write(tombstones.leave, tombstone)
    gone = await db.read(users.page, PROJECT, status=Status.DELETED)
    assert {each.id for each in gone} == {left.id, "usr_3"}
    await db.write(tombstones.lift, person("KIM"))
    past = await db.read(tombstones.past, PROJECT, DIRECTORY, "e", "kim")
    assert past is not None
    assert past.suspended_by is None
