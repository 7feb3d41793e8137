"""SharePoint Server at the border: made tokens, AD FS, a password, and what a farm answers."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
import respx

from providers.capabilities import CanInspect, CanMint, CanTest, Registration
from providers.definition import Section, Source
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    HostRefused,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.secret import Secret
from providers.sharepoint_server import SharePointServer
from tests.canaries import planted
from tests.farm import signed
from tests.providers.linting import lint
from tests.providers.test_s2s import APP, ISSUER, REALM, SID, decoded, proven

NOW_S = 1_800_000_000
DATE = {"Date": "Fri, 15 Jan 2027 08:00:00 GMT"}
BASE = "https://sharepoint.acme.example"
WEB = f"{BASE}/sites/sales/_api/web"
ADFS = "https://sts.acme.example/adfs/oauth2"
AUDIENCE = f"00000003-0000-0ff1-ce00-000000000000/sharepoint.acme.example@{REALM}"
KIM = "i:0#.w|acme\\kim"
TRUSTED = {"client_id": APP, "issuer_id": ISSUER, "realm": REALM, "person_suffix": "AD"}
SIGNED_IN = {"client_id": "app-1", "adfs": "sts.acme.example"}
OUR_SECRET, PASSWORD = planted("secret"), planted("pass:word")
NAMED = {"user_name": "ACME\\svc-flows"}


@dataclass
class Border:
    """The provider, and what the farm and AD FS answer."""

    server: SharePointServer
    host: respx.Router

    def registration(self, integration: str, **fields: str) -> Registration:
        certificate, private = signed()
        said: dict[str, str]
        said, secrets = {
            "high_trust": (TRUSTED | {"certificate": certificate}, {"private_key": private}),
            "oidc": (SIGNED_IN, {"client_secret": OUR_SECRET}),
            "password": (NAMED, {"password": PASSWORD}),
        }[integration]
        place = self.server.definition.environment("server")
        assert place is not None
        return Registration(
            environment=place,
            origin=place.origin_of("sharepoint.acme.example"),
            redirect_uri="https://broker.example/oauth/callback/con_1",
            fields={"site": "/sites/sales", **said, **fields},
            secrets={name: Secret(value) for name, value in secrets.items()},
            integration=integration,
        )

    def opens(self, title: str = "Sales") -> tuple[respx.Route, respx.Route]:
        """The farm takes whoever comes."""
        who = {"Id": 7, "LoginName": KIM, "Title": "Kim Lee"}
        return (
            self.host.get(f"{WEB}/currentuser").respond(200, json=who, headers=DATE),
            self.host.get(f"{WEB}?$select=Title").respond(200, json={"Title": title}, headers=DATE),
        )


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    egress = Egress()
    with respx.mock(assert_all_called=False) as host:
        yield Border(SharePointServer(egress, clock=lambda: NOW_S), host)
    await egress.aclose()


def test_the_definition_says_who_can_sign_in(border: Border) -> None:
    """R20, R23, R24: people by both OAuth integrations, nobody by user name and password."""
    definition = border.server.definition
    assert lint(definition) == []
    assert definition.method_of("high_trust").people is Source.MINTED
    assert definition.method_of("oidc").people is Source.REFRESH
    assert not definition.lets_people("password")
    assert definition.lets_people("high_trust")
    assert definition.lets_people("oidc")
    for capability in (CanMint, CanTest, CanInspect):
        assert isinstance(border.server, capability)


def test_each_integration_has_its_own_fields(border: Border) -> None:
    """R36, R37, R43: one definition, three forms; what is secret is locked."""

    def shown(integration: str, *, protected: bool = False) -> set[str]:
        fields = border.server.definition.shown(integration, {})
        return {one.name for one in fields if one.protected or not protected}

    assert shown("password") == {"site", "user_name", "password"}
    assert {"issuer_id", "certificate", "person_suffix", "realm"} < shown("high_trust")
    assert {"adfs", "client_secret"} < shown("oidc")
    secrets = {name: shown(name, protected=True) for name in ("high_trust", "oidc", "password")}
    assert secrets == {
        "high_trust": {"private_key"},
        "oidc": {"client_secret"},
        "password": {"password"},
    }
    sections = [one.section for one in border.server.definition.shown("high_trust", {})]
    assert sections == sorted(sections, key=list(Section).index)


def test_the_form_warns_of_factors_and_shared_accounts(border: Border) -> None:
    """R47, R48, R49: no multi-factor authentication, an account of its own, throttling."""
    said = " ".join(border.server.definition.warnings)
    assert "multi-factor" in said
    assert "of its own" in said
    assert "throttled" in said


@pytest.mark.parametrize("host", ["sp", "sharepoint.acme.example", "a.b.c.d.example"])
def test_a_host_of_the_customers_own(border: Border, host: str) -> None:
    """R42: any name may be typed; which addresses are spoken to, egress decides."""
    place = border.server.definition.environment("server")
    assert place is not None
    assert place.origin_of(host) == f"https://{host}"
    for wrong in (f"kim@{host}", f"{host}:8443", f"{host}/x", f"http://{host}", ""):
        with pytest.raises(HostRefused):
            place.origin_of(wrong)


async def test_a_person_is_minted_for(border: Border) -> None:
    """R23: a token for the person's SID, five minutes, their logon as the account; nobody asked."""
    given = await border.server.mint(border.registration("high_trust"), SID)
    outer = decoded(given.access_token.reveal().split(".")[1])
    assert outer["nameid"] == SID.lower()
    assert outer["aud"] == AUDIENCE
    assert proven(outer["actortoken"])["iss"] == f"{ISSUER}@{REALM}"
    assert (given.expires_in_s, given.refresh_token, given.token_type) == (300, None, "Bearer")
    assert given.base_url == WEB
    assert given.account is not None
    assert given.account.key == SID
    assert border.host.calls.call_count == 0


