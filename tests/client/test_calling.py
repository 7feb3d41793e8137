"""How a call is tried again, and when it ends (api-conventions.md 9)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.client import Broker, Claim, Later, Pause, Pending, Performed, Unreadable, Wrong
from broker.client.problems import BrokerError
from tests.client.scripted import (
    KEY,
    RESET,
    STALL,
    answer,
    closed_port,
    problem,
    scripted,
)
from tests.client.stages import step

REFUSED = {
    "decision_id": "dec_1",
    "version": 1,
    "row": "F12",
    "outcome": "error",
    "status": "user-auth-required",
    "run_as": None,
    "act": {"sub": "key_1", "on_behalf_of": None},
    "fallback": False,
    "warning": None,
    "pause": None,
    "link": None,
    "reason": "user-auth-required",
    "message": "No.",
}
PAUSE = {
    "id": "pse_1",
    "state": "waiting",
    "reason": None,
    "execution": "r-1",
    "step": "s1",
    "user_id": "usr_1",
    "connector": "con_1",
    "decision_id": "dec_1",
    "run_as": "user",
    "cycles": 0,
    "since": "2026-11-21T20:46:16.000000Z",
    "expires_at": None,
    "version": 7,
}
CUT = answer(200, REFUSED)[:-20]
DEAD = problem(503, "unavailable", retryable=True)
RIGHT = answer(200, REFUSED)


def claim() -> Claim:
    """A claim of that pause."""
    return Claim.read("pse_1", {"claim": "token", "decision": REFUSED})


def rests(broker: Broker) -> list[float]:
    """The breaks this client takes from now on, in seconds; it only notes them."""
    taken: list[float] = []

    async def rest(seconds: float) -> None:
        taken.append(seconds)

    broker._calls = replace(broker._calls, rest=rest)
    return taken


@pytest.mark.parametrize(
    "failure",
    [RESET, STALL, CUT, DEAD, problem(429), problem(503), problem(500, retryable=True)],
    ids=["reset", "stall", "cut", "503 retryable", "429", "503", "500 retryable"],
)
async def test_what_is_tried_again(failure: bytes | str) -> None:
    """No answer, 429, 503 and `retryable: true` are tried again, as often as need be."""
    async with scripted(failure, failure, RIGHT) as (broker, script):
        assert (await broker.resolve(step())).row == "F12"
        assert len(script.asked) == 3
        assert len(set(script.asked)) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 422, 500, 502, 504])
async def test_what_is_not(status: int) -> None:
    """Any other answer ends the call at once, with the problem; nobody is redirected."""
    async with scripted(problem(status, "so", next="Do so.", request_id="req_1")) as (
        broker,
        script,
    ):
        with pytest.raises(Wrong) as refused:
            await broker.resolve(step())
    found = refused.value.problem
    assert (found.status, found.code, found.next, found.request_id) == (
        *(status, "so"),
        *("Do so.", "req_1"),
    )
    assert len(script.asked) == 1


async def test_retry_after_is_honored() -> None:
    """The next try comes no earlier than Retry-After says."""
    async with scripted(answer(429, {}, retry_after="2"), DEAD, RIGHT) as (broker, _):
        breaks = rests(broker)
        await broker.resolve(step())
    assert breaks[0] == 2
    assert 0 < breaks[1] <= 0.2


async def test_a_long_retry_after_ends_the_call() -> None:
    """Where the deadline comes before Retry-After nothing is waited for; the row is told (F7)."""
    said = {"status": 503, "code": "temporarily-unavailable", "row": "F7", "retryable": True}
    async with scripted(answer(503, said, retry_after="60")) as (broker, script):
        with pytest.raises(Later) as later:
            await broker.resolve(step())
    assert later.value.retry_after_s == 60
    assert later.value.problem is not None
    assert later.value.problem.said["row"] == "F7"
    assert len(script.asked) == 1


@pytest.mark.parametrize("failure", [STALL, RESET, DEAD], ids=["stall", "reset", "503"])
async def test_one_deadline_for_all_tries(failure: bytes | str) -> None:
    """However it fails, and however often, a call ends when its deadline does: with Later."""
    async with scripted(failure, deadline_s=0.9) as (broker, script), asyncio.timeout(10):
        with pytest.raises(Later) as later:
            await broker.resolve(step())
    assert (later.value.problem is None) is (failure is not DEAD)
    assert later.value.retry_after_s > 0
    assert len(script.asked) > 1


async def test_nobody_is_there() -> None:
    """Closed by default: without a broker the step waits; there is no default person."""
    async with Broker(closed_port(), KEY, deadline_s=0.2) as broker:
        with pytest.raises(Later) as later:
            await broker.resolve(step())
    assert later.value.problem is None


@pytest.mark.parametrize(
    "said",
    [b"<html>hello</html>", b"[]", b"null", b'{"outcome": "run"}', b'{"row": "F6"}', b"\xff"],
)
async def test_an_answer_of_somebody_else(said: bytes) -> None:
    """200 with something else in it is no answer, and never a person."""
    head = b"HTTP/1.1 200 So\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(said)
    async with scripted(head + said) as (broker, _):
        with pytest.raises(Unreadable):
            await broker.resolve(step())


async def test_the_key_is_not_told() -> None:
    """The key goes into one header, and into no error and no `repr`."""
    async with scripted(RESET, problem(401)) as (broker, script):
        with pytest.raises(BrokerError) as refused:
            await broker.resolve(step())
        assert KEY.encode() in script.asked[0]
        assert KEY not in f"{broker!r} {broker._calls!r} {refused.value!r}"


@pytest.mark.parametrize("failure", [RESET, STALL, CUT], ids=["reset", "stall", "cut"])
async def test_a_claim_whose_answer_was_lost(failure: bytes | str) -> None:
    """Safety 26: its token left once, so it is not sent again; the step waits for P8."""
    async with scripted(failure, problem(409, "pause-claimed")) as (broker, script):
        with pytest.raises(Later):
            await broker.claim("pse_1")
        assert len(script.asked) == 1


async def test_a_claim_that_was_refused_for_now() -> None:
    """What was answered, or never sent, took nothing: it is tried again."""
    taken = answer(200, {"claim": "token", "decision": REFUSED})
    async with scripted(DEAD, problem(429), taken) as (broker, script):
        assert (await broker.claim("pse_1")).token == "token"
        assert len(script.asked) == 3
    async with Broker(closed_port(), KEY, deadline_s=0.5) as broker:
        breaks = rests(broker)
        with pytest.raises(Later):
            await broker.claim("pse_1")
    assert len(breaks) > 1


async def test_a_result_whose_answer_was_lost() -> None:
    """A result that arrived, and whose answer did not, is none that came too late."""
    outdated = problem(409, "claim-outdated")
    resumed = answer(200, PAUSE | {"state": "resumed"})
    async with scripted(RESET, outdated, resumed) as (broker, _):
        await broker.result(claim(), "ran")
    async with scripted(RESET, outdated, answer(200, PAUSE | {"state": "ready"})) as (broker, _):
        with pytest.raises(Wrong, match="claim-outdated"):
            await broker.result(claim(), "ran")
    async with scripted(outdated, resumed) as (broker, script):
        with pytest.raises(Wrong, match="claim-outdated"):
            await broker.result(claim(), "ran")  # another's claim has run it
        assert len(script.asked) == 1


async def test_evidence_whose_verdict_was_lost() -> None:
    """Evidence counts once (safety 28), so a repetition is known as one, and its verdict read."""
    once = problem(409, "told-once", actionCoupon=7)
    verdict = {"actionCoupon": 7, "items": {"a": "b"}, "reason": None, "unmapped": []}
    async with scripted(RESET, once, answer(200, verdict)) as (broker, script):
        found = await broker.authenticate(id_token="x.y.z")
    assert isinstance(found, Performed)
    sent = [line for line in script.asked[0].split(b"\r\n") if b"idempotency-key" in line.lower()]
    assert len(sent) == 1
    assert sent[0] in script.asked[1]
    assert script.asked[2].startswith(b"GET /v1/actions/7 ")


async def test_a_replica_that_drains_is_not_hammered() -> None:
    """A held question that is answered early, without news, is asked again after a moment."""
    async with scripted(answer(304), answer(200, PAUSE | {"state": "ready"})) as (broker, script):
        breaks = rests(broker)
        found = await broker.wait(Pause.read(PAUSE), 30)
    assert (found.state, breaks) == ("ready", [1.0])
    assert b'if-none-match: "7"' in script.asked[0].lower()
    assert b"prefer: wait=30\r\n" in script.asked[0].lower()


async def test_an_action_is_asked_for_with_its_code_once() -> None:
    """Safety 29: the code is one-time: whoever brings it and waits on is held like any other, not
    answered at once again and again.
    """
    pending = {"actionCoupon": 7, "status": "pending", "expires_at": "2026-11-21T21:01:31.000000Z"}
    first = answer(202, pending, ETag='"1"')
    async with scripted(first, answer(304)) as (broker, script):
        found = await broker.action(7, code="c0de", timeout_s=1.5)
    assert isinstance(found, Pending)
    assert b"code=c0de" in script.asked[0]
    assert [line for line in script.asked[1:] if b"code=" in line] == []
    assert all(b'if-none-match: "1"' in line.lower() for line in script.asked[1:])
    assert 2 <= len(script.asked) <= 4
