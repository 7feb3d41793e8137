"""Our OIDC side and the pretend identity provider, over real HTTP on loopback."""

from __future__ import annotations

import pytest

from broker.demo.identity import Client
from broker.demo.people import PEOPLE
from providers.errors import ClientMisconfigured, Denied, GrantDead, NotProven, TryLater
from providers.jwt import Algorithm
from providers.kept import PATIENCE
from providers.oauth2 import Pkce
from tests.broker.demo.stage import SIGNED_IN, Form, Stage, query_of


async def pick(stage: Stage, url: str, person: str) -> dict[str, str]:
    """Open the sign-in page, press one person's button, and read where the browser is sent."""
    form = Form((await stage.browser.get(url)).text)
    assert form.buttons == ["", *(each.external_id for each in PEOPLE)]
    answer = await stage.browser.post(url, data={**form.fields, "person": person})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(SIGNED_IN + "?")
    return query_of(answer.headers["location"])


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_picking_a_person_signs_them_in(stage: Stage, algorithm: Algorithm) -> None:
    """building.md, Sign-in: `sub` is the externalId, whichever of the two algorithms signs."""
    stage.client.algorithm = algorithm
    issuers, pkce, now = stage.issuers, Pkce.new(), stage.now()
    url = await issuers.authorize_url(
        stage.party, state="s1", nonce="n1", challenge=pkce.challenge, now=now
    )
    answer = await pick(stage, url, PEOPLE[6].external_id)
    assert (answer["state"], answer["iss"]) == ("s1", stage.simulator.identity.issuer)
    believed = await issuers.sign_in(
        stage.party, answer=answer, verifier=pkce.verifier, nonce="n1", now=now
    )
    assert believed.subject == PEOPLE[6].external_id
    assert believed.issuer == stage.simulator.identity.issuer
    assert believed.all["email"] == PEOPLE[6].user_name
    assert "roles" not in believed.all


async def test_nobody_signs_in(stage: Stage) -> None:
    """Whoever leaves the page without signing in is nobody, and told so."""
    issuers, pkce, now = stage.issuers, Pkce.new(), stage.now()
    url = await issuers.authorize_url(
        stage.party, state="s1", nonce="n1", challenge=pkce.challenge, now=now
    )
    answer = await pick(stage, url, "")
    with pytest.raises(Denied, match="access_denied"):
        await issuers.sign_in(
            stage.party, answer=answer, verifier=pkce.verifier, nonce="n1", now=now
        )


async def test_a_code_is_bound_to_its_proof_key_and_used_once(stage: Stage) -> None:
    """RFC 7636 and RFC 6749 §4.1.2: another verifier, another nonce or a second use fail."""
    issuers, pkce, now = stage.issuers, Pkce.new(), stage.now()
    url = await issuers.authorize_url(
        stage.party, state="s", nonce="n1", challenge=pkce.challenge, now=now
    )
    for verifier, nonce, error in (
        (Pkce.new().verifier, "n1", GrantDead),
        (pkce.verifier, "n2", NotProven),
    ):
        answer = await pick(stage, url, PEOPLE[0].external_id)
        with pytest.raises(error):
            await issuers.sign_in(
                stage.party, answer=answer, verifier=verifier, nonce=nonce, now=now
            )
    with pytest.raises(GrantDead):
        await issuers.sign_in(
            stage.party, answer=answer, verifier=pkce.verifier, nonce="n1", now=now
        )


async def test_an_unknown_client_is_refused(stage: Stage) -> None:
    """A wrong secret is our own misconfiguration; a wrong redirect URI gets a page."""
    issuers, now = stage.issuers, stage.now()
    pkce = Pkce.new()
    url = await issuers.authorize_url(
        stage.party, state="s", nonce="n", challenge=pkce.challenge, now=now
    )
    answer = await pick(stage, url, PEOPLE[0].external_id)
    stage.client.client_secret = "changed"
    party = stage.party
    stage.client.client_secret = "party-secret"
    with pytest.raises(ClientMisconfigured):
        await issuers.sign_in(party, answer=answer, verifier=pkce.verifier, nonce="n", now=now)
    page = await stage.browser.get(url.replace("signed-in", "elsewhere"))
    assert page.status_code == 400


