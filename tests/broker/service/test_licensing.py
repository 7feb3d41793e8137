"""Licenses and the queue for them: one allocator for every door, on both engines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from broker.db.database import Database
from broker.domain.callers import Caller, Kind
from broker.domain.errors import Conflict, Forbidden, NotFound
from broker.domain.licenses import Promotion
from broker.domain.subjects import Subject
from broker.domain.users import License, Status, SuspendedBy
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


async def people(push: Pusher, count: int) -> list[str]:
    """So many invited people, by id, in the order of their creation."""
    made = await asyncio.gather(*(push.user(f"user-{n}") for n in range(count)))
    return [each["id"] for each in made]


async def announced(house: House, type: str) -> list[Any]:
    """What the events of a type say, in order."""
    sql = "SELECT data FROM events WHERE project_id = :project AND type = :type ORDER BY n"
    return [orjson.loads(row["data"]) for row in await house.rows(sql, type=type)]


async def percents(house: House) -> list[int]:
    """The warnings that were given, in order."""
    return [told["percent"] for told in await announced(house, "licenses.nearly_used")]


async def set_capacity(house: House, capacity: int | None, **more: Any) -> None:
    await house.licensing.capacity(house.administrator, capacity, **more)


async def places(house: House) -> list[tuple[int, str]]:
    """Who waits at which place."""
    return [(each.place, each.user.id) for each in await house.licensing.queue(house.project)]


async def test_120_at_once_make_exactly_100_active_and_20_queued(
    house: House, push: Pusher
) -> None:
    """R125, R127, R128, R129, U3, U4: 100 hold a license, 20 wait at places 1 to 20 in order."""
    ids = await people(push, 120)
    await set_capacity(house, 100)
    logins = await asyncio.gather(*(house.log_in(id) for id in ids))
    state = await house.licensing.state(house.project)
    assert (state.held, state.free, state.queued, state.over_allocated) == (100, 0, 20, 0)
    waiting = [login for login in logins if login.user.status is Status.QUEUED]
    assert [login.user.status for login in logins].count(Status.ACTIVE) == 100
    in_order = sorted(waiting, key=lambda login: login.user.queue_seq or 0)
    assert await places(house) == [(n, w.user.id) for n, w in enumerate(in_order, 1)]
    assert sorted(login.place or 0 for login in waiting) == list(range(1, 21))
    letters = await house.rows("SELECT count(*) AS sent FROM letters WHERE project_id = :project")
    assert letters == [{"sent": 120}]


async def test_who_waits_is_told_the_place_and_whom_to_ask(house: House, push: Pusher) -> None:
    """R129, U4, U5: the answer names the place and the account admin, and nobody's data."""
    first, second = await people(push, 2)
    await set_capacity(house, 0)
    await house.log_in(first)
    login = await house.log_in(second)
    assert login.place == 2
    assert "number 2 in the queue" in login.message
    assert "ask your account admin" in login.message
    again = await house.log_in(second)
    assert (again.place, again.user.queue_seq) == (2, login.user.queue_seq)


@pytest.mark.parametrize("way", ["directory", "deleted", "administrator", "exempted"])
async def test_whoever_leaves_makes_room_for_whoever_waited_longest(
    house: House, push: Pusher, way: str
) -> None:
    """U6, U9, U11, U15, D3: the freed license goes to place 1 in the same transaction."""
    active, first, second = await people(push, 3)
    await set_capacity(house, 1)
    for id in (active, first, second):
        await house.log_in(id)
    match way:
        case "directory":
            await push.patch(
                f"/Users/{active}", {"op": "replace", "path": "active", "value": False}
            )
        case "deleted":
            assert (await push("DELETE", f"/Users/{active}")).status_code == 204
        case "administrator":
            await house.licensing.suspend(house.administrator, active, "left")
        case "exempted":
            await house.licensing.exempt(house.administrator, active, licensed=False)
    assert (await house.person(first)).license is License.HELD
    assert await places(house) == [(1, second)]
    assert (await house.licensing.state(house.project)).held == 1
    assert (await house.person(active)).license is License.NONE
    events = await house.rows(
        "SELECT data FROM events WHERE project_id = :project AND type = 'user.activated' ORDER BY n"
    )
    assert orjson.loads(events[-1]["data"]) == {"user_id": first, "row": "U6", "cause": "queue"}


