"""The person's part: links, sign-in, callbacks (safety 5, 14, 15, 16, 29)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from broker.domain.clock import DAY, MINUTE, SECOND
from tests.broker.web.rehearsing import AMARA, BELA, KIM, Rehearsal, query_of
from tests.clocks import MovableClock


async def test_a_pause_ends_with_a_sign_in(rehearsal: Rehearsal) -> None:
    """Journey D through the doors: paused, signed in, allowed, claimed, run as the person."""
    paused = await rehearsal.resolve(KIM, "r-1")
    assert (paused["row"], paused["status"]) == ("F11", "Authentication needed")
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        page = await browser.get(link)
        assert "Sign in" in page.text
        signed_in = await rehearsal.sign_in(browser, link, KIM)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, link)
        page = await browser.get(link)
        assert "A flow needs you" in page.text
        assert "Continue to Salesforce" in page.text
        away = await browser.post(link)
        back = rehearsal.pretend.pages.decide(query_of(away.headers["location"]), KIM.user_name)
        done = await browser.get(back)
    assert done.status_code == 200
    assert "The flow goes on" in done.text
    pause = f"/v1/pauses/{paused['pause']['id']}"
    ready = await rehearsal.service.client.get(pause, headers=rehearsal.headers)
    assert ready.json()["state"] == "ready"
    claim = (await rehearsal.post(f"{pause}/claim", {})).json()
    assert claim["decision"]["run_as"]["user_name"] == KIM.user_name
    assert claim["decision"]["credential"]["access_token"]
    told = await rehearsal.post(f"{pause}/result", {"claim": claim["claim"], "result": "ran"})
    assert told.status_code == 204


async def test_somebody_else_is_refused_by_the_rule(rehearsal: Rehearsal) -> None:
    """Safety 14: who is signed in as another gets 403 with the rule's name, not the person's."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, AMARA)
        page = await browser.get(link)
        posted = await browser.post(link)
    assert page.status_code == posted.status_code == 403
    assert "wrong-person" in page.text
    assert "wrong-person" in posted.text
    for word in (KIM.user_name, KIM.display_name, rehearsal.id(KIM)):
        assert word not in page.text + posted.text


async def test_a_callback_belongs_to_its_browser(rehearsal: Rehearsal) -> None:
    """Safety 14: the right person in another browser, and nobody at all, claim nothing."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser, rehearsal.browser() as other:
        await rehearsal.sign_in(browser, link, KIM)
        away = (await browser.post(link)).headers["location"]
        back = rehearsal.pretend.pages.decide(query_of(away), KIM.user_name)
        await rehearsal.sign_in(other, link, KIM)
        assert (await other.get(back)).status_code == 403
        other.cookies.clear()
        assert (await other.get(back)).status_code == 401
        assert rehearsal.pretend.salesforce.calls["token"] == 1  # the wizard's
        assert (await browser.get(back)).status_code == 200
        again = await browser.get(back)
    assert again.status_code == 409
    assert "link-over" in again.text


async def test_a_callback_parameter_stands_once(rehearsal: Rehearsal) -> None:
    """RFC 6749 §3.1: a repeated parameter is refused before anything is looked up."""
    path = f"/oauth/callback/{rehearsal.connector}?state=a&state=b&code=c"
    async with rehearsal.browser() as browser:
        answer = await browser.get(path)
    assert answer.status_code == 422
    assert "repeated-parameter" in answer.text


async def test_a_refusal_is_told_in_words(rehearsal: Rehearsal) -> None:
    """K3: pressing Deny stores nothing, and the page says so."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        away = (await browser.post(link)).headers["location"]
        back = rehearsal.pretend.pages.decide(query_of(away), KIM.user_name, allow=False)
        answer = await browser.get(back)
    assert answer.status_code == 409
    assert "nothing was stored" in answer.text
    assert (await rehearsal.resolve(KIM, "r-1"))["row"] == "F11"


