"""The fake beyond the contract: what a test can make of it, and that it tells no fairy tales."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from broker.client import Later, Paused, PauseState, Refused, Resolved, Wrong
from broker.client.fake import FakeBroker
from broker.client.fake.table import ROWS, WITHOUT_PERSON
from broker.domain import steps
from broker.domain.connectors import Policy
from tests.client.stages import step

KIM = "kim.lee@acme.example"


async def parked(broker: FakeBroker) -> str:
    """A step of Kim's that waits."""
    broker.person(KIM)
    broker.answers("F11")
    answer = await broker.resolve(step())
    assert isinstance(answer, Paused)
    assert answer.pause is not None
    return answer.pause.id


def test_its_table_is_the_brokers() -> None:
    """Each row F answers with an outcome, status, reason and identity the real table has for it."""
    real: dict[str, set[tuple[object, ...]]] = {}
    for yes in product((True, False), repeat=5):
        for subject, token, connector_user, policy in product(
            steps.Subject, steps.Token, steps.ConnectorUser, Policy
        ):
            facts = steps.Facts(
                connector_available=True,
                user_authentication=yes[0],
                supported=yes[1],
                subject=subject,
                user_enabled=yes[2],
                token=token,
                connector_user=connector_user,
                interactive=yes[3],
                policy=policy,
                ran_as_user=yes[4],
            )
            for one in (steps.decide(facts), steps.decide(steps.Facts())):
                real.setdefault(one.row, set()).add(_shape(one))
    for name, row in ROWS.items():
        if name.startswith("F"):
            fake = (row.outcome, row.status, row.identity, row.reason, row.fallback, row.warns)
            assert fake in real[name], name
    assert {name for name in ROWS if name.startswith("F")} == set(real)


def _shape(one: steps.Decision) -> tuple[object, ...]:
    warns = one.warning is not None
    return (one.outcome, one.status, one.identity, one.reason, one.fallback, warns)


@pytest.mark.parametrize("row", sorted(ROWS))
async def test_every_row_can_be_asked_for(row: str) -> None:
    """A rule's row is what the question gets; the ones that wait come out as Later."""
    async with FakeBroker(deadline_s=0.2) as broker:
        broker.person(KIM)
        broker.answers(row, step="s1")
        if ROWS[row].outcome == "wait":
            with pytest.raises(Later) as later:
                await broker.resolve(step())
            assert later.value.problem is not None
            assert later.value.problem.said["row"] == row
        else:
            assert (await broker.resolve(step())).row == row
        nobody = step("s1", execution="r-2", subject=None)
        if row in WITHOUT_PERSON:
            assert (await broker.resolve(nobody)).row == WITHOUT_PERSON[row]
        assert (await broker.resolve(step("s2"))).row == "F12"
        with pytest.raises(KeyError):
            broker.answers("F99")


async def test_an_administrator_releases_a_step() -> None:
    """P12: claimed, it runs as the connector user, for this go alone."""
    async with FakeBroker() as broker:
        pause = await parked(broker)
        broker.releases(pause)
        claim = await broker.claim(pause)
        assert isinstance(claim.answer, Resolved)
        assert (claim.answer.row, claim.answer.fallback) == ("P12", True)


async def test_a_claimer_that_dies() -> None:
    """P8: after its silence the pause is ready, its claim is outdated, and another one runs it."""
    async with FakeBroker() as broker:
        pause = await parked(broker)
        broker.signs_in(KIM, "Salesforce")
        dead = await broker.claim(pause)
        broker.fall_silent()
        alive = await broker.claim(pause)
        with pytest.raises(Wrong, match="claim-outdated"):
            await broker.result(dead, "ran")
        await broker.result(alive, "ran")
        assert (await broker.pause(pause)).state is PauseState.RESUMED


async def test_a_sign_in_that_is_lost_again() -> None:
    """P6: claimed without a usable token, the step waits again; the fifth time it has failed."""
    async with FakeBroker() as broker:
        pause = await parked(broker)
        for _ in range(5):
            broker.signs_in(KIM, "Salesforce")
            broker.signs_out(KIM, "Salesforce")
            claim = await broker.claim(pause)
            assert claim.token is None
        assert (await broker.pause(pause)).state is PauseState.FAILED


async def test_a_broker_nobody_reaches() -> None:
    """A test sees its engine wait while the broker is away, and go on when it is back."""
    async with FakeBroker(deadline_s=0.2) as broker:
        broker.person(KIM)
        broker.reachable(False)
        with pytest.raises(Later):
            await broker.resolve(step())
        broker.reachable()
        assert isinstance(await broker.resolve(step()), Refused)


async def test_the_feed_tells_what_a_test_lets_happen() -> None:
    """Any event can be told; those who wait hear of it."""
    async with FakeBroker() as broker:
        feed = broker.events("user.*")
        first = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0)
        broker.happens("connector.failing", connector="con_1")
        broker.happens("user.suspended", user="usr_1")
        event = await asyncio.wait_for(first, 10)
        assert (event.type, event.sequence, event.data) == ("user.suspended", 2, {"user": "usr_1"})
