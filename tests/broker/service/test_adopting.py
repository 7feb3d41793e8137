"""Detached people: in a standing list, adopted where an administrator ticked it (safety 12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain.actions import Action, State
from broker.domain.callers import Caller, Kind
from broker.domain.clock import DAY
from broker.domain.errors import Conflict, Forbidden, NotFound
from broker.domain.subjects import Subject
from broker.domain.users import License, Status, SuspendedBy, User
from broker.service.adopting import Adopting
from broker.service.inviting import Inviting
from broker.service.removing import Removing
from broker.store import actions, detached, identities, logons, projects, users
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import House, Pusher
from tests.watching import Watched, scans

ISSUER, OTHER_ISSUER = "https://login.acme.example", "https://login.other.example"


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine, whose sign-ins one issuer proves."""
    house = await pushing.house(db)
    await believe(house, ISSUER)
    return house


@pytest.fixture
async def again(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of the new directory."""
    async with pushing.calling(house, "New") as push:
        yield push


def adopting(house: House) -> Adopting:
    """Who lets people be adopted."""
    return Adopting(house.db, house.licensing)


async def created(push: Pusher, said: dict[str, Any]) -> dict[str, Any]:
    """Push somebody new."""
    return await push.made("/Users", {"schemas": [pushing.USER]} | said)


async def believe(house: House, issuer: str) -> None:
    """The project's identity provider is this one."""

    def believing(tx: Transaction) -> None:
        projects.set_oidc(tx, house.project, issuer, "broker", None, None)

    await house.db.write(believing)


async def left(house: House, *people: dict[str, Any]) -> list[User]:
    """People who signed in, have a logon, and whose directory was deleted."""
    async with pushing.calling(house, "Old") as push:
        made = [await created(push, each) for each in people]
    for one in made:
        await house.log_in(one["id"])

        def known(tx: Transaction, id: str = one["id"]) -> None:
            logons.declare(tx, house.project, "EPIC")
            assert logons.put(tx, house.project, id, "EPIC", f"logon-{id}")
            identities.learn(tx, house.project, ISSUER, f"sub-{id}", id)

        await house.db.write(known)
    await Removing(house.db, house.licensing).delete(house.administrator, push.directory.id, "Old")
    return [await house.person(one["id"]) for one in made]


async def proven(house: House, id: str) -> tuple[bool, bool]:
    """Whether the person still has a logon, and a sign-in that is them."""

    def reading(tx: Transaction) -> tuple[bool, bool]:
        held = logons.of_user(tx, house.project, id)
        return bool(held), identities.find(tx, house.project, ISSUER, f"sub-{id}") is not None

    return await house.db.read(reading)


KIM: dict[str, Any] = {"userName": "kim", "externalId": "x-1"}


async def test_detached_people_stand_in_a_list(house: House) -> None:
    """Safety 12: everybody whose directory was deleted is listed, page by page, until adopted."""
    people = await left(house, KIM, {"userName": "lee", "externalId": "x-2"})
    admin = house.administrator
    first = await adopting(house).detached(admin, limit=1)
    rest = await adopting(house).detached(admin, after=first[-1].id)
    assert [*first, *rest] == sorted(people, key=lambda user: user.id)
    other = await pushing.house(house.db, "other")
    assert await adopting(other).detached(other.administrator) == []


async def test_nobody_is_adopted_who_is_not_ticked(house: House, again: Pusher) -> None:
    """Safety 12: without the tick the userName is somebody else's, and the administrator is told
    whose and what to do.
    """
    (kim,) = await left(house, KIM)
    refused = await again("POST", "/Users", {"schemas": [pushing.USER], "userName": "Kim"})
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
    record = (await house.records())[-1]
    assert kim.id in (record.message or "")
    assert "adoption" in (record.next or "")
    assert await house.person(kim.id) == kim


@pytest.mark.parametrize(
    "said",
    [
        {"userName": "kim", "externalId": "x-1"},
        {"userName": "kim.lee", "externalId": "x-1"},
    ],
    ids=["as before", "renamed"],
)
async def test_who_is_ticked_is_adopted_as_they_are(
    house: House, again: Pusher, said: dict[str, Any]
) -> None:
    """Safety 12: id, status and license stay, and for the same issuer and externalId what was
    proven of them too; the record of the run says whose they are now.
    """
    (kim,) = await left(house, KIM)
    await adopting(house).tick(house.administrator, [kim.id])
    made = await created(again, said)
    assert made["id"] == kim.id
    person = await house.person(kim.id)
    assert (person.directory, person.user_name) == (again.directory.id, said["userName"])
    assert (person.status, person.license) == (Status.ACTIVE, License.HELD)
    assert (person.detached_at, person.detached_issuer, person.adoptable) == (None, None, False)
    assert await proven(house, kim.id) == (True, True)
    assert (await house.licensing.state(house.project)).held == 1
    (record,) = await house.records()
    assert (record.result, record.resource_id) == ("updated", kim.id)
    assert [(each.path, each.after) for each in record.changes] == [
        ("directory", again.directory.id)
    ]
    assert await adopting(house).detached(house.administrator) == []
    assert (await again.get(f"/Users/{kim.id}"))["userName"] == said["userName"]
    audited = await house.rows(
        "SELECT actor FROM audit WHERE project_id = :project AND action = 'user.adopted'"
    )
    assert audited == [{"actor": f"directory:{again.directory.id}"}]


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        (ISSUER, {"userName": "kim", "externalId": "x-9"}),
        (ISSUER, {"userName": "kim"}),
        (OTHER_ISSUER, {"userName": "kim", "externalId": "x-1"}),
    ],
    ids=["another externalId", "no externalId", "another issuer"],
)
async def test_what_was_proven_stays_behind_elsewhere(
    house: House, again: Pusher, issuer: str, said: dict[str, Any]
) -> None:
    """Safety 12: adopted by userName, or under another issuer, the person keeps id, status and
    license; logons and sign-ins were another's word and are gone.
    """
    (kim,) = await left(house, KIM)
    await adopting(house).tick(house.administrator, None)
    await believe(house, issuer)
    assert (await created(again, said))["id"] == kim.id
    person = await house.person(kim.id)
    assert (person.status, person.license) == (Status.ACTIVE, License.HELD)
    assert person.external_id == said.get("externalId")
    assert await proven(house, kim.id) == (False, False)