async def test_the_person_comes_back_to_the_program(rehearsal: Rehearsal) -> None:
    """A registered return URL is where the callback ends; another one is refused (safety 29)."""
    link = await rehearsal.link(KIM, return_url="https://flows.example/back")
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        away = (await browser.post(link)).headers["location"]
        back = rehearsal.pretend.pages.decide(query_of(away), KIM.user_name)
        answer = await browser.get(back)
    assert answer.headers["location"] == "https://flows.example/back"
    asked = {"user_id": rehearsal.id(AMARA), "connector": rehearsal.connector}
    refused = await rehearsal.post("/v1/links", asked | {"return_url": "https://evil.example/"})
    assert refused.json()["code"] == "return-url-not-registered"


async def test_a_connect_session_opens_one_link_once(rehearsal: Rehearsal) -> None:
    """Safety 16: single use, one link, one person."""
    link, other = await rehearsal.link(KIM), await rehearsal.link(AMARA)
    asked = {"user_id": rehearsal.id(KIM), "link": link.rpartition("/")[2]}
    made = await rehearsal.post("/v1/connect-sessions", asked)
    assert made.status_code == 201
    address = urlsplit(made.json()["url"]).path
    async with rehearsal.browser() as browser:
        entered = await browser.get(address)
        assert entered.headers["location"] == link
        assert "A flow needs you" in (await browser.get(link)).text
        assert (await browser.get(other)).status_code == 403
        again = await browser.get(address)
    assert again.status_code == 401
    assert "link-over" in again.text


async def test_looking_ahead_spends_nothing(rehearsal: Rehearsal) -> None:
    """HEAD and a browser's prefetch of a connect session leave it to the person."""
    asked = {"user_id": rehearsal.id(KIM), "link": (await rehearsal.link(KIM)).rpartition("/")[2]}
    address = urlsplit((await rehearsal.post("/v1/connect-sessions", asked)).json()["url"]).path
    async with rehearsal.browser() as browser:
        assert (await browser.head(address)).status_code == 204
        ahead = await browser.get(address, headers={"Sec-Purpose": "prefetch;prerender"})
        assert ahead.status_code == 204
        assert not browser.cookies
        assert (await browser.get(address)).status_code == 303


async def test_a_connect_session_ends_after_five_minutes(
    rehearsal: Rehearsal, clock: MovableClock
) -> None:
    """Safety 16: five minutes later the address is over."""
    asked = {"user_id": rehearsal.id(KIM), "link": (await rehearsal.link(KIM)).rpartition("/")[2]}
    address = urlsplit((await rehearsal.post("/v1/connect-sessions", asked)).json()["url"]).path
    clock.advance(5 * MINUTE)
    async with rehearsal.browser() as browser:
        assert (await browser.get(address)).status_code == 401


async def test_a_connect_session_is_for_the_links_person(rehearsal: Rehearsal) -> None:
    """Safety 16: somebody else's link is no link; neither is one that is over or inactive."""
    link = (await rehearsal.link(KIM)).rpartition("/")[2]
    asked = {"user_id": rehearsal.id(AMARA), "link": link}
    assert (await rehearsal.post("/v1/connect-sessions", asked)).status_code == 404
    await rehearsal.post(f"/v1/users/{rehearsal.id(KIM)}/suspend", {})
    asked = {"user_id": rehearsal.id(KIM), "link": link}
    assert (await rehearsal.post("/v1/connect-sessions", asked)).status_code == 409


async def test_a_link_ends_with_its_day(rehearsal: Rehearsal, clock: MovableClock) -> None:
    """K3: an expired link says that it is over, to its own person too."""
    link = await rehearsal.link(KIM)
    clock.advance(DAY)
    rehearsal.pretend.clock.advance(DAY / SECOND)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        answer = await browser.get(link)
    assert answer.status_code == 409
    assert "link-over" in answer.text