async def test_the_connector_user_is_the_app(border: Border) -> None:
    """[L8]: the app's own call is the actor token alone."""
    given = await border.server.mint(border.registration("high_trust"), None)
    assert proven(given.access_token.reveal())["nameid"] == f"{APP}@{REALM}"
    assert given.account is not None
    assert given.account.key == APP


@pytest.mark.parametrize("logon", ["kim", "", "s-1-5", "s-1-5-21-1-2'x", "S-1-5-21-" + "1" * 20])
async def test_a_logon_that_is_no_sid_is_nobody(border: Border, logon: str) -> None:
    """safety 20: one person's wrong logon is theirs alone; the connector stays as it is."""
    with pytest.raises(GrantDead):
        await border.server.mint(border.registration("high_trust"), logon)


async def test_the_realm_is_asked_for_where_it_was_not_typed(border: Border) -> None:
    """[L8]: the 401 challenge of client.svc tells it."""
    challenge = {"WWW-Authenticate": f'NTLM, Bearer realm="{REALM}",client_id="x"'}
    route = border.host.get(f"{BASE}/sites/sales/_vti_bin/client.svc")
    route.respond(401, headers=challenge)
    given = await border.server.mint(border.registration("high_trust", realm=""), None)
    assert proven(given.access_token.reveal())["aud"] == AUDIENCE
    assert route.calls.last.request.headers["Authorization"] == "Bearer"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, ClientMisconfigured), (404, ClientMisconfigured), (200, TryLater), (503, TryLater)],
)
async def test_a_farm_that_tells_no_realm(
    border: Border, status: int, kind: type[ProviderError]
) -> None:
    """c.2: no challenge is the connector's trouble, a disturbed farm is nobody's."""
    border.host.get(f"{BASE}/sites/sales/_vti_bin/client.svc").respond(status)
    with pytest.raises(kind):
        await border.server.mint(border.registration("high_trust", realm=""), None)


async def test_a_password_becomes_a_basic_credential(border: Border) -> None:
    """R24: HTTP Basic (RFC 7617), made without asking, so that no account is locked by it."""
    given = await border.server.mint(border.registration("password"), None)
    pair = base64.b64decode(given.access_token.reveal()).decode()
    assert pair == f"ACME\\svc-flows:{PASSWORD}"
    assert (given.token_type, given.expires_in_s) == ("Basic", 3600)
    assert given.account is not None
    assert (given.account.key, given.account.display) == ("acme\\svc-flows", "ACME\\svc-flows")
    assert border.host.calls.call_count == 0


@pytest.mark.parametrize(("person", "name"), [("kim", "ACME\\svc"), (None, "a:b"), (None, "")])
async def test_a_password_is_for_its_own_account_alone(
    border: Border, person: str | None, name: str
) -> None:
    """R24, RFC 7617 §2: nobody else runs by it, and a colon would say another name."""
    with pytest.raises(ClientMisconfigured):
        await border.server.mint(border.registration("password", user_name=name), person)