async def test_externalid_counts_before_the_user_name(house: House, again: Pusher) -> None:
    """Safety 12: where one ticked person has the externalId and another the userName, it is the
    first; the userName is the other's still.
    """
    kim, lee = await left(house, KIM, {"userName": "lee", "externalId": "x-2"})
    await adopting(house).tick(house.administrator, None)
    refused = await again(
        "POST", "/Users", {"schemas": [pushing.USER], "userName": "lee", "externalId": "x-1"}
    )
    assert refused.status_code == 409
    assert (await again.user("kim.lee", externalId="x-1"))["id"] == kim.id
    assert (await again.user("lee"))["id"] == lee.id


async def test_nothing_is_guessed(house: House, again: Pusher) -> None:
    """Safety 12: of two ticked people with one externalId the userName decides; where it is
    neither's the directory's person is somebody new.
    """
    kim, _ = await left(house, KIM, {"userName": "lee", "externalId": "x-1"})
    await adopting(house).tick(house.administrator, None)
    stranger = await again.user("pat", externalId="x-1")
    assert stranger["id"] not in {kim.id}
    assert len(await adopting(house).detached(house.administrator)) == 2
    assert (await again.user("kim", externalId="x-1"))["id"] == kim.id


async def test_a_directory_that_says_inactive_is_heard(house: House, again: Pusher) -> None:
    """U9: adopting ends nobody's suspension by its word, and obeys the word it comes with."""
    (kim,) = await left(house, KIM)
    await adopting(house).tick(house.administrator, None)
    await again.user("kim", externalId="x-1", active=False)
    person = await house.person(kim.id)
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.DIRECTORY)
    assert [record.result for record in await house.records()] == ["suspended"]


async def test_an_administrators_suspension_stays(house: House, again: Pusher) -> None:
    """U11: whom an administrator suspended is adopted suspended."""
    (kim,) = await left(house, KIM)
    await house.licensing.suspend(house.administrator, kim.id)
    await adopting(house).tick(house.administrator, None)
    assert (await again.user("kim", externalId="x-1", active=True))["id"] == kim.id
    person = await house.person(kim.id)
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.ADMIN)