async def test_a_sign_in_is_a_login(rehearsal: Rehearsal) -> None:
    """U3, U4: signing in makes an invited person active, or gives them a place in the queue."""
    link = await rehearsal.link(KIM)
    capacity = {"capacity": 2}
    client, headers = rehearsal.service.client, rehearsal.headers
    await client.put("/v1/licenses", json=capacity, headers=headers)
    async with rehearsal.browser() as browser:
        page = await rehearsal.sign_in(browser, link, BELA)
    assert page.status_code == 200
    assert "number 1 in the queue" in page.text
    assert "account admin" in page.text
    who = (await client.get(f"/v1/users/{rehearsal.id(BELA)}", headers=headers)).json()
    assert (who["status"], who["place"]) == ("queued", 1)


async def test_a_sign_in_belongs_to_its_browser(rehearsal: Rehearsal) -> None:
    """A sign-in that comes back to another browser signs nobody in, and only once."""
    link = (await rehearsal.link(KIM)).rpartition("/")[2]
    async with rehearsal.browser() as browser, rehearsal.browser() as other:
        away = await browser.get("/signin", params={"link": link})
        query = query_of(away.headers["location"])
        back = rehearsal.pretend.identity.decide(query, KIM.external_id)
        assert (await other.get(back)).status_code == 401
        assert (await browser.get(back)).status_code == 303
        assert (await browser.get(back)).status_code == 401


async def test_nobody_signs_in_for_a_link_that_is_none(rehearsal: Rehearsal) -> None:
    """/signin says nothing of a link, or a project, that is none."""
    async with rehearsal.browser() as browser:
        assert (await browser.get("/signin?link=")).status_code == 404
        assert (await browser.get("/signin?project=prj_x")).status_code == 404
        assert (await browser.get("/signin?link=lnk_x")).status_code == 404
        assert (await browser.get("/connect/lnk_x")).status_code == 404


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_no_other_site_sends_a_person_on(rehearsal: Rehearsal, site: str) -> None:
    """A POST of another site is refused before the link is followed."""
    link = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        answer = await browser.post(link, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "cross-site" in answer.text


async def test_an_action_is_proven_by_a_sign_in(rehearsal: Rehearsal) -> None:
    """Safety 29: the page names the asker, the person confirms, the code completes it."""
    asked = {"mode": "async", "return_url": "https://flows.example/back"}
    pending = await rehearsal.post("/v1/actions/AuthenticateUser", asked)
    assert pending.status_code == 202
    link = urlsplit(pending.json()["authorization_url"]).path
    async with rehearsal.browser() as browser:
        assert "Sign in" in (await browser.get(link)).text
        await rehearsal.sign_in(browser, link, KIM)
        page = await browser.get(link)
        assert "test</strong> asks who you are" in page.text
        assert "flows.example" in page.text
        gone = await browser.post(link)
    code = query_of(gone.headers["location"])
    path = f"/v1/actions/{code['coupon']}"
    client, headers = rehearsal.service.client, rehearsal.headers
    assert (await client.get(path, headers=headers)).status_code == 202
    wrong = await client.get(path, params={"code": "x"}, headers=headers)
    assert wrong.status_code == 403
    done = await client.get(path, params={"code": code["code"]}, headers=headers)
    assert done.json()["items"]["AuthenticateUser.Ou.Status"] == "Pass"


async def test_an_action_is_proven_once(rehearsal: Rehearsal) -> None:
    """K3: a button pressed twice finds the link over, in words; nobody is suspected of anything."""
    asked = {"mode": "async", "return_url": "https://flows.example/back"}
    pending = await rehearsal.post("/v1/actions/AuthenticateUser", asked)
    link = urlsplit(pending.json()["authorization_url"]).path
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, link, KIM)
        assert (await browser.post(link)).status_code == 303
        again, looked = await browser.post(link), await browser.get(link)
    assert again.status_code == looked.status_code == 409
    assert "link-over" in again.text
    assert "link-over" in looked.text
    told = await rehearsal.service.broker.db.read(
        lambda tx: tx.all("SELECT type FROM events WHERE type LIKE 'security.%'")
    )
    assert told == []


