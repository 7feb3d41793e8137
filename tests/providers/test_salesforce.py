"""Salesforce at the border: what is sent, and what each documented answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx

from providers.capabilities import (
    CanAuthorize,
    CanInspect,
    CanRefresh,
    CanRevoke,
    CanTest,
    Registration,
    TokenResponse,
)
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    HostRefused,
    NotProven,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.oauth2 import Pkce
from providers.registry import Registry
from providers.salesforce import Salesforce
from providers.secret import Secret
from tests.providers.linting import lint

HOST = "https://login.salesforce.com"
BASE = "https://acme.my.salesforce.com"
TOKEN = f"{HOST}/services/oauth2/token"
INTROSPECT = f"{BASE}/services/oauth2/introspect"
IDENTITY = f"{HOST}/id/00Dxx0000001gPLEAY/005x00000019aViAAI"
WHO = {
    "organization_id": "00Dxx0000001gPLEAY",
    "user_id": "005x00000019aViAAI",
    "username": "kim@acme",
}
DATE = {"Date": "Sat, 21 Nov 2026 20:00:00 GMT"}
EXP = 1_795_298_400  # two hours after DATE
ANSWER = {
    "access_token": "00Dxx!AQ",
    "refresh_token": "5Aep861",
    "signature": "CMJ4l+CCaPQiKjoOEwEig9H4wqhpuLSk4J2urAe+fVg=",
    "scope": "api id refresh_token",
    "instance_url": BASE,
    "id": IDENTITY,
    "token_type": "Bearer",
    "issued_at": "1795291200000",
}
SECRETS = ("canary-code", "canary-verifier", "canary-secret", "canary-refresh")


@dataclass
class Border:
    """The provider, our registration there, and what the host answers."""

    salesforce: Salesforce
    registration: Registration
    host: respx.Router

    def answers(self, **changed: object) -> respx.Route:
        body = {name: value for name, value in {**ANSWER, **changed}.items() if value is not None}
        return self.host.post(TOKEN).respond(200, json=body)

    def alive(self) -> respx.Route:
        body = {"active": True, "exp": EXP, "iat": EXP - 7200}
        return self.host.post(INTROSPECT).respond(200, json=body, headers=DATE)

    def is_kim(self) -> respx.Route:
        return self.host.get(IDENTITY).respond(200, json=WHO)

    async def exchange(self, answer: Mapping[str, str] | None = None) -> TokenResponse:
        return await self.salesforce.exchange(
            self.registration,
            answer={"code": SECRETS[0]} if answer is None else answer,
            verifier=Secret(SECRETS[1]),
        )

    async def refresh(self) -> TokenResponse:
        return await self.salesforce.refresh(self.registration, Secret(SECRETS[3]))


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    egress = Egress()
    salesforce = Salesforce(egress)
    place = salesforce.definition.environment("production")
    assert place is not None
    registration = Registration(
        environment=place,
        origin=place.origin_of(),
        redirect_uri="https://broker.example/oauth/callback/con_1",
        fields={"client_id": "3MVG9"},
        secrets={"client_secret": Secret(SECRETS[2])},
    )
    with respx.mock(assert_all_called=False) as host:
        yield Border(salesforce, registration, host)
    await egress.aclose()


def posted(route: respx.Route) -> dict[str, list[str]]:
    return parse_qs(route.calls.last.request.content.decode())


def test_the_person_is_sent_with_pkce_and_state(border: Border) -> None:
    """R76: the host of the environment, S256, the state, exactly the connector's redirect URI."""
    pkce = Pkce.new()
    url = border.salesforce.authorize_url(
        border.registration,
        state="s1",
        challenge=pkce.challenge,
        scopes=("api", "chatter_api"),
    )
    query = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{HOST}/services/oauth2/authorize?")
    assert query["redirect_uri"] == [border.registration.redirect_uri]
    assert query["code_challenge"] == [pkce.challenge]
    assert query["code_challenge_method"] == ["S256"]
    assert query["state"] == ["s1"]
    assert query["scope"] == ["api id refresh_token chatter_api"]