async def test_after_thirty_days_they_are_suspended(
    house: House, again: Pusher, clock: MovableClock
) -> None:
    """Safety 12: not before, and each once; the license goes to whoever is next. A directory that
    adopts them later brings them back as invited: a sync never grants a license (T15).
    """
    (kim,) = await left(house, KIM)
    clock.advance(30 * DAY - 60_000_000)
    assert await adopting(house).sweep() == 0
    clock.advance(60_000_000)
    assert await adopting(house).sweep() == 1
    assert await adopting(house).sweep() == 0
    person = await house.person(kim.id)
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.DETACHED)
    assert (await house.licensing.state(house.project)).held == 0
    assert [each.id for each in await adopting(house).detached(house.administrator)] == [kim.id]
    await adopting(house).tick(house.administrator, [kim.id])
    assert (await again.user("kim", externalId="x-1"))["id"] == kim.id
    assert (await house.person(kim.id)).status is Status.INVITED


async def test_more_than_one_transaction_of_them(house: House, clock: MovableClock) -> None:
    """Safety 12: however many they are, every one of them is suspended by one sweep."""
    async with pushing.calling(house, "Old") as push:
        for n in range(3):
            await push.user(f"user-{n}")

    def copied(tx: Transaction) -> None:
        (one, *_) = users.page(tx, house.project)
        for n in range(150):
            id, profile = f"usr_{n:026}", replace(one.profile, user_name=f"more-{n}")
            users.insert(tx, replace(one, id=id, profile=profile, invite_epoch=0))

    await house.db.write(copied)
    await Removing(house.db, house.licensing).delete(house.administrator, push.directory.id, "Old")
    clock.advance(31 * DAY)
    assert await adopting(house).sweep() == 153


async def test_only_an_administrators_session_ticks(house: House) -> None:
    """Safety 12, 27: no key does, whatever its scopes; and it is all of those named or nobody."""
    kim, lee = await left(house, KIM, {"userName": "lee", "externalId": "x-2"})
    scopes = frozenset({"users:admin", "users:read", "directories:write"})
    key = Caller(Kind.SERVICE, house.project, "key_1", scopes=scopes)
    with pytest.raises(Forbidden):
        await adopting(house).tick(key, [kim.id])
    with pytest.raises(NotFound):
        await adopting(house).tick(house.administrator, [kim.id, "usr_nobody"])
    assert not (await house.person(kim.id)).adoptable
    assert await adopting(house).tick(house.administrator, [kim.id, lee.id]) == 2
    assert await adopting(house).tick(house.administrator, [lee.id], adoptable=False) == 1
    assert (await house.person(kim.id)).adoptable
    assert not (await house.person(lee.id)).adoptable


async def test_a_detached_person_has_no_way_in(house: House) -> None:
    """Safety 12: no sign-in of the deleted directory's issuer is them, neither by the subject it
    proved before nor by the claim that stands for externalId.
    """
    (kim,) = await left(house, KIM)

    def asked(tx: Transaction) -> tuple[User | None, User | None]:
        known = identities.find(tx, house.project, ISSUER, f"sub-{kim.id}")
        return known, identities.claimed(tx, house.project, "x-1")

    known, claimed = await house.db.read(asked)
    assert claimed is None
    assert known is not None
    assert known.detached_at is not None  # for which SigningIn refuses: test_signing_in.py


async def test_looking_for_whom_to_adopt_costs_an_index(db: Database) -> None:
    """Every creation asks; what it asks holds the ticked ones alone, on both engines."""
    watched = Watched(db)
    house = await pushing.house(watched)
    async with pushing.calling(house) as push:
        watched.clear()
        await push.user("kim", externalId="x-1")
    (asked,) = [each for each in watched.asked if "adoptable = 1" in each.sql]
    assert asked.rows == 0
    watched.clear()
    await watched.read(detached.adoptable, house.project, "x-1", "kim")
    assert [plan for plan in await watched.plans() if scans(plan)] == []


async def test_a_person_who_is_queued_keeps_the_place(house: House, again: Pusher) -> None:
    """Safety 12: status stays, and with it the number in the queue (U5)."""
    await house.licensing.capacity(house.administrator, 0)
    (kim,) = await left(house, KIM)
    assert kim.status is Status.QUEUED
    await adopting(house).tick(house.administrator, None)
    await again.user("kim", externalId="x-1")
    assert (await house.person(kim.id)).queue_seq == kim.queue_seq
    with pytest.raises(Conflict):
        await house.licensing.activate(house.administrator, kim.id)


