"""The pause that belongs to a decision: opened once, met again, given up; nothing is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.db.database import Transaction
from broker.domain.clock import DAY, HOUR, SECOND
from broker.domain.errors import Conflict, Forbidden
from broker.domain.pauses import State
from broker.domain.users import License, Status, SuspendedBy
from broker.service.reporting import Reporting
from broker.store import pauses, projects, users
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import DEAD, KIM, World, asked


async def test_one_letter_a_day(scene: Scene, at: World, clock: MovableClock) -> None:
    """P1: however many steps wait, the person gets one letter a day for this connector."""
    for step in ("s1", "s2", "s3"):
        await scene.wait(step=step)
    assert len(await at.rows("SELECT * FROM letters WHERE template = 'needed'")) == 1
    clock.advance(DAY)
    await scene.wait(step="s4")
    assert len(await at.rows("SELECT * FROM letters WHERE template = 'needed'")) == 2


async def test_limit(scene: Scene, at: World, clock: MovableClock) -> None:
    """P9, T4: none waits for ever where a limit is set, and all do where none is."""
    endless = await scene.wait(step="endless")
    await at.db.write(projects.set_pause_limit, at.project, 2 * HOUR // SECOND)
    answer = await at.resolving.resolve(scene.engine, asked({"user_name": KIM}))
    assert answer.pause is not None
    clock.advance(2 * HOUR + SECOND)
    assert await at.pausing.recover() == 1
    assert (await scene.now(answer.pause)).state is State.EXPIRED
    assert (await scene.now(endless)).state is State.WAITING
    assert [event["pause"] for event in await scene.told("pause.expired")] == [answer.pause.id]


async def test_asking_again_meets_the_pause(scene: Scene) -> None:
    """P1: one open pause a step; the same question finds the same one."""
    assert (await scene.wait()).id == (await scene.wait()).id


async def test_asking_again_instead_of_claiming(scene: Scene, at: World) -> None:
    """P10: a step that was asked again and runs has nothing left to claim: it runs once."""
    pause = await scene.wait()
    await scene.sign_in()
    answer = await at.resolving.resolve(scene.engine, asked({"user_name": KIM}))
    assert answer.decision.row == "F6"
    assert (await scene.now(pause)).state is State.CANCELLED
    with pytest.raises(Conflict):
        await scene.claim(pause)


async def test_later_attempt_takes_over(scene: Scene) -> None:
    """P1, P10: a later attempt ends the pause of an earlier one, and a second one is opened."""
    first = await scene.wait()
    second = await scene.wait(attempt=2)
    assert (await scene.now(first)).state is State.CANCELLED
    assert (await scene.now(second)).state is State.WAITING


@pytest.mark.parametrize("signed_in", [False, True])
async def test_who_may_not_end_a_pause_joins_it(scene: Scene, at: World, signed_in: bool) -> None:
    """P1, safety 26: a delayed earlier attempt and another key are answered with the one open
    pause, the line is kept (R2), nobody else claims it, and no credential leaves.
    """
    other = await at.key()
    open_one = await scene.wait(attempt=2)
    if signed_in:
        await scene.sign_in()
    state = State.READY if signed_in else State.WAITING
    for caller, attempt in ((scene.engine, 1), (other, 3)):
        request = asked({"user_name": KIM}, attempt=attempt)
        answer = await at.resolving.resolve(caller, request)
        shown = answer.rendered()
        assert (shown["row"], shown["outcome"], shown["reason"]) == ("P1", "pause", "pause-open")
        assert shown["status"] == "Authentication needed"
        assert (shown["pause"]["id"], shown["pause"]["state"]) == (open_one.id, state)
        assert (shown["run_as"], shown.get("credential")) == (None, None)
        _, [line] = await Reporting(at.db).decision(caller, answer.decision_id)
        assert (line.row, line.pause, line.credential) == ("P1", open_one.id, False)
    assert (await scene.now(open_one)).state is state
    with pytest.raises(Forbidden):
        await at.pausing.claim(other, open_one.id)


async def test_later_attempt_that_runs_leaves_nothing_to_claim(scene: Scene, at: World) -> None:
    """P10: the person signed in and the engine asks with a new attempt: the step runs once."""
    pause = await scene.wait()
    await scene.sign_in()
    answer = await at.resolving.resolve(scene.engine, asked({"user_name": KIM}, attempt=2))
    assert (answer.decision.row, answer.credential is not None) == ("F6", True)
    gone = await scene.now(pause)
    assert (gone.state, gone.reason) == (State.CANCELLED, "later-attempt")
    with pytest.raises(Conflict):
        await scene.claim(pause)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_claimed_step_is_not_handed_out_again(scene: Scene, at: World, attempt: int) -> None:
    """P4: while a claim may be running the step, whoever asks for it gets the claimed pause and
    no credential; the claim's result still counts (P5).
    """
    pause = await scene.wait()
    await scene.sign_in()
    claim = await scene.claim(pause)
    for caller in (scene.engine, await at.key()):
        answer = await at.resolving.resolve(caller, asked({"user_name": KIM}, attempt=attempt))
        assert (answer.decision.row, answer.decision.reason) == ("P4", "pause-claimed")
        assert answer.pause is not None
        assert (answer.pause.id, answer.pause.state) == (pause.id, State.CLAIMED)
        assert (answer.credential, answer.run_as) == (None, None)
    assert claim.token is not None
    done = await at.pausing.result(scene.engine, pause.id, claim.token, "ran")
    assert done.state is State.RESUMED


async def test_sign_in_while_the_step_is_asked(scene: Scene, at: World) -> None:
    """F11: a sign-in that ends while the pause is being written is not lost: each step runs, or
    its pause is ready.
    """
    for place in range(15):
        await at.connect(scene.connector, scene.user, **DEAD)
        request = asked({"user_name": KIM}, step=f"s{place}")
        answer, _ = await asyncio.gather(
            at.resolving.resolve(scene.engine, request), scene.sign_in()
        )
        if answer.pause is None:
            assert answer.decision.row == "F6"
        else:
            assert (await scene.now(answer.pause)).state is State.READY


async def test_suspension_while_the_step_is_asked(scene: Scene, at: World) -> None:
    """P10: a suspension that happens while the pause is being written leaves none open."""

    async def suspend() -> None:
        def suspending(tx: Transaction) -> None:
            kept = users.lock(tx, at.project, scene.user.id)
            gone = replace(kept, status=Status.SUSPENDED, license=License.NONE)
            users.change(tx, replace(gone, suspended_by=SuspendedBy.ADMIN))
            pauses.cancel_all(tx, at.project, scene.user.id, "user-suspended")

        await at.db.write(suspending)

    answer, _ = await asyncio.gather(
        at.resolving.resolve(scene.engine, asked({"user_name": KIM})), suspend()
    )
    assert answer.decision.row in ("F2", "F11")
    assert {one.state for one in await at.pausing.page(scene.engine)} <= {State.CANCELLED}
