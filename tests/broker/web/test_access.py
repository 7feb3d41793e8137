"""Who calls, by key or by cookie; none of the three kinds opens another's routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import engines
from tests.broker.web.rehearsing import KIM, Rehearsal
from tests.faces import BROWSER, Faces, faces

SAME = {"Sec-Fetch-Site": "same-origin"}


async def test_an_administrator_has_every_scope_but_credentials(service: Faces) -> None:
    """A session reads and changes `/v1`; it never gets a credential (api.md, "Who calls")."""
    browser = await service.administrator()
    assert (await browser.get("/v1/licenses")).status_code == 200
    assert (await browser.get("/v1/project")).status_code == 200
    changed = await browser.put("/v1/licenses", json={"capacity": 5}, headers=SAME)
    assert changed.json()["capacity"] == 5


async def test_a_key_beside_a_cookie_is_the_key(service: Faces) -> None:
    """Where both are sent the key counts, so a browser's session never widens a program's right."""
    browser = await service.administrator()
    headers = await service.key("resolve")
    assert (await browser.get("/v1/licenses", headers=headers)).status_code == 403


async def test_a_person_opens_no_route_of_programs(rehearsal: Rehearsal) -> None:
    """A person's session is for their link: `/v1` and the administrator's pages refuse it."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        assert browser.cookies
        for path in ("/v1/users", "/v1/project", "/admin/directories"):
            assert (await browser.get(path)).status_code == 401
        assert (await browser.post("/v1/resolve", json={})).status_code == 401


async def test_keys_and_tokens_open_no_page(service: Faces) -> None:
    """A key in the header makes nobody an administrator of the pages, nor a SCIM token of `/v1`."""
    headers = await service.key() | {"Accept": "text/html"}
    assert (await service.client.get("/admin/directories", headers=headers)).status_code == 401
    _, token = await service.broker.configuring.add(service.project, "Acme", by="test")
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await service.client.get("/v1/users", headers=bearer)).status_code == 401


async def test_a_revoked_key_ends_at_once(service: Faces) -> None:
    """Safety 24: the next request after the revocation is refused."""
    headers = await service.key("users:read")
    assert (await service.client.get("/v1/licenses", headers=headers)).status_code == 200
    (key,) = await service.broker.callers.keys(service.project)
    await service.broker.callers.revoke_key(service.project, key["id"], by="test")
    assert (await service.client.get("/v1/licenses", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8080"}, 403),
        ({"Origin": "http://127.0.0.1:8080"}, 200),
        ({"Origin": "http://127.0.0.1:8081"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 200),
    ],
)
async def test_another_site_changes_nothing(
    service: Faces, headers: dict[str, str], status: int
) -> None:
    """A change with a session comes from our own pages: Sec-Fetch-Site, else Origin."""
    browser = await service.administrator()
    answer = await browser.put("/v1/licenses", json={"capacity": 5}, headers=headers)
    assert answer.status_code == status
    now = (await browser.get("/v1/licenses")).json()["capacity"]
    assert now == (5 if status == 200 else None)


@pytest.mark.parametrize(
    ("base_url", "name", "secure"),
    [
        ("http://127.0.0.1:8080", "broker", False),
        ("https://broker.example.com", "__Host-broker", True),
    ],
)
async def test_the_cookie_is_as_strict_as_can_be(
    sqlite_engine: engines.SqliteEngine, tmp_path: Path, base_url: str, name: str, secure: bool
) -> None:
    """HttpOnly, Lax, the whole site and no domain; `__Host-` and Secure on https (building.md)."""
    with sqlite_engine.database(tmp_path) as url:
        async with faces(url, base_url=base_url) as service:
            secret = await service.broker.callers.setup_link(service.project)
            answer = await service.client.post(f"/setup/{secret}", headers=BROWSER)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    said = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= said
    assert ("secure" in said) is secure
    assert not any(part.startswith("domain") for part in said)


async def test_signing_out_ends_the_session_itself(service: Faces) -> None:
    """The cookie's copy in another place is worth nothing afterwards."""
    browser = await service.administrator()
    kept = dict(browser.cookies)
    out = await browser.post("/signout", headers=SAME)
    assert out.status_code == 303
    assert not browser.cookies
    browser.cookies.update(kept)
    assert (await browser.get("/v1/licenses")).status_code == 401
