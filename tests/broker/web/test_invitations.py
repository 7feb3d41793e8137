"""The page behind an invitation's link (safety 13; U3, U4, U18)."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from broker.domain.clock import DAY
from tests.broker.web.rehearsing import AMARA, BELA, Rehearsal, query_of
from tests.clocks import MovableClock
from tests.faces import BROWSER, Faces


async def link(service: Faces, id: str, headers: dict[str, str]) -> str:
    """The path of a fresh link, as an administrator's resend shows it."""
    answer = await service.client.post(f"/v1/users/{id}/invite", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "invited"
    shown = answer.json()["invitation"]
    assert shown["url"].startswith(service.broker.base_url)
    return urlsplit(str(shown["url"])).path


async def status(service: Faces, id: str, headers: dict[str, str]) -> str:
    return str((await service.client.get(f"/v1/users/{id}", headers=headers)).json()["status"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing(service: Faces, method: str) -> None:
    """Safety 13: a mail scanner opens every link; only the button accepts, and nobody keeps the
    page or tells another site its address.
    """
    headers, ids = await service.key(), await service.push(["kim"])
    path = await link(service, ids["kim"], headers)
    for _ in range(3):
        page = await service.client.request(method, path, headers=BROWSER)
        assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert await status(service, ids["kim"], headers) == "invited"
    done = await service.client.post(path, headers=BROWSER)
    assert "You are active now." in done.text
    assert await status(service, ids["kim"], headers) == "active"


async def test_the_page_says_who_invites(service: Faces) -> None:
    """R124: product, project, until when, and a button."""
    headers, ids = await service.key(), await service.push(["kim"])
    page = await service.client.get(await link(service, ids["kim"], headers), headers=BROWSER)
    assert "kim, you are invited to Smart Flows" in page.text
    assert "<strong>default</strong>" in page.text
    assert "<button>Accept the invitation</button>" in page.text
    assert "UTC" in page.text


async def test_a_place_and_whom_to_ask(service: Faces) -> None:
    """U4, R129: who finds no license learns the place and no administrator's name."""
    headers, ids = await service.key(), await service.push(["kim", "lee"])
    await service.client.put("/v1/licenses", json={"capacity": 0}, headers=headers)
    for place, id in enumerate(ids.values(), 1):
        done = await service.client.post(await link(service, id, headers), headers=BROWSER)
        assert "You are in the queue" in done.text
        assert f"number {place} in the queue; ask your account admin" in done.text
        assert "@" not in done.text


async def test_a_link_that_is_over_says_why(service: Faces, clock: MovableClock) -> None:
    """U18: used, expired, replaced, withdrawn: 410 with what to do, for GET and POST alike."""
    headers, ids = await service.key(), await service.push(["kim", "lee", "bo"])
    used, expired, gone = [await link(service, id, headers) for id in ids.values()]
    await service.client.post(used, headers=BROWSER)
    await service.client.post(f"/v1/users/{ids['bo']}/suspend", headers=headers)
    for method in ("GET", "POST"):
        for path, words in ((used, "This link was used"), (gone, "was withdrawn")):
            page = await service.client.request(method, path, headers=BROWSER)
            assert page.status_code == 410
            assert words in page.text
    newer = await link(service, ids["lee"], headers)
    assert "a newer invitation" in (await service.client.get(expired, headers=BROWSER)).text
    clock.advance(7 * DAY)
    over = await service.client.get(newer, headers=BROWSER)
    assert over.status_code == 410
    assert "has expired" in over.text
    assert "Ask your account admin for a new one" in over.text
    why = (await service.client.get(f"/v1/users/{ids['lee']}", headers=headers)).json()["why"]
    assert why.endswith("has expired; send a new one.")


async def test_nobody_guesses_one(service: Faces) -> None:
    """Safety 3: any other address below /invitations is missing."""
    for path in ("/invitations/x", "/invitations/" + "x" * 43, "/invitations/%00"):
        assert (await service.client.get(path, headers=BROWSER)).status_code == 404
        assert (await service.client.post(path, headers=BROWSER)).status_code == 404


async def test_another_site_presses_no_button(service: Faces) -> None:
    """A form of another site accepts nothing, though it knew the link."""
    headers, ids = await service.key(), await service.push(["kim"])
    path = await link(service, ids["kim"], headers)
    answer = await service.client.post(path, headers=BROWSER | {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert await status(service, ids["kim"], headers) == "invited"


async def test_the_link_stands_in_no_line(service: Faces) -> None:
    """Safety 32: what is counted and logged is the route's template."""
    headers, ids = await service.key(), await service.push(["kim"])
    path = await link(service, ids["kim"], headers)
    await service.client.get(path, headers=BROWSER)
    assert service.seen[-1][0] == "/invitations/{secret}"


async def through(
    rehearsal: Rehearsal, browser: httpx.AsyncClient, path: str, as_: str
) -> httpx.Response:
    """Press the button, sign in as that person, come back."""
    away = await browser.post(path)
    assert away.status_code == 303
    assert away.headers["location"].startswith(rehearsal.pretend.identity.issuer)
    back = rehearsal.pretend.identity.decide(query_of(away.headers["location"]), as_)
    return await browser.get(back)


async def test_with_an_issuer_one_signs_in_to_accept(rehearsal: Rehearsal) -> None:
    """Safety 13: the link alone lets nobody in; signed in as that person it is accepted (U3)."""
    service, id = rehearsal.service, rehearsal.id(BELA)
    path = await link(service, id, rehearsal.headers)
    async with rehearsal.browser() as browser:
        page = await browser.get(path)
        assert "Sign in and accept" in page.text
        assert rehearsal.pretend.base_url in page.headers["content-security-policy"]
        assert await status(service, id, rehearsal.headers) == "invited"
        signed_in = await through(rehearsal, browser, path, BELA.external_id)
        assert path not in signed_in.headers["location"]  # the secret is written down nowhere
        done = await browser.get(signed_in.headers["location"])
        assert "You are active now." in done.text
        assert (await browser.get(path)).status_code == 410
    assert await status(service, id, rehearsal.headers) == "active"


async def test_somebody_else_accepts_nothing(rehearsal: Rehearsal) -> None:
    """Safety 13, 16: who signs in as another is told so, and the invitation stays open."""
    service, id = rehearsal.service, rehearsal.id(BELA)
    path = await link(service, id, rehearsal.headers)
    async with rehearsal.browser() as browser:
        signed_in = await through(rehearsal, browser, path, AMARA.external_id)
        done = await browser.get(signed_in.headers["location"])
        assert done.status_code == 403
        assert "made for somebody else" in done.text
        assert "Sign in and accept" in (await browser.get(path)).text
    assert await status(service, id, rehearsal.headers) == "invited"
