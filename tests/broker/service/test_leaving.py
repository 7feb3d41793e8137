"""What ends when somebody leaves, in one transaction, and what a tombstone remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.db.database import Database, Transaction
from broker.domain.actions import Action
from broker.domain.actions import State as ActionState
from broker.domain.callers import Kind
from broker.domain.clock import HOUR
from broker.domain.links import Link, Purpose
from broker.domain.links import State as LinkState
from broker.domain.pauses import Pause
from broker.domain.pauses import State as PauseState
from broker.domain.subjects import Subject
from broker.domain.tokens import State as TokenState
from broker.domain.tokens import TokenSet
from broker.domain.users import License, Status, SuspendedBy
from broker.store import (
    actions,
    callers,
    identities,
    links,
    logons,
    members,
    pauses,
    resources,
    tokens,
    tombstones,
    users,
)
from tests import pushing
from tests.pushing import House, Pusher


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


def belongings(tx: Transaction, project: str, user: str) -> None:
    """One of everything that may hang on a person."""
    now, until = tx.now, tx.now + HOUR
    holding = TokenSet("tks_1", project, "con_1", user, TokenState.VALID, now, now, access=b"x")
    tokens.save(tx, holding, due_at=None)
    waits = (project, "key_1", "dec_1", "con_1", user, "exe-1", "step-1")
    pauses.insert(tx, Pause("pse_1", *waits, PauseState.WAITING, now, now))
    asked = Link(
        "lnk_1", project, "con_1", user, Purpose.CONNECT, LinkState.OPEN, "key", now, until
    )
    links.insert(tx, asked)
    pending = Action(project, 1, "key_1", ActionState.PENDING, (), (), now, until, user=user)
    actions.insert(tx, pending)
    callers.insert_session(
        tx, project, "hash-1", Kind.PERSON, asserted_by="issuer", lifetime=HOUR, user_id=user
    )
    callers.insert_ticket(tx, project, "hash-2", "connect", lifetime=HOUR, user_id=user)
    logons.declare(tx, project, "SAP")
    logons.put(tx, project, user, "SAP", "KIM")
    identities.learn(tx, project, "https://issuer.example", "subject-1", user)


ENDS = {
    "users": "SELECT license AS was FROM users WHERE project_id = :project AND status <> 'queued'",
    "tokens": "SELECT state AS was FROM tokens WHERE project_id = :project",
    "pauses": "SELECT state AS was FROM pauses WHERE project_id = :project",
    "links": "SELECT state AS was FROM links WHERE project_id = :project",
    "actions": "SELECT state AS was FROM actions WHERE project_id = :project",
    "sessions": "SELECT ended_at IS NOT NULL AS was FROM sessions WHERE project_id = :project",
    "tickets": "SELECT used_at IS NOT NULL AS was FROM tickets WHERE project_id = :project",
}


@pytest.mark.parametrize("way", ["directory", "put", "administrator", "deleted"])
async def test_everything_a_person_holds_ends_at_once(house: House, push: Pusher, way: str) -> None:
    """Safety 8, U9, U11, U15, K13, P10: nothing a person held or began is left to use."""
    id = (await push.user("kim"))["id"]
    await house.log_in(id)
    await house.db.write(belongings, house.project, id)
    match way:
        case "directory":
            await push.patch(f"/Users/{id}", {"op": "replace", "value": {"active": False}})
        case "put":
            body = {"schemas": [pushing.USER], "userName": "kim", "active": False}
            await push("PUT", f"/Users/{id}", body)
        case "administrator":
            await house.licensing.suspend(house.administrator, id)
        case "deleted":
            await push("DELETE", f"/Users/{id}")
    left = {what: [row["was"] for row in await house.rows(sql)] for what, sql in ENDS.items()}
    assert left["users"] == ["none"]
    assert left["tokens"] == ["revoked"]
    assert left["pauses"] == ["cancelled"]
    assert left["links"] == ["void"]
    assert left["actions"] != ["pending"]
    assert (bool(left["sessions"][0]), bool(left["tickets"][0])) == (True, True)
    if way in ("directory", "put"):
        assert (await house.records())[-1].result == "suspended"
    # Safety 7: a deletion leaves no logon, and no sign-in is that person any more.
    kept = await house.db.read(logons.of_user, house.project, id)
    known = await house.rows("SELECT user_id FROM identities WHERE project_id = :project")
    assert (kept, len(known)) == (({}, 0) if way == "deleted" else ({"SAP": "KIM"}, 1))


async def test_an_open_invitation_ends_with_its_person(house: House, push: Pusher) -> None:
    """U10, safety 8: a suspended or deleted person's invitation is void."""
    first, second = (await push.user("kim"))["id"], (await push.user("lee"))["id"]
    await push.patch(f"/Users/{first}", {"op": "replace", "path": "active", "value": False})
    await push("DELETE", f"/Users/{second}")
    open_ones = await house.rows(
        "SELECT id FROM invitations WHERE project_id = :project AND voided_at IS NULL"
    )
    assert open_ones == []
    assert (await house.records())[-2].result == "suspended"


