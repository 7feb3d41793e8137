"""What a run holds: released all, some or none, by an administrator alone (R5, R6, safety 27)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from broker.db.database import Database
from broker.domain.callers import SCOPES, Caller, Kind
from broker.domain.clock import MINUTE
from broker.domain.errors import Conflict, Forbidden, NotFound
from broker.domain.runs import Decision, Ending, Record, Result, Run, State, Status
from broker.domain.users import Status as UserStatus
from broker.service.deciding import Deciding
from broker.service.occupied import Occupied
from broker.service.syncing import ending
from broker.store import jobs, records, runs
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import House, Pusher
from tests.running import Runner

HOLDING = '{"count": 1, "pushes": true}'


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider of whose people one may leave in a run without a decision."""
    async with pushing.calling(house) as push:
        await Runner.of(house, push).set(holding=HOLDING)
        yield push


@pytest.fixture
def runner(house: House, push: Pusher) -> Runner:
    """An administrator's side of it."""
    return Runner.of(house, push)


@pytest.fixture
def deciding(house: House) -> Deciding:
    return Deciding(house.hosting())


async def held(house: House, push: Pusher, runner: Runner, count: int = 5) -> Run:
    """A run that deletes so many people and may delete one; the others wait."""
    ids = [(await push.user(f"user-{n}"))["id"] for n in range(count)]
    await runner.close()
    for id in ids:
        assert (await push("DELETE", f"/Users/{id}")).status_code == 204
    run = (await house.run()).run
    assert (run.state, run.counts.deleted, run.counts.staged) == (State.RUNNING, 1, count - 1)
    await runner.close()
    run = (await house.run()).run
    assert (run.state, run.is_provisional) == (State.HELD, True)
    return run


async def staged(house: House, run: Run) -> list[tuple[int, Record]]:
    return await house.syncing.records(house.project, run.id, result=Result.STAGED)


async def told(house: House, type: str) -> list[dict[str, object]]:
    sql = "SELECT data FROM events WHERE project_id = :project AND type = :type ORDER BY n"
    return [orjson.loads(row["data"]) for row in await house.rows(sql, type=type)]


async def test_a_run_over_its_limit_is_held(house: House, push: Pusher, runner: Runner) -> None:
    """R5: it waits, says so once, and the next push opens a run of its own."""
    run = await held(house, push, runner)
    assert await told(house, "run.held") == [
        {"run": run.id, "directory": push.directory.id, "changes": 4}
    ]
    assert [line.held for _, line in await staged(house, run)] == [Result.DELETED] * 4
    await push.user("lee")
    assert (await house.run()).run.id != run.id
    with pytest.raises(Conflict, match="waits for a decision"):
        await house.syncing.stop(runner.caller, run.id)


async def test_some_are_released_and_the_rest_is_let_be(
    house: House, push: Pusher, runner: Runner, deciding: Deciding
) -> None:
    """R6: record by record; the history says who decided; with the last one the run ends."""
    run = await held(house, push, runner)
    (first, one), (second, _), *_ = await staged(house, run)
    assert await deciding.decide(runner.caller, run.id, release=[first, second]) == 2
    await runner.work()
    view = await runner.view(run.id)
    assert (view.run.state, view.run.counts.deleted, view.run.counts.staged) == (State.HELD, 3, 2)
    assert await deciding.decide(runner.caller, run.id, reject=None) == 0
    await runner.work()
    run = (await runner.view(run.id)).run
    assert (run.state, run.status, run.decided_by) == (
        State.ENDED,
        Status.SUCCESS,
        runner.caller.actor,
    )
    assert (run.counts.deleted, run.counts.skipped, run.counts.staged) == (3, 2, 0)
    assert run.counts.total == 5
    lines = [line for line in await runner.lines(run.id) if line.held]
    assert [line.decision for line in lines] == [Decision.RELEASED] * 2 + [Decision.REJECTED] * 2
    assert {line.decided_by for line in lines} == {runner.caller.actor}
    assert all(line.decided_at for line in lines)
    assert (await house.person(one.resource_id or "")).status is UserStatus.DELETED
    decided = await house.rows(
        "SELECT actor, target, detail FROM audit"
        " WHERE project_id = :project AND action = 'run.decided' ORDER BY n"
    )
    assert [orjson.loads(row["detail"]) for row in decided] == [
        {"released": 2, "rejected": 0, "undecided": 2},
        {"released": 0, "rejected": 2, "undecided": 0},
    ]
    assert len(await told(house, "run.decided")) == 2


@pytest.mark.parametrize(
    ("words", "deleted"),
    [({"release": None}, 5), ({"reject": None}, 1)],
    ids=["all", "none"],
)
async def test_all_or_none(
    house: House,
    push: Pusher,
    runner: Runner,
    deciding: Deciding,
    words: dict[str, None],
    deleted: int,
) -> None:
    """R6: one word decides about everything that is left."""
    run = await held(house, push, runner)
    assert await deciding.decide(runner.caller, run.id, **words) == 0
    await runner.work()
    run = (await runner.view(run.id)).run
    assert (run.state, run.counts.deleted, run.counts.total) == (State.ENDED, deleted, 5)


async def test_one_word_leaves_what_was_named(
    house: House, push: Pusher, runner: Runner, deciding: Deciding
) -> None:
    """All but these, or none but these, in one request."""
    run = await held(house, push, runner)
    (n, _), *_ = await staged(house, run)
    await deciding.decide(runner.caller, run.id, release=[n], reject=None)
    await runner.work()
    run = (await runner.view(run.id)).run
    assert (run.counts.deleted, run.counts.skipped) == (2, 3)