async def test_a_code_becomes_tokens_of_an_account(border: Border) -> None:
    """K2: tokens, base URL, the life introspection tells, and the pinned account."""
    token, introspect = border.answers(), border.alive()
    who = border.is_kim()
    given = await border.exchange()
    assert posted(token) == {
        "grant_type": ["authorization_code"],
        "code": [SECRETS[0]],
        "redirect_uri": [border.registration.redirect_uri],
        "code_verifier": [SECRETS[1]],
        "client_id": ["3MVG9"],
        "client_secret": [SECRETS[2]],
    }
    assert given.access_token == Secret("00Dxx!AQ")
    assert given.refresh_token == Secret("5Aep861")
    assert (given.base_url, given.expires_in_s) == (BASE, 7200)
    assert given.scopes == ("api", "id", "refresh_token")
    assert given.account is not None
    assert given.account.key == "00Dxx0000001gPLEAY:005x00000019aViAAI"
    assert given.account.display == "kim@acme"
    assert who.calls.last.request.headers["Authorization"] == "Bearer 00Dxx!AQ"
    assert posted(introspect)["token_type_hint"] == ["access_token"]


async def test_a_refresh_keeps_what_is_not_sent(border: Border) -> None:
    """providers.md: a refresh answer normally holds no refresh token; the old one stays good."""
    token = border.answers(refresh_token=None)
    border.alive()
    given = await border.refresh()
    assert given.refresh_token is None
    assert given.account is None
    assert given.expires_in_s == 7200
    assert posted(token) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [SECRETS[3]],
        "client_id": ["3MVG9"],
        "client_secret": [SECRETS[2]],
    }


DOCUMENTED = [
    (400, "invalid_grant", "expired access/refresh token", GrantDead),
    (400, "invalid_grant", "authentication failure", GrantDead),
    (400, "invalid_grant", "token validity expired", GrantDead),
    (400, "invalid_grant", "user hasn't approved this consumer", GrantDead),
    (400, "invalid_grant", "ip restricted", GrantDead),
    (400, "inactive_user", "user is inactive", GrantDead),
    (400, "inactive_org", "organization is inactive", ClientMisconfigured),
    (400, "invalid_client", "invalid client credentials", ClientMisconfigured),
    (401, "invalid_client", "invalid client credentials", ClientMisconfigured),
    (400, "invalid_client_id", "client identifier invalid", ClientMisconfigured),
    (400, "invalid_client_credentials", "client secret invalid", ClientMisconfigured),
    (400, "redirect_uri_mismatch", "must match configuration", ClientMisconfigured),
    (400, "unsupported_grant_type", "grant type not supported", ClientMisconfigured),
    (400, "rate_limit_exceeded", "number of logins exceeded", TryLater),
    (400, "invalid_grant", "token request is already being processed", TryLater),
    (400, "invalid_grant", "expired authorization code", TryLater),
    (400, "invalid_request", "must use HTTP POST", Unclassified),
    (400, "unknown_error", "retry your request", Unclassified),
    (503, "server_busy", "", TryLater),
]


@pytest.mark.parametrize(("status", "error", "text", "kind"), DOCUMENTED)
async def test_each_documented_refusal_of_a_refresh(
    border: Border, status: int, error: str, text: str, kind: type[ProviderError]
) -> None:
    """providers.md, Salesforce, Errors: every documented body in its class (semantics.md c.2)."""
    body = {"error": error, "error_description": text}
    border.host.post(TOKEN).respond(status, json=body)
    with pytest.raises(ProviderError) as caught:
        await border.refresh()
    assert type(caught.value) is kind
    assert caught.value.__context__ is None
    assert status >= 500 or caught.value.provider_code == error


async def test_an_expired_code_is_no_disturbance(border: Border) -> None:
    """The text that means "at the same time" for a refresh means what it says for a code."""
    body = {"error": "invalid_grant", "error_description": "expired authorization code"}
    border.host.post(TOKEN).respond(400, json=body)
    with pytest.raises(GrantDead):
        await border.exchange()