async def test_a_manual_queue_waits_for_an_administrator(house: House, push: Pusher) -> None:
    """R126, D1, T3, U7: nobody is promoted; a license is free until one is activated by hand."""
    active, first, second = await people(push, 3)
    await set_capacity(house, 1, promotion=Promotion.MANUAL)
    for id in (active, first, second):
        await house.log_in(id)
    await house.licensing.suspend(house.administrator, active)
    assert (await house.licensing.state(house.project)).free == 1
    await house.licensing.activate(house.administrator, second)
    assert await places(house) == [(1, first)]
    (audited,) = await house.rows(
        "SELECT detail FROM audit WHERE project_id = :project AND action = 'user.activated'"
    )
    assert orjson.loads(audited["detail"])["queue_bypass"] == 1


async def test_by_hand_nobody_is_promoted_and_an_event_says_who_could_be(
    house: House, push: Pusher
) -> None:
    """T3: a license stays free while somebody waits, announced once until nobody does."""
    first, second, third, late = await people(push, 4)
    await set_capacity(house, 1, promotion=Promotion.MANUAL)
    for id in (first, second, third):
        await house.log_in(id)
    assert await announced(house, "licenses.free") == []
    await house.licensing.suspend(house.administrator, first)
    (told,) = await announced(house, "licenses.free")
    assert told == {"capacity": 1, "free": 1, "held": 0, "queued": 2}
    assert (await house.log_in(late)).place == 3  # U4: first come, first served, by a login too
    waits, *_ = await house.licensing.queue(house.project)
    assert "can give a free one" in waits.why
    await set_capacity(house, 2)
    for id in (second, third):
        await house.licensing.activate(house.administrator, id)
    assert await places(house) == [(1, late)]
    assert len(await announced(house, "licenses.free")) == 1
    await set_capacity(house, 3)
    assert len(await announced(house, "licenses.free")) == 2
    await set_capacity(house, 3, promotion=Promotion.AUTO)
    assert await places(house) == []


async def test_warnings_are_given_once_on_the_way_up(house: House, push: Pusher) -> None:
    """80, 95 and 100 %: one event each, by a login or a lowered capacity; again after it fell."""
    ids = await people(push, 20)
    await set_capacity(house, 20)
    for id in ids[:15]:
        await house.log_in(id)
    assert await announced(house, "licenses.nearly_used") == []
    for id in ids[15:]:
        await house.log_in(id)
    assert await percents(house) == [80, 95, 100]
    await set_capacity(house, 40)
    assert (await house.licensing.state(house.project)).warned == 0
    await set_capacity(house, 21)
    await set_capacity(house, 10)
    assert await percents(house) == [80, 95, 100, 95, 100]
    assert (await house.licensing.state(house.project)).warning == 100
    await set_capacity(house, None)
    assert (await house.licensing.state(house.project)).warning == 0


async def test_a_license_that_changes_hands_is_no_new_warning(house: House, push: Pusher) -> None:
    """U6: given to the next in the same transaction, it was never free, and nobody is warned."""
    first, second = await people(push, 2)
    await set_capacity(house, 1)
    for id in (first, second):
        await house.log_in(id)
    await house.licensing.suspend(house.administrator, first)
    assert (await house.person(second)).license is License.HELD
    assert await percents(house) == [100]


async def test_who_waits_is_shown_since_when_and_why(house: House, push: Pusher) -> None:
    """R129: the place, the moment of it, which a second login does not move, and a sentence."""
    (id,) = await people(push, 1)
    await set_capacity(house, 0)
    await house.log_in(id)
    (before,) = await house.licensing.queue(house.project)
    await house.log_in(id)
    (after,) = await house.licensing.queue(house.project)
    assert after.since == before.since is not None
    assert after.why == (
        "Signed in and waits at place 1 for a license; an account admin can free or add one."
    )


