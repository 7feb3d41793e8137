"""Re-apply and retry runs: what is kept is mapped again, what failed is tried again (T8, c.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import orjson
import pytest

from broker.db.database import Database, Transaction
from broker.domain.clock import HOUR, MINUTE
from broker.domain.errors import Conflict, NotFound
from broker.domain.runs import Ending, Kind, Result, State, Status, Trigger
from broker.service import reapplying
from broker.service.occupied import Occupied
from broker.service.remapping import Remapping
from broker.service.syncing import ending
from broker.service.working import Later
from broker.store import jobs, runs
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import USER, House, Pusher
from tests.running import Runner

LOUD = {"to": "displayName", "rule": "upper", "from": ["userName"]}
NICK = {"to": "displayName", "rule": "copy", "from": ["nickName"], "required": True}


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
def runner(house: House, push: Pusher) -> Runner:
    """An administrator's side of it."""
    return Runner.of(house, push)


def added_up(counts: Any) -> bool:
    """total = created+updated+unchanged+suspended+deleted+staged+skipped+failed."""
    return bool(counts.total == sum(asdict(counts).values()))


async def test_a_later_mapping_heals_from_what_is_kept(
    house: House, push: Pusher, runner: Runner
) -> None:
    """R120, T8: one unmapped attribute among 100 people is Partial success; ignored by the mapping
    and re-applied it is Success, without a new push.
    """
    for n in range(100):
        await push.user(f"user-{n}", **({"shoeSize": 44} if n == 60 else {}))
    view = await house.run()
    assert (view.run.status, view.run.counts.created) == (Status.PARTIAL_SUCCESS, 100)
    again = await runner.sync()
    assert (again.run.status, again.run.warnings) == (Status.PARTIAL_SUCCESS, 1)
    ((line,), issue) = await runner.lines(again.run.id), again.issues[0]
    assert (line.name, line.result, issue.attribute) == ("user-60", Result.UNCHANGED, "shoeSize")
    await runner.mapping(ignore=["shoeSize"])
    healed = await runner.sync()
    assert (healed.run.kind, healed.run.trigger, healed.run.mapping_version) == (
        Kind.REAPPLY,
        Trigger.MANUAL,
        1,
    )
    assert (healed.run.status, healed.run.counts.unchanged) == (Status.SUCCESS, 100)
    assert (healed.run.counts.total, healed.run.expected) == (100, 100)
    assert await runner.lines(healed.run.id) == []


async def test_it_reports_what_drifted(house: House, push: Pusher, runner: Runner) -> None:
    """T8: a record for each person whom the mapping makes another, with before and after; what the
    identity provider said stays what it reads back.
    """
    made = [await push.user(f"user-{n}", displayName=f"User {n}") for n in range(3)]
    await runner.mapping(LOUD)
    view = await runner.sync()
    assert (view.run.counts.updated, view.run.counts.unchanged) == (3, 0)
    line, *_ = await runner.lines(view.run.id)
    assert [(c.path, c.before, c.after) for c in line.changes] == [
        ("displayName", "User 0", "USER-0")
    ]
    assert (await house.person(made[0]["id"])).display_name == "USER-0"
    assert await push.get(f"/Users/{made[0]['id']}") == made[0]
    assert (await runner.sync()).run.counts.unchanged == 3


async def test_who_lacks_what_is_required_fails_alone(push: Pusher, runner: Runner) -> None:
    """T7: the others are mapped; the record names the attribute."""
    for n in range(3):
        await push.user(f"user-{n}", **({} if n == 1 else {"nickName": f"N{n}"}))
    await runner.mapping(NICK)
    view = await runner.sync()
    counts = view.run.counts
    assert (counts.updated, counts.failed, view.run.status) == (2, 1, Status.PARTIAL_SUCCESS)
    failed = (await runner.lines(view.run.id))[1]
    assert failed.name == "user-1"
    assert "displayName is required" in (failed.message or "")


async def test_a_name_that_is_taken_fails_alone(house: House, push: Pusher, runner: Runner) -> None:
    """One userName a project: the second whom a mapping gives it stays as they were."""
    ids = [(await push.user(f"user-{n}", title="same" if n else "other"))["id"] for n in range(3)]
    await runner.mapping({"to": "userName", "rule": "copy", "from": ["title"]})
    view = await runner.sync()
    assert (view.run.counts.updated, view.run.counts.failed) == (2, 1)
    assert [(i.code, i.count) for i in view.issues] == [("uniqueness", 1)]
    assert (await house.person(ids[2])).user_name == "user-2"
    failed = (await runner.lines(view.run.id))[-1]
    assert ids[1] in (failed.message or "")