async def test_an_error_repeats_no_secret(border: Border) -> None:
    """R44: a description that echoes what we sent loses it."""
    text = f"bad {SECRETS[3]} of {SECRETS[2]} for kim@acme.example"
    border.host.post(TOKEN).respond(400, json={"error": "invalid_grant", "error_description": text})
    with pytest.raises(GrantDead) as caught:
        await border.refresh()
    assert caught.value.provider_text == "bad *** of *** for ***"
    assert not any(secret in repr(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"instance_url": "https://evil.example"}, HostRefused),
        ({"instance_url": "http://acme.my.salesforce.com"}, HostRefused),
        ({"instance_url": "https://acme.my.salesforce.com@evil.example"}, HostRefused),
        ({"instance_url": 7}, HostRefused),
        ({"id": "https://evil.example/id/00Dxx0000001gPLEAY/005x00000019aViAAI"}, HostRefused),
        ({"id": None}, HostRefused),
        ({"id": f"{HOST}/id/x/y"}, NotProven),
        ({"id": IDENTITY + "?x=1"}, NotProven),
        ({"id": IDENTITY + "/../../services"}, NotProven),
        ({"access_token": ""}, TryLater),
    ],
)
async def test_an_answer_that_points_elsewhere_gets_nothing(
    border: Border, changed: dict[str, object], kind: type[ProviderError]
) -> None:
    """safety 19: no bearer token goes to a host or path that is not Salesforce's own."""
    border.answers(**changed)
    with pytest.raises(kind):
        await border.exchange()
    assert [str(call.request.url) for call in border.host.calls] == [TOKEN]


@pytest.mark.parametrize(
    ("answer", "kind", "display"),
    [
        (httpx.Response(200, json={**WHO, "user_id": "005x0000001other"}), NotProven, None),
        (httpx.Response(200, json={**WHO, "organization_id": "00Dother"}), NotProven, None),
        (httpx.Response(403, text="Bad_OAuth_Token"), NotProven, None),
        (httpx.Response(200, text="<html>"), NotProven, None),
        (httpx.Response(503), None, "005x00000019aViAAI"),
        (httpx.ConnectError("reset"), None, "005x00000019aViAAI"),
    ],
)
async def test_the_identity_url_confirms_the_account(
    border: Border,
    answer: httpx.Response | Exception,
    kind: type[ProviderError] | None,
    display: str | None,
) -> None:
    """K2, K3: who it contradicts is not pinned; when it is away only the name has to wait."""
    border.answers()
    border.alive()
    effect = answer if isinstance(answer, Exception) else None
    reply = answer if isinstance(answer, httpx.Response) else None
    border.host.get(IDENTITY).mock(return_value=reply, side_effect=effect)
    if kind is not None:
        with pytest.raises(kind):
            await border.exchange()
    else:
        account = (await border.exchange()).account
        assert account is not None
        assert account.key == "00Dxx0000001gPLEAY:005x00000019aViAAI"
        assert account.display == display


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        ({"active": True, "exp": EXP}, DATE, 7200),
        ({"active": True, "exp": EXP}, {}, None),
        ({"active": True, "exp": EXP}, {"Date": "yesterday"}, None),
        ({"active": True, "exp": str(EXP)}, DATE, None),
        ({"active": True, "exp": EXP - 7200}, DATE, None),
        ({"active": True}, DATE, None),
        ({"active": False}, DATE, None),
        ({"error": "invalid_client"}, DATE, None),
        ({}, DATE, None),
    ],
)
async def test_a_life_is_what_introspection_tells(
    border: Border, body: dict[str, object], headers: dict[str, str], seconds: int | None
) -> None:
    """providers.md: `exp` by Salesforce's own clock; without it the tokens are still kept."""
    border.answers()
    border.host.post(INTROSPECT).respond(200, json=body, headers=headers)
    given = await border.refresh()
    assert given.expires_in_s == seconds
    assert given.refresh_token == Secret("5Aep861")


