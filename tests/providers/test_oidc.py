"""The project's identity provider: whom we ask, and whom we believe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx

from providers.claims import SECOND
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    HostRefused,
    NotProven,
    ProviderError,
    TryLater,
)
from providers.kept import FRESH, PATIENCE
from providers.oidc import Issuers, Party
from providers.secret import Secret
from tests.providers import forging
from tests.providers.forging import AUDIENCE, ISSUER, NOW, NOW_S, RSA, claims, token

DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": ISSUER + "/authorize",
    "token_endpoint": ISSUER + "/token",
    "jwks_uri": ISSUER + "/keys",
    "authorization_response_iss_parameter_supported": True,
}
PARTY = Party(ISSUER, AUDIENCE, Secret("p&ss:w rd"), "https://broker.example/signed-in")
CALLBACK = {"code": "c1", "iss": ISSUER}


@dataclass
class Border:
    """The issuers we know, and what they answer."""

    issuers: Issuers
    host: respx.Router

    def document(self, **changed: object) -> respx.Route:
        body = {name: value for name, value in {**DOCUMENT, **changed}.items() if value is not None}
        url = ISSUER + "/.well-known/openid-configuration"
        return self.host.get(url).respond(200, json=body)

    def keys(self, *keys: Mapping[str, object]) -> respx.Route:
        shown = list(keys) or [forging.jwk(RSA, "rsa")]
        return self.host.get(ISSUER + "/keys").respond(200, json={"keys": shown})

    def tokens(self, id_token: str | None) -> respx.Route:
        body = {"access_token": "at", "token_type": "Bearer", "id_token": id_token}
        return self.host.post(ISSUER + "/token").respond(200, json=body)

    async def sign_in(
        self, answer: Mapping[str, str] = CALLBACK, *, since: int | None = None
    ) -> str:
        believed = await self.issuers.sign_in(
            PARTY, answer=answer, verifier=Secret("v1"), nonce="n1", now=NOW, since=since
        )
        return believed.subject

    async def evidence(self, id_token: str, now: int = NOW) -> str:
        believed = await self.issuers.check_evidence(
            id_token, issuer=ISSUER, audience=AUDIENCE, now=now
        )
        return believed.subject


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    egress = Egress()
    with respx.mock(assert_all_called=False) as host:
        yield Border(Issuers(egress), host)
    await egress.aclose()


async def test_the_person_is_sent_with_nonce_and_pkce(border: Border) -> None:
    """building.md, Sign-in: code flow, PKCE S256, state and nonce, at the issuer's own endpoint."""
    border.document()
    url = await border.issuers.authorize_url(PARTY, state="s1", nonce="n1", challenge="ch", now=NOW)
    query = parse_qs(urlsplit(url).query)
    assert url.startswith(ISSUER + "/authorize?")
    assert {name: values[0] for name, values in query.items()} == {
        "response_type": "code",
        "client_id": AUDIENCE,
        "redirect_uri": PARTY.redirect_uri,
        "scope": "openid profile email",
        "state": "s1",
        "nonce": "n1",
        "code_challenge": "ch",
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    ("methods", "basic"),
    [
        (None, True),
        (["client_secret_basic", "client_secret_post"], True),
        (["client_secret_post"], False),
    ],
)
async def test_a_code_becomes_a_person(
    border: Border, methods: list[str] | None, basic: bool
) -> None:
    """Core §3.1.3: the id_token is believed; our secret travels as the issuer asks for it."""
    border.document(token_endpoint_auth_methods_supported=methods)
    border.keys()
    route = border.tokens(token(claims(nonce="n1")))
    assert await border.sign_in() == "acme-0007"
    request = route.calls.last.request
    form = parse_qs(request.content.decode())
    assert form["code_verifier"] == ["v1"]
    assert form["redirect_uri"] == [PARTY.redirect_uri]
    assert ("client_secret" in form) is not basic
    if basic:  # RFC 6749 §2.3.1: each half form-encoded, then joined
        assert request.headers["Authorization"] == "Basic YnJva2VyOnAlMjZzcyUzQXcrcmQ="
    else:
        assert form["client_secret"] == ["p&ss:w rd"]


