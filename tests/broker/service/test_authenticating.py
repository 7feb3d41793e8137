"""AuthenticateUser with evidence: who passes, who fails, and what the answer holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from broker.domain.callers import Caller
from broker.domain.errors import Forbidden, Unknown
from broker.domain.users import Status
from tests.clocks import MovableClock
from tests.counting import Counting
from tests.proof import (
    NAME,
    STATUS,
    evidence,
    known,
    logon,
    performed,
    request,
)
from tests.stepping import World


async def test_pass(at: World, engine: Caller) -> None:
    """R82, R83, R85, R96, R98: expected and proven passes, with logons and the name as XPN."""
    user = await known(at, held={"SmartFlows": "ksmith", "EHR": "KSMITH01"})
    asked = request(evidence(at), "SmartFlows", "EHR", "Lab", SmartFlows="ksmith")
    assert await performed(at, engine, asked) == {
        "items": {
            STATUS: "Pass",
            logon("SmartFlows"): "ksmith",
            logon("EHR"): "KSMITH01",
            NAME: "Lee^Kim",
        },
        "user": {"id": user.id, "state": "active"},
        "reason": None,
        "unmapped": ["Lab"],
    }


@pytest.mark.parametrize("suffix", ["A", "a_b", "Ünï"])
async def test_mapping_between_suffixes(at: World, engine: Caller, suffix: str) -> None:
    """R85, R92: expected in one application, asked for in another, by the mapping table alone."""
    await known(at, held={suffix: "ksmith", "B": "k.smith-7"})
    answer = await performed(at, engine, request(evidence(at), "B", **{suffix: "ksmith"}))
    assert answer["items"][logon("B")] == "k.smith-7"
    assert answer["items"][logon(suffix)] == "ksmith"
    assert answer["items"][STATUS] == "Pass"


async def test_logons_are_exact(at: World, engine: Caller) -> None:
    """R93: ksmith is not Ksmith; the proven logon comes back with the Fail."""
    await known(at, held={"EHR": "ksmith"})
    answer = await performed(at, engine, request(evidence(at), EHR="Ksmith"))
    assert answer["items"] == {STATUS: "Fail", logon("EHR"): "ksmith"}
    assert answer["reason"] == "expected_user_mismatch"


@pytest.mark.parametrize("expected", [{}, {"EHR": ""}])
async def test_nobody_in_particular(at: World, engine: Caller, expected: dict[str, str]) -> None:
    """R84: no expectation and an empty one are alike: any active person passes."""
    await known(at, held={"EHR": "ksmith"})
    answer = await performed(at, engine, request(evidence(at), "EHR", **expected))
    assert answer["items"] == {STATUS: "Pass", logon("EHR"): "ksmith", NAME: "Lee^Kim"}


@pytest.mark.parametrize("status", [Status.INVITED, Status.QUEUED, Status.SUSPENDED])
async def test_not_active(at: World, engine: Caller, status: Status) -> None:
    """b.2: proven and expected, but not active, is a Fail with its reason."""
    await known(at, status, held={"EHR": "ksmith"})
    answer = await performed(at, engine, request(evidence(at), EHR="ksmith"))
    assert answer["items"] == {STATUS: "Fail", logon("EHR"): "ksmith"}
    assert (answer["reason"], answer["user"]["state"]) == ("user_not_active", status)


async def test_person_without_a_name(at: World, engine: Caller) -> None:
    """R99: a name that is not known is an empty string, not missing."""
    user = await known(at)
    blank = type(user.profile)(user.user_name)
    await at.change(user, profile=blank)
    answer = await performed(at, engine, request(evidence(at)))
    assert answer["items"] == {STATUS: "Pass", NAME: ""}


async def test_same_answer_for_any_value(at: World, engine: Caller) -> None:
    """Safety 30, T10: without proof, a logon that exists and one that does not are answered with
    the same bytes but for the value itself, and with the same work.
    """
    await known(at, held={"EHR": "ksmith"})
    found = set()
    for value in ("ksmith", "nobody", "Ksmith"):
        counting = Counting(at.db)
        authenticating = replace(at.authenticating, db=counting)
        answer = (await authenticating.perform(engine, request(None, "EHR", EHR=value))).rendered()
        del answer["actionCoupon"], answer["managerSignature"]
        assert answer["items"] == {STATUS: "Fail", logon("EHR"): value}
        said = orjson.dumps(answer).decode().replace(f'"{value}"', '"…"')
        found.add((said, counting.statements))
    assert len(found) == 1


async def test_scope_and_revoked_key(at: World, engine: Caller) -> None:
    """R88: asking needs the scope authenticate, and a key that still lives."""
    with pytest.raises(Forbidden):
        await at.authenticating.perform(await at.key("resolve"), request(None))
    await at.revoke(engine)
    with pytest.raises(Unknown):
        await at.authenticating.perform(engine, request(None))


async def test_coupons(at: World, engine: Caller, clock: MovableClock) -> None:
    """b.2: coupons are positive, one for each action, and never used again."""
    seen = [(await at.authenticating.perform(engine, request(None))).action.coupon]
    clock.advance(2**40)
    await at.authenticating.sweep()
    assert await at.rows("SELECT * FROM actions") == []
    answers = await asyncio.gather(
        *(at.authenticating.perform(engine, request(None)) for _ in range(5))
    )
    seen += [answer.action.coupon for answer in answers]
    assert sorted(seen) == list(range(1, 7))


async def test_discovery(at: World, engine: Caller) -> None:
    """R86, R87, R90, R91, R92: the subject as the standard has it, action agent coupon −11."""
    [subject] = (await at.authenticating.discovery(engine))["subjects"]
    assert (subject["label"], subject["type"]) == ("AuthenticateUser", "Action")
    assert subject["action_agent_coupon"] == -11
    assert subject["mapping_agent_coupon"] is None
    assert subject["dependencies"] == []
    assert not subject["synchronization"]
    assert subject["authentication"] == {"request": True, "perform": True}
    assert [item["name"] for item in subject["inputs"] + subject["outputs"]] == [
        "AuthenticateUser.In.ExpectedUserLogon.<Suffix>",
        "AuthenticateUser.Ou.Status",
        "AuthenticateUser.Ou.Logon.<Suffix>",
        "AuthenticateUser.Ou.Name",
    ]
