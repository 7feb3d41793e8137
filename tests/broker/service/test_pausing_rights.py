"""Who may look at a pause, claim it and move it; of many, exactly one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from broker.domain.clock import MINUTE, SECOND
from broker.domain.errors import BrokerError, Conflict, Forbidden, NotFound, Unknown
from broker.domain.pauses import State
from broker.service.pausing import Claim
from tests.clocks import MovableClock
from tests.scene import Scene
from tests.stepping import KIM, PAUSE, World, asked


async def test_exactly_one_claims(scene: Scene, at: World) -> None:
    """P7, safety 26: of many who claim at once exactly one wins; the others hear 409."""
    pause = await scene.wait()
    await scene.sign_in()
    outcomes = await gathered(scene.claim(pause) for _ in range(12))
    won = [one for one in outcomes if isinstance(one, Claim)]
    assert len(won) == 1
    assert all(isinstance(one, Claim | Conflict) for one in outcomes)
    lines = await at.rows("SELECT row FROM decision_lines WHERE outcome = 'run'")
    assert len(lines) == 1


async def test_only_the_key_that_waits_claims(scene: Scene, at: World) -> None:
    """Safety 26: another key of the project may look, and neither claims, reports nor ends."""
    pause = await scene.wait()
    await scene.sign_in()
    other = await at.key()
    assert (await at.pausing.get(other, pause.id)).id == pause.id
    claim = await scene.claim(pause)
    assert claim.token is not None
    for attempt in (
        at.pausing.claim(other, pause.id),
        at.pausing.result(other, pause.id, claim.token, "ran"),
        at.pausing.end(other, pause.id),
        at.pausing.cancel(other, pause.id),
        at.pausing.claim(await at.administrator(), pause.id),
    ):
        with pytest.raises(Forbidden):
            await attempt
    assert (await scene.now(pause)).state is State.CLAIMED


async def test_scopes(scene: Scene, at: World) -> None:
    """api.md: reading and moving pauses are two scopes."""
    pause = await scene.wait()
    reader, writer = await at.key("pauses:read"), await at.key("pauses:write")
    assert [one.id for one in await at.pausing.page(reader)] == [pause.id]
    with pytest.raises(Forbidden):
        await at.pausing.claim(reader, pause.id)
    with pytest.raises(Forbidden):
        await at.pausing.get(writer, pause.id)


async def test_a_limited_key_sees_its_own_connectors(scene: Scene, at: World) -> None:
    """Safety 22: a key that is limited to other connectors neither reads nor lists what waits here,
    and claims nothing it asked for before it was limited.
    """
    other = await at.connector("Second", **PAUSE)
    mine = await scene.wait()
    request = asked({"user_name": KIM}, connector="second", step="x")
    theirs = (await at.resolving.resolve(scene.engine, request)).pause
    assert theirs is not None
    limited = await at.key(connectors=[" salesFORCE"])
    assert (await at.pausing.get(limited, mine.id)).id == mine.id
    assert [pause.id for pause in await at.pausing.page(limited)] == [mine.id]
    with pytest.raises(Forbidden) as refused:
        await at.pausing.get(limited, theirs.id)
    assert refused.value.reason == "connector-not-allowed"
    both = await at.key(connectors=["Salesforce", "Second"])
    assert len(await at.pausing.page(both, connector=other.id)) == 1
    await scene.sign_in(other, as_user=KIM)
    narrowed = "UPDATE api_keys SET connectors = :only WHERE id = :id"
    await at.db.write(lambda tx: tx.run(narrowed, only="Salesforce", id=scene.engine.id))
    with pytest.raises(Forbidden):
        await scene.claim(theirs)


async def test_a_limited_key_meets_no_pause_of_another_connector(scene: Scene, at: World) -> None:
    """Safety 22: by the execution and step of others a key learns nothing of what waits at a
    connector it is not for: neither which pause that is nor how it stands, in the line neither.
    """
    await at.connector("Tickets", **PAUSE)
    limited = await at.key(connectors=["Tickets"])
    theirs, words = await scene.wait(), []
    for claimed in (False, True):
        if claimed:
            await scene.sign_in()
            await scene.claim(theirs)
        request = asked({"user_name": KIM}, connector="tickets")
        shown = (await at.resolving.resolve(limited, request)).rendered()
        assert (shown["outcome"], shown["pause"]) == ("pause", None)
        assert theirs.id not in str(shown)
        words.append((shown["row"], shown["reason"], shown["status"]))
    assert words[0] == words[1]
    lines = await at.rows("SELECT pause_id FROM decision_lines ORDER BY n")
    assert [line["pause_id"] for line in lines[:2]] == [theirs.id, None]


async def test_a_limited_key_blocks_nobody_at_another_connector(scene: Scene, at: World) -> None:
    """Safety 22, 26: what a key lets wait at its connector under the execution and step of others
    keeps none of them from running (F6), and stays as it is.
    """
    await at.connector("Tickets", **PAUSE)
    limited = await at.key(connectors=["Tickets"])
    request = asked({"user_name": KIM}, connector="tickets")
    blocking = (await at.resolving.resolve(limited, request)).pause
    assert blocking is not None
    await scene.sign_in()
    answer = await at.resolving.resolve(scene.engine, asked({"user_name": KIM}))
    assert (answer.decision.row, answer.credential is not None) == ("F6", True)
    assert (await scene.now(blocking)).state is State.WAITING


async def test_revoked_key_claims_nothing(scene: Scene, at: World) -> None:
    """Safety 24: a key that was revoked while its step waited gets nothing."""
    pause = await scene.wait()
    await scene.sign_in()
    await at.revoke(scene.engine)
    with pytest.raises(Unknown):
        await scene.claim(pause)
    assert (await scene.now(pause)).state is State.READY


async def test_claim_tokens_are_new_each_time(scene: Scene, at: World, clock: MovableClock) -> None:
    """P8, safety 26: a silent worker's claim goes back after 5 minutes; its token is outdated."""
    pause = await scene.wait()
    await scene.sign_in()
    first = await scene.claim(pause)
    clock.advance(5 * MINUTE - SECOND)
    assert await at.pausing.recover() == 0
    clock.advance(2 * SECOND)
    assert await at.pausing.recover() == 1
    assert (await scene.now(pause)).state is State.READY
    second = await scene.claim(pause)
    assert first.token is not None
    assert second.token is not None
    assert first.token != second.token
    with pytest.raises(Conflict) as refused:
        await at.pausing.result(scene.engine, pause.id, first.token, "ran")
    assert refused.value.reason == "claim-outdated"
    done = await at.pausing.result(scene.engine, pause.id, second.token, "ran")
    assert done.state is State.RESUMED