async def test_evidence_is_minted_on_demand(stage: Stage) -> None:
    """building.md: the pretend issuer signs the id_tokens of AuthenticateUser, old ones too."""
    identity, issuers, now = stage.simulator.identity, stage.issuers, stage.now()
    fresh = identity.mint(PEOPLE[0], "service-a", nonce="n1")
    believed = await issuers.check_evidence(
        fresh, issuer=identity.issuer, audience="service-a", now=now, nonce="n1"
    )
    assert believed.subject == PEOPLE[0].external_id
    assert believed.all["roles"] == ["administrator"]
    for token, reason in (
        (identity.mint(PEOPLE[0], "service-b"), "audience"),
        (identity.mint(PEOPLE[0], "service-a", age_s=301, more={"exp": 9e9}), "too-old"),
        (identity.mint(PEOPLE[0], "service-a", more={"exp": None}), "claim-exp"),
        (identity.mint(PEOPLE[0], "service-a", more={"iss": "https://evil.example"}), "issuer"),
    ):
        with pytest.raises(NotProven, match=reason):
            await issuers.check_evidence(
                token, issuer=identity.issuer, audience="service-a", now=now
            )


async def test_rolled_keys_are_found(stage: Stage) -> None:
    """Rule 2: new keys are fetched for their unknown id; tokens of the old ones end."""
    identity, issuers, now = stage.simulator.identity, stage.issuers, stage.now()
    old = identity.mint(PEOPLE[0], "a")
    await issuers.check_evidence(old, issuer=identity.issuer, audience="a", now=now)
    identity.rotate()
    later = now + PATIENCE
    new = identity.mint(PEOPLE[0], "a")
    await issuers.check_evidence(new, issuer=identity.issuer, audience="a", now=later)
    with pytest.raises(NotProven, match="unknown-key"):
        await issuers.check_evidence(old, issuer=identity.issuer, audience="a", now=later)


@pytest.mark.parametrize("endpoint", ["discovery", "keys", "token"])
async def test_an_issuer_in_trouble(stage: Stage, endpoint: str) -> None:
    """Whichever of its endpoints is broken, the sign-in may be tried later."""
    identity, issuers, now = stage.simulator.identity, stage.issuers, stage.now()
    identity.switches.set("500", endpoint=endpoint)
    query = {
        "response_type": "code",
        "client_id": "broker",
        "redirect_uri": SIGNED_IN,
        "scope": "openid",
        "nonce": "n",
        "code_challenge": Pkce.new().challenge,
        "code_challenge_method": "S256",
    }
    pkce = Pkce.new()
    sent = {**query, "code_challenge": pkce.challenge}
    answer = query_of(identity.decide(sent, PEOPLE[0].external_id))
    with pytest.raises(TryLater):
        await issuers.sign_in(
            stage.party, answer=answer, verifier=pkce.verifier, nonce="n", now=now
        )


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
    ],
)
async def test_a_request_it_does_not_take(
    stage: Stage, changed: dict[str, str], error: str
) -> None:
    """Code flow, PKCE and openid, or an error goes back with the state."""
    query = {
        "response_type": "code",
        "client_id": "broker",
        "redirect_uri": SIGNED_IN,
        "scope": "openid",
        "state": "s",
        "code_challenge_method": "S256",
        **changed,
    }
    answer = query_of(stage.simulator.identity.decide(query, PEOPLE[0].external_id))
    assert (answer["error"], answer["state"]) == (error, "s")


async def test_a_demo_client_takes_every_callback_below_its_prefix(stage: Stage) -> None:
    """The demo registers one party for all of the broker's own addresses."""
    stage.simulator.identity.register(Client("demo", "s", redirect_prefix="http://127.0.0.1:9/"))
    answer = await stage.browser.get(
        stage.simulator.identity.issuer + "/authorize",
        params={"client_id": "demo", "redirect_uri": "http://127.0.0.1:9/any"},
    )
    assert answer.status_code == 200
    refused = await stage.browser.get(
        stage.simulator.identity.issuer + "/authorize",
        params={"client_id": "demo", "redirect_uri": "http://127.0.0.1:91/any"},
    )
    assert refused.status_code == 400
