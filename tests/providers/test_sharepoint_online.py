"""SharePoint Online at the border: what is sent, and what Microsoft's answers mean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import respx

from providers.capabilities import CanInspect, CanMint, CanRevoke, CanTest, Registration
from providers.definition import Source
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
)
from providers.secret import Secret
from providers.sharepoint_online import SharePointOnline
from tests.canaries import HANDED, planted
from tests.farm import signed
from tests.providers.linting import lint
from tests.providers.test_s2s import proven

LOGIN = "https://login.microsoftonline.com"
GRAPH = "https://graph.microsoft.com"
TENANT = "3f0c2a6e-0000-4000-8000-0000000ac3e0"
TOKEN = f"{LOGIN}/{TENANT}/oauth2/v2.0/token"
SITE = f"{GRAPH}/v1.0/sites/acme.sharepoint.com:/sites/sales"
KIM = {"id": "0e2d4b6f-oid", "displayName": "Kim Lee", "userPrincipalName": "kim@acme.example"}
OUR_SECRET, CODE, OLD = planted("secret"), planted("code"), planted("refresh")
ACCESS = planted("access", HANDED)
SCOPE = "openid profile User.Read Sites.Read.All"
FIELDS = {"tenant": TENANT, "client_id": "app-1", "site": "acme.sharepoint.com/sites/sales"}
ANSWER = {
    "token_type": "Bearer",
    "scope": f"openid profile {GRAPH}/User.Read {GRAPH}/Sites.Read.All",
    "expires_in": 4021,
    "ext_expires_in": 4021,
    "access_token": ACCESS,
    "refresh_token": planted("refresh-2"),
}


@dataclass
class Border:
    """The provider, our registration there, and what the hosts answer."""

    online: SharePointOnline
    registration: Registration
    host: respx.Router
    posts: respx.Route = field(init=False)

    def __post_init__(self) -> None:
        self.posts = self.host.post(TOKEN).respond(200, json=ANSWER)

    def refuses(self, status: int, body: dict[str, object]) -> None:
        self.posts.respond(status, json=body)

    @property
    def posted(self) -> dict[str, str]:
        sent = parse_qs(self.posts.calls.last.request.content.decode())
        return {name: one for name, (one,) in sent.items()}

    def changed(self, integration: str = "delegated", **fields: str) -> Registration:
        said = {**self.registration.fields, **fields}
        return replace(self.registration, integration=integration, fields=said)

    async def refresh(self, *scopes: str) -> tuple[str, ...]:
        old = Secret(OLD)
        return (await self.online.refresh(self.registration, old, scopes=scopes)).scopes


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    egress = Egress()
    online = SharePointOnline(egress)
    place = online.definition.environment("global")
    assert place is not None
    registration = Registration(
        environment=place,
        origin=place.origin_of(),
        redirect_uri="https://broker.example/oauth/callback/con_1",
        fields=FIELDS,
        secrets={"client_secret": Secret(OUR_SECRET)},
        integration="delegated",
    )
    with respx.mock(assert_all_called=False) as host:
        yield Border(online, registration, host)
    await egress.aclose()


def test_the_definition_says_who_can_sign_in(border: Border) -> None:
    """R20, R22, R36: people under delegated permissions; under app-only, nobody."""
    definition = border.online.definition
    assert lint(definition) == []
    assert definition.lets_people("delegated")
    assert not definition.lets_people("app_only")
    assert definition.method_of("app_only").connector_user is Source.MINTED
    assert all(step.user_authentication for step in definition.step_types)
    for capability in (CanMint, CanRevoke, CanTest, CanInspect):
        assert isinstance(border.online, capability)


def test_a_certificate_takes_the_place_of_the_secret(border: Border) -> None:
    """R41: the choice under Advanced Options changes which fields show and are required."""

    def shown(way: str) -> set[str]:
        said = {"client_authentication": way}
        return {one.name for one in border.online.definition.shown("delegated", said)}

    assert shown("secret") - shown("certificate") == {"client_secret"}
    assert shown("certificate") - shown("secret") == {"private_key", "certificate"}
    assert shown("") == shown("secret")


def test_warnings_stand_on_the_form(border: Border) -> None:
    """R48, R49: an account of its own, and what Microsoft does to shared ones."""
    said = " ".join(border.online.definition.warnings)
    assert "of its own" in said
    assert "throttles" in said


@pytest.mark.parametrize(
    ("cloud", "login", "graph"),
    [
        ("global", LOGIN, GRAPH),
        ("usgov", "https://login.microsoftonline.us", "https://graph.microsoft.us"),
        ("usgov-dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
        ("china", "https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"),
    ],
)
async def test_each_cloud_has_its_own_hosts(
    border: Border, cloud: str, login: str, graph: str
) -> None:
    """Microsoft Graph national cloud deployments: both hosts are the environment's."""
    place = border.online.definition.environment(cloud)
    assert place is not None
    there = replace(border.changed("app_only"), environment=place, origin=place.origin_of())
    token = f"{login}/{TENANT}/oauth2/v2.0/token"
    posts = border.host.post(token).respond(200, json=ANSWER)
    given = await border.online.mint(there, None)
    assert parse_qs(posts.calls.last.request.content.decode())["scope"] == [f"{graph}/.default"]
    assert given.base_url == f"{graph}/v1.0"