async def test_nobody_lets_a_detached_person_in(house: House) -> None:
    """Safety 12: neither a login, whatever its subject, nor an administrator lets anybody in who
    is detached, active or not; status, license and place stay as they are.
    """
    await house.licensing.capacity(house.administrator, 1)
    kim, lee = await left(house, KIM, {"userName": "lee", "externalId": "x-2"})
    assert (kim.status, lee.status) == (Status.ACTIVE, Status.QUEUED)
    admin, licensing = house.administrator, house.licensing
    for refused in (
        *(house.log_in(kim.id), house.log_in(lee.id)),
        licensing.log_in(house.project, Subject(user_id=kim.id), "key:test"),
        licensing.activate(admin, lee.id),
    ):
        with pytest.raises(Conflict) as found:
            await refused
        assert found.value.reason == "user-detached"
        assert found.value.next == "Adopt this person into a directory first."
    assert [await house.person(each.id) for each in (kim, lee)] == [kim, lee]
    await licensing.suspend(admin, kim.id)
    assert (await house.person(lee.id)).status is Status.ACTIVE  # U6 passes nobody over


async def test_open_invitations_end_with_the_directory(house: House, again: Pusher) -> None:
    """Safety 12, U18: the link that left says that it was withdrawn, its letter is void, and there
    is no other; whoever adopts the person sends a new one, which works.
    """
    inviting = Inviting(house.db, Hasher(b"k" * 32), house.licensing, "https://broker.example")
    admin = house.administrator
    async with pushing.calling(house, "Old") as push:
        kim = (await created(push, KIM))["id"]
    secret = (await inviting.link(admin, kim)).url.rpartition("/")[2]
    await Removing(house.db, house.licensing).delete(admin, push.directory.id, "Old")
    for refused, reason in (
        (inviting.page(secret, None), "invitation-withdrawn"),
        (inviting.accept(secret, None), "invitation-withdrawn"),
        (inviting.link(admin, kim), "user-detached"),
        (inviting.invite(admin, kim), "user-detached"),
        (house.licensing.activate(admin, kim), "user-detached"),
        (house.log_in(kim), "user-detached"),
    ):
        with pytest.raises(Conflict) as found:
            await refused
        assert found.value.reason == reason
    letters = "SELECT state FROM letters WHERE project_id = :project ORDER BY created_at, id"
    assert await house.rows(letters) == [{"state": "void"}]
    (row,) = await house.rows("SELECT voided_at FROM invitations WHERE project_id = :project")
    assert row["voided_at"] is not None
    await adopting(house).tick(admin, [kim])
    await again.user("kim", externalId="x-1")
    person = await house.person(kim)
    assert (person.status, person.invite_epoch) == (Status.INVITED, 2)
    assert await house.rows(letters) == [{"state": "void"}, {"state": "waiting"}]
    new = (await inviting.link(admin, kim)).url.rpartition("/")[2]
    assert (await inviting.page(new, None)).must_sign_in
    assert (await house.log_in(kim)).user.is_active


async def test_who_is_back_but_detached_gets_no_letter(house: House) -> None:
    """Safety 12, U11: reinstated, a detached person is invited as before, and no letter leaves
    with a link that would be refused.
    """
    async with pushing.calling(house, "Old") as push:
        kim = (await created(push, KIM))["id"]
    admin = house.administrator
    await Removing(house.db, house.licensing).delete(admin, push.directory.id, "Old")
    await house.licensing.suspend(admin, kim)
    back = await house.licensing.reinstate(admin, kim)
    assert (back.status, back.invite_epoch, back.accepted) == (Status.INVITED, 1, False)
    letters = await house.rows("SELECT state FROM letters WHERE project_id = :project")
    assert letters == [{"state": "void"}]


async def test_who_is_another_person_by_now_passes_no_more(house: House, again: Pusher) -> None:
    """Safety 8, 12: adopted under another externalId, nothing that was proven before counts: an
    action that is pending, and a Pass, neither.
    """
    (kim,) = await left(house, KIM)
    await adopting(house).tick(house.administrator, [kim.id])
    proven_by = Action(
        project=house.project,
        coupon=1,
        key="key_1",
        state=State.PROVEN,
        expected=(),
        suffixes=(),
        created_at=0,
        expires_at=2**53,
        user=kim.id,
        code_hash="hash",
    )
    await house.db.write(actions.insert, proven_by)
    await created(again, {"userName": "kim", "externalId": "x-9"})
    over = await house.db.read(actions.get, house.project, 1)
    assert (over.state, over.code_hash) == (State.EXPIRED, None)
