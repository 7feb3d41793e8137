"""People, kept: found by every name they have, and never two of one name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.db.database import Database, Duplicate
from broker.domain.errors import NotFound
from broker.domain.mapping import Profile
from broker.domain.subjects import Subject
from broker.domain.users import License, Status, SuspendedBy
from broker.store import logons, users
from tests.broker.store.people import DIRECTORY, PROJECT, deleted, kept, person


async def test_what_is_kept_is_what_comes_back(db: Database) -> None:
    """A person survives the round through the table, every field of theirs."""
    before = person(
        "Kim@Acme.example",
        external_id="e-1",
        profile=Profile(
            "Kim@Acme.example", "Kim Lee", "Kim", "Lee", "", "", "", "kim@acme.example"
        ),
        invite_epoch=3,
        invited_at=5,
        idp_active=False,
        licensed=False,
        user_authentication=False,
        accepted=True,
        adoptable=True,
        detached_at=9,
        status_reason="word",
    )
    await db.write(kept, before)
    assert await db.read(users.get, PROJECT, before.id) == before
    after = replace(
        before,
        status=Status.SUSPENDED,
        suspended_by=SuspendedBy.ADMIN,
        activated_at=7,
        version=2,
        changed_at=8,
    )
    await db.write(users.change, after)
    assert await db.write(users.lock, PROJECT, before.id) == after
    assert await db.read(users.some, PROJECT, [before.id, "usr_nobody"]) == {before.id: after}


async def test_another_project_s_person_is_a_missing_one(db: Database) -> None:
    """Safety 2: with the wrong project there is nobody of that id, name or externalId."""
    kim = person("kim", external_id="e-1")
    await db.write(kept, kim)
    assert await db.read(users.find, "prj_2", kim.id) is None
    for ask in (users.get, users.lock):
        with pytest.raises(NotFound):
            await db.write(ask, "prj_2", kim.id)
    for subject in (Subject(user_id=kim.id), Subject(user_name="kim")):
        assert await db.read(users.by_subject, "prj_2", subject) is None
    assert await db.read(users.page, "prj_2") == []


@pytest.mark.parametrize("name", ["kim", "KIM", "Kim"])
async def test_one_living_person_has_a_user_name(db: Database, name: str) -> None:
    """building.md, Uniqueness: a second one is Duplicate whatever the case; a tombstone is none."""
    await db.write(kept, deleted("kim", 1), deleted("KIM", 2), person("kim"))
    with pytest.raises(Duplicate):
        await db.write(kept, person(name))
    other = person("lee")
    await db.write(kept, other)
    with pytest.raises(Duplicate):
        await db.write(users.describe, PROJECT, other.id, Profile(name), None)
    await db.write(kept, replace(person(name), project="prj_2"))


async def test_a_subject_is_a_living_person_before_a_tombstone(db: Database) -> None:
    """Safety 6: who only ever was is found as deleted, the last of them; nobody is None."""
    old, older = deleted("KIM", 2, external_id="e-1"), deleted("kim", 1, external_id="e-1")
    await db.write(kept, older, old)
    names = (Subject(user_name="kim"), Subject(external_id="e-1", directory=DIRECTORY))
    for subject in names:
        assert await db.read(users.by_subject, PROJECT, subject) == old
    new = person("Kim", external_id="e-1")
    await db.write(kept, new)
    for subject in (*names, Subject(user_id=new.id), Subject(user_name="kIM", directory=DIRECTORY)):
        assert await db.read(users.by_subject, PROJECT, subject) == new
    assert await db.read(users.by_subject, PROJECT, Subject(user_name="kim", directory="x")) is None
    assert (
        await db.read(users.by_subject, PROJECT, Subject(external_id="E-1", directory=DIRECTORY))
        is None
    )


async def test_an_external_id_of_two_people_names_nobody(db: Database) -> None:
    """F2, F19: an ambiguous name is no one person, and everybody living who has it is known."""
    kim, lee = person("kim", external_id="e-1"), person("lee", external_id="e-1")
    await db.write(kept, kim, lee, deleted("moe", 1, external_id="e-1"))
    subject = Subject(external_id="e-1", directory=DIRECTORY)
    assert await db.read(users.by_subject, PROJECT, subject) is None
    meant = await db.read(users.meant, PROJECT, subject)
    assert {each.id for each in meant} == {kim.id, lee.id}


async def test_a_logon_names_a_person_exact_in_case(db: Database) -> None:
    """Safety 9: the value as it is spelt, the suffix whatever its case."""
    kim = person("kim")
    await db.write(kept, kim)
    await db.write(logons.declare, PROJECT, "Straße")
    await db.write(logons.put, PROJECT, kim.id, "Straße", "KIM01")
    for suffix, logon, found in (("STRASSE", "KIM01", kim), ("Straße", "kim01", None)):
        subject = Subject(logon=logon, suffix=suffix)
        assert await db.read(users.by_subject, PROJECT, subject) == found


async def test_people_come_page_by_page(db: Database) -> None:
    """By id, without tombstones unless they are asked for, within one status or directory."""
    everybody = [person(f"user-{n}") for n in range(5)]
    gone = deleted("gone", 1)
    elsewhere = person("elsewhere", directory="dir_2")
    await db.write(kept, *everybody, gone, elsewhere)
    first = await db.read(users.page, PROJECT, limit=3)
    rest = await db.read(users.page, PROJECT, after=first[-1].id)
    assert {each.id for each in [*first, *rest]} == {e.id for e in [*everybody, elsewhere]}
    assert await db.read(users.page, PROJECT, status=Status.DELETED) == [gone]
    assert await db.read(users.page, PROJECT, directory="dir_2") == [elsewhere]


async def test_exemptions_are_counted(db: Database) -> None:
    """Safety 10: active people without a license are counted, to be shown."""
    active = {"status": Status.ACTIVE, "activated_at": 1}
    await db.write(
        kept,
        person("kim", licensed=False, **active),
        person("lee", license=License.HELD, **active),
        person("moe", licensed=False),
    )
    assert await db.read(users.exempt, PROJECT) == 1
