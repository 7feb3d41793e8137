"""The pause that belongs to a decision: opened once, met again, given up; nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.db.database import Database, Transaction
from broker.domain.clock import DAY, HOUR, SECOND
from broker.domain.errors import Conflict
from broker.domain.pauses import State
from broker.domain.users import License, Status, SuspendedBy
from broker.store import pauses, users
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import DEAD, KIM, World, asked, world


@pytest.fixture
async def at(db: Database) -> AsyncIterator[World]:
    """A project in which steps run."""
    async with world(db) as made:
        yield made


@pytest.fixture
async def scene(at: World) -> Scene:
    """A step may wait here."""
    return await Scene.made(at)


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
    limited = replace(at.resolving, pause_limit=2 * HOUR)
    endless = await scene.wait(step="endless")
    answer = await limited.resolve(scene.engine, asked({"user_name": KIM}))
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


async def test_later_attempt_takes_over(scene: Scene, at: World) -> None:
    """P1, P10: a later attempt ends the pause of an earlier one; an earlier one or another key
    cannot.
    """
    first = await scene.wait()
    second = await scene.wait(attempt=2)
    assert (await scene.now(first)).state is State.CANCELLED
    for caller, attempt in ((scene.engine, 1), (await at.key(), 3)):
        with pytest.raises(Conflict) as refused:
            await at.resolving.resolve(caller, asked({"user_name": KIM}, attempt=attempt))
        assert refused.value.reason == "pause-open"
    assert (await scene.now(second)).state is State.WAITING


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
    assert [one for one in await at.pausing.page(scene.engine) if one.is_open] == []
