"""The pretend SharePoint Server: whom a farm believes, and by which of three ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import httpx
import orjson
import pytest

from broker.demo.sharepoint import ACTIVE_DIRECTORY, PRINCIPAL, REALM
from broker.demo.simulator import serving
from tests.broker.demo.stage import KIM
from tests.broker.demo.visiting import API, Visit, part, signer

ISSUER = "11111111-2222-4333-8444-555555555555"
SITE = "/sharepoint/sites/flows/_api/web"


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        simulator.farm.trusted[ISSUER] = signer().certificate
        yield Visit(simulator, browser, "sharepoint")


def actor(visit: Visit, *, by: str = "ours", **changed: object) -> str:
    """The signed half of a high-trust token."""
    now = visit.simulator.clock.now()
    named = f"{ISSUER}@{REALM}"
    said = {
        "iss": named,
        "nameid": named,
        "aud": f"{PRINCIPAL}/{visit.simulator.farm.host}@{REALM}",
        "nbf": f"{int(now) - 60}",
        "exp": f"{int(now) + 300}",
    }
    return signer(by).sign(said | changed)


def outer(visit: Visit, inner: str, **changed: object) -> str:
    """The unsigned half, which names a person."""
    now = visit.simulator.clock.now()
    said = {
        "iss": f"{ISSUER}@{REALM}",
        "aud": f"{PRINCIPAL}/{visit.simulator.farm.host}@{REALM}",
        "nbf": f"{int(now) - 60}",
        "exp": f"{int(now) + 300}",
        "nameid": visit.program.state.users[KIM].id,
        "nii": ACTIVE_DIRECTORY,
        "actortoken": inner,
    }
    head = part(b'{"typ":"JWT","alg":"none"}')
    return f"{head}.{part(orjson.dumps({**said, **changed}))}."


async def test_high_trust(visit: Visit) -> None:
    """A token signed with the trusted certificate acts for the person with that SID (L8, R23)."""
    answer = await visit.ask(outer(visit, actor(visit)))
    assert answer.json()["Email"] == KIM
    assert (await visit.ask(outer(visit, actor(visit)), SITE)).json()["Title"] == "Flows"


async def test_the_app_alone(visit: Visit) -> None:
    """The actor token alone is the app."""
    assert (await visit.ask(actor(visit))).json()["Title"] == "SharePoint App"


@pytest.mark.parametrize(
    "changed",
    [
        {"by": "another"},
        {"iss": f"another@{REALM}"},
        {"iss": ISSUER},
        {"nameid": f"{ISSUER}@another"},
        {"aud": f"{PRINCIPAL}/another.example@{REALM}"},
        {"exp": "1"},
        {"nbf": "99999999999"},
    ],
)
async def test_an_actor_nobody_trusts(visit: Visit, changed: dict[str, str]) -> None:
    """Another key, issuer, realm, host or time: 401, alone as around a person."""
    make = partial(actor, visit)
    token = make(**changed)
    for one in (token, outer(visit, token)):
        answer = await visit.ask(one)
        assert answer.status_code == 401
        assert REALM in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "changed",
    [
        {"nameid": "s-1-5-21-0"},
        {"nameid": "S-1-5-21-1004336348-1177238915-682003330-1001"},
        {"nii": "urn:office:idp:forms:ldap"},
        {"iss": f"another@{REALM}"},
        {"aud": "another"},
        {"exp": "1"},
    ],
)
async def test_a_person_nobody_knows(visit: Visit, changed: dict[str, str]) -> None:
    """A SID of nobody, in capitals, or a claim that does not fit the actor's: 401."""
    assert (await visit.ask(outer(visit, actor(visit), **changed))).status_code == 401


async def test_who_left_is_not_spoken_for(visit: Visit) -> None:
    """A high-trust token for a user who was switched off is refused."""
    visit.program.state.users[KIM].active = False
    assert (await visit.ask(outer(visit, actor(visit)))).status_code == 401


async def test_the_challenge_tells_the_realm(visit: Visit) -> None:
    """client.svc answers 401 with the farm's realm and whom it trusts, as clients look for it."""
    url = visit.at + "/_vti_bin/client.svc"
    answer = await visit.browser.get(url, headers={"Authorization": "Bearer"})
    assert answer.status_code == 401
    assert f'realm="{REALM}"' in answer.headers["www-authenticate"]
    assert ISSUER in answer.headers["www-authenticate"]


async def test_name_and_password(visit: Visit) -> None:
    """Basic opens it for who has a password here, and for nobody else (R24)."""
    visit.simulator.farm.passwords["acme\\" + KIM] = "a:b"
    url = visit.simulator.base_url + API["sharepoint"]
    for name, password, status in (
        ("acme\\" + KIM, "a:b", 200),
        ("acme\\" + KIM, "wrong", 401),
        (KIM, "a:b", 401),
        ("nobody", "", 401),
    ):
        assert (await visit.browser.get(url, auth=(name, password))).status_code == status
    odd = {"Authorization": "Basic ?"}
    assert (await visit.browser.get(url, headers=odd)).status_code == 401


async def test_a_site_that_is_not_there(visit: Visit) -> None:
    """404 for whoever may come in, 401 for others."""
    lost = "/sharepoint/sites/lost/_api/web/currentuser"
    assert (await visit.ask(actor(visit), lost)).status_code == 404
    assert (await visit.ask("x", lost)).status_code == 401


async def test_where_ad_fs_is(visit: Visit) -> None:
    """Discovery names the endpoints below /adfs; userinfo tells the user principal name."""
    url = visit.at + "/adfs/.well-known/openid-configuration"
    told = (await visit.browser.get(url)).json()
    assert told["token_endpoint"] == visit.at + visit.program.token_path
    given = await visit.connect()
    assert int(given["refresh_token_expires_in"]) == 7 * 24 * 3600
    mine = await visit.ask(given["access_token"], "/sharepoint/adfs/userinfo")
    assert mine.json()["upn"] == KIM