def test_people_sign_in_at_adfs(border: Border) -> None:
    """R23, OIDC: AD FS's page, with PKCE, for SharePoint's identifier."""
    url = border.server.authorize_url(border.registration("oidc"), state="s1", challenge="c1")
    query = {name: one for name, (one,) in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{ADFS}/authorize?")
    assert (query["scope"], query["resource"]) == ("openid", BASE)
    other = border.registration("oidc", resource="urn:sharepoint:sales", adfs="")
    url = border.server.authorize_url(other, state="s1", challenge="c1")
    assert url.startswith(f"{BASE}/adfs/oauth2/authorize?")
    assert "resource=urn%3Asharepoint%3Asales" in url


async def test_a_code_becomes_tokens_of_a_login_name(border: Border) -> None:
    """K2: the site says whose the token is; AD FS tells how long the refresh token lives."""
    answer = {
        "access_token": "at",
        "refresh_token": "rt",
        "expires_in": 3600,
        "refresh_token_expires_in": 28799,
    }
    posts = border.host.post(f"{ADFS}/token").respond(200, json=answer)
    who, _ = border.opens()
    given = await border.server.exchange(
        border.registration("oidc"), answer={"code": "c"}, verifier=Secret("v")
    )
    assert parse_qs(posts.calls.last.request.content.decode())["client_secret"] == [OUR_SECRET]
    assert who.calls.last.request.headers["Authorization"] == "Bearer at"
    assert given.account is not None
    assert given.account.key == KIM
    assert (given.grant_expires_in_s, given.base_url) == (28799, WEB)


REFUSALS = [
    (400, "invalid_grant", "MSIS9615: The refresh token has expired.", GrantDead),
    (401, "invalid_client", "MSIS9622: Client authentication failed.", ClientMisconfigured),
    (400, "unauthorized_client", "MSIS9605: not allowed", ClientMisconfigured),
    (400, "interaction_required", "MSIS9462: Interaction is required.", PersonNeeded),
    (400, "invalid_resource", "MSIS9602: unknown resource", Unclassified),
    (503, "server_error", "MSIS9699: busy", TryLater),
    (400, "server_error", "MSIS9699: busy", TryLater),
]


@pytest.mark.parametrize(("status", "error", "words", "kind"), REFUSALS)
async def test_each_refusal_of_adfs(
    border: Border, status: int, error: str, words: str, kind: type[ProviderError]
) -> None:
    """semantics.md c.2: AD FS answers in the words of RFC 6749."""
    body = {"error": error, "error_description": words}
    border.host.post(f"{ADFS}/token").respond(status, json=body)
    with pytest.raises(ProviderError) as caught:
        await border.server.refresh(border.registration("oidc"), Secret("rt"))
    assert type(caught.value) is kind


@pytest.mark.parametrize("adfs", ["kim@evil.example", "sts.acme.example/x", "a..b", "a:443"])
async def test_adfs_is_a_host_and_nothing_else(border: Border, adfs: str) -> None:
    """safety 18: the client secret goes to the host that was typed, or nowhere."""
    with pytest.raises(ClientMisconfigured):
        await border.server.refresh(border.registration("oidc", adfs=adfs), Secret("rt"))
    assert border.host.calls.call_count == 0
    assert [one.name for one in border.server.definition.fields if one.binds] == ["adfs"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": "access_denied"}, Denied),
        ({"code": "c", "iss": "https://evil.example/adfs"}, NotProven),
    ],
)
async def test_an_answer_of_somebody_else_is_not_redeemed(
    border: Border, answer: dict[str, str], kind: type[ProviderError]
) -> None:
    """RFC 9207, K3: an issuer that is sent has to be the AD FS that was asked."""
    with pytest.raises(kind):
        await border.server.exchange(
            border.registration("oidc"), answer=answer, verifier=Secret("v")
        )
    assert border.host.calls.call_count == 0


@pytest.mark.parametrize("integration", ["high_trust", "password"])
async def test_test_opens_the_site_with_what_was_typed(border: Border, integration: str) -> None:
    """R50, R52: who it is and the site's title, by the credential typed now."""
    who, web = border.opens()
    report = await border.server.test(border.registration(integration))
    assert report.passed
    assert [one.text for one in report.findings] == [
        f"Connected as {KIM}.",
        "The site is Sales.",
    ]
    scheme = "Basic" if integration == "password" else "Bearer"
    for route in (who, web):
        headers = route.calls.last.request.headers
        assert headers["Authorization"].startswith(f"{scheme} ")
        assert headers["Accept"] == "application/json;odata=nometadata"


