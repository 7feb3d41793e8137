"""DocuSign at the border: which account is meant, its JWT grant, and its own ways to say no."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import respx

from providers.capabilities import Account, Registration, TokenResponse
from providers.definition import Source
from providers.docusign import DocuSign
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    HostRefused,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
)
from providers.secret import Secret
from tests.canaries import planted
from tests.providers.bordering import PEM, basic, proven, sent
from tests.providers.linting import lint

HOST = "https://account-d.docusign.com"
TOKEN, USERINFO, REVOKE = f"{HOST}/oauth/token", f"{HOST}/oauth/userinfo", f"{HOST}/oauth/revoke"
ACME = "7d1f8c52-0000-4000-8000-00000000ac3e"
OTHER = "8e2a9d63-0000-4000-8000-00000000bd4f"
THIRD = "9f3bae74-0000-4000-8000-00000000ce50"
BASE = "https://demo.docusign.net"
ANSWER = {
    "access_token": "eyAT",
    "token_type": "Bearer",
    "refresh_token": "eyRT",
    "expires_in": 28800,
}
SECRET, REFRESH = planted("secret"), planted("refresh")
BASIC = basic("integration-key", SECRET)


def account(id: str, *, default: object = False, base: object = BASE) -> dict[str, object]:
    return {"account_id": id, "is_default": default, "account_name": "A", "base_uri": base}


@dataclass
class Border:
    docusign: DocuSign
    registration: Registration
    host: respx.Router

    def answers(self, *accounts: Mapping[str, object]) -> respx.Route:
        """A good token answer, and whose it is."""
        who = {"sub": "u-1", "name": "Kim Lee", "email": "kim@acme.example"}
        self.host.get(USERINFO).respond(200, json={**who, "accounts": [*accounts]})
        return self.host.post(TOKEN).respond(200, json=ANSWER)

    def refuses(self, status: int, **body: str) -> respx.Route:
        return self.host.post(TOKEN).respond(status, json=body)

    async def exchange(self) -> TokenResponse:
        return await self.docusign.exchange(
            self.registration, answer={"code": "c"}, verifier=Secret("v")
        )

    async def refresh(self) -> TokenResponse:
        return await self.docusign.refresh(self.registration, Secret(REFRESH))

    async def mint(self) -> TokenResponse:
        return await self.docusign.mint(self.registration, None)

    def registered(self, integration: str = "code", **fields: str) -> Border:
        said = {**self.registration.fields, **fields}
        return replace(
            self, registration=replace(self.registration, fields=said, integration=integration)
        )

    @property
    def by_jwt(self) -> Border:
        return self.registered("jwt", user_id="u-1")


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    egress = Egress()
    docusign = DocuSign(egress)
    place = docusign.definition.environment("developer")
    assert place is not None
    registration = Registration(
        environment=place,
        origin=place.origin_of(),
        redirect_uri="https://broker.example/oauth/callback/con_1",
        fields={"client_id": "integration-key"},
        secrets={"client_secret": Secret(SECRET), "private_key": Secret(PEM)},
        integration="code",
    )
    with respx.mock(assert_all_called=False) as host:
        yield Border(docusign, registration, host)
    await egress.aclose()


def test_docusign_declares_what_is_needed(border: Border) -> None:
    """R25, R36: every step may run as the person; two integrations, two sets of fields."""
    definition = border.docusign.definition
    assert lint(definition) == []
    assert all(step.user_authentication for step in definition.step_types)
    shown = {one: {field.name for field in definition.shown(one, {})} for one in ("code", "jwt")}
    assert shown["jwt"] - shown["code"] == {"user_id", "private_key"}
    assert definition.method_of("code").connector_user is Source.REFRESH
    assert definition.method_of("jwt").connector_user is Source.MINTED
    assert definition.lets_people("code")
    assert definition.lets_people("jwt")


def test_the_first_request_is_extended(border: Border) -> None:
    """R19, [D4]: `extended` from the first request on, so that each refresh begins 30 new days."""
    url = border.docusign.authorize_url(border.registration, state="s", challenge="c" * 43)
    assert url.startswith(f"{HOST}/oauth/auth?")
    assert parse_qs(urlsplit(url).query)["scope"] == ["signature extended"]
    definition = border.docusign.definition
    assert definition.idle_s == 30 * 24 * 3600
    assert definition.keep_alive_s * 2 < definition.idle_s


async def test_the_default_account_is_where_steps_go(border: Border) -> None:
    """R25: by HTTP Basic; the account's own data center, below its id."""
    route = border.answers(
        account(OTHER, base="https://eu.docusign.net"), account(ACME, default=True)
    )
    given = await border.exchange()
    assert route.calls.last.request.headers["Authorization"] == BASIC
    assert "client_secret" not in sent(route)
    assert given.base_url == f"{BASE}/restapi/v2.1/accounts/{ACME}"
    assert given.account == Account("u-1", "kim@acme.example")
    assert given.expires_in_s == 28800


