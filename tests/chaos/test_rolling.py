"""Callers behind a hostile network, and replicas that come and go (api-conventions.md 10)."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from broker.client import Paused, PauseState, Resolved, Step, Subject
from tests.broker.web.rehearsing import KIM
from tests.chaos.engine import Engine
from tests.chaos.house import House, house
from tests.chaos.proxy import FATES
from tests.receiving import Message
from tests.waiting import until

ENGINES = 2
ONE_STORM_AND_SEVERAL = [
    pytest.param(1, 12, 0, id="one storm"),
    *(pytest.param(seed, 100, 2, id=f"seed {seed}", marks=pytest.mark.drill) for seed in (2, 3, 5)),
]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize(("seed", "steps", "rounds"), ONE_STORM_AND_SEVERAL)
async def test_nothing_is_lost_and_nothing_done_twice(
    database_url: str, tmp_path: Path, seed: int, steps: int, rounds: int
) -> None:
    """Through resets, stalls, cut and dripped answers and a rolling restart (SIGTERM, SIGKILL) of
    both replicas: no decision lost or doubled, every parked step resumes exactly once, every event
    is in the feed once and reaches the webhook at least once under one id, the audit is whole.
    """
    async with house(tmp_path, database_url, seed) as at, AsyncExitStack() as stack:
        at.receiver.answer = _sometimes
        engines = [Engine(await stack.enter_async_context(at.client())) for _ in range(ENGINES)]
        at.network.hostile = True
        following = asyncio.gather(*(engine.follow() for engine in engines))
        stack.push_async_callback(_ended, following)
        asking = asyncio.gather(
            *(
                engines[n // 2 % ENGINES].ask(_step(n))
                for n in range(steps)
                for _ in range(2)  # an engine that died after it asked asks the same again
            )
        )
        stack.push_async_callback(_ended, asking)
        await until(lambda: any(engine.parked for engine in engines), within_s=60)
        await at.restart("north", gently=True)  # while steps are asked for
        await asking
        await at.sign_in()
        await at.restart("south", gently=False)  # while they are claimed
        for _ in range(rounds):
            await at.restart("north", gently=False)
            await at.restart("south", gently=True)
        at.network.hostile = False
        await _settled(at, engines)
        assert not following.done(), following
        await _ended(following)
        assert set(at.network.met) == {"pass", *FATES}, at.network.met
        await _decisions_are_kept(at, engines, steps)
        await _steps_ran_once(at, engines, steps)
        await _events_arrived(at, engines)
        assert await at.broken_links() == []


def _step(n: int) -> Step:
    """Every other step waits for Kim; the rest runs as the connector user (F4)."""
    return Step(
        connector="Salesforce",
        id=f"s{n}",
        type="retrieve_data" if n % 2 else "create_data",
        execution="r-1",
        subject=Subject(user_name=KIM.user_name),
    )


async def _ended(tasks: asyncio.Future[list[None]]) -> None:
    tasks.cancel()
    with suppress(asyncio.CancelledError):
        await tasks


def _sometimes(message: Message) -> int:
    """A receiver that fails now and then, by what it is told."""
    return 500 if hash(message.headers["webhook-signature"]) % 8 == 0 else 200


async def _settled(at: House, engines: list[Engine]) -> None:
    """Time goes by until every pause has ended and every delivery was taken."""

    async def nothing_waits() -> bool:
        if any(engine.busy for engine in engines):
            return False
        pauses = "SELECT id FROM pauses WHERE project_id = :project AND state <> 'resumed'"
        waiting = "SELECT n FROM deliveries WHERE project_id = :project AND state = 'waiting'"
        unchained = "SELECT n FROM audit WHERE n NOT IN (SELECT audit_n FROM audit_chain)"
        left = [*await at.rows(pauses), *await at.rows(waiting), *await at.rows(unchained)]
        if left and not any(engine.busy for engine in engines):
            await at.minutes_pass()
        return not left

    await until(nothing_waits, within_s=240)
    last = (await at.rows("SELECT events FROM projects WHERE id = :project"))[0]["events"]
    await until(lambda: all(engine.seen and engine.seen[-1].sequence == last for engine in engines))


async def _decisions_are_kept(at: House, engines: list[Engine], steps: int) -> None:
    """One decision a natural key; each answer somebody got is a line of it, and nobody else's."""
    kept = await at.rows("SELECT id, step, version FROM decisions WHERE project_id = :project")
    by_step = {row["step"]: row["id"] for row in kept if row["step"].startswith("s")}
    assert len(kept) == len(by_step) == steps
    lines = await at.rows(
        "SELECT decision_id, version, row, outcome FROM decision_lines WHERE project_id = :project"
    )
    written = {(row["decision_id"], row["version"]): row["row"] for row in lines}
    assert len(written) == len(lines) == sum(row["version"] for row in kept)
    got = [(step, answer) for engine in engines for step, answer in engine.answers]
    assert {answer.decision_id for _, answer in got} == set(by_step.values())
    for step, answer in got:
        assert not step or by_step[step] == answer.decision_id
        assert written[answer.decision_id, answer.version] == answer.row
    looks = Counter((answer.decision_id, answer.version) for _, answer in got)
    assert set(looks.values()) == {1}


async def _steps_ran_once(at: House, engines: list[Engine], steps: int) -> None:
    """Half of the steps ran at once; each of the others was parked, and ran for one claim."""
    pauses = await at.rows("SELECT id, step, state FROM pauses WHERE project_id = :project")
    assert Counter(row["state"] for row in pauses) == {"resumed": steps // 2}
    ran = sum((engine.ran for engine in engines), Counter[str]())
    assert {row["id"]: ran[row["id"]] for row in pauses} == {row["id"]: 1 for row in pauses}
    assert len({row["step"] for row in pauses}) == steps // 2
    kinds = {type(answer) for engine in engines for _, answer in engine.answers}
    assert kinds == {Resolved, Paused}
    shown = [pause async for pause in engines[0].broker.pauses(PauseState.RESUMED)]
    assert [pause.id for pause in shown] == sorted(row["id"] for row in pauses)


async def _events_arrived(at: House, engines: list[Engine]) -> None:
    """The feed has no gap and nothing twice; the webhook missed nothing, and one id is one body."""
    for engine in engines:
        first = engine.seen[0].sequence
        numbers = [event.sequence for event in engine.seen]
        assert numbers == list(range(first, first + len(numbers)))
    known = {event.id for event in engines[0].seen}
    told = await at.rows("SELECT event_id FROM deliveries WHERE project_id = :project")
    assert {row["event_id"] for row in told} <= known
    bodies: dict[str, set[bytes]] = {}
    for message in at.receiver.heard:
        bodies.setdefault(message.id, set()).add(message.body)
    assert set(bodies) == {row["event_id"] for row in told}
    assert {len(each) for each in bodies.values()} == {1}
    assert len({row["event_id"] for row in told}) == len(told)
