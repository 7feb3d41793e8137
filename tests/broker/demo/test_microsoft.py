"""The pretend Entra ID for people, and the sites of the pretend Graph."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from broker.demo.proofs import claims_of
from broker.demo.simulator import serving
from tests.broker.demo.stage import KIM
from tests.broker.demo.visiting import Visit

SITES = "/entra/v1.0/sites/"


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        yield Visit(simulator, browser, "entra")


async def test_the_old_refresh_token_stays_good(visit: Visit) -> None:
    """A refresh brings a new token and the old one lives on: a lost answer costs nothing (E3)."""
    given = await visit.connect()
    fresh = (await visit.refresh(given["refresh_token"])).json()
    assert fresh["refresh_token"] != given["refresh_token"]
    for token in (given["refresh_token"], fresh["refresh_token"]):
        assert (await visit.refresh(token)).status_code == 200


async def test_a_refresh_names_its_scope(visit: Visit) -> None:
    """Without one it is AADSTS90009 (I15); with two resources AADSTS28000; with another's 70011."""
    token = (await visit.connect())["refresh_token"]
    graph = visit.simulator.entra.graph
    for scope, code in (
        ("", 90009),
        (f"{graph}/User.Read https://acme.sharepoint.com/AllSites.Read", 28000),
        (f"{graph}/User.Read Sites.Read.All", 28000),
        ("https://evil.example/All", 70011),
    ):
        assert (await visit.refresh(token, scope=scope)).json()["error_codes"] == [code]
    assert (await visit.refresh(token, scope=f"{graph}/User.Read openid")).status_code == 200


async def test_without_offline_access_there_is_no_refresh_token(visit: Visit) -> None:
    """As at Microsoft's: the scope decides."""
    assert "refresh_token" not in await visit.connect(scope="openid User.Read")


async def test_another_tenant(visit: Visit) -> None:
    """A tenant nobody has is AADSTS90002, as an error with its number, trace and time."""
    url = f"{visit.simulator.base_url}/entra/another.example/oauth2/v2.0/token"
    answer = await visit.browser.post(url, data={"grant_type": "refresh_token"})
    assert answer.json()["error_codes"] == [90002]
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= set(answer.json())


async def test_who_signed_in(visit: Visit) -> None:
    """The id_token names the same object as /me does."""
    given = await visit.connect()
    me = (await visit.ask(given["access_token"])).json()
    assert claims_of(given["id_token"])["oid"] == me["id"]
    assert me["userPrincipalName"] == KIM


async def test_apps_are_nobody(visit: Visit) -> None:
    """An app by itself has no /me, and sees the sites (R35)."""
    scope = f"{visit.simulator.entra.graph}/.default"
    answer = await visit.token(grant_type="client_credentials", scope=scope)
    token = answer.json()["access_token"]
    assert "refresh_token" not in answer.json()
    assert (await visit.ask(token)).status_code == 400
    assert (await visit.ask(token, SITES + "root")).json()["displayName"] == "Acme"
    refused = await visit.token(grant_type="client_credentials", scope="User.Read")
    assert refused.json()["error_codes"] == [1002012]


async def test_sites(visit: Visit) -> None:
    """A site by host and path; an unknown one is itemNotFound, a dead token is told so."""
    token = (await visit.connect())["access_token"]
    for name, title in (
        ("acme.sharepoint.com:/sites/flows", "Flows"),
        ("acme.sharepoint.com:/sites/finance:", "Finance"),
        ("acme.sharepoint.com", "Acme"),
    ):
        assert (await visit.ask(token, SITES + name)).json()["displayName"] == title
    lost = await visit.ask(token, SITES + "acme.sharepoint.com:/sites/lost")
    assert lost.json()["error"]["code"] == "itemNotFound"
    dead = await visit.ask("dead", SITES + "root")
    assert dead.json()["error"]["code"] == "InvalidAuthenticationToken"