async def test_a_link_asks_for_scopes_that_exist(rehearsal: Rehearsal) -> None:
    """RFC 6749 §3.3: a scope with a blank is 422 with its pointer, before a link is made."""
    asked = {"user_id": rehearsal.id(KIM), "connector": rehearsal.connector}
    refused = await rehearsal.post("/v1/links", asked | {"scopes": ["api", "a b"]})
    assert refused.status_code == 422
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/scopes/1"]


async def test_an_action_asks_who_was_vouched_for_to_sign_in(rehearsal: Rehearsal) -> None:
    """Safety 16, 28: a browser in which a program vouched for the person is no dead end: the
    action's page sends it to the sign-in, pressed or looked at, and then it is proven.
    """
    asked = {"user_id": rehearsal.id(KIM), "link": (await rehearsal.link(KIM)).rpartition("/")[2]}
    address = urlsplit((await rehearsal.post("/v1/connect-sessions", asked)).json()["url"]).path
    said = {"mode": "async", "return_url": "https://flows.example/back"}
    pending = await rehearsal.post("/v1/actions/AuthenticateUser", said)
    link = urlsplit(pending.json()["authorization_url"]).path
    async with rehearsal.browser() as browser:
        await browser.get(address)
        page = await browser.get(link)
        assert f"/signin?link={link.rpartition('/')[2]}" in page.text
        assert "asks who you are" not in page.text
        pressed = await browser.post(link)
        assert pressed.headers["location"] == f"/signin?link={link.rpartition('/')[2]}"
        await rehearsal.sign_in(browser, link, KIM)
        assert (await browser.post(link)).headers["location"].startswith("https://flows.example/")


async def test_an_action_asks_a_person_of_another_project_to_sign_in(rehearsal: Rehearsal) -> None:
    """Safety 3: who is signed in elsewhere is nobody here, and may sign in."""
    said = {"mode": "async", "return_url": "https://flows.example/back"}
    pending = await rehearsal.post("/v1/actions/AuthenticateUser", said)
    link = urlsplit(pending.json()["authorization_url"]).path
    service = rehearsal.service
    other, cookie = await service.other_project(), "a-cookie"
    callers = service.broker.callers
    await service.broker.db.write(
        callers.beginning, other, "usr_other", cookie, asserted_by="issuer"
    )
    async with rehearsal.browser() as browser:
        browser.cookies.set("broker", cookie)
        page, pressed = await browser.get(link), await browser.post(link)
    assert "asks who you are" not in page.text
    assert pressed.headers["location"] == f"/signin?link={link.rpartition('/')[2]}"


async def test_single_sign_on_proves_no_presence(rehearsal: Rehearsal) -> None:
    """Safety 28, OpenID Connect Core §3.1.2.1: for an action the identity provider is to ask the
    person anew; a session of a sign-in that was for something else proves nothing, and an id_token
    whose auth_time is of before is refused.
    """
    said = {"mode": "async", "return_url": "https://flows.example/back"}
    pending = await rehearsal.post("/v1/actions/AuthenticateUser", said)
    link = urlsplit(pending.json()["authorization_url"]).path
    connect = await rehearsal.link(KIM)
    async with rehearsal.browser() as browser:
        await rehearsal.sign_in(browser, connect, KIM)
        pressed = await browser.post(link)
        assert pressed.headers["location"] == f"/signin?link={link.rpartition('/')[2]}"
        asked = query_of((await browser.get(pressed.headers["location"])).headers["location"])
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        back = rehearsal.pretend.identity.decide(asked, KIM.external_id)
        rehearsal.pretend.clock.advance(-60)
        assert (await browser.get(back)).status_code == 401
        rehearsal.pretend.clock.advance(60)
        await rehearsal.sign_in(browser, link, KIM)
        assert (await browser.post(link)).headers["location"].startswith("https://flows.example/")
