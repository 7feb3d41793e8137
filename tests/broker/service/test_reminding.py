"""Letters that say again that a step waits: after 1, 3 and 7 days and then weekly, once for all."""

from __future__ import annotations

import pytest

from broker.domain.clock import DAY, HOUR
from broker.domain.pauses import next_reminder
from broker.service.reminding import Reminding
from broker.store import pauses
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import DEAD, World

LETTERS = "SELECT created_at FROM letters WHERE template = 'needed' ORDER BY created_at"


@pytest.mark.parametrize(
    ("age", "due"), [(0, 1), (1, 3), (2, 3), (3, 7), (6, 7), (7, 14), (13, 14), (14, 21), (40, 42)]
)
def test_the_ladder(age: int, due: int) -> None:
    """P1: 1, 3 and 7 days after it began, and then each week, however late somebody looks."""
    assert next_reminder(5, 5 + age * DAY) == 5 + due * DAY
    assert next_reminder(5, 5 + age * DAY + HOUR) == 5 + due * DAY


async def test_reminded_while_it_waits(scene: Scene, at: World, clock: MovableClock) -> None:
    """P1: one letter at once, then on days 1, 3, 7, 14 and 21; none once the person signed in."""
    reminding = Reminding(at.db)
    pause = await scene.wait()
    written: list[int] = []
    for day in range(23):
        await reminding.remind()
        assert await reminding.remind() == 0
        if len(await at.rows(LETTERS)) > len(written):
            written.append(day)
        clock.advance(DAY)
    assert written == [0, 1, 3, 7, 14, 21]
    assert (await scene.now(pause)).version == 1
    await scene.sign_in()
    clock.advance(30 * DAY)
    assert await reminding.remind() == 0
    assert len(await at.rows(LETTERS)) == 6


async def test_one_reminder_for_all_that_waits(
    scene: Scene, at: World, clock: MovableClock
) -> None:
    """P1: once a person and connector, however many steps wait; the one that waits longest says
    when, also for those that came later.
    """
    reminding = Reminding(at.db)
    for step in ("s1", "s2", "s3"):
        await scene.wait(step=step)
    clock.advance(DAY + HOUR)
    assert await reminding.remind() == 1
    assert len(await at.rows(LETTERS)) == 2
    clock.advance(HOUR)
    await scene.wait(step="s4")  # the same day: no further letter (P1)
    days = []
    for day in range(1, 8):
        before = len(await at.rows(LETTERS))
        await reminding.remind()
        days += [day] if len(await at.rows(LETTERS)) > before else []
        clock.advance(DAY)
    assert days == [3, 7]
    due = await at.rows("SELECT DISTINCT remind_at FROM pauses WHERE state = 'waiting'")
    assert len(due) == 1


async def test_who_does_not_want_to_be_reminded(
    scene: Scene, at: World, clock: MovableClock
) -> None:
    """c.4 "reminder opt-out": no further letter of a wait; the first one of the next comes, for
    nothing else tells them. Opting in again takes up the ladder where it stands.
    """
    reminding = Reminding(at.db)
    assert await reminding.wants(at.project, scene.user.id)
    await scene.wait()
    await reminding.opt(at.project, scene.user.id, on=False)
    assert not await reminding.wants(at.project, scene.user.id)
    clock.advance(3 * DAY + HOUR)
    assert await reminding.remind() == 1
    assert len(await at.rows(LETTERS)) == 1
    await scene.wait(step="s2")
    assert len(await at.rows(LETTERS)) == 2
    await reminding.opt(at.project, scene.user.id, on=True)
    clock.advance(4 * DAY)
    await reminding.remind()
    assert len(await at.rows(LETTERS)) == 3


async def test_sent_back_is_said_again(scene: Scene, at: World, clock: MovableClock) -> None:
    """P6, P1: a step that was sent back after days waits for its person again, who is told."""
    reminding = Reminding(at.db)
    pause = await scene.wait()
    await scene.sign_in()
    clock.advance(2 * DAY)
    assert await reminding.remind() == 0
    await at.connect(scene.connector, scene.user, **DEAD)
    assert (await scene.claim(pause)).token is None
    assert await reminding.remind() == 1
    assert len(await at.rows(LETTERS)) == 2


async def test_an_outage_is_made_up_for_once(scene: Scene, at: World, clock: MovableClock) -> None:
    """A service that was down for a week reminds once, and goes on with the next rung."""
    reminding = Reminding(at.db)
    await scene.wait()
    clock.advance(8 * DAY)
    assert await reminding.remind() == 1
    assert len(await at.rows(LETTERS)) == 2
    [row] = await at.db.read(pauses.waiting, at.project, scene.connector.id)
    assert row.remind_at == row.created_at + 14 * DAY
