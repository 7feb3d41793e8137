"""Pushes that end too many people's access: it ends at once, the rest waits (R5, R6, T16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.db.database import Transaction
from broker.domain.clock import DAY
from broker.domain.errors import Conflict
from broker.domain.licenses import Licenses, Promotion
from broker.domain.runs import Record, Result, State
from broker.domain.subjects import Subject
from broker.domain.users import License, Status, SuspendedBy, User
from broker.service.deciding import Deciding
from broker.service.managing import Managing
from broker.service.withholding import Withholding
from broker.store import jobs, logons, records
from tests import pushing
from tests.broker.service.test_leaving import ENDS, belongings
from tests.clocks import MovableClock
from tests.kinds import KINDS
from tests.pushing import House, Pusher
from tests.watching import Watched, scans

OFF = {"op": "replace", "path": "active", "value": False}
ON = {"op": "replace", "path": "active", "value": True}


@pytest.fixture
async def house(watched: Watched) -> House:
    """A project on each engine, with three licenses."""
    house = await pushing.house(watched)
    await house.licensing.capacity(house.administrator, 3)
    return house


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider of whose people one may leave in a run without a decision."""
    async with pushing.calling(house) as push:
        await holding(house, push, '{"count": 1, "pushes": true}')
        yield push


async def holding(house: House, push: Pusher, holding: str) -> None:
    """What the directory may end by itself."""

    def setting(tx: Transaction) -> None:
        sql = "UPDATE directories SET holding = :holding WHERE project_id = :project AND id = :id"
        tx.run(sql, project=house.project, id=push.directory.id, holding=holding)

    await house.db.write(setting)


async def crowd(house: House, push: Pusher, count: int = 5) -> list[str]:
    """So many people who have signed in: three are active, the others wait in this order."""
    ids = [(await push.user(f"user-{n}", externalId=f"e-{n}"))["id"] for n in range(count)]
    for id in ids:
        await house.log_in(id)
    return ids


async def off(push: Pusher, *ids: str) -> None:
    """The directory says that these people are not active, one after another."""
    for id in ids:
        answer = await push.patch(f"/Users/{id}", OFF)
        assert (answer.status_code, answer.json()["active"]) == (200, False)


async def delete(push: Pusher, *ids: str) -> None:
    """The directory deletes these people, one after another."""
    for id in ids:
        assert (await push("DELETE", f"/Users/{id}")).status_code == 204


async def state(house: House) -> Licenses:
    return await house.licensing.state(house.project)


async def staged(house: House) -> list[Record]:
    """What waits for a decision, in whatever run."""

    def reading(tx: Transaction) -> list[Record]:
        sql = "SELECT * FROM records WHERE project_id = :project AND result = 'staged' ORDER BY n"
        found = tx.all(sql, project=house.project)
        return [line for _, line in records.read(tx, house.project, found)]

    return await house.db.read(reading)


async def decided(house: House, release: bool, *lines: Record) -> list[Result]:
    """An administrator decides about these."""
    withholding = Withholding(house.licensing)
    decide = withholding.released if release else withholding.rejected
    return [await house.db.write(decide, house.project, line, "admin:setup") for line in lines]


async def worked(house: House) -> None:
    """What was decided is carried out, as the worker does it."""
    deciding = Deciding(house.hosting())
    while (job := await house.db.write(jobs.claim)) is not None:
        if job.kind == "decided":
            await deciding.carry_out(job)
        await house.db.write(jobs.done, job)


async def people(house: House, *ids: str) -> list[User]:
    return [await house.person(id) for id in ids]