@pytest.mark.parametrize(
    ("id_token", "reason"),
    [
        (None, "no-id-token"),
        (token(claims()), "nonce"),
        (token(claims(nonce="other")), "nonce"),
        (token(claims(nonce="n1", aud="other")), "audience"),
        (token(claims(nonce="n1", iss="https://evil.example")), "issuer"),
        (token(claims(nonce="n1"), forging.OTHER_RSA), "signature"),
        (forging.unsigned(claims(nonce="n1"), "none"), "malformed"),
    ],
)
async def test_an_answer_that_proves_nothing(
    border: Border, id_token: str | None, reason: str
) -> None:
    """Core §3.1.3.7: a token endpoint's word alone signs nobody in."""
    border.document()
    border.keys()
    border.tokens(id_token)
    with pytest.raises(NotProven) as caught:
        await border.sign_in()
    assert caught.value.provider_code == reason


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"code": "c1"}, NotProven),
        ({"code": "c1", "iss": "https://evil.example"}, NotProven),
        ({"error": "access_denied", "iss": ISSUER}, Denied),
        ({"iss": ISSUER}, Denied),
    ],
)
async def test_a_callback_of_somebody_else(
    border: Border, answer: dict[str, str], kind: type[ProviderError]
) -> None:
    """RFC 9207: an issuer that promises `iss` is not heard without it, and no code is redeemed."""
    border.document()
    redeemed = border.tokens(token(claims(nonce="n1")))
    with pytest.raises(kind):
        await border.sign_in(answer)
    assert not redeemed.called


async def test_a_refused_code_has_its_class(border: Border) -> None:
    """semantics.md c.2 holds at this token endpoint too."""
    border.document()
    border.host.post(ISSUER + "/token").respond(400, json={"error": "invalid_grant"})
    with pytest.raises(GrantDead):
        await border.sign_in()


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"issuer": ISSUER + "/"}, ClientMisconfigured),
        ({"issuer": "https://evil.example"}, ClientMisconfigured),
        ({"issuer": None}, ClientMisconfigured),
        ({"jwks_uri": "https://evil.example/keys"}, HostRefused),
        ({"jwks_uri": "https://idp.example:8443/keys"}, HostRefused),
        ({"jwks_uri": "http://idp.example/keys"}, HostRefused),
        ({"jwks_uri": "https://x@idp.example/keys"}, HostRefused),
        ({"jwks_uri": None}, HostRefused),
        ({"token_endpoint": "https://evil.example/token"}, HostRefused),
        ({"token_endpoint": 7}, HostRefused),
        ({"authorization_endpoint": "https://evil.example/authorize"}, HostRefused),
        ({"authorization_endpoint": "javascript:alert(1)"}, HostRefused),
        ({"authorization_endpoint": ISSUER + "/authorize#x"}, HostRefused),
    ],
)
async def test_a_document_that_points_elsewhere(
    border: Border, changed: dict[str, object], kind: type[ProviderError]
) -> None:
    """safety 19: the document is this issuer's and its endpoints are on the issuer's origin."""
    border.document(**changed)
    with pytest.raises(ProviderError) as caught:
        await border.issuers.discover(ISSUER, NOW)
    assert type(caught.value) is kind


async def test_an_issuer_known_to_be_spread_out(border: Border) -> None:
    """The listed further hosts of an issuer are its own; for every other issuer they are not."""
    google = "https://accounts.google.com"
    document = {
        "issuer": google,
        "authorization_endpoint": google + "/o/oauth2/v2/auth",
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
    }
    url = google + "/.well-known/openid-configuration"
    border.host.get(url).respond(200, json=document)
    assert (await border.issuers.discover(google, NOW)).jwks_uri == document["jwks_uri"]
    border.document(jwks_uri=document["jwks_uri"])
    with pytest.raises(HostRefused):
        await border.issuers.discover(ISSUER, NOW)