async def test_a_strict_queue_lets_nobody_pass(house: House, push: Pusher) -> None:
    """U7: a project that gives strictly in order refuses to pass those who wait longer."""
    active, _, second = ids = await people(push, 3)
    await set_capacity(house, 1, promotion=Promotion.MANUAL, strict=True)
    for id in ids:
        await house.log_in(id)
    await house.licensing.suspend(house.administrator, active)
    with pytest.raises(Conflict) as refused:
        await house.licensing.activate(house.administrator, second)
    assert refused.value.reason == "queue-order"


async def test_no_license_no_activation(house: House, push: Pusher) -> None:
    """R130, U8: activation by hand is 409 with the numbers while none is free, and works after."""
    active, waiting = await people(push, 2)
    await set_capacity(house, 1)
    await house.log_in(active)
    with pytest.raises(Conflict) as refused:
        await house.licensing.activate(house.administrator, waiting)
    assert refused.value.reason == "license-exhausted"
    assert "1 of 1" in str(refused.value)
    await set_capacity(house, 2)
    activated = await house.licensing.activate(house.administrator, waiting)
    assert activated.license is License.HELD


async def test_raising_the_capacity_promotes_and_lowering_evicts_nobody(
    house: House, push: Pusher
) -> None:
    """R130, U6, U17: in order up to the new capacity; below use it is over-allocated, announced."""
    ids = await people(push, 6)
    await set_capacity(house, 1)
    for id in ids:
        await house.log_in(id)
    await set_capacity(house, 4)
    assert [(await house.person(id)).status for id in ids] == [Status.ACTIVE] * 4 + [
        Status.QUEUED
    ] * 2
    await set_capacity(house, 2)
    state = await house.licensing.state(house.project)
    assert (state.held, state.over_allocated, state.free, state.queued) == (4, 2, 0, 2)
    assert await house.rows(
        "SELECT type FROM events WHERE project_id = :project AND type = 'licenses.over_allocated'"
    )
    await house.licensing.suspend(house.administrator, ids[0])
    assert (await house.licensing.state(house.project)).queued == 2
    await set_capacity(house, None)
    assert (await house.licensing.state(house.project)).queued == 0


async def test_only_an_administrator_lifts_what_one_did(house: House, push: Pusher) -> None:
    """U11, safety 27: the directory's active=true is 200 and lifts nothing; nor may a key."""
    (id,) = await people(push, 1)
    await house.log_in(id)
    await house.licensing.suspend(house.administrator, id, "left")
    for value in (False, True):
        change = {"op": "replace", "path": "active", "value": value}
        assert (await push.patch(f"/Users/{id}", change)).status_code == 200
    person = await house.person(id)
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.ADMIN)
    key = Caller(Kind.SERVICE, house.project, "key_1", scopes=frozenset({"users:admin"}))
    for act in (
        house.licensing.reinstate(key, id),
        house.licensing.exempt(key, id, licensed=False),
    ):
        with pytest.raises(Forbidden):
            await act
    assert (await house.licensing.reinstate(house.administrator, id)).status is Status.INVITED


async def test_who_comes_back_gets_no_second_letter(house: House, push: Pusher) -> None:
    """U12, T15: active=true after a suspension is Invited, and the next login decides."""
    (id,) = await people(push, 1)
    await house.log_in(id)
    for value in (False, True):
        await push.patch(f"/Users/{id}", {"op": "replace", "path": "active", "value": value})
    person = await house.person(id)
    assert (person.status, person.license) == (Status.INVITED, License.NONE)
    assert len(await house.rows("SELECT id FROM letters WHERE project_id = :project")) == 1
    assert (await house.log_in(id)).user.status is Status.ACTIVE


