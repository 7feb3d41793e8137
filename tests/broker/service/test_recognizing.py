"""Whether an id_token proves who somebody is, and what an attacker gets."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson
import pytest

from broker.demo.world import Trouble
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE
from broker.domain.errors import Unavailable
from broker.store import identities, projects
from providers.jwt import SigningKey
from tests.clocks import MovableClock
from tests.proof import (
    AUDIENCE,
    OTHER,
    PERSON,
    STATUS,
    evidence,
    known,
    logon,
    performed,
    request,
)
from tests.stepping import World

ATTACKS = {
    "older than 5 minutes": ({"age_s": 301}, "evidence_too_old"),
    "over": ({"more": {"exp": 1}}, "evidence_expired"),
    "from the future": ({"age_s": -3600}, "evidence_issued_in_future"),
    "for another audience": ({"audience": "somebody-else"}, "evidence_audience"),
    "for two, given to another": (
        {"more": {"aud": [AUDIENCE, "x"], "azp": "x"}},
        "evidence_authorized_party",
    ),
    "of another issuer": ({"more": {"iss": "https://evil.example"}}, "evidence_issuer"),
    "of no issuer": ({"more": {"iss": None}}, "evidence_issuer"),
    "about nobody": ({"more": {"sub": ""}}, "evidence_subject"),
}


async def test_person_by_issuer_and_subject(at: World, engine: Caller) -> None:
    """Safety 5: who signed in before is known by issuer and subject, whatever externalId says."""
    user = await at.person("somebody@acme.example")
    issuer = at.simulator.identity.issuer
    await at.db.write(identities.learn, at.project, issuer, PERSON.external_id, user.id)
    await known(at)
    answer = await performed(at, engine, request(evidence(at)))
    assert answer["user"]["id"] == user.id


async def test_mapped_claim_is_of_the_projects_issuer_alone(at: World, engine: Caller) -> None:
    """Safety 5: the claim mapped to externalId counts for the project's own issuer only; an
    e-mail or user name never says who somebody is.
    """
    await known(at)
    await at.db.write(
        projects.set_oidc, at.project, "https://other.example", "broker", None, "sub=externalId"
    )
    answer = await performed(at, engine, request(evidence(at)))
    assert (answer["items"], answer["reason"]) == ({STATUS: "Fail"}, "person_unknown")


async def test_two_people_of_one_external_id(at: World, engine: Caller) -> None:
    """Safety 5: a claim that fits two people of a directory proves nobody."""
    await known(at)
    await at.person("twin@acme.example", external_id=PERSON.external_id)
    answer = await performed(at, engine, request(evidence(at)))
    assert answer["reason"] == "person_unknown"


async def test_detached_and_deleted(at: World, engine: Caller) -> None:
    """Safety 6, 12: whoever left with their directory, or was deleted, is nobody here."""
    user = await known(at)
    issuer = at.simulator.identity.issuer
    await at.db.write(identities.learn, at.project, issuer, PERSON.external_id, user.id)
    await at.change(user, directory=None, detached_at=1)
    assert (await performed(at, engine, request(evidence(at))))["reason"] == "person_unknown"


@pytest.mark.parametrize(("changed", "reason"), ATTACKS.values(), ids=ATTACKS)
async def test_evidence_that_proves_nothing(
    at: World, engine: Caller, changed: dict[str, Any], reason: str
) -> None:
    """Safety 28, 30: bad evidence is a Fail that holds Status and the expected item as sent."""
    await known(at, held={"EHR": "ksmith"})
    answer = await performed(at, engine, request(evidence(at, **changed), "EHR", EHR="ksmith"))
    assert answer == {
        "items": {STATUS: "Fail", logon("EHR"): "ksmith"},
        "user": None,
        "reason": reason,
        "unmapped": [],
    }
    assert await at.rows("SELECT * FROM evidence") == []


async def test_forged_tokens(at: World, engine: Caller) -> None:
    """Safety 28: a forged signature, alg none, a token that is none and one cut short all fail,
    and nothing of them is kept or told.
    """
    await known(at)
    honest = evidence(at)
    header, payload, signature = honest.split(".")
    stranger = SigningKey.generate("RS256")
    claims = orjson.loads(_decoded(payload))
    forged = {
        "signature of another": f"{header}.{payload}.{stranger.sign(claims).split('.')[2]}",
        "another key": stranger.sign(claims),
        "alg none": f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "alg none, signed": f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}.{signature}",
        "no token": "not a token",
        "cut short": honest[:-8],
        "changed": f"{header}.{_encoded(claims | {'sub': OTHER.external_id})}.{signature}",
    }
    for how, token in forged.items():
        answer = await performed(at, engine, request(token))
        assert answer["items"] == {STATUS: "Fail"}, how
        assert answer["reason"].startswith("evidence_"), how
    kept = await at.rows("SELECT * FROM audit") + await at.rows("SELECT * FROM actions")
    assert all(token not in str(row) for row in kept for token in forged.values())
    assert await at.rows("SELECT * FROM evidence") == []
    assert (await performed(at, engine, request(honest)))["items"][STATUS] == "Pass"


async def test_evidence_counts_once(at: World, engine: Caller) -> None:
    """Safety 28: an id_token counts once, however its signature is spelt, whoever shows it and
    whatever came out the first time.
    """
    await known(at, held={"EHR": "ksmith"})
    token = evidence(at)
    first = await performed(at, engine, request(token, EHR="jdoe"))
    assert first["reason"] == "expected_user_mismatch"
    again = await performed(at, engine, request(token, EHR="ksmith"))
    assert (again["items"][STATUS], again["reason"]) == ("Fail", "evidence_used")


async def test_evidence_counts_once_in_a_race(at: World, engine: Caller) -> None:
    """Safety 28: of many who show one id_token at once exactly one passes."""
    await known(at)
    token = evidence(at)
    answers = await asyncio.gather(*(performed(at, engine, request(token)) for _ in range(10)))
    assert sorted(one["items"][STATUS] for one in answers) == ["Fail"] * 9 + ["Pass"]


async def test_key_without_that_issuer(at: World) -> None:
    """Safety 28: a key presents evidence of the pairs it lists, and of no other."""
    await known(at)
    issuer = at.simulator.identity.issuer
    for pairs in ((), ((issuer, "another"),), (("https://other.example", AUDIENCE),)):
        answer = await performed(at, await at.key(evidence=pairs), request(evidence(at)))
        assert answer["items"] == {STATUS: "Fail"}
    several = await at.key(evidence=((issuer, "another"), (issuer, AUDIENCE)))
    assert (await performed(at, several, request(evidence(at))))["items"][STATUS] == "Pass"


async def test_issuer_that_does_not_answer(at: World, engine: Caller, clock: MovableClock) -> None:
    """b.2: where the issuer's keys cannot be had it is 503, not a Fail, and the token is not
    spent.
    """
    await known(at)
    token = evidence(at)
    at.simulator.identity.switches.set(Trouble.BROKEN, endpoint="discovery")
    with pytest.raises(Unavailable) as refused:
        await at.authenticating.perform(engine, request(token))
    assert refused.value.reason == "issuer-unavailable"
    assert await at.rows("SELECT * FROM actions") == []
    at.simulator.identity.switches.clear()
    clock.advance(MINUTE)
    assert (await performed(at, engine, request(token)))["items"][STATUS] == "Pass"


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _encoded(said: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=").decode()