@pytest.mark.parametrize("issuer", ["", "idp.example", "https://x@idp.example", "file:///etc"])
async def test_an_issuer_that_is_no_address(border: Border, issuer: str) -> None:
    """A pinned issuer is a web address, or nothing is asked at all."""
    with pytest.raises(HostRefused):
        await border.issuers.discover(issuer, NOW)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "https://evil.example"}),
        httpx.Response(404),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, content=b"x" * 70_000),
        httpx.ConnectTimeout("slow"),
    ],
)
async def test_an_issuer_that_is_away(border: Border, answer: httpx.Response | Exception) -> None:
    """A document that cannot be had says nothing of anyone: TryLater, and nobody is refused."""
    effect = answer if isinstance(answer, Exception) else None
    reply = answer if isinstance(answer, httpx.Response) else None
    url = ISSUER + "/.well-known/openid-configuration"
    border.host.get(url).mock(return_value=reply, side_effect=effect)
    with pytest.raises(TryLater):
        await border.evidence(token(claims()))


async def test_evidence_is_fresh_or_nothing(border: Border) -> None:
    """safety 28: five minutes after `iat` an id_token proves no presence any more."""
    border.document()
    border.keys()
    evidence = token(claims(iat=NOW_S, exp=NOW_S + 3600))
    assert await border.evidence(evidence) == "acme-0007"
    assert await border.evidence(evidence, NOW + 300 * SECOND) == "acme-0007"
    with pytest.raises(NotProven, match="too-old"):
        await border.evidence(evidence, NOW + 301 * SECOND)


async def test_new_keys_are_found_and_strangers_cost_nothing(border: Border) -> None:
    """Rule 2: an unknown key id asks once; a flood of them asks no oftener."""
    border.document()
    keys = border.keys()
    assert await border.evidence(token(claims())) == "acme-0007"
    for number in range(20):
        with pytest.raises(NotProven, match="unknown-key"):
            await border.evidence(token(claims(), kid=f"stranger-{number}"))
    assert keys.call_count == 1
    border.keys(forging.jwk(forging.OTHER_RSA, "new"))
    rolled = token(claims(), forging.OTHER_RSA, "new")
    assert await border.evidence(rolled, NOW + PATIENCE) == "acme-0007"
    with pytest.raises(NotProven, match="unknown-key"):
        await border.evidence(token(claims()), NOW + PATIENCE)


async def test_kept_keys_outlive_an_outage(border: Border) -> None:
    """While the issuer is away, what it published within the day still counts."""
    border.document()
    border.keys()
    await border.evidence(token(claims()))
    border.host.get(ISSUER + "/keys").respond(503)
    border.host.get(ISSUER + "/.well-known/openid-configuration").respond(503)
    later = NOW + FRESH
    fresh = token(claims(iat=later // SECOND, exp=later // SECOND + 60))
    assert await border.evidence(fresh, later) == "acme-0007"
    with pytest.raises(TryLater):
        await border.evidence(token(claims(), kid="unknown"), later + PATIENCE)


async def test_the_person_is_asked_anew(border: Border) -> None:
    """Core §3.1.2.1: prompt=login asks the person even where the issuer knows them, and max_age
    makes it say when it did.
    """
    border.document()
    url = await border.issuers.authorize_url(
        PARTY, state="s1", nonce="n1", challenge="ch", now=NOW, anew=True
    )
    query = parse_qs(urlsplit(url).query)
    assert (query["prompt"], query["max_age"], query["nonce"]) == (["login"], ["0"], ["n1"])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"auth_time": NOW_S}, None),
        ({"auth_time": NOW_S - 30}, None),
        ({"auth_time": NOW_S - 31}, "auth-time"),
        ({"auth_time": str(NOW_S)}, "claim-auth_time"),
        ({}, "claim-auth_time"),
    ],
)
async def test_when_the_person_was_asked(
    border: Border, said: dict[str, object], reason: str | None
) -> None:
    """Core §2, §3.1.3.7: where it matters, auth_time is there and not of before, but for what
    clocks may differ; where it does not, nobody looks.
    """
    border.document()
    border.keys()
    border.tokens(token({**claims(nonce="n1"), **said}))
    assert await border.sign_in() == "acme-0007"
    if reason is None:
        assert await border.sign_in(since=NOW) == "acme-0007"
        return
    with pytest.raises(NotProven) as refused:
        await border.sign_in(since=NOW)
    assert refused.value.provider_code == reason