def test_the_person_is_sent_to_the_tenant(border: Border) -> None:
    """K7, R22: the tenant's own page, PKCE, Graph's scopes by short name, the claims as told."""
    url = border.online.authorize_url(
        border.registration,
        state="s1",
        challenge="c1",
        scopes=(f"{GRAPH}/Sites.ReadWrite.All", "User.Read"),
        claims='{"access_token":{}}',
    )
    query = {name: one for name, (one,) in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize?")
    assert query["scope"] == f"offline_access {SCOPE} Sites.ReadWrite.All"
    assert query["claims"] == '{"access_token":{}}'
    assert (query["state"], query["code_challenge_method"]) == ("s1", "S256")


def test_what_flows_do_decides_what_is_asked_for(border: Border) -> None:
    """R40: writing asks for the permission to write, and no more than reading without."""
    writing = border.changed(access="write")
    asked = border.online.authorize_url(writing, state="s", challenge="c")
    assert "Sites.ReadWrite.All" in asked
    assert "Sites.Read.All" not in asked


async def test_a_code_becomes_tokens_of_a_person(border: Border) -> None:
    """K2: tokens, scopes by short name, the API's address, and the pinned object id."""
    me = border.host.get(f"{GRAPH}/v1.0/me").respond(200, json=KIM)
    given = await border.online.exchange(
        border.registration, answer={"code": CODE}, verifier=Secret("v")
    )
    assert border.posted["code"] == CODE
    assert border.posted["client_secret"] == OUR_SECRET
    assert me.calls.last.request.headers["Authorization"] == f"Bearer {ACCESS}"
    assert given.scopes == tuple(SCOPE.split())
    assert (given.base_url, given.expires_in_s) == (f"{GRAPH}/v1.0", 4021)
    assert given.account is not None
    assert (given.account.key, given.account.display) == (KIM["id"], "kim@acme.example")


async def test_an_answer_that_names_nobody_is_not_kept(border: Border) -> None:
    """K3: without an object id there is no account to pin."""
    border.host.get(f"{GRAPH}/v1.0/me").respond(200, json={"displayName": "?"})
    with pytest.raises(NotProven):
        await border.online.exchange(
            border.registration, answer={"code": "c"}, verifier=Secret("v")
        )


async def test_every_refresh_says_its_scopes(border: Border) -> None:
    """[I15]: without a scope Entra refuses; one answer serves one resource alone [E3]."""
    sharepoint = "https://acme.sharepoint.com/AllSites.Read"
    assert await border.refresh(f"{GRAPH}/Files.Read", sharepoint) == tuple(SCOPE.split())
    assert border.posted["scope"] == f"offline_access {SCOPE} Files.Read"
    assert border.posted["refresh_token"] == OLD


async def test_the_app_proves_itself_by_certificate(border: Border) -> None:
    """R41, RFC 7523 §2.2: an assertion for the token endpoint, signed, in place of the secret."""
    certificate, private = signed()
    changed = border.changed(client_authentication="certificate", certificate=certificate)
    registration = replace(changed, secrets={"private_key": Secret(private)})
    await border.online.refresh(registration, Secret("rt"))
    claims = proven(border.posted["client_assertion"])
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("app-1", "app-1", TOKEN)
    assert claims["exp"] - claims["iat"] == 300
    assert "client_secret" not in border.posted


async def test_the_app_alone_is_its_own_account(border: Border) -> None:
    """providers.md, app-only: client credentials for all it was granted; no refresh token."""
    border.posts.respond(200, json={"access_token": "at", "expires_in": 3599})
    given = await border.online.mint(border.changed("app_only"), None)
    assert border.posted["grant_type"] == "client_credentials"
    assert border.posted["scope"] == f"{GRAPH}/.default"
    assert given.account is not None
    assert (given.account.key, given.refresh_token) == ("app-1", None)


def entra(error: str, number: int, *, suberror: str = "", claims: str = "") -> dict[str, object]:
    """An error body as Entra's page shows them, with its trace ids."""
    body: dict[str, object] = {
        "error": error,
        "error_description": f"AADSTS{number}: Some words. Trace ID: "
        "255d1aef-8c98-452f-ac51-23d051240864 Timestamp: 2026-01-09 02:02:12Z",
        "error_codes": [number],
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return (
        body | ({"suberror": suberror} if suberror else {}) | ({"claims": claims} if claims else {})
    )


DOCUMENTED = [
    *((400, "invalid_grant", number, "bad_token", GrantDead) for number in (50173, 700082, 70000)),
    *((400, "invalid_grant", number, "", GrantDead) for number in (70008, 50057, 50089, 54005)),
    (400, "invalid_grant", 70043, "token_expired", GrantDead),
    *((400, "interaction_required", n, "basic_action", PersonNeeded) for n in (50076, 50079)),
    *((400, "invalid_grant", n, "basic_action", PersonNeeded) for n in (50072, 50074, 50078)),
    (400, "interaction_required", 50158, "additional_action", PersonNeeded),
    (400, "interaction_required", 53000, "message_only", PersonNeeded),
    (400, "invalid_grant", 53003, "message_only", PersonNeeded),
    (400, "invalid_grant", 65001, "consent_required", PersonNeeded),
    (400, "access_denied", 65004, "", PersonNeeded),
    (400, "interaction_required", 50105, "", PersonNeeded),
    *((401, "invalid_client", n, "", ClientMisconfigured) for n in (7000215, 7000222, 70002)),
    (401, "invalid_client", 700027, "", ClientMisconfigured),
    *((400, "unauthorized_client", n, "", ClientMisconfigured) for n in (700016, 700011, 70001)),
    *((400, "invalid_request", n, "", ClientMisconfigured) for n in (90002, 50194, 50011, 90009)),
    *((400, "invalid_scope", number, "", ClientMisconfigured) for number in (28000, 70011)),
    *((503, "temporarily_unavailable", n, "", TryLater) for n in (90006, 90012, 50087, 40010)),
    (400, "temporarily_unavailable", 80002, "", TryLater),
    (400, "invalid_grant", 50196, "", TryLater),
]


@pytest.mark.parametrize(("status", "error", "number", "suberror", "kind"), DOCUMENTED)
async def test_each_documented_refusal_of_a_refresh(
    border: Border, status: int, error: str, number: int, suberror: str, kind: type[ProviderError]
) -> None:
    """providers.md, SharePoint Online: every number in its class, with what helps (R55)."""
    border.refuses(status, entra(error, number, suberror=suberror))
    with pytest.raises(ProviderError) as caught:
        await border.refresh()
    assert type(caught.value) is kind
    if status < 500:
        assert caught.value.advice
        assert f"AADSTS{number}" in caught.value.provider_text
        assert caught.value.provider_code == error


async def test_a_throttled_app_waits_as_long_as_it_is_told(border: Border) -> None:
    """K9: HTTP 429 with Retry-After."""
    border.posts.respond(429, headers={"Retry-After": "17"})
    with pytest.raises(TryLater) as caught:
        await border.refresh()
    assert caught.value.retry_after_s == 17


async def test_what_a_policy_demands_goes_into_the_next_link(border: Border) -> None:
    """K7: claims and suberror come through as they were said."""
    demanded = '{"access_token":{"capolids":{"essential":true}}}'
    told = entra("interaction_required", 53003, suberror="message_only", claims=demanded)
    border.refuses(400, told)
    with pytest.raises(PersonNeeded) as caught:
        await border.refresh()
    assert (caught.value.claims, caught.value.suberror) == (demanded, "message_only")
    assert "Conditional Access" in caught.value.advice


async def test_an_error_repeats_no_secret(border: Border) -> None:
    """R44: what Entra echoes of ours is struck out."""
    words = f"AADSTS7000215: {OUR_SECRET} of {OLD} is wrong for kim@acme.example"
    border.refuses(401, {"error": "invalid_client", "error_description": words})
    with pytest.raises(ClientMisconfigured) as caught:
        await border.refresh()
    assert "canary" not in repr(caught.value)
    assert "kim@" not in str(caught.value)


async def test_a_refused_consent_comes_with_advice(border: Border) -> None:
    """R78, C5: a denied sign-in asks nobody, and says what helps where its number tells."""
    said = "AADSTS65001: the administrator has not consented"
    answer = {"error": "access_denied", "error_description": said}
    with pytest.raises(Denied) as caught:
        await border.online.exchange(border.registration, answer=answer, verifier=Secret("v"))
    assert "administrator" in caught.value.advice
    assert not border.posts.called


async def test_disconnecting_asks_microsoft_nothing(border: Border) -> None:
    """providers.md, Revoke: no single grant can be revoked; all sessions never are."""
    await border.online.revoke(border.registration, Secret("rt"))
    assert border.host.calls.call_count == 0


@pytest.mark.parametrize(
    ("status", "error", "number", "kind"),
    [
        (401, "invalid_client", 7000215, ClientMisconfigured),
        (400, "unauthorized_client", 700016, ClientMisconfigured),
        (400, "invalid_request", 90002, ClientMisconfigured),
        (400, "interaction_required", 53003, PersonNeeded),
        (503, "", 90006, TryLater),
    ],
)
async def test_test_fails_by_what_was_typed(
    border: Border, status: int, error: str, number: int, kind: type[ProviderError]
) -> None:
    """R39, R50, R52: tenant, app and secret are tried by a token of the app itself."""
    border.refuses(status, entra(error, number))
    with pytest.raises(kind):
        await border.online.test(border.registration)
    assert border.posted["grant_type"] == "client_credentials"
    assert border.posted["client_secret"] == OUR_SECRET


async def test_test_passes_without_a_person(border: Border) -> None:
    """R50, R56: a delegated app is known by its own token; no site is opened with it."""
    report = await border.online.test(border.registration)
    assert report.passed
    assert border.host.calls.call_count == 1


async def test_test_of_an_app_alone_opens_the_site(border: Border) -> None:
    """providers.md, Test button: app-only reads the root site, then the connector's own."""
    root = border.host.get(f"{GRAPH}/v1.0/sites/root").respond(200, json={"id": "1"})
    site = border.host.get(SITE).respond(200, json={"id": "2"})
    assert (await border.online.test(border.changed("app_only"))).passed
    assert root.calls.call_count == site.calls.call_count == 1
    root.respond(403, json={"error": {"code": "accessDenied"}})
    report = await border.online.test(border.changed("app_only"))
    assert not report.passed
    assert any("Sites.Read.All" in one.text for one in report.findings)


@pytest.mark.parametrize(
    ("me", "site", "passed", "word"),
    [
        (200, 200, True, "kim@acme.example"),
        (401, 200, False, "does not accept"),
        (200, 403, False, "cannot be opened"),
        (200, 404, False, "cannot be opened"),
    ],
)
async def test_check_looks_at_who_it_is_and_at_the_site(
    border: Border, me: int, site: int, passed: bool, word: str
) -> None:
    """providers.md, Test button: `/me`, then the site by host and path."""
    border.host.get(f"{GRAPH}/v1.0/me").respond(me, json=KIM if me == 200 else {"error": {}})
    border.host.get(SITE).respond(site, json={"id": "2"} if site == 200 else {"error": {}})
    base = f"{GRAPH}/v1.0"
    report = await border.online.check(border.registration, Secret(ACCESS), base)
    assert report.passed is passed
    assert any(word in one.text for one in report.findings)


@pytest.mark.parametrize(("status", "active"), [(200, True), (401, False)])
async def test_microsoft_is_asked_whether_a_token_is_alive(
    border: Border, status: int, active: bool
) -> None:
    """safety 25: there is no introspection, so `/me` tells."""
    border.host.get(f"{GRAPH}/v1.0/me").respond(status, json=KIM)
    found = await border.online.introspect(border.registration, Secret("at"), f"{GRAPH}/v1.0")
    assert found.active is active


@pytest.mark.parametrize(
    ("site", "asked"),
    [
        ("acme.sharepoint.com", "acme.sharepoint.com"),
        ("https://acme.sharepoint.com/", "acme.sharepoint.com"),
        ("acme.sharepoint.com/sites/a b", "acme.sharepoint.com:/sites/a%20b"),
        ("acme.sharepoint.com/sites/a%20b", "acme.sharepoint.com:/sites/a%20b"),
        ("acme.sharepoint.com/sites/x?y#z{base}", "acme.sharepoint.com:/sites/x%3Fy%23z%7Bbase%7D"),
        ("acme.sharepoint.com/sites/../../me", None),
        ("acme.sharepoint.com/%2e%2e/me", None),
        ("acme.sharepoint.com:8443/x", None),
        ("kim@evil.example", None),
        ("", None),
    ],
)
async def test_a_site_stays_a_site(border: Border, site: str, asked: str | None) -> None:
    """safety 19: whatever is typed, the token goes to Graph's address of a site, or nowhere."""
    border.host.get(f"{GRAPH}/v1.0/me").respond(200, json=KIM)
    sites = border.host.get(url__startswith=f"{GRAPH}/v1.0/sites/").respond(200, json={"id": "1"})
    checking = border.online.check(border.changed(site=site), Secret("at"), f"{GRAPH}/v1.0")
    if asked is None:
        with pytest.raises(ClientMisconfigured):
            await checking
        assert not sites.called
    else:
        assert (await checking).passed
        assert str(sites.calls.last.request.url) == f"{GRAPH}/v1.0/sites/{asked}"


@pytest.mark.parametrize("tenant", ["..", ".", ""])
async def test_a_tenant_stays_one_part_of_the_address(border: Border, tenant: str) -> None:
    """safety 18: a tenant that climbs is refused before anything is sent."""
    with pytest.raises(ClientMisconfigured):
        await border.online.refresh(border.changed(tenant=tenant), Secret("rt"))
    assert border.host.calls.call_count == 0


def test_a_tenant_binds_what_is_sealed(border: Border) -> None:
    """safety 18, C9: another tenant demands the protected fields again."""
    binding = [one.name for one in border.online.definition.fields if one.binds]
    assert binding == ["tenant"]


async def test_a_connection_that_breaks_says_nothing_about_the_grant(border: Border) -> None:
    """K9: the network's failures are transient."""
    border.posts.mock(side_effect=httpx.ConnectError("reset"))
    with pytest.raises(TryLater):
        await border.refresh()