@pytest.mark.parametrize(
    ("integration", "word"), [("high_trust", "issuer ID"), ("password", "password")]
)
async def test_a_refused_credential_says_what_to_compare(
    border: Border, integration: str, word: str
) -> None:
    """R55: a 401 names what has to be compared, and a clock that is off."""
    late = {"Date": "Fri, 15 Jan 2027 08:10:00 GMT"}
    border.host.get(f"{WEB}/currentuser").respond(401, headers=late)
    report = await border.server.test(border.registration(integration))
    assert not report.passed
    assert word in report.findings[0].text
    assert report.findings[1].text == "The farm's clock and ours are 600 s apart."
    assert report.findings[1].level == "warning"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {"Location": "https://sts.acme.example/adfs/ls?wa=wsignin1.0"}),
        (403, {"X-Forms_Based_Auth_Required": "https://sts.acme.example"}),
    ],
)
async def test_a_sign_in_page_is_named_as_such(
    border: Border, status: int, headers: dict[str, str]
) -> None:
    """R39, R47: where legacy authentication is off or a factor is wanted, Test says so by name."""
    border.host.get(f"{WEB}/currentuser").respond(status, headers=headers)
    with pytest.raises(PersonNeeded) as caught:
        await border.server.test(border.registration("password"))
    assert "multi-factor" in caught.value.provider_text
    assert "OAuth" in caught.value.advice
    assert border.host.calls.call_count == 1


async def test_test_asks_adfs_whether_it_knows_the_client(border: Border) -> None:
    """R50, R52: a code that was never given; whoever is told that it is wrong is known."""
    posts = border.host.post(f"{ADFS}/token")
    posts.respond(400, json={"error": "invalid_grant"})
    assert (await border.server.test(border.registration("oidc"))).passed
    posts.respond(401, json={"error": "invalid_client"})
    with pytest.raises(ClientMisconfigured):
        await border.server.test(border.registration("oidc"))


@pytest.mark.parametrize(
    ("status", "kind"), [(429, TryLater), (503, TryLater), (400, Unclassified)]
)
async def test_what_says_nothing_about_the_account_fails_by_its_class(
    border: Border, status: int, kind: type[ProviderError]
) -> None:
    """c.2, R49: a throttled or disturbed site is no wrong password."""
    border.host.get(f"{WEB}/currentuser").respond(status, headers={"Retry-After": "7"})
    with pytest.raises(kind):
        await border.server.test(border.registration("password"))


async def test_a_site_that_is_not_there_is_told(border: Border) -> None:
    """R55: a page of HTML instead of an API is a wrong path, and no disturbance."""
    border.host.get(f"{WEB}/currentuser").respond(404, html="<h1>404 NOT FOUND</h1>")
    report = await border.server.test(border.registration("password"))
    assert [one.text for one in report.findings] == ["There is no site at this path of the host."]


async def test_a_site_that_may_not_be_opened_is_told(border: Border) -> None:
    """R55: known there, and yet the site stays closed."""
    border.opens()
    border.host.get(f"{WEB}?$select=Title").respond(403)
    report = await border.server.test(border.registration("password"))
    assert not report.passed
    assert "may not open" in report.findings[0].text


@pytest.mark.parametrize("integration", ["high_trust", "oidc", "password"])
@pytest.mark.parametrize(("status", "active"), [(200, True), (403, True), (401, False)])
async def test_the_site_is_asked_whether_a_token_is_alive(
    border: Border, integration: str, status: int, active: bool
) -> None:
    """safety 25: `currentuser` tells, for tokens that nothing introspects."""
    border.host.get(f"{WEB}/currentuser").respond(status, json={"LoginName": KIM})
    registration = border.registration(integration)
    found = await border.server.introspect(registration, Secret("at"), WEB)
    assert found.active is active


async def test_the_token_stays_at_the_host_it_was_made_for(border: Border) -> None:
    """safety 19: a base URL of another host gets nothing; another site of the same farm does."""
    registration = border.registration("oidc")
    with pytest.raises(HostRefused):
        await border.server.check(registration, Secret("at"), "https://evil.example/_api/web")
    assert border.host.calls.call_count == 0
    border.opens()
    old = f"{BASE}/sites/before/_api/web"
    assert (await border.server.check(registration, Secret("at"), old)).passed


@pytest.mark.parametrize(
    ("site", "web"),
    [
        ("", f"{BASE}/_api/web"),
        ("/", f"{BASE}/_api/web"),
        ("sites/a b/", f"{BASE}/sites/a%20b/_api/web"),
        ("/sites/x?y#z{base}", f"{BASE}/sites/x%3Fy%23z%7Bbase%7D/_api/web"),
        ("/sites/../_vti_bin", None),
        ("/%2e%2e/x", None),
    ],
)
async def test_a_path_stays_below_the_host(border: Border, site: str, web: str | None) -> None:
    """safety 19: the path is what was typed, quoted, and does not climb."""
    minting = border.server.mint(border.registration("password", site=site), None)
    if web is None:
        with pytest.raises(ClientMisconfigured):
            await minting
    else:
        assert (await minting).base_url == web