@pytest.mark.parametrize(
    "accounts", [[account(ACME)], [account(OTHER), account(ACME, default="true")]]
)
async def test_one_account_is_no_question(
    border: Border, accounts: list[dict[str, object]]
) -> None:
    """providers.md: the only account, or the one that is called the default in whatever type."""
    border.answers(*accounts)
    assert (await border.exchange()).base_url == f"{BASE}/restapi/v2.1/accounts/{ACME}"


async def test_several_accounts_are_a_question(border: Border) -> None:
    """providers.md: none default, or two: an administrator has to choose, and reads the ids."""
    for default in (False, True):
        border.answers(account(ACME, default=default), account(OTHER, default=default))
        with pytest.raises(ClientMisconfigured) as asked:
            await border.exchange()
        assert asked.value.provider_code == "account-needed"
        assert ACME in asked.value.provider_text
        assert OTHER in asked.value.provider_text
    given = await border.registered(account_id=OTHER.upper()).exchange()
    assert given.base_url == f"{BASE}/restapi/v2.1/accounts/{OTHER}"


@pytest.mark.parametrize(
    "accounts",
    [
        [],
        ["text"],
        [account("../../x")],
        [account("a/b", default=True)],
        [{"account_name": "A"}, {"account_id": [1]}],
    ],
)
async def test_no_account_is_nobodys_grant(border: Border, accounts: list[Any]) -> None:
    """safety 19: an id that is none does not become part of an address."""
    border.answers(*accounts)
    with pytest.raises(NotProven):
        await border.exchange()


async def test_another_account_than_the_connectors_is_refused(border: Border) -> None:
    """R25: a person without the connector's account does not send from one of their own."""
    border.answers(account(ACME, default=True))
    with pytest.raises(NotProven) as refused:
        await border.registered(account_id=THIRD).exchange()
    assert refused.value.provider_code == "account-not-theirs"


@pytest.mark.parametrize(
    "base", ["https://evil.example", "http://demo.docusign.net", "https://a.b.docusign.net", None]
)
async def test_the_base_uri_is_docusigns(border: Border, base: object) -> None:
    """safety 19: what userinfo names has to be a data center of DocuSign's."""
    border.answers(account(ACME, default=True, base=base))
    with pytest.raises(HostRefused):
        await border.exchange()


async def test_a_refresh_keeps_the_account(border: Border) -> None:
    """K4: DocuSign rolls the refresh token; where the API is stays as it was."""
    route = border.answers()
    given = await border.refresh()
    assert given.refresh_token == Secret("eyRT")
    assert (given.base_url, given.account) == (None, None)
    assert "scope" not in sent(route)


