"""The pretend ticket system: the standards' own endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from broker.demo.simulator import serving
from tests.broker.demo.stage import KIM, query_of
from tests.broker.demo.visiting import SECRET, Visit


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        yield Visit(simulator, browser, "tickets")


def named(secret: str = SECRET) -> dict[str, str]:
    return {"client_id": "the-app", "client_secret": secret}


async def test_the_issuer_comes_along(visit: Visit) -> None:
    """Each answer of the consent page names the issuer (RFC 9207), also a denial."""
    for decision in ("allow", "deny"):
        answer = query_of((await visit.press(decision)).headers["location"])
        assert answer["iss"] == visit.at


async def test_introspection(visit: Visit) -> None:
    """RFC 7662: a living token is told with its end, anything else is inactive."""
    given = await visit.connect()
    url = visit.at + "/oauth/introspect"
    sent = {"token": given["access_token"], **named()}
    told = (await visit.browser.post(url, data=sent)).json()
    assert told["active"] is True
    (ends_at,) = visit.program.state.approvals[-1].access.values()
    assert told["exp"] == int(ends_at)
    dead = await visit.browser.post(url, data=sent | {"token": "x"})
    assert dead.json() == {"active": False}
    assert (await visit.browser.post(url, data=sent | named("wrong"))).status_code == 401


async def test_revocation(visit: Visit) -> None:
    """RFC 7009: a refresh token ends all, an access token itself; unknown ones are fine."""
    given = await visit.connect()
    url = visit.at + "/oauth/revoke"
    for token in ("unknown", given["access_token"]):
        sent = {"token": token, **named()}
        assert (await visit.browser.post(url, data=sent)).status_code == 200
    assert (await visit.ask(given["access_token"])).status_code == 401
    assert (await visit.refresh(given["refresh_token"])).status_code == 200
    sent = {"token": given["refresh_token"], **named()}
    assert (await visit.browser.post(url, data=sent | named("wrong"))).status_code == 401
    assert (await visit.browser.post(url, data=sent)).status_code == 200
    assert (await visit.refresh(given["refresh_token"])).json()["error"] == "invalid_grant"


async def test_an_app_for_itself(visit: Visit) -> None:
    """Client credentials make a token of the app's own, without a refresh token."""
    answer = await visit.token(grant_type="client_credentials", scope="read")
    assert "refresh_token" not in answer.json()
    told = (await visit.ask(answer.json()["access_token"])).json()
    assert told["tickets"][0]["seen_by"] == "the-app"
    other = await visit.token(grant_type="password")
    assert other.json()["error"] == "unsupported_grant_type"


async def test_user_information(visit: Visit) -> None:
    """Who a token belongs to, for ever and by name."""
    token = (await visit.connect())["access_token"]
    told = (await visit.ask(token, "/tickets/oauth/userinfo")).json()
    assert told == {"sub": "u-1", "name": "Kim Lee", "email": KIM}
