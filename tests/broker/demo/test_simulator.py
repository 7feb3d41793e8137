"""All pretend programs on one port, and their switchboard."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from broker.demo.control import ROUTES
from broker.demo.people import PEOPLE
from broker.demo.simulator import Simulator, create, serving
from broker.demo.world import Trouble
from providers.errors import GrantDead, TryLater
from tests.broker.demo.stage import CALLBACK, KIM, Stage


async def post(stage: Stage, path: str, body: object) -> httpx.Response:
    return await stage.browser.post(f"{stage.simulator.base_url}/control/{path}", json=body)


async def test_it_answers_at_the_address_it_tells() -> None:
    """Port 0 takes a free one; it is known before the first call, and closed at the end."""
    async with serving() as one, serving() as other, httpx.AsyncClient(trust_env=False) as browser:
        assert one.base_url != other.base_url
        assert one.base_url.startswith("http://localhost:")
        answer = await browser.get(one.identity.issuer + "/.well-known/openid-configuration")
        assert answer.json()["issuer"] == one.identity.issuer == one.base_url + "/identity"
        address = one.base_url
    async with httpx.AsyncClient(trust_env=False) as browser:
        with pytest.raises(httpx.ConnectError):
            await browser.get(address)


async def test_a_failing_block_closes_it_too() -> None:
    """Whatever happens inside the block, the port is free again afterwards."""
    address = ""
    with pytest.raises(RuntimeError, match="inside"):
        async with serving() as simulator:
            address = simulator.base_url
            raise RuntimeError("inside")
    async with httpx.AsyncClient(trust_env=False) as browser:
        with pytest.raises(httpx.ConnectError):
            await browser.get(address)


async def test_it_is_an_application_too() -> None:
    """Without a port: the same routes as one Starlette app."""
    app = create(Simulator("http://localhost:1"))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:1") as browser:
        keys = (await browser.get("/identity/keys")).json()["keys"]
    assert [key["kty"] for key in keys] == ["OKP", "RSA", "EC"]


async def test_every_switch_is_told(stage: Stage) -> None:
    """GET /control lists each route that is there, each trouble, and the calls so far."""
    await stage.connect()
    shown = (await stage.browser.get(stage.simulator.base_url + "/control")).json()
    routes = {route.path for route in create(stage.simulator).routes if hasattr(route, "path")}
    posts = {f"POST {path}" for path in routes if str(path).startswith("/control/")}
    assert set(shown["routes"]) == posts == set(ROUTES)
    assert shown["troubles"] == [trouble.value for trouble in Trouble]
    calls = shown["calls"]["salesforce"]
    assert calls["exchange"] == calls[f"exchange {KIM}"] == 1


async def test_trouble_is_switched_on_and_off(stage: Stage) -> None:
    """A rehearsal in another process breaks the token endpoint and mends it again."""
    given = await stage.connect()
    assert given.refresh_token is not None
    body = {"program": "salesforce", "trouble": "500", "user": KIM}
    assert (await post(stage, "trouble", body)).status_code == 200
    shown = (await stage.browser.get(stage.simulator.base_url + "/control")).json()
    assert shown["switched_on"]["salesforce"] == [
        {"endpoint": "token", "trouble": "500", "user": KIM, "times": None}
    ]
    with pytest.raises(TryLater):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    assert (await post(stage, "calm", {})).status_code == 200
    await stage.salesforce.refresh(stage.registration(), given.refresh_token)


async def test_time_users_grants_and_sessions_are_in_hand(stage: Stage) -> None:
    """Each of these switches does to the pretend Salesforce what its state object does."""
    given = await stage.connect()
    assert given.refresh_token is not None
    await post(stage, "salesforce/end-sessions", {})
    assert (await stage.ask(given)).status_code == 401
    again = await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    await post(stage, "clock", {"advance_s": 7201})
    assert (await stage.ask(again)).status_code == 401
    await post(stage, "salesforce/users", {"user": KIM, "active": False})
    with pytest.raises(GrantDead, match="authentication failure"):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    await post(stage, "salesforce/users", {"user": KIM, "active": True})
    assert (await post(stage, "salesforce/revoke", {"user": KIM})).json() == {"ended": 1}
    with pytest.raises(GrantDead, match="expired access/refresh token"):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)


async def test_apps_and_parties_are_registered(stage: Stage) -> None:
    """A connected app and a relying party made over HTTP, without their secrets in the answer."""
    made = await post(
        stage,
        "salesforce/apps",
        {
            "client_id": "two",
            "client_secret": "hush",
            "redirect_uris": [CALLBACK],
            "rotation": True,
        },
    )
    assert made.json()["rotation"] is True
    assert "hush" not in made.text
    assert stage.simulator.salesforce.apps["two"].takes(CALLBACK)
    party = {"client_id": "p", "client_secret": "hush", "algorithm": "ES256"}
    assert (await post(stage, "identity/clients", party)).json()["algorithm"] == "ES256"
    assert stage.simulator.identity.clients["p"].client_secret == "hush"


async def test_evidence_over_http(stage: Stage) -> None:
    """A calling service gets an id_token for AuthenticateUser; after new keys it needs another."""
    body = {"person": PEOPLE[2].external_id, "audience": "service-a", "nonce": "n"}
    minted = (await post(stage, "identity/id-tokens", body)).json()["id_token"]
    issuer = stage.simulator.identity.issuer
    believed = await stage.issuers.check_evidence(
        minted, issuer=issuer, audience="service-a", now=stage.now(), nonce="n"
    )
    assert believed.subject == PEOPLE[2].external_id
    before = stage.simulator.identity.keys["RS256"].public()
    await post(stage, "identity/rotate-keys", {})
    assert stage.simulator.identity.keys["RS256"].public() != before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("trouble", {"program": "salesforce", "trouble": "earthquake"}),
        ("trouble", {"trouble": "500"}),
        ("trouble", {"program": "salesforce", "trouble": "500", "color": "red"}),
        ("clock", {"advance_s": "soon"}),
        ("salesforce/users", {"user": "nobody", "active": True}),
        ("salesforce/apps", {"client_id": "x"}),
        ("identity/id-tokens", {"person": "nobody", "audience": "a"}),
        ("identity/id-tokens", {"person": "acme-0001", "audience": "a", "color": "red"}),
        ("clock", []),
    ],
)
async def test_a_wrong_switch_is_said_so(stage: Stage, path: str, body: object) -> None:
    """A misspelt rehearsal fails loudly instead of rehearsing nothing."""
    assert (await post(stage, path, body)).status_code == 400


async def test_no_web_page_can_post_here(stage: Stage) -> None:
    """A form of some other site is not JSON, and so moves no switch."""
    url = stage.simulator.base_url + "/control/calm"
    assert (await stage.browser.post(url, data={"a": "b"})).status_code == 415
    assert (await stage.browser.get(url)).status_code == 405


async def test_a_slow_program_is_slow_for_that_call_only(stage: Stage) -> None:
    """A late answer keeps nobody else waiting."""
    given = await stage.connect()
    assert given.refresh_token is not None
    stage.simulator.salesforce.switches.set("slow", times=1, seconds=0.2)
    registration = stage.registration()
    late, quick = [
        asyncio.create_task(stage.salesforce.refresh(registration, given.refresh_token))
        for _ in range(2)
    ]
    await asyncio.wait([late, quick], return_when=asyncio.FIRST_COMPLETED)
    assert late.done() is not quick.done()
    await asyncio.gather(late, quick)
