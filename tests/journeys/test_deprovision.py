"""Somebody leaves: once the identity provider's request is answered, nothing of theirs works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.journeys.stage import ANA, KIM, RETURN_URL, Browser, Stage, query_of, stage
from tests.serving import serve

PATCH = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "replace", "path": "active", "value": False}],
}
PASS = "AuthenticateUser.Out.Status"
ASKERS = 2
AFTERWARDS = 4
"""So many questions of each asker begin after the identity provider was answered."""


@dataclass
class Holdings:
    """What Kim holds, and what waits for her, just before."""

    ready: str
    waiting: str
    link: str
    session: str
    coupon: int
    code: str
    browser: Browser


@asynccontextmanager
async def another(on: Stage, folder: Path, url: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """The engine's way to each replica: one on SQLite, two on PostgreSQL."""
    async with AsyncExitStack() as stack:
        bases = [on.broker.base_url]
        if not url.startswith("sqlite"):
            other = serve(folder, url, name="two", BROKER_SIMULATOR_URL=on.simulator.base_url)
            bases.append((await stack.enter_async_context(other)).base_url)
        headers = dict(on.engine.headers)
        headers.pop("host", None)
        yield [
            await stack.enter_async_context(httpx.AsyncClient(base_url=base, headers=headers))
            for base in bases
        ]


async def test_nothing_works_once_it_is_answered(database_url: str, tmp_path: Path) -> None:
    """Safety 8, 24, U9, K13, P10, F2: the very next request already, at whichever replica, while
    others keep asking: no resolve gives the token, no pause resumes, the license is free, and
    links, connect sessions, sign-ins and actions are dead.
    """
    async with (
        stage(tmp_path, database_url) as on,
        another(on, tmp_path, database_url) as engines,
    ):
        connector = await on.connector()
        await on.switch(connector, enabled=True, policy="pause")
        kim, ana = await on.push(KIM), await on.push(ANA)
        held = await holdings(on, kim, connector)
        assert await licenses(on) == 2
        answered = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            askers = [
                group.create_task(keeps_asking(engine, kim, f"{place}-{turn}", answered))
                for place, engine in enumerate(engines)
                for turn in range(ASKERS)
            ]
            await asyncio.sleep(0)
            patched = await on.scim.patch(f"/Users/{kim}", json=PATCH)
            answered.set()
            assert patched.status_code == 200, patched.text
            for engine in reversed(engines):
                await is_over(engine, kim, held)
        assert await licenses(on) == 1
        late = [row for asker in askers for row in asker.result()]
        assert late == ["F2"] * (AFTERWARDS * ASKERS * len(engines))
        await links_are_dead(on, kim, connector, held)
        assert (await on.decided({"user_id": ana}, execution="ana"))["row"] == "F11"


async def holdings(on: Stage, kim: str, connector: str) -> Holdings:
    """Kim signed in: one step is ready and one waits for more scopes; a link, a connect session and
    an action that she proved are open.
    """
    who = {"user_id": kim}
    ready = (await on.decided(who, step="ready"))["pause"]["id"]
    browser, asked = on.browser(), {**who, "connector": connector, "purpose": "connect"}
    link = (await on.engine.post("/v1/links", json=asked)).json()["url"]
    await on.sign_in(browser, link, KIM)
    await on.allow(browser, link, KIM.user_name)
    assert (await on.decided(who, execution="before"))["row"] == "F6"
    step = {"id": "waiting", "type": "retrieve_data", "scopes": ["full"]}
    body = {"connector": "salesforce", "step": step, "execution": {"id": "r-1"}, "subject": who}
    waiting = (await on.engine.post("/v1/resolve", json=body)).json()["pause"]["id"]
    open_link = (await on.engine.post("/v1/links", json=asked)).json()
    session = await on.engine.post("/v1/connect-sessions", json={**who, "link": open_link["id"]})
    pending = await on.engine.post(
        "/v1/actions/AuthenticateUser", json={"items": {}, "return_url": RETURN_URL}
    )
    proving = on.browser()
    await on.sign_in(proving, pending.json()["authorization_url"], KIM)
    back = await proving.post(pending.json()["authorization_url"])
    return Holdings(
        ready=ready,
        waiting=waiting,
        link=open_link["url"],
        session=session.json()["url"],
        coupon=pending.json()["actionCoupon"],
        code=query_of(back.headers["location"])["code"],
        browser=browser,
    )


async def keeps_asking(
    engine: httpx.AsyncClient, kim: str, name: str, answered: asyncio.Event
) -> list[str]:
    """The rows of the questions that began after the identity provider was answered; those before
    are the person's, or already not.
    """
    late: list[str] = []
    turn = 0
    while len(late) < AFTERWARDS:
        turn, is_late = turn + 1, answered.is_set()
        answer = await engine.post("/v1/resolve", json=asked(kim, f"{name}-{turn}"))
        found = answer.json()
        assert found["row"] in ("F6", "F2"), found
        assert ("credential" in found) is (found["row"] == "F6")
        late += [found["row"]] if is_late else []
    return late


def asked(kim: str, execution: str) -> dict[str, Any]:
    """A question about Kim."""
    return {
        "connector": "salesforce",
        "step": {"id": "s4", "type": "retrieve_data"},
        "execution": {"id": execution},
        "subject": {"user_id": kim},
    }


async def is_over(engine: httpx.AsyncClient, kim: str, held: Holdings) -> None:
    """What a replica says of Kim's steps: also those that were answered before, alone or many."""
    again = await engine.post("/v1/resolve", json=asked(kim, "before"))
    assert (again.json()["row"], "credential" in again.json()) == ("F2", False)
    many = [asked(kim, f"many-{place}") for place in range(3)]
    batch = (await engine.post("/v1/resolve/batch", json={"items": many})).json()
    assert [item["row"] for item in batch["items"]] == ["F2"] * 3
    for pause in (held.ready, held.waiting):
        shown = (await engine.get(f"/v1/pauses/{pause}")).json()
        assert (shown["state"], shown["reason"]) == ("cancelled", "user-suspended"), shown
        claim = await engine.post(f"/v1/pauses/{pause}/claim")
        assert (claim.status_code, claim.json()["code"]) == (409, "pause-cancelled")
    proven = await engine.get(f"/v1/actions/{held.coupon}", params={"code": held.code})
    assert proven.json().get("items", {}).get(PASS) != "Pass", proven.text
    assert (await engine.get(f"/v1/users/{kim}")).json()["license"] == "none"


async def links_are_dead(on: Stage, kim: str, connector: str, held: Holdings) -> None:
    """Neither her browser, nor a connect session, nor a fresh link lets her connect again."""
    opened = await held.browser.client.get(held.link)
    assert "/signin?" in opened.text  # her session is over, and signing in again is refused
    assert (await held.browser.client.post(held.link)).status_code == 401
    back = await on.sign_in(held.browser, held.link, KIM)
    assert (back.status_code, "user-not-active" in back.text) == (403, True), back.text
    stranger = on.browser()
    entered = await stranger.client.get(held.session)
    assert entered.status_code in (401, 409), entered.status_code
    assert not stranger.client.cookies
    body = {"user_id": kim, "connector": connector, "purpose": "connect"}
    refused = await on.engine.post("/v1/links", json=body)
    assert refused.status_code == 409, refused.text
    assert urlsplit(held.link).path.startswith("/connect/")


async def licenses(on: Stage) -> int:
    """How many are held."""
    held: int = (await on.engine.get("/v1/licenses")).json()["held"]
    return held