async def test_one_too_many_is_suspended_at_once_and_its_license_is_nobody_s(
    house: House, push: Pusher
) -> None:
    """R5, T16, U9: the first one leaves as ever, of the second only the access; who waits waits."""
    first, second, _, next, last = await crowd(house, push)
    await house.db.write(belongings, house.project, second)
    await off(push, first, second)
    assert (await house.person(next)).license is License.HELD
    gone, waiting = await people(house, second, last)
    assert (gone.status, gone.suspended_by) == (Status.SUSPENDED, SuspendedBy.DIRECTORY)
    assert (gone.status_reason, gone.license) == ("suspension-held", License.WITHHELD)
    assert waiting.status is Status.QUEUED
    numbers = await state(house)
    assert (numbers.held, numbers.withheld, numbers.free, numbers.queued) == (2, 1, 0, 1)
    (line,) = await staged(house)
    assert (line.resource_id, line.held) == (second, Result.SUSPENDED)
    results = [(each.resource_id, each.result) for each in await house.records()]
    assert results[-2:] == [(first, Result.SUSPENDED), (second, Result.STAGED)]
    left = {what: [row["was"] for row in await house.rows(sql)] for what, sql in ENDS.items()}
    assert (left["tokens"], left["pauses"], left["links"]) == (["revoked"], ["cancelled"], ["void"])
    assert (bool(left["sessions"][0]), bool(left["tickets"][0])) == (True, True)
    with pytest.raises(Conflict, match="access has ended"):
        await house.log_in(second)


async def test_a_deletion_that_is_held_erases_nothing(house: House, push: Pusher) -> None:
    """R5, U15: 204 and a missing resource to the directory; to us suspended, with logons as is."""
    first, second, *_ = await crowd(house, push)
    await house.db.write(belongings, house.project, second)
    await delete(push, first, second)
    assert (await house.person(first)).status is Status.DELETED
    assert (await push("GET", f"/Users/{second}")).status_code == 404
    gone = await house.person(second)
    assert (gone.status, gone.status_reason) == (Status.SUSPENDED, "deletion-held")
    assert (gone.license, gone.deletion_is_held) == (License.WITHHELD, True)
    assert await house.db.read(logons.of_user, house.project, second)
    (line,) = await staged(house)
    assert (line.resource_id, line.held) == (second, Result.DELETED)
    with pytest.raises(Conflict, match="access has ended"):
        await house.licensing.log_in(house.project, Subject(user_name="user-1"), "key:test")


async def test_where_pushes_are_not_held_nothing_is_and_it_costs_nothing(
    house: House, push: Pusher, watched: Watched
) -> None:
    """R5: off by default, and then nobody counts: no statement more than before it could be on."""
    ids = await crowd(house, push)
    costs: list[int] = []
    for said in ("{}", '{"count": 0, "pushes": true}'):
        await holding(house, push, said)
        for way in (off, delete):
            watched.clear()
            await way(push, ids.pop(0))  # each makes room for somebody while anybody waits
            costs.append(len(watched.asked))
    assert costs[0] <= 24
    assert costs[1] <= 27
    assert await staged(house) != []


async def test_nobody_is_looked_for_by_a_scan(
    house: House, push: Pusher, watched: Watched, clock: MovableClock
) -> None:
    """R5, and the events behind `why`: each question is an index's, however many there are."""
    ids = await crowd(house, push)
    await off(push, *ids[:2])
    clock.advance(DAY)
    await house.syncing.close_due()
    watched.clear()
    await off(push, ids[2])
    await delete(push, ids[3])
    await push.user("user-3")
    await Managing(house.db, KINDS).get(house.administrator, ids[2])
    withholding = Withholding(house.licensing)
    await house.db.write(withholding.abandoned, push.directory, "admin:setup")
    few = ("SCAN named", "CTE Scan on named")  # whom two indexes found under two names
    plans = [plan for plan in await watched.plans() if not any(each in plan for each in few)]
    assert [plan for plan in plans if scans(plan)] == []


@pytest.mark.parametrize("ways", [(off, off), (off, delete)])
async def test_a_person_counts_once(house: House, push: Pusher, ways: tuple[Any, Any]) -> None:
    """R5: the limit is of people, so who was suspended in this run may be deleted in it."""
    first, *_ = await crowd(house, push)
    for way in ways:
        await way(push, first)
    assert await staged(house) == []


