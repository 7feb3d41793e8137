"""Ways in and out, and what every page promises (safety 38, promise 25)."""

from __future__ import annotations

import re

import pytest

from broker.domain.clock import HOUR, MINUTE
from tests.clocks import MovableClock
from tests.faces import BROWSER, Faces

PAGES = [
    "/",
    "/setup/x",
    "/problems",
    "/problems/license-exhausted",
    "/admin/directories",
    "/nothing",
]


async def test_a_set_up_link_acts_by_post(service: Faces) -> None:
    """Opening the link shows a button and spends nothing; pressing it makes an administrator."""
    secret = await service.broker.callers.setup_link(service.project)
    for _ in range(2):
        page = await service.client.get(f"/setup/{secret}", headers=BROWSER)
        assert '<form method="post"><button>' in page.text
        assert "set-cookie" not in page.headers
    entered = await service.client.post(f"/setup/{secret}", headers=BROWSER)
    assert entered.headers["location"] == "/admin/directories"
    again = await service.client.post(f"/setup/{secret}", headers=BROWSER)
    assert again.status_code == 401
    assert "broker admin link" in again.text


async def test_a_set_up_link_lives_fifteen_minutes(service: Faces, clock: MovableClock) -> None:
    """Safety 38: after 15 minutes it is over."""
    secret = await service.broker.callers.setup_link(service.project)
    clock.advance(15 * MINUTE)
    answer = await service.client.post(f"/setup/{secret}", headers=BROWSER)
    assert answer.status_code == 401


async def test_another_site_spends_no_set_up_link(service: Faces) -> None:
    """Nobody is made an administrator by another site's form."""
    secret = await service.broker.callers.setup_link(service.project)
    headers = BROWSER | {"Sec-Fetch-Site": "cross-site"}
    assert (await service.client.post(f"/setup/{secret}", headers=headers)).status_code == 403
    assert (await service.client.post(f"/setup/{secret}", headers=BROWSER)).status_code == 303


async def test_an_administrators_session_ends(service: Faces, clock: MovableClock) -> None:
    """Twelve hours later the session is over, whatever the cookie says."""
    browser = await service.administrator()
    assert (await browser.get("/v1/licenses")).status_code == 200
    clock.advance(12 * HOUR)
    assert (await browser.get("/v1/licenses")).status_code == 401


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_strict(service: Faces, path: str) -> None:
    """No script, nothing from elsewhere, no frame, no referrer, nothing kept."""
    page = await service.client.get(path, headers=BROWSER)
    policy = page.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert "script" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script|\son\w+=|style=|https?://", page.text)
    assert '<html lang="en">' in page.text
    assert page.text.count("<h1>") == 1


async def test_the_stylesheet_is_ours(service: Faces) -> None:
    """What a page asks for is here, typed, and nothing else of the folder is."""
    page = await service.client.get("/", headers=BROWSER)
    asked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert asked
    for path in asked:
        answer = await service.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/static/../site.py", "/static/%2e%2e/site.py", "/static/base.html"):
        assert (await service.client.get(path)).status_code == 404
