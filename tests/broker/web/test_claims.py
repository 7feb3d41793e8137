"""What a claim takes along, and what happened while it had the step, through the doors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.broker.web.parking import Parking, parking
from tests.clocks import MovableClock


@pytest.fixture
async def at(database_url: str, clock: MovableClock) -> AsyncIterator[Parking]:
    """A flow engine whose steps wait."""
    async with parking(database_url, clock) as made:
        yield made


async def test_p4_a_claim_may_ask_for_the_identity_alone(at: Parking) -> None:
    """P4: `credential` false is a claim's own word, as it is a question's; nothing else is."""
    pause = await at.wait()
    await at.sign_in()
    path = f"/v1/pauses/{pause}/claim"
    assert (await at.on.post(path, {"credentials": False})).status_code == 422
    decision = (await at.on.post(path, {"credential": False})).json()["decision"]
    assert (decision["row"], "credential" in decision) == ("F6", False)


async def test_p2_a_sign_in_during_a_claim_that_failed_counts(at: Parking) -> None:
    """P2, P6: a step that failed is ready again where its person signed in meanwhile."""
    pause = await at.wait()
    await at.sign_in()
    claim = (await at.claimed(pause))["claim"]
    await at.sign_in()
    assert (await at.result(pause, claim, "failed")).status_code == 204
    shown = await at.now(pause)
    assert (shown["state"], shown["cycles"]) == ("ready", 1)


@pytest.mark.parametrize("overridden", [False, True])
async def test_p6_a_new_token_is_no_sign_in(at: Parking, overridden: bool) -> None:
    """P6, P12: a refresh during a claim that failed releases nothing, nor does the token that was
    there when an administrator let the step go: it lacked a scope.
    """
    if overridden:
        await at.sign_in(grants="api refresh_token")
        pause = await at.wait(scopes=["chatter_api"])
        await at.decide(f"/v1/pauses/{pause}/override", {"reason": "on leave"})
    else:
        pause = await at.wait()
        await at.sign_in()
    claim = (await at.claimed(pause))["claim"]
    refreshed = "UPDATE tokens SET version = version + 1 WHERE user_id <> ''"
    await at.service.broker.db.write(lambda tx: tx.run(refreshed))
    assert (await at.result(pause, claim, "failed")).status_code == 204
    shown = await at.now(pause)
    assert (shown["state"], shown["run_as"], shown["cycles"]) == ("waiting", "user", 1)