async def test_pause_of_another_project(scene: Scene, at: World) -> None:
    """Safety 3: another project's pause is a missing one, in every word."""
    pause = await scene.wait()
    other = await at.elsewhere()
    caller, words = await other.key(), set()
    for id in (pause.id, "pse_MISSING"):
        for attempt in (
            other.pausing.get(caller, id),
            other.pausing.claim(caller, id),
            other.pausing.result(caller, id, "x", "ran"),
            other.pausing.end(caller, id),
            other.pausing.cancel(caller, id),
        ):
            with pytest.raises(NotFound) as refused:
                await attempt
            words.add((str(refused.value), refused.value.reason, refused.value.next))
    assert len(words) == 1
    assert await other.pausing.page(caller) == []


async def test_list(scene: Scene, at: World) -> None:
    """api.md: pauses are listed in the order they were opened, by state, person and connector."""
    found = [await scene.wait(step=f"s{place}") for place in range(5)]
    await at.pausing.cancel(scene.engine, found[0].id)
    page = await at.pausing.page(scene.engine, states=(State.WAITING,), limit=3)
    assert len(page) == 3
    rest = await at.pausing.page(scene.engine, states=(State.WAITING,), after=page[-1].id)
    assert {one.id for one in page + rest} == {one.id for one in found[1:]}
    assert await at.pausing.page(scene.engine, user="usr_MISSING") == []
    assert len(await at.pausing.page(scene.engine, connector=scene.connector.id)) == 5


async def gathered(attempts: Any) -> list[Claim | BrokerError]:
    """What came of each, errors too."""
    pending: list[Awaitable[Claim]] = list(attempts)
    return await asyncio.gather(*pending, return_exceptions=True)  # type: ignore[return-value]  # ours alone are raised