async def test_a_failure_on_the_way_ends_nothing(house: House, push: Pusher) -> None:
    """Safety 8: a suspension whose push fails on another attribute leaves everything as it was."""
    await push.user("kim")
    id = (await push.user("lee"))["id"]
    await house.log_in(id)
    await house.db.write(belongings, house.project, id)
    answer = await push(
        "PUT",
        f"/Users/{id}",
        {"schemas": [pushing.USER], "userName": "KIM", "active": False},
    )
    assert answer.status_code == 409
    person = await house.person(id)
    assert (person.status, person.license, person.idp_active) == (
        Status.ACTIVE,
        License.HELD,
        True,
    )
    assert [row["was"] for row in await house.rows(ENDS["tokens"])] == ["valid"]
    assert (await house.licensing.state(house.project)).held == 1


async def test_a_deleted_person_is_gone_from_scim_and_stays_as_a_tombstone(
    house: House, push: Pusher
) -> None:
    """U15, U16, safety 6: 404 afterwards; the name is free; the new person is another one."""
    old = await push.user("kim", externalId="e-1")
    await house.log_in(old["id"])
    assert (await push("DELETE", f"/Users/{old['id']}")).status_code == 204
    assert (await push("GET", f"/Users/{old['id']}")).status_code == 404
    assert (await push("DELETE", f"/Users/{old['id']}")).status_code == 404
    assert (await push.get("/Users", filter='userName eq "kim"'))["totalResults"] == 0
    subject = Subject(user_name="KIM")
    gone = await house.db.read(users.by_subject, house.project, subject)
    assert gone is not None
    assert (gone.id, gone.status) == (old["id"], Status.DELETED)
    new = await push.user("kim", externalId="e-1")
    assert new["id"] != old["id"]
    person = await house.person(new["id"])
    assert (person.status, person.license) == (Status.INVITED, License.NONE)
    assert await house.db.read(users.by_subject, house.project, subject) == person
    before = await house.db.read(
        tombstones.past, house.project, person.directory or "", "e-1", "kim"
    )
    assert before is not None
    assert before.id == old["id"]
    assert [line.result for line in await house.records()] == [
        "created",
        "deleted",
        "failed",
        "created",
    ]


@pytest.mark.parametrize(("name", "external_id"), [("another", "e-1"), ("KIM", "e-2")])
async def test_a_tombstone_keeps_an_administrator_s_suspension(
    house: House, push: Pusher, name: str, external_id: str
) -> None:
    """Safety 6: deleted and made again by externalId or userName, still suspended."""
    old = await push.user("kim", externalId="e-1")
    await house.licensing.suspend(house.administrator, old["id"], "left")
    await push("DELETE", f"/Users/{old['id']}")
    made = await push.user(name, externalId=external_id)
    person = await house.person(made["id"])
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.ADMIN)


async def test_a_suspension_that_was_lifted_does_not_come_back(house: House, push: Pusher) -> None:
    """Safety 6: an administrator's yes outlives the next deletion."""
    for lift in (True, False):
        made = await push.user("kim", externalId="e-1")
        if lift:
            await house.licensing.suspend(house.administrator, made["id"], "left")
            await push("DELETE", f"/Users/{made['id']}")
            made = await push.user("kim", externalId="e-1")
            await house.licensing.reinstate(house.administrator, made["id"])
            await push("DELETE", f"/Users/{made['id']}")
    assert (await house.person(made["id"])).status is Status.INVITED


