"""My connections: seen, used, connected and removed by their person alone (K1, K2, K12; R4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.responses import Response

from broker.db.database import Transaction
from broker.demo.people import Person
from broker.domain.clock import DAY
from broker.web.access import Access
from broker.web.rates import Rates
from tests import browsing
from tests.broker.web.rehearsing import AMARA, BELA, KIM, Rehearsal, query_of
from tests.browsing import Page
from tests.faces import BASE_URL

CHANGES = ("/connections/{}/connect", "/connections/{}/remove", "/connections/reminders")


async def came_back(at: Rehearsal, browser: httpx.AsyncClient, who: Person) -> httpx.Response:
    """From the button of the page to the identity provider and back."""
    page = await browsing.read(browser, "/connections")
    away = await browser.get(page.leads("Sign in")[0])
    back = at.pretend.identity.decide(query_of(away.headers["location"]), who.external_id)
    return await browser.get(back)


async def signed_in(at: Rehearsal, browser: httpx.AsyncClient, who: Person = KIM) -> Page:
    """The page as that person sees it."""
    answer = await came_back(at, browser, who)
    assert answer.headers["location"] == "/connections", answer.text
    return await browsing.read(browser, "/connections")


async def connected(at: Rehearsal, browser: httpx.AsyncClient, page: Page) -> Page:
    """From the button Connect to the program and back, and the page the last one leads to."""
    button = "Connect" if "Not connected" in page else "Reconnect"
    away = await browser.post(page.form(button).action)
    assert away.status_code == 303, away.text
    back = at.pretend.pages.decide(query_of(away.headers["location"]), KIM.user_name)
    return await (await browsing.read(browser, back)).follow("My connections")


async def ran(at: Rehearsal, execution: str, step: str, flow: str | None = None) -> str:
    """The row a step of Kim's came to."""
    asked = {
        "connector": "Salesforce",
        "execution": {"id": execution, "flow": flow},
        "step": {"id": step, "type": "retrieve_data"},
        "subject": {"user_id": at.id(KIM)},
    }
    return str((await at.post("/v1/resolve", asked)).json()["row"])


async def rows(at: Rehearsal, sql: str) -> list[dict[str, Any]]:
    """What the database holds."""
    found = await at.service.broker.db.read(lambda tx: tx.all(sql))
    return [dict(row) for row in found]


def run(tx: Transaction, sql: str, by: int) -> None:
    """Change what the database holds."""
    tx.run(sql, by=by)


async def test_a_person_connects_sees_what_used_it_and_removes(rehearsal: Rehearsal) -> None:
    """From nothing to an account (K1, K2), to what ran as it, to its end (K12), asked first."""
    async with rehearsal.browser() as browser:
        page = await signed_in(rehearsal, browser)
        assert "Not connected" in page
        page = await connected(rehearsal, browser, page)
        assert "✓ Connected" in page
        assert KIM.user_name in page
        assert "by nothing" in page
        for execution, step in (("r-1", "s1"), ("r-2", "s1"), ("r-2", "s2"), ("r-2", "s2")):
            assert await ran(rehearsal, execution, step, "close-contract") == "F6"
        page = await browsing.read(browser, "/connections")
        assert "test: 3 steps in 2 executions" in page
        assert "by the flow close-contract" in page
        asks = await page.follow("Remove")
        assert "test (3 steps)." in asks
        assert await ran(rehearsal, "r-3", "s1") == "F6"  # asking ended nothing
        gone = await asks.press("Remove")
        assert "Removed." in gone
        assert "Not connected" in gone
    assert await ran(rehearsal, "r-4", "s1") == "F11"
    assert len(await rows(rehearsal, "SELECT id FROM jobs WHERE kind = 'revoke'")) == 1
    kept = await rows(rehearsal, "SELECT state, reason, access_token, refresh_token FROM tokens")
    assert {"state": "revoked", "reason": "user", "access_token": None, "refresh_token": None} in (
        kept
    )
    audited = "SELECT actor FROM audit WHERE action = 'authorization.disconnected'"
    assert await rows(rehearsal, audited) == [{"actor": f"person:{rehearsal.id(KIM)}"}]