async def test_at_once_or_one_by_one_as_many_are_held(house: House, push: Pusher) -> None:
    """R5: pushes that come together are counted one by one; a share is of all there were."""
    ids = [each["id"] for each in await asyncio.gather(*(push.user(f"u-{n}") for n in range(30)))]
    await holding(house, push, '{"percent": 10, "least": 1, "pushes": true}')
    await asyncio.gather(*((off if n % 2 else delete)(push, id) for n, id in enumerate(ids[:12])))
    assert len(await staged(house)) == 12 - 3
    assert {person.status for person in await people(house, *ids[12:])} == {Status.INVITED}


async def test_what_is_pushed_while_a_run_is_held_is_held_too(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R5, c.6: the window closes and the run waits; a later run of the directory holds all."""
    first, second, third, *_ = await crowd(house, push)
    await off(push, first, second)
    clock.advance(DAY)
    await house.syncing.close_due()
    assert (await house.run()).run.state is State.HELD
    await off(push, third)
    assert [each.resource_id for each in await staged(house)] == [second, third]
    assert len({each.run for each in await staged(house)}) == 2


async def test_released_a_suspension_gives_its_license_to_the_next(
    house: House, push: Pusher
) -> None:
    """R6, U6: an administrator agrees; whoever waits longest becomes active."""
    first, second, _, _, last = await crowd(house, push)
    await off(push, first, second)
    assert await decided(house, True, *await staged(house)) == [Result.SUSPENDED]
    gone, promoted = await people(house, second, last)
    assert (gone.status, gone.license) == (Status.SUSPENDED, License.NONE)
    assert gone.status_reason == "inactive-in-directory"
    assert promoted.license is License.HELD
    assert (await state(house)).withheld == 0


async def test_released_a_deletion_is_carried_out(house: House, push: Pusher) -> None:
    """R6, U15: a tombstone, nothing of theirs is left, and the license goes to the next."""
    first, second, _, _, last = await crowd(house, push)
    await house.db.write(belongings, house.project, second)
    await delete(push, first, second)
    assert await decided(house, True, *await staged(house)) == [Result.DELETED]
    gone, promoted = await people(house, second, last)
    assert (gone.status, gone.deletion_is_held) == (Status.DELETED, False)
    assert not await house.db.read(logons.of_user, house.project, second)
    assert promoted.license is License.HELD


async def test_rejected_a_suspension_is_undone_but_for_the_license(
    house: House, push: Pusher
) -> None:
    """R6, U12: back without a letter; the next one gets the license; a repeat ends nothing."""
    first, second, _, _, last = await crowd(house, push)
    await off(push, first, second)
    assert await decided(house, False, *await staged(house)) == [Result.SKIPPED]
    back, promoted = await people(house, second, last)
    assert (back.status, back.accepted, back.license) == (Status.INVITED, True, License.NONE)
    assert promoted.license is License.HELD
    await off(push, second)
    assert (await house.person(second)).status is Status.INVITED
    assert (await house.log_in(second)).place == 1
    sql = "SELECT id FROM letters WHERE project_id = :project AND template = 'invitation'"
    assert len(await house.rows(sql)) == 5


async def test_rejected_a_suspension_of_who_was_never_active_is_a_new_invitation(
    house: House, push: Pusher
) -> None:
    """R6, U14: the old link is void, so a new letter goes out."""
    first, second = [(await push.user(f"user-{n}"))["id"] for n in range(2)]
    await off(push, first, second)
    await decided(house, False, *await staged(house))
    back = await house.person(second)
    assert (back.status, back.invite_epoch) == (Status.INVITED, 2)


async def test_rejected_a_deletion_leaves_a_person_whom_no_directory_speaks_for(
    house: House, push: Pusher
) -> None:
    """R6, safety 12: detached and shown; created again they are who they were, logons and all."""
    first, second, *_ = await crowd(house, push)
    await house.db.write(belongings, house.project, second)
    await delete(push, first, second)
    assert await decided(house, False, *await staged(house)) == [Result.SKIPPED]
    kept = await house.person(second)
    assert (kept.status, kept.license, kept.accepted) == (Status.INVITED, License.NONE, True)
    assert (kept.directory, kept.adoptable, kept.deleted_at) == (None, True, None)
    assert kept.detached_at is not None
    again = await push.user("user-1", externalId="e-1")
    assert again["id"] == second
    assert (await house.person(second)).directory == push.directory.id
    assert await house.db.read(logons.of_user, house.project, second)


async def test_who_is_created_again_is_deleted_first(house: House, push: Pusher) -> None:
    """R5, U15, U16: the directory's newer word decides; a new person takes the name."""
    first, second, _, _, last = await crowd(house, push)
    await delete(push, first, second)
    again = await push.user("USER-1", externalId="e-other")
    assert again["id"] != second
    assert (await house.person(second)).status is Status.DELETED
    assert (await house.person(last)).license is License.HELD
    assert await staged(house) == []
    (line,) = [each for each in await house.records() if each.resource_id == second][-1:]
    assert (line.result, line.decided_by) == (
        Result.DELETED,
        f"directory:{push.directory.id}",
    )


async def test_created_again_under_both_names_all_who_had_them_are_deleted(
    house: House, push: Pusher
) -> None:
    """U16: one had the userName and another the externalId, and both were held."""
    first, second, third, *_ = await crowd(house, push)
    await delete(push, first, second, third)
    await push.user("user-1", externalId="e-2")
    assert [each.status for each in await people(house, second, third)] == [Status.DELETED] * 2
    assert await staged(house) == []


async def test_a_name_whose_deletion_is_held_is_free_for_its_directory_alone(
    house: House, push: Pusher
) -> None:
    """R5, U15: another of its people may be renamed to it; another directory decides nothing."""
    first, second, third, *_ = await crowd(house, push)
    await delete(push, first, second)
    async with pushing.calling(house, "Other") as other:
        taken = await other("POST", "/Users", {"schemas": [pushing.USER], "userName": "user-1"})
        assert (taken.status_code, taken.json()["scimType"]) == (409, "uniqueness")
    assert (await house.person(second)).deletion_is_held
    change = {"op": "replace", "path": "userName", "value": "user-1"}
    assert (await push.patch(f"/Users/{third}", change)).status_code == 200
    assert (await house.person(second)).status is Status.DELETED


async def test_who_was_barred_stays_barred(house: House, push: Pusher) -> None:
    """Safety 6, U11: an administrator's suspension outlives a held deletion, either way."""
    first, kept, released, *_ = await crowd(house, push)
    for id in (kept, released):
        await house.licensing.suspend(house.administrator, id, "left")
    await delete(push, first, kept, released)
    one, other = await staged(house)
    await decided(house, False, one)
    await decided(house, True, other)
    person, tombstone = await people(house, kept, released)
    assert (person.status, person.status_reason) == (Status.SUSPENDED, "left")
    assert (tombstone.status, tombstone.suspended_by) == (Status.DELETED, SuspendedBy.ADMIN)
    back = await push.user("user-2")
    assert (await house.person(back["id"])).suspended_by is SuspendedBy.ADMIN


async def test_the_directory_takes_its_word_back(house: House, push: Pusher) -> None:
    """U12: active=true brings the person back; the license is the next one's, nothing is left."""
    first, second, _, _, last = await crowd(house, push)
    await off(push, first, second)
    assert (await push.patch(f"/Users/{second}", ON)).status_code == 200
    assert (await house.person(second)).status is Status.INVITED
    assert (await house.person(last)).license is License.HELD
    assert await staged(house) == []


async def test_a_held_run_ends_once_the_directory_took_everything_back(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R5, R6: nothing is left to decide, so nobody has to say so."""
    first, second, *_ = await crowd(house, push)
    await off(push, first, second)
    clock.advance(DAY)
    await house.syncing.close_due()
    waiting = (await house.run()).run
    assert waiting.state is State.HELD
    await push.patch(f"/Users/{second}", ON)
    await worked(house)
    assert (await house.syncing.run(house.project, waiting.id)).run.state is State.ENDED


async def test_decided_in_a_session_it_is_carried_out_and_the_run_ends(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R6: one released, one rejected, each by its own rule; who decided is on the record."""
    first, second, third, *_ = await crowd(house, push)
    await off(push, first, second)
    await delete(push, third)
    clock.advance(DAY)
    await house.syncing.close_due()
    run = (await house.run()).run
    lines = await house.syncing.records(house.project, run.id, result=Result.STAGED)
    number = {line.resource_id: n for n, line in lines}
    deciding = Deciding(house.hosting())
    caller = house.administrator
    left = await deciding.decide(caller, run.id, release=[number[second]])
    assert left == 1
    await worked(house)
    assert (await house.syncing.run(house.project, run.id)).run.state is State.HELD
    assert await deciding.decide(caller, run.id, reject=None) == 0
    await worked(house)
    ended = (await house.syncing.run(house.project, run.id)).run
    assert (ended.state, ended.counts.staged) == (State.ENDED, 0)
    assert (ended.counts.suspended, ended.counts.skipped) == (2, 1)
    suspended, kept = await people(house, second, third)
    assert (suspended.status, kept.status) == (Status.SUSPENDED, Status.INVITED)
    assert {line.decided_by for line in await house.records() if line.held} == {caller.actor}


async def test_a_newer_word_is_the_one_to_decide(house: House, push: Pusher) -> None:
    """R5: suspended, then deleted: one decision is left, and the license waits for it."""
    first, second, *_ = await crowd(house, push)
    await off(push, first, second)
    await delete(push, second)
    (line,) = await staged(house)
    assert line.held is Result.DELETED
    assert (await state(house)).withheld == 1


async def test_an_administrator_s_own_suspension_frees_the_license(
    house: House, push: Pusher
) -> None:
    """U11: it does not wait for the decision, which then lifts nothing."""
    first, second, _, _, last = await crowd(house, push)
    await off(push, first, second)
    await house.licensing.suspend(house.administrator, second, "left")
    assert (await house.person(last)).license is License.HELD
    await decided(house, False, *await staged(house))
    person = await house.person(second)
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.ADMIN)


@pytest.mark.parametrize("release", [True, False])
async def test_a_decision_about_who_is_deleted_meanwhile_changes_nothing(
    house: House, push: Pusher, release: bool
) -> None:
    """R6: holding was switched off, the directory deleted the person; nobody brings them back."""
    first, second, *_ = await crowd(house, push)
    await off(push, first, second)
    await holding(house, push, "{}")
    await delete(push, second)
    await decided(house, release, *await staged(house))
    assert (await house.person(second)).status is Status.DELETED
    assert (await state(house)).withheld == 0


async def test_with_its_directory_nobody_is_left_to_ask(house: House, push: Pusher) -> None:
    """R9: who was held stays suspended, nothing is erased, and the licenses are free."""
    ids = await crowd(house, push)
    await house.db.write(belongings, house.project, ids[2])
    await off(push, *ids[:2])
    await delete(push, ids[2])
    withholding = Withholding(house.licensing)
    await house.db.write(withholding.abandoned, push.directory, "admin:setup")
    for person in await people(house, *ids[:3]):
        assert (person.status, person.license) == (Status.SUSPENDED, License.NONE)
        assert (person.status_reason, person.deleted_at) == ("inactive-in-directory", None)
    assert await house.db.read(logons.of_user, house.project, ids[2])
    assert ((await state(house)).withheld, (await state(house)).queued) == (0, 0)


async def test_by_hand_a_released_license_is_announced(house: House, push: Pusher) -> None:
    """T3, R6: where nobody is promoted, an event says that somebody waits beside a free one."""
    first, second, *_ = await crowd(house, push)
    await house.licensing.capacity(house.administrator, 3, promotion=Promotion.MANUAL)
    await holding(house, push, '{"count": 0, "pushes": true}')
    await off(push, first)
    sql = "SELECT id FROM events WHERE project_id = :project AND type = 'licenses.free'"
    assert await house.rows(sql) == []
    await decided(house, True, *await staged(house))
    assert len(await house.rows(sql)) == 1
    await off(push, second)
    await decided(house, True, *await staged(house))
    assert len(await house.rows(sql)) == 1