async def test_what_cannot_be_foreseen_costs_one_record(
    push: Pusher, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that fails in its middle is done again one by one: one record fails."""
    for n in range(7):
        await push.user(f"user-{n}")
    real = Remapping.again

    def again(self: Any, tx: Any, user: Any, *args: Any, **more: Any) -> bool:
        done = real(self, tx, user, *args, **more)
        if user.user_name == "user-4":
            raise Conflict("odd", reason="odd")
        return done

    monkeypatch.setattr(Remapping, "again", again)
    view = await runner.sync()
    assert (view.run.counts.unchanged, view.run.counts.failed) == (6, 1)
    assert [line.name for line in await runner.lines(view.run.id)] == ["user-4"]


async def test_a_failed_push_is_tried_again(house: House, push: Pusher, runner: Runner) -> None:
    """T8: with Sync now the failed are tried again, from what they said: document and what was
    kept beside it, never a password.
    """
    async with pushing.calling(house, "Other") as other:
        holder = await other.user("kim")
        said = {"schemas": [USER], "userName": "Kim", "externalId": "e-1"}
        beside = {"shoeSize": 44, "password": "hunter2"}
        assert (await push("POST", "/Users", said | beside)).status_code == 409
        (kept,) = await house.rows(
            "SELECT raw FROM records WHERE project_id = :project AND result = 'failed'"
        )
        assert orjson.loads(kept["raw"])["extras"] == {"shoeSize": 44}
        assert b"hunter2" not in kept["raw"]
        failed = await runner.sync()
        assert (failed.run.counts.failed, failed.retriable) == (1, 1)
        assert (await other("DELETE", f"/Users/{holder['id']}")).status_code == 204
    view = await runner.sync()
    (created, _) = await runner.lines(view.run.id)
    assert (created.result, created.external_id, view.run.warnings) == (Result.CREATED, "e-1", 2)
    assert added_up(view.run.counts)
    assert (await runner.view(failed.run.id)).retriable == 0
    assert (await runner.lines(failed.run.id))[0].retried_at is not None


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_failed_change_is_tried_again(push: Pusher, runner: Runner, method: str) -> None:
    """A PUT, and what a PATCH would have made of the person, is done once nothing bars it."""
    kim, lee = await push.user("kim"), await push.user("lee")
    path, named = f"/Users/{lee['id']}", {"userName": "KIM", "title": "Dr"}
    if method == "PUT":
        answer = await push("PUT", path, {"schemas": [USER]} | named)
    else:
        answer = await push.patch(path, {"op": "replace", "value": named})
    assert answer.status_code == 409
    await push("DELETE", f"/Users/{kim['id']}")
    view = await runner.sync()
    assert (view.run.counts.updated, view.run.counts.unchanged) == (1, 1)
    assert ((await push.get(path))["userName"], (await push.get(path))["title"]) == ("KIM", "Dr")


async def test_an_older_word_never_undoes_a_newer_one(
    house: House, push: Pusher, runner: Runner
) -> None:
    """What was said since is the last word: the failed change is skipped, and says so."""
    kim, lee = await push.user("kim"), await push.user("lee")
    path = f"/Users/{lee['id']}"
    failing = {"schemas": [USER], "userName": "kim"}
    assert (await push("PUT", path, failing)).status_code == 409
    assert (await push("PUT", path, {"schemas": [USER], "userName": "lee"})).status_code == 200
    await push("DELETE", f"/Users/{kim['id']}")
    view = await runner.sync()
    assert (view.run.counts.skipped, view.run.counts.updated) == (1, 0)
    assert (await house.person(lee["id"])).user_name == "lee"
    assert (await runner.sync()).run.counts.skipped == 0


async def test_nobody_who_was_deleted_comes_back(push: Pusher, runner: Runner) -> None:
    """A create that failed, and whose person was pushed and deleted since, is settled."""
    kim = await push.user("kim")
    body = {"schemas": [USER], "userName": "kim", "externalId": "e-2"}
    assert (await push("POST", "/Users", body)).status_code == 409
    await push("DELETE", f"/Users/{kim['id']}")
    again = await push.made("/Users", body)
    await push("DELETE", f"/Users/{again['id']}")
    view = await runner.sync()
    assert (view.run.counts.skipped, view.run.counts.created) == (1, 0)


async def test_the_newest_failure_of_somebody_is_the_one_that_is_kept(
    house: House, push: Pusher
) -> None:
    """building.md: raw documents are kept until replaced; a second person of that name is another
    person.
    """
    await push.user("kim")
    for external, title in (("e-1", "a"), ("e-1", "b"), ("e-2", "c")):
        body = {"schemas": [USER], "userName": "KIM", "externalId": external, "title": title}
        assert (await push("POST", "/Users", body)).status_code == 409
    kept = await house.rows(
        "SELECT raw FROM records WHERE project_id = :project AND raw IS NOT NULL ORDER BY n"
    )
    assert [orjson.loads(each["raw"])["document"]["title"] for each in kept] == ["b", "c"]


async def test_the_ladder_tries_twice_and_rests(
    house: House, push: Pusher, runner: Runner, clock: MovableClock
) -> None:
    """What failed is tried again by itself after 6 hours and 12 more; then when somebody asks."""
    kim = await push.user("kim")
    await push("POST", "/Users", {"schemas": [USER], "userName": "KIM", "externalId": "e-1"})
    await runner.close()
    first = (await house.run()).run
    for hours, runs_then in ((5, 1), (1, 2), (11, 2), (1, 3), (100, 3)):
        clock.advance(hours * HOUR)
        await runner.work()
        assert len(await house.syncing.runs(house.project)) == runs_then
    newest = (await house.run()).run
    assert (newest.kind, newest.trigger, newest.started_by) == (
        Kind.RETRY,
        Trigger.SCHEDULE,
        "broker",
    )
    assert (newest.counts.failed, newest.status, newest.state) == (
        1,
        Status.FAILURE,
        State.ENDED,
    )
    with pytest.raises(Conflict, match="Nothing of this run"):
        await runner.reapplying.retry(runner.caller, first.id)
    with pytest.raises(NotFound):
        await runner.reapplying.retry(runner.caller, "run_none")
    await push("DELETE", f"/Users/{kim['id']}")
    await runner.close()
    into = await runner.reapplying.retry(runner.caller, newest.id)
    with pytest.raises(Occupied) as refused:
        await runner.reapplying.retry(runner.caller, into)
    assert refused.value.more == {"run": into}
    await runner.work()
    view = await runner.view(into)
    assert (view.run.kind, view.run.trigger, view.run.counts.created) == (
        Kind.RETRY,
        Trigger.MANUAL,
        1,
    )
    assert (view.run.status, view.run.expected, view.retriable) == (Status.SUCCESS, 1, 0)


async def test_a_retry_by_itself_waits_for_a_run_and_closes_a_window(
    house: House, push: Pusher, runner: Runner, clock: MovableClock
) -> None:
    """R1: one run a directory. It waits while another run maps; a window of pushes makes room."""
    await push.user("kim")
    await push("POST", "/Users", {"schemas": [USER], "userName": "KIM"})
    await runner.close()
    going = await runner.begin()
    clock.advance(6 * HOUR)
    claimed = [await house.db.write(jobs.claim) for _ in range(2)]
    job = next(each for each in claimed if each is not None and each.kind == "retry")
    with pytest.raises(Later, match="going on"):
        await runner.reapplying.retried(job)
    await house.db.write(ended_by_hand, house.project, going)
    await push.user("lee")
    window = (await house.run()).run
    await runner.reapplying.retried(job)
    retry, window, *_ = await house.syncing.runs(house.project)
    assert (window.kind, window.state, window.reason) == (Kind.PUSH, State.ENDED, None)
    assert (retry.kind, retry.counts.failed) == (Kind.RETRY, 1)


def ended_by_hand(tx: Transaction, project: str, run: str) -> None:
    found = runs.find(tx, project, run)
    assert found is not None
    ending(tx, found)


async def test_another_replica_goes_on(
    house: House, push: Pusher, runner: Runner, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R10: a process that dies between two transactions leaves the place it was at; nobody is
    mapped twice, nobody is left out, and the job of the dead writes nothing more.
    """
    monkeypatch.setattr(reapplying, "AT_ONCE", 4)
    for n in range(11):
        await push.user(f"user-{n}")
    await runner.mapping(LOUD)
    await runner.close()
    run = await runner.begin()
    dead = await house.db.write(jobs.claim)
    assert dead is not None
    assert await house.db.write(runner.reapplying._batch, dead, run, 4, None)
    view = await runner.view(run)
    assert (view.run.state, view.run.counts.updated) == (State.RUNNING, 4)
    assert await house.db.write(jobs.claim) is None  # the lease is still held
    clock.advance(2 * MINUTE)
    await Runner.of(house, push).work()
    view = await runner.view(run)
    assert (view.run.state, view.run.counts.updated, view.run.counts.total) == (
        State.ENDED,
        11,
        11,
    )
    assert sorted(line.name for line in await runner.lines(run)) == sorted(
        f"user-{n}" for n in range(11)
    )
    assert not await house.db.write(runner.reapplying._batch, dead, run, 4, None)


@pytest.mark.parametrize(
    ("how", "reason", "word"),
    [
        ("stop", Ending.STOPPED, Status.PARTIAL_SUCCESS),
        ("disabled", Ending.DISABLED, Status.PARTIAL_SUCCESS),
        ("deleted", Ending.DELETED, Status.PARTIAL_SUCCESS),
    ],
    ids=["stop", "R8", "R9"],
)
async def test_it_ends_when_somebody_says_so(
    house: House, push: Pusher, runner: Runner, how: str, reason: Ending, word: Status
) -> None:
    """R8, R9: after the record it is at, with the reason, and what was done is kept."""
    for n in range(6):
        await push.user(f"user-{n}")
    await runner.mapping(LOUD)
    await runner.close()
    run = await runner.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    assert await house.db.write(runner.reapplying._batch, job, run, 2, None)
    if how == "stop":
        assert (await house.syncing.stop(runner.caller, run)).run.stopping
    else:
        await runner.set(state=how)
    await runner.reapplying.reapply(job)
    view = await runner.view(run)
    assert (view.run.state, view.run.reason, view.run.status) == (State.ENDED, reason, word)
    assert view.run.counts.updated == view.run.counts.total == 2


async def test_a_run_that_did_nothing_before_it_was_disabled_is_a_failure(
    push: Pusher, runner: Runner
) -> None:
    """R8: an ended run is always one of the three words."""
    await push.user("kim")
    await runner.close()
    run = await runner.begin()
    await runner.set(state="disabled")
    await runner.work()
    assert (await runner.view(run)).run.status is Status.FAILURE


async def test_stopping_a_window_ends_it_at_once(
    house: House, push: Pusher, runner: Runner
) -> None:
    """Stop: a push run has nothing under way; a run that is over cannot be stopped."""
    await push.user("kim")
    run = (await house.run()).run.id
    view = await house.syncing.stop(runner.caller, run)
    assert (view.run.state, view.run.reason) == (State.ENDED, Ending.STOPPED)
    with pytest.raises(Conflict):
        await house.syncing.stop(runner.caller, run)
    await push.user("lee")
    assert (await house.run()).run.id != run


async def test_one_run_at_a_time(house: House, push: Pusher, runner: Runner) -> None:
    """R7: while a run is going on another is refused, and its id said; pushes join it."""
    await push.user("kim")
    pushed = (await house.run()).run.id
    with pytest.raises(Occupied) as refused:
        await runner.begin()
    assert refused.value.more == {"run": pushed}
    await runner.close()
    run = await runner.begin()
    await push.user("lee")
    await runner.work()
    assert (await runner.view(run)).run.counts.created == 1


async def test_a_mapping_saved_meanwhile_is_the_one_for_everybody(
    house: House, push: Pusher, runner: Runner
) -> None:
    """Each run names the mapping it used: it begins anew under the one that came while it ran."""
    for n in range(4):
        await push.user(f"user-{n}")
    await runner.close()
    run = await runner.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    assert await house.db.write(runner.reapplying._batch, job, run, 2, None)
    await runner.mapping(LOUD)
    await runner.reapplying.reapply(job)
    view = await runner.view(run)
    assert (view.run.mapping_version, view.run.counts.updated) == (1, 4)
    assert view.run.counts.total == 4


async def test_a_mapping_that_cannot_be_loaded_ends_the_run(push: Pusher, runner: Runner) -> None:
    """R4: mapping-unloadable is a Failure with its reason in words."""
    await push.user("kim")
    await runner.set(mapping_version=7)
    view = await runner.sync()
    assert (view.run.status, view.run.reason) == (Status.FAILURE, Ending.MAPPING_UNLOADABLE)
    assert view.run.message


async def test_progress_is_told(house: House, push: Pusher, runner: Runner) -> None:
    """R105: how many of how many, how fast, and which was the last."""
    for n in range(3):
        await push.user(f"user-{n}")
    await runner.mapping(LOUD)
    await runner.close()
    run = await runner.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    assert await house.db.write(runner.reapplying._batch, job, run, 2, None)
    view = await runner.view(run)
    assert (view.run.counts.total, view.run.expected) == (2, 3)
    assert view.last is not None
    assert view.last.name == "user-1"
    assert view.run.rate_per_s(view.run.started_at + 4_000_000) == 0.5