async def test_what_is_older_than_30_days_is_not_shown(rehearsal: Rehearsal) -> None:
    """What used a connection within 30 days is shown, and what used it before is not."""
    older = "UPDATE decision_lines SET at = at - :by"
    async with rehearsal.browser() as browser:
        await connected(rehearsal, browser, await signed_in(rehearsal, browser))
        await ran(rehearsal, "r-1", "s1")
        for by, told in ((29, "test: 1 step in 1 execution"), (2, "by nothing")):
            await rehearsal.service.broker.db.write(run, older, by * DAY)
            assert told in await browsing.read(browser, "/connections")


async def test_a_dead_grant_asks_for_its_person(rehearsal: Rehearsal) -> None:
    """K6: what only the person can mend says so, and Reconnect mends it."""
    async with rehearsal.browser() as browser:
        await connected(rehearsal, browser, await signed_in(rehearsal, browser))
        dead = "UPDATE tokens SET state = 'needs_reauth' WHERE user_id <> ''"
        await rehearsal.service.broker.db.write(lambda tx: tx.run(dead))
        page = await browsing.read(browser, "/connections")
        assert "⚠ Needs you" in page
        assert "✓ Connected" in await connected(rehearsal, browser, page)
    assert await ran(rehearsal, "r-1", "s1") == "F6"


async def test_nobody_sees_anybody_elses(rehearsal: Rehearsal) -> None:
    """Amara sees her own page: not Kim's account, nor what ran as Kim; her Remove ends nothing."""
    async with rehearsal.browser() as kims, rehearsal.browser() as amaras:
        await connected(rehearsal, kims, await signed_in(rehearsal, kims))
        await ran(rehearsal, "r-1", "s1")
        page = await signed_in(rehearsal, amaras, AMARA)
        assert "Not connected" in page
        assert KIM.user_name not in page.html
        here = f"/connections/{rehearsal.connector}/remove"
        assert (await amaras.post(here)).status_code == 404
        for path in ("/connections/con_x/remove", "/connections/con_x/connect"):
            assert (await amaras.post(path)).status_code == 404
    assert await ran(rehearsal, "r-2", "s1") == "F6"


async def test_reminders_are_the_persons_own_word(rehearsal: Rehearsal) -> None:
    """The box says how it stands; saving it switched off, and on again, is kept."""
    async with rehearsal.browser() as browser:
        page = await signed_in(rehearsal, browser)
        for wanted in (False, True):
            page = await page.press("Save", reminders=wanted)
            assert "Saved." in page
            assert (" checked" in page.html) is wanted
            found = await rows(rehearsal, "SELECT reminders FROM users ORDER BY reminders")
            assert found[0]["reminders"] == int(wanted)


@pytest.mark.parametrize("path", CHANGES)
async def test_a_change_needs_its_persons_session(rehearsal: Rehearsal, path: str) -> None:
    """Nobody, an administrator, a connect session (safety 16) and another site change nothing."""
    url, link = path.format(rehearsal.connector), await rehearsal.link(KIM)
    asked = {"user_id": rehearsal.id(KIM), "link": link.rpartition("/")[2]}
    made = await rehearsal.post("/v1/connect-sessions", asked)
    async with rehearsal.browser() as browser:
        assert (await browser.post(url)).status_code == 401
        await browser.get(urlsplit(made.json()["url"]).path)
        assert (await browser.post(url)).status_code == 401
        assert "Sign in first" in await browsing.read(browser, "/connections")
        await signed_in(rehearsal, browser)
        elsewhere = await browser.post(url, headers={"Sec-Fetch-Site": "cross-site"})
        assert (elsewhere.status_code, "cross-site" in elsewhere.text) == (403, True)
        typed = await browser.post(url, data={"user_id": "usr_x"})
        assert typed.status_code == 422
    admin = await rehearsal.service.administrator()
    assert (await admin.post(url)).status_code == 401
    page = await browsing.read(admin, "/connections")
    assert "holds an administrator's session" in page
    assert await rows(rehearsal, "SELECT id FROM links WHERE made_by LIKE 'person:%'") == []