async def test_only_an_administrator_decides(
    house: House, push: Pusher, runner: Runner, deciding: Deciding
) -> None:
    """Safety 27, 3: no key, whatever its scopes; another project's run is a missing one."""
    run = await held(house, push, runner)
    key = Caller(Kind.SERVICE, house.project, "key_1", scopes=SCOPES)
    with pytest.raises(Forbidden):
        await deciding.decide(key, run.id, release=None)
    other = await pushing.house(house.db, "other")
    with pytest.raises(NotFound):
        await deciding.decide(other.administrator, run.id, release=None)
    assert len(await staged(house, run)) == 4


async def test_what_is_not_held_cannot_be_decided(
    house: House, push: Pusher, runner: Runner, deciding: Deciding
) -> None:
    """A record that holds nothing, or was decided: nothing of the request is done."""
    run = await held(house, push, runner)
    (n, _), (m, _), *_ = await staged(house, run)
    with pytest.raises(Conflict, match="holds no change"):
        await deciding.decide(runner.caller, run.id, release=[n, 10**9])
    await deciding.decide(runner.caller, run.id, release=[n])
    with pytest.raises(Conflict):
        await deciding.decide(runner.caller, run.id, reject=[n, m])
    await push.user("lee")
    with pytest.raises(Conflict, match="no changes that wait"):
        await deciding.decide(runner.caller, (await house.run()).run.id, release=None)


@pytest.mark.parametrize(
    "words",
    [{"release": None}, {"reject": None}, {"reject": [1]}, {"release": None, "reject": [1]}],
    ids=["all", "none", "one", "all but one"],
)
async def test_what_somebody_else_decided_is_decided(
    house: House,
    push: Pusher,
    runner: Runner,
    deciding: Deciding,
    words: dict[str, list[int] | None],
) -> None:
    """R6: while all that was held is being carried out, a second decision is refused with who
    made the first, and changes nothing; a sync is told that a run goes on, not that it waits (R7).
    """
    run = await held(house, push, runner)
    lines = await staged(house, run)
    words = {word: said and [lines[0][0]] for word, said in words.items()}
    sync = pushing.starting(house).sync
    with pytest.raises(Occupied) as waits:
        await sync(runner.caller, push.directory.id)
    assert waits.value.reason == "run-held"
    (n, _), *_ = lines
    assert await deciding.decide(runner.caller, run.id, release=None, reject=[n]) == 0
    other = Caller(Kind.ADMINISTRATOR, house.project, "second", session="s")
    with pytest.raises(Conflict, match=runner.caller.actor) as refused:
        await deciding.decide(other, run.id, **words)
    assert refused.value.reason == "run-decided"
    with pytest.raises(Occupied) as goes_on:
        await sync(runner.caller, push.directory.id)
    assert (goes_on.value.reason, goes_on.value.more) == ("run-running", {"run": run.id})
    await runner.work()
    run = (await runner.view(run.id)).run
    assert (run.state, run.decided_by) == (State.ENDED, runner.caller.actor)
    assert (run.counts.deleted, run.counts.skipped) == (4, 1)
    assert len(await told(house, "run.decided")) == 1


async def test_another_replica_carries_on(
    house: House,
    push: Pusher,
    runner: Runner,
    deciding: Deciding,
    clock: MovableClock,
) -> None:
    """R10: a decision is kept before it is carried out, and each is carried out once."""
    run = await held(house, push, runner)
    await deciding.decide(runner.caller, run.id, release=None)
    dead = await house.db.write(jobs.claim)
    assert dead is not None
    assert await house.db.write(deciding._next, dead, None)
    clock.advance(2 * MINUTE)
    await runner.work()
    assert not await house.db.write(deciding._next, dead, None)
    run = (await runner.view(run.id)).run
    assert (run.state, run.counts.deleted) == (State.ENDED, 5)


async def test_what_fails_is_a_failure_of_its_own(
    house: House,
    push: Pusher,
    runner: Runner,
    deciding: Deciding,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R3: the others are carried out, and the run is a Partial success that says why."""
    run = await held(house, push, runner)
    (_, one), *_ = await staged(house, run)
    real = Deciding._done

    def done(self: Deciding, tx: object, at: Run, record: Record) -> Result:
        if record.resource_id == one.resource_id:
            raise Conflict("It does not go.")
        return real(self, tx, at, record)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(Deciding, "_done", done)
    await deciding.decide(runner.caller, run.id, release=None)
    await runner.work()
    run = (await runner.view(run.id)).run
    assert (run.status, run.counts.failed, run.counts.deleted) == (Status.PARTIAL_SUCCESS, 1, 4)
    failed = next(line for line in await runner.lines(run.id) if line.result is Result.FAILED)
    assert failed.message == "It does not go."


async def test_a_pull_that_ends_early_holds_nothing(
    house: House, push: Pusher, runner: Runner
) -> None:
    """c.6: what it proposed is skipped, for the next pull finds it again; counts add up."""
    kim = await push.user("kim")
    await runner.close()
    run = await runner.begin()
    line = Record("", "User", Result.STAGED, 1, kim["id"], held=Result.DELETED)
    await house.db.write(records.append, house.project, push.directory.id, line)

    found = await house.db.read(runs.find, house.project, run)
    assert found is not None
    await house.db.write(ending, found, Ending.SOURCE_UNREACHABLE)
    view = await runner.view(run)
    assert (view.run.state, view.run.counts.skipped, view.run.counts.staged) == (
        State.ENDED,
        1,
        0,
    )