@pytest.mark.parametrize("path", ["userName", "externalId", "put"])
async def test_a_barred_name_is_not_taken_by_renaming(
    house: House, push: Pusher, path: str
) -> None:
    """Safety 6, U11: made under fresh names and given the barred one, a person is suspended by the
    administrator's word in the same push, and all they held ends.
    """
    old = await push.user("kim", externalId="e-1")
    await house.licensing.suspend(house.administrator, old["id"], "left")
    await push("DELETE", f"/Users/{old['id']}")
    id = (await push.user("fresh", externalId="e-2"))["id"]
    await house.log_in(id)
    if path == "put":
        body = {"schemas": [pushing.USER], "userName": "KIM", "externalId": "e-2", "active": True}
        await push("PUT", f"/Users/{id}", body)
    else:
        value = {"userName": "Kim", "externalId": "e-1"}[path]
        await push.patch(f"/Users/{id}", {"op": "replace", "path": path, "value": value})
    person = await house.person(id)
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.ADMIN)
    assert (person.status_reason, person.license) == ("left", License.NONE)
    assert (await house.records())[-1].result == "suspended"
    acts = await house.rows("SELECT actor, action, target FROM audit WHERE project_id = :project")
    actor = f"directory:{push.directory.id}"
    assert {"actor": actor, "action": "user.suspended", "target": id} in acts


@pytest.mark.parametrize(("name", "external_id"), [("kim", "e-3"), ("new", "e-1")])
async def test_a_suspended_person_s_names_stay_barred_when_they_leave_them(
    house: House, push: Pusher, name: str, external_id: str
) -> None:
    """Safety 6: renamed while suspended, deleted, and made again by an old name: suspended still;
    and a step that names the old userName means somebody deleted (F2), never somebody unknown.
    """
    id = (await push.user("kim", externalId="e-1"))["id"]
    await house.licensing.suspend(house.administrator, id, "left")
    renamed = {"userName": "lee", "externalId": "e-2"}
    await push.patch(f"/Users/{id}", {"op": "replace", "value": renamed})
    gone = await house.db.read(users.by_subject, house.project, Subject(user_name="kim"))
    assert gone is not None
    assert (gone.status, (await house.person(id)).user_name) == (Status.DELETED, "lee")
    await push("DELETE", f"/Users/{id}")
    person = await house.person((await push.user(name, externalId=external_id))["id"])
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.ADMIN)


async def test_a_bar_outlives_a_newer_tombstone(house: House, push: Pusher) -> None:
    """Safety 6: an unbarred person's later deletion under the same externalId sheds nothing."""
    barred = await push.user("kim", externalId="e-1")
    other = await push.user("lee", externalId="e-1")
    await house.licensing.suspend(house.administrator, barred["id"])
    await push("DELETE", f"/Users/{barred['id']}")
    await push("DELETE", f"/Users/{other['id']}")
    person = await house.person((await push.user("moe", externalId="e-1"))["id"])
    assert person.suspended_by is SuspendedBy.ADMIN


async def test_renaming_and_a_yes_of_an_administrator(house: House, push: Pusher) -> None:
    """Safety 6, U11: reinstated after a rename, a person may have the old name back; a rename
    between names that nobody was barred under changes no status.
    """
    id = (await push.user("kim", externalId="e-1"))["id"]
    await house.licensing.suspend(house.administrator, id)
    await push.patch(f"/Users/{id}", {"op": "replace", "path": "userName", "value": "lee"})
    await house.licensing.reinstate(house.administrator, id)
    for name in ("kim", "moe", "kim"):
        await push.patch(f"/Users/{id}", {"op": "replace", "path": "userName", "value": name})
        assert (await house.person(id)).status is Status.INVITED


async def test_another_directory_s_external_id_is_nobody_s_past(house: House) -> None:
    """Safety 1, 6: externalId links a person to their past within one directory alone."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        old = await one.user("kim", externalId="e-1")
        await house.licensing.suspend(house.administrator, old["id"])
        await one("DELETE", f"/Users/{old['id']}")
        new = await two.user("lee", externalId="e-1")
    assert (await house.person(new["id"])).status is Status.INVITED


async def test_who_is_deleted_leaves_every_group(house: House, push: Pusher) -> None:
    """Safety 7: memberships end, and each group shows it with its next version."""
    kim, lee = (await push.user("kim"))["id"], (await push.user("lee"))["id"]
    group = await push.group("All", kim, lee)
    await push("DELETE", f"/Users/{kim}")
    after = await push.get(f"/Groups/{group['id']}")
    assert [member["value"] for member in after["members"]] == [lee]
    assert after["meta"]["version"] == 'W/"2"'
    shelf = resources.Shelf(house.project, push.directory.id, "Group")
    kept = await house.db.read(resources.find, shelf, group["id"])
    assert kept is not None
    held = await house.db.read(members.numbers, house.project, kept.n)
    assert len(held) == 1