async def test_who_was_never_in_is_invited_anew(house: House, push: Pusher) -> None:
    """U10, U14, U18: the old invitation is void, the new one has the next epoch and a letter."""
    (id,) = await people(push, 1)
    for value in (False, True):
        await push.patch(f"/Users/{id}", {"op": "replace", "path": "active", "value": value})
    await house.licensing.invite(house.administrator, id)
    epochs = await house.rows(
        "SELECT epoch, voided_at IS NULL AS is_open FROM invitations"
        " WHERE project_id = :project ORDER BY epoch"
    )
    assert [(row["epoch"], bool(row["is_open"])) for row in epochs] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert len(await house.rows("SELECT id FROM letters WHERE project_id = :project")) == 3


async def test_a_place_is_lost_by_suspension_and_kept_by_a_rename(
    house: House, push: Pusher
) -> None:
    """U5, U10: a new userName changes no place; active=false gives it up."""
    first, second = await people(push, 2)
    await set_capacity(house, 0)
    for id in (first, second):
        await house.log_in(id)
    await push.patch(f"/Users/{first}", {"op": "replace", "path": "userName", "value": "renamed"})
    assert await places(house) == [(1, first), (2, second)]
    await push.patch(f"/Users/{first}", {"op": "replace", "path": "active", "value": False})
    assert await places(house) == [(1, second)]


async def test_who_is_gone_cannot_come_in(house: House, push: Pusher) -> None:
    """A suspended or deleted person's login is refused with a sentence; an unknown one is 404."""
    suspended, deleted = await people(push, 2)
    await house.licensing.suspend(house.administrator, suspended)
    await push("DELETE", f"/Users/{deleted}")
    for id in (suspended, deleted):
        with pytest.raises(Conflict, match="ask your account admin"):
            await house.log_in(id)
    with pytest.raises(NotFound):
        await house.licensing.log_in(house.project, Subject(user_name="nobody"), "key:test")


STEPS = ("log in", "log in", "log in", "activate", "suspend", "reinstate", "off", "on", "delete")


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_in_any_order_the_invariants_hold(
    house: House, push: Pusher, seed: int
) -> None:
    """c.1: held = active, never above capacity; places are 1 to n; nobody is passed unrecorded."""
    chance = random.Random(seed)
    ids = await people(push, 12)
    await set_capacity(house, 4)

    async def step(id: str) -> None:
        admin, what = house.administrator, chance.choice(STEPS)
        try:
            match what:
                case "log in":
                    await house.log_in(id)
                case "activate":
                    await house.licensing.activate(admin, id)
                case "suspend":
                    await house.licensing.suspend(admin, id)
                case "reinstate":
                    await house.licensing.reinstate(admin, id)
                case "delete" if chance.random() < 0.2:
                    await push("DELETE", f"/Users/{id}")
                case "on" | "off":
                    change = {"op": "replace", "path": "active", "value": what == "on"}
                    await push.patch(f"/Users/{id}", change)
        except Conflict:
            pass  # a row of the table that says no

    for _ in range(6):
        await asyncio.gather(*(step(chance.choice(ids)) for _ in range(12)))
        await consistent(house)


async def consistent(house: House) -> None:
    """The invariants of c.1, read from the rows."""
    rows = await house.rows(
        "SELECT status, license, queue_seq FROM users WHERE project_id = :project"
    )
    state = await house.licensing.state(house.project)
    held = [row for row in rows if row["license"] == "held"]
    assert len(held) == state.held <= (state.capacity or 0)
    assert all(row["status"] == "active" for row in held)
    assert len(held) == len([row for row in rows if row["status"] == "active"])
    waiting = sorted(row["queue_seq"] for row in rows if row["queue_seq"] is not None)
    assert [place for place, _ in await places(house)] == list(range(1, len(waiting) + 1))
    assert not (waiting and state.free)
    doubled = await house.rows(
        "SELECT user_id FROM invitations WHERE project_id = :project"
        " GROUP BY user_id, epoch HAVING count(*) > 1"
    )
    assert doubled == []
