"""The pretend DocuSign: its accounts, its rolling grants, and the JWT grant."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from broker.demo.docusign import ACME, AT, JWT_GRANT
from broker.demo.simulator import serving
from tests.broker.demo.stage import KIM, query_of
from tests.broker.demo.visiting import SECRET, Claims, Visit, signer

DAY = 24 * 3600


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        yield Visit(simulator, browser, "docusign")


def claims(visit: Visit, **changed: object) -> Claims:
    """What an integration says that acts for Kim."""
    now = visit.simulator.clock.now()
    return {
        "iss": visit.app.client_id,
        "sub": visit.program.state.users[KIM].id,
        "aud": "account-d.docusign.com",
        "iat": now,
        "exp": now + 3600,
        "scope": "signature impersonation",
        **changed,
    }


async def grant(visit: Visit, assertion: str) -> httpx.Response:
    sent = {"grant_type": JWT_GRANT, "assertion": assertion}
    return await visit.browser.post(visit.at + visit.program.token_path, data=sent)


async def test_accounts(visit: Visit) -> None:
    """Userinfo lists each account with its base URI; another's account is refused (D2)."""
    token = (await visit.connect())["access_token"]
    (one,) = (await visit.ask(token)).json()["accounts"]
    assert one["is_default"] is True
    assert one["base_uri"] == visit.simulator.base_url + AT
    path = f"{AT}/restapi/v2.1/accounts/"
    assert (await visit.ask(token, path + ACME)).json()["accountName"] == "Acme"
    refused = await visit.ask(token, path + "another")
    assert refused.json()["errorCode"] == "USER_LACKS_MEMBERSHIP"
    visit.simulator.docusign.accounts[KIM] = [
        {"account_id": name, "is_default": False, "account_name": name} for name in ("a", "b")
    ]
    listed = (await visit.ask(token)).json()["accounts"]
    assert [one["account_id"] for one in listed] == ["a", "b"]


async def test_only_extended_grants_roll(visit: Visit) -> None:
    """Without `extended` a grant ends 30 days after the consent, however often it is used (D4)."""
    for scope, status in (("signature", 400), ("signature extended", 200)):
        token = (await visit.connect(scope=scope))["refresh_token"]
        for _ in range(2):
            visit.simulator.clock.advance(14 * DAY)
            token = (await visit.refresh(token)).json()["refresh_token"]
        visit.simulator.clock.advance(14 * DAY)
        assert (await visit.refresh(token)).status_code == status


async def test_only_basic_opens_it(visit: Visit) -> None:
    """The integration key and secret count in HTTP Basic alone (D1)."""
    url = visit.at + visit.program.token_path
    named = {"client_id": visit.app.client_id, "client_secret": SECRET}
    sent = {"grant_type": "refresh_token", "refresh_token": "x", **named}
    assert (await visit.browser.post(url, data=sent)).status_code == 401


async def test_a_jwt_grant_needs_consent_once(visit: Visit) -> None:
    """Before the user consented to impersonation: consent_required; afterwards an hour (D3)."""
    assertion = signer().sign(claims(visit))
    assert (await grant(visit, assertion)).json()["error"] == "consent_required"
    await visit.connect(scope="signature impersonation")
    given = (await grant(visit, assertion)).json()
    assert given["expires_in"] == 3600
    assert "refresh_token" not in given
    assert KIM in (await visit.ask(given["access_token"])).text
    visit.simulator.clock.advance(3601)
    assert (await visit.ask(given["access_token"])).status_code == 401


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"iss": "another"}, "issuer_not_found"),
        ({"sub": "nobody"}, "user_not_found"),
        ({"aud": "another.example"}, "no_valid_keys_or_signatures"),
        ({"exp": 1}, "no_valid_keys_or_signatures"),
    ],
)
async def test_a_wrong_assertion(visit: Visit, changed: dict[str, object], words: str) -> None:
    """Each flaw has its own words under invalid_grant."""
    answer = (await grant(visit, signer().sign(claims(visit, **changed)))).json()
    assert answer == {"error": "invalid_grant", "error_description": words}


async def test_another_key_signs_nothing(visit: Visit) -> None:
    """An assertion of a key that is not the integration's is refused."""
    answer = await grant(visit, signer("another").sign(claims(visit)))
    assert answer.json()["error_description"] == "no_valid_keys_or_signatures"


async def test_revocation(visit: Visit) -> None:
    """POST /oauth/revoke with Basic ends the grant and its access tokens; never a stranger's."""
    given = await visit.connect()
    url, sent = visit.at + "/oauth/revoke", {"token": given["refresh_token"]}
    refused = await visit.browser.post(url, data=sent, auth=("the-app", "wrong"))
    assert refused.status_code == 401
    assert (await visit.ask(given["access_token"])).status_code == 200
    assert (await visit.browser.post(url, data=sent, auth=("the-app", SECRET))).status_code == 200
    assert (await visit.ask(given["access_token"])).status_code == 401
    assert (await visit.refresh(given["refresh_token"])).json()["error"] == "invalid_grant"


async def test_an_error_of_the_consent_page(visit: Visit) -> None:
    """What the program answers instead of a code comes back in its own words."""
    visit.program.state.switches.set("unauthorized_client", endpoint="authorize", times=1)
    answer = query_of((await visit.press()).headers["location"])
    assert answer["error"] == "unauthorized_client"