async def test_a_person_who_waits_or_is_gone_sees_nothing(rehearsal: Rehearsal) -> None:
    """Bela, whose sign-in makes her active, comes in; suspended, her session has ended (U11)."""
    async with rehearsal.browser() as browser:
        await signed_in(rehearsal, browser, BELA)
        url = f"/v1/users/{rehearsal.id(BELA)}/suspend"
        assert (await rehearsal.post(url, {"reason": "left"})).status_code == 200
        assert "Sign in first" in await browsing.read(browser, "/connections")
        assert (await came_back(rehearsal, browser, BELA)).status_code == 403


async def test_a_sign_in_begins_a_session_of_its_own(rehearsal: Rehearsal) -> None:
    """Session fixation (RFC 9700 4.7.1, OWASP): each sign-in has a new id, and the session the
    browser came with is over, on the server too.
    """
    async with rehearsal.browser() as browser, rehearsal.browser() as attacker:
        await signed_in(rehearsal, attacker, AMARA)
        planted = attacker.cookies["broker"]
        browser.cookies.set("broker", planted, "127.0.0.1")
        await signed_in_again(rehearsal, browser)
        assert browser.cookies["broker"] != planted
        assert "Sign in first" in await browsing.read(attacker, "/connections")
        page = await browsing.read(browser, "/connections")
        assert KIM.display_name in page


async def signed_in_again(at: Rehearsal, browser: httpx.AsyncClient) -> None:
    """Kim signs in, whatever this browser holds."""
    away = await browser.get("/signin")
    back = at.pretend.identity.decide(query_of(away.headers["location"]), KIM.external_id)
    assert (await browser.get(back)).status_code == 303


def test_no_other_host_sets_our_cookies() -> None:
    """RFC 9700 4.7.1: under https both cookies are `__Host-` ones, so that no sibling host plants a
    session or the mark of a browser; loopback has no TLS, and the plain names.
    """
    for base_url, prefix in (("https://broker.example.com", "__Host-"), (BASE_URL, "")):
        access = Access(None, base_url, None, Rates(0))  # type: ignore[arg-type]  # names alone
        for answer in (
            access.signed_in(Response(), "a-session"),
            access.marked(Response(), "a-browser"),
        ):
            said = answer.headers["set-cookie"]
            assert said.startswith(f"{prefix}broker")
            assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(said.split("; "))
            assert ("Secure" in said, "Domain" in said) == (bool(prefix), False)


async def test_signing_out_ends_it_here_and_on_the_server(rehearsal: Rehearsal) -> None:
    """The button leads out; the cookie, brought back by somebody, opens nothing."""
    async with rehearsal.browser() as browser:
        page = await signed_in(rehearsal, browser)
        cookie = browser.cookies["broker"]
        out = await browser.post(page.form("Sign out").action)
        assert (out.status_code, out.headers["location"]) == (303, "/")
        assert "broker" not in browser.cookies
        browser.cookies.set("broker", cookie, "127.0.0.1")
        assert "Sign in first" in await browsing.read(browser, "/connections")


async def test_of_several_projects_one_is_named(rehearsal: Rehearsal) -> None:
    """With one project its address needs no name; with two it does, and a letter's has it."""
    await rehearsal.service.other_project()
    project = rehearsal.service.project
    async with rehearsal.browser() as browser:
        lost = await browser.get("/signin")
        assert (lost.status_code, "?project=" in lost.text) == (422, True)
        page = await browsing.read(browser, f"/connections?project={project}")
        assert page.leads("Sign in") == [f"/signin?project={project}"]
        assert (await browser.get(page.leads("Sign in")[0])).status_code == 303


async def test_what_an_address_says_is_text(rehearsal: Rehearsal) -> None:
    """Safety 36: what stands in the address, and in names, is no markup on the page."""
    evil = '"><script>alert(1)</script>'
    async with rehearsal.browser() as browser:
        answer = await browser.get("/connections", params={"project": evil, "done": evil})
        assert "<script" not in answer.text
        rename = "UPDATE connectors SET name = :name"
        await rehearsal.service.broker.db.write(lambda tx: tx.run(rename, name=evil))
        page = await signed_in(rehearsal, browser)
    assert evil in page.text
    assert "<script" not in page.html