REFUSALS: list[tuple[int, dict[str, str], type[ProviderError]]] = [
    (400, {"error": "invalid_grant", "error_description": "expired_client_token"}, GrantDead),
    (400, {"error": "invalid_grant", "error_description": "user_not_found"}, GrantDead),
    (400, {"error": "invalid_grant", "error_description": "issuer_not_found"}, ClientMisconfigured),
    (401, {"error": "invalid_client"}, ClientMisconfigured),
    (400, {"error": "consent_required"}, PersonNeeded),
    (500, {"error": "internal_server_error"}, TryLater),
    (429, {}, TryLater),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
async def test_a_refused_refresh_has_its_class(
    border: Border, status: int, body: dict[str, str], kind: type[ProviderError]
) -> None:
    """K6 to K10, R28: DocuSign's words for a refresh; a user who is gone is a dead grant."""
    border.refuses(status, **body)
    with pytest.raises(kind) as refused:
        await border.refresh()
    assert type(refused.value) is kind
    with pytest.raises(kind):
        await border.by_jwt.refresh()


async def test_the_connector_user_by_jwt(border: Border) -> None:
    """providers.md: audience without https, the user as subject, and `impersonation`."""
    route = border.answers(account(ACME, default=True))
    given = await border.by_jwt.mint()
    claims = proven(sent(route)["assertion"])[1]
    assert (claims["iss"], claims["sub"]) == ("integration-key", "u-1")
    assert (claims["aud"], claims["scope"]) == (HOST[8:], "signature impersonation")
    assert "Authorization" not in route.calls.last.request.headers
    assert given.account == Account("u-1", "kim@acme.example")
    assert given.base_url == f"{BASE}/restapi/v2.1/accounts/{ACME}"


@pytest.mark.parametrize(
    ("error", "words", "kind"),
    [
        ("consent_required", "", PersonNeeded),
        ("invalid_grant", "issuer_not_found", ClientMisconfigured),
        ("invalid_grant", "no_valid_keys_or_signatures", ClientMisconfigured),
        ("invalid_grant", "user_not_found", ClientMisconfigured),
    ],
)
async def test_a_refused_jwt_is_somebodys_to_correct(
    border: Border, error: str, words: str, kind: type[ProviderError]
) -> None:
    """K7, K8: a missing consent is a person's; key, issuer and user are the administrator's."""
    border.refuses(400, error=error, error_description=words)
    with pytest.raises(kind):
        await border.by_jwt.mint()


async def test_a_grant_is_revoked_with_basic(border: Border) -> None:
    """K12: on the same host, with the client's proof (° of providers.md)."""
    route = border.host.post(REVOKE).respond(200)
    await border.docusign.revoke(border.registration, Secret("eyRT"))
    assert route.calls.last.request.headers["Authorization"] == BASIC
    assert sent(route) == {"token": "eyRT"}


async def test_the_check_reads_the_account(border: Border) -> None:
    """T6: userinfo, then the account below its base URI."""
    border.answers(account(ACME, default=True))
    url = f"{BASE}/restapi/v2.1/accounts/{ACME}"
    api = border.host.get(url).respond(200, json={"accountName": "Acme"})
    report = await border.docusign.check(border.registration, Secret("eyAT"), url)
    assert report.passed
    assert report.findings[0].text == "Connected as kim@acme.example."
    api.respond(403)
    assert not (await border.docusign.check(border.registration, Secret("eyAT"), url)).passed


async def test_the_test_of_a_jwt_grant_proves_both(border: Border) -> None:
    """R50, R52: key and user by a token, the secret people sign in with by a code."""
    by_code = border.host.post(TOKEN, data__contains={"grant_type": "authorization_code"})
    by_code.respond(400, json={"error": "invalid_grant"})
    border.answers(account(ACME, default=True))
    border.host.get(f"{BASE}/restapi/v2.1/accounts/{ACME}").respond(200, json={})
    report = await border.by_jwt.docusign.test(border.by_jwt.registration)
    assert [one.level for one in report.findings] == ["ok"] * 4