async def test_a_lost_introspection_loses_no_token(border: Border) -> None:
    """A rotated refresh token is returned even when the call after it fails."""
    border.answers()
    border.host.post(INTROSPECT).mock(side_effect=httpx.ReadTimeout("slow"))
    given = await border.refresh()
    assert given.refresh_token == Secret("5Aep861")


@pytest.mark.parametrize(
    ("body", "active", "seconds"),
    [
        ({"active": True, "exp": EXP}, True, 7200),
        ({"active": False}, False, None),
        ({"active": "true", "exp": EXP}, False, None),
    ],
)
async def test_the_program_is_asked_itself(
    border: Border, body: dict[str, object], active: bool, seconds: int | None
) -> None:
    """safety 25: introspection says whether a token is alive, and changes nothing."""
    border.host.post(INTROSPECT).respond(200, json=body, headers=DATE)
    found = await border.salesforce.introspect(border.registration, Secret("at"), BASE)
    assert (found.active, found.expires_in_s) == (active, seconds)
    with pytest.raises(HostRefused):
        await border.salesforce.introspect(
            border.registration, Secret("at"), "https://evil.example"
        )


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (200, None, None),
        (400, "invalid_token", None),
        (400, "unsupported_token_type", None),
        (400, "invalid_client", ClientMisconfigured),
        (503, None, TryLater),
        (400, "other", Unclassified),
    ],
)
async def test_a_revoked_token_is_dead(
    border: Border, status: int, error: str | None, kind: type[ProviderError] | None
) -> None:
    """K12, RFC 7009 §2.2: a token that was dead before is fine; the rest is tried again."""
    body = {"error": error} if error else {}
    route = border.host.post(f"{HOST}/services/oauth2/revoke").respond(status, json=body)
    revoke = border.salesforce.revoke(border.registration, Secret("5Aep861"))
    if kind is None:
        await revoke
    else:
        with pytest.raises(kind):
            await revoke
    assert posted(route) == {"token": ["5Aep861"]}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": "access_denied", "error_description": "end-user denied authorization"}, Denied),
        ({"code": "c", "iss": "https://evil.example"}, NotProven),
        ({}, Denied),
    ],
)
async def test_a_callback_without_consent_asks_nobody(
    border: Border, answer: dict[str, str], kind: type[ProviderError]
) -> None:
    """R78, C5, K3: a denied or foreign answer is told before anything is sent."""
    with pytest.raises(kind):
        await border.exchange(answer)
    assert border.host.calls.call_count == 0


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (400, "invalid_grant", None),
        (400, "invalid_client_id", ClientMisconfigured),
        (400, "invalid_client", ClientMisconfigured),
        (500, "", TryLater),
        (200, "", ClientMisconfigured),
    ],
)
async def test_test_tries_what_was_typed(
    border: Border, status: int, error: str, outcome: type[ProviderError] | None
) -> None:
    """R50, R52: whoever is told that the code is wrong is known; nothing is granted."""
    body = {"error": error} if error else ANSWER
    route = border.host.post(TOKEN).respond(status, json=body)
    if outcome is None:
        assert (await border.salesforce.test(border.registration)).passed
    else:
        with pytest.raises(outcome):
            await border.salesforce.test(border.registration)
    assert SECRETS[2] in posted(route)["client_secret"]


def test_every_provider_keeps_its_promises(border: Border) -> None:
    """R50: every definition is clean and declares a test that its provider can run."""
    registry = Registry(border.salesforce._egress, simulator="http://localhost:9300")
    for definition in registry.definitions:
        assert lint(definition) == []
        provider = registry.find(definition.kind)
        assert isinstance(provider, CanAuthorize)
        assert isinstance(provider, CanRefresh)
        assert isinstance(provider, CanTest)
    assert isinstance(border.salesforce, CanRevoke)
    assert isinstance(border.salesforce, CanInspect)
    assert registry.find("telegraph") is None
