"""Journey D: a step waits for its person, whose sign-in lets it go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from broker.demo.people import PEOPLE
from tests.journeys.stage import KIM, Stage, stage


async def shown(on: Stage, pause: str) -> dict[str, Any]:
    """A pause as the engine sees it."""
    answer = await on.engine.get(f"/v1/pauses/{pause}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_waits_until_the_person_signs_in(database_url: str, tmp_path: Path) -> None:
    """P1 to P5, F11, K2 (R14, R15): paused, signed in, ready, claimed by one of many, resumed."""
    async with stage(tmp_path, database_url) as on:
        connector = await on.connector()
        await on.switch(connector, enabled=True, policy="pause")
        kim = {"user_id": await on.push(KIM)}
        paused = await on.decided(kim)
        assert (paused["row"], paused["status"]) == ("F11", "Authentication needed")
        assert (paused["link"], "credential" in paused) == (None, False)
        pause = paused["pause"]["id"]
        assert (await shown(on, pause))["status"] == "Authentication needed"
        early = await on.engine.post(f"/v1/pauses/{pause}/claim")
        assert (early.status_code, early.json()["code"]) == (409, "pause-waiting")

        wanted = {"user_id": kim["user_id"], "connector": connector, "purpose": "connect"}
        link = (await on.engine.post("/v1/links", json=wanted)).json()["url"]
        browser = on.browser()
        await on.sign_in(browser, link, KIM)
        denied = await on.allow(browser, link, KIM.user_name, "deny")
        assert denied.status_code == 409
        assert (await shown(on, pause))["state"] == "waiting"

        link = (await on.engine.post("/v1/links", json=wanted)).json()["url"]
        await on.allow(browser, link, KIM.user_name)
        assert (await shown(on, pause))["state"] == "ready"

        other = await on.key()
        assert (await other.post(f"/v1/pauses/{pause}/claim")).status_code == 403
        claims = await asyncio.gather(
            *(on.engine.post(f"/v1/pauses/{pause}/claim") for _ in range(8))
        )
        assert sorted(answer.status_code for answer in claims) == [200] + [409] * 7
        [claim] = [answer.json() for answer in claims if answer.status_code == 200]
        assert claim["decision"]["row"] == "F6"
        assert claim["decision"]["decision_id"] == paused["decision_id"]
        assert await on.runs_as(claim["decision"]["credential"]) == KIM.user_name

        stale = await _result(on.engine, pause, "another", "ran")
        assert (stale.status_code, stale.json()["code"]) == (409, "claim-outdated")
        assert (await _result(on.engine, pause, claim["claim"], "ran")).status_code == 204
        assert (await shown(on, pause))["state"] == "resumed"


async def test_other_ends(database_url: str, tmp_path: Path) -> None:
    """P10, P12, U11, C10, safety 3, 8, 27: suspended, released by an administrator, ended with the
    connector; and never anybody else's.
    """
    async with stage(tmp_path, database_url) as on:
        connector = await on.connector()
        await on.switch(connector, enabled=True, policy="pause")
        people = [{"user_id": await on.push(person)} for person in PEOPLE[:3]]
        waiting = [
            (await on.decided(who, step=f"s{place}"))["pause"]["id"]
            for place, who in enumerate(people)
        ]
        await _is_missing_elsewhere(on, waiting[0])

        gone = await on.engine.post(f"/v1/users/{people[0]['user_id']}/suspend")
        assert gone.status_code == 200, gone.text
        assert (await shown(on, waiting[0]))["state"] == "cancelled"
        assert (await on.decided(people[0], step="s0"))["row"] == "F2"

        path, body = f"/v1/pauses/{waiting[1]}/override", {"reason": "on leave until spring"}
        assert (await on.engine.post(path, json=body)).status_code == 403
        released = await on.admin.client.post(on.broker.base_url + path, json=body)
        assert released.json()["state"] == "ready", released.text
        claim = (await on.engine.post(f"/v1/pauses/{waiting[1]}/claim")).json()
        assert (claim["decision"]["row"], claim["decision"]["fallback"]) == ("P12", True)

        assert (await shown(on, waiting[2]))["state"] == "waiting"
        path = f"{on.broker.base_url}/v1/connectors/{connector}/disable"
        assert (await on.admin.client.post(path)).status_code == 200
        assert (await shown(on, waiting[2]))["state"] == "cancelled"


async def _is_missing_elsewhere(on: Stage, pause: str) -> None:
    """A pause of another project and one that never was answer with the same bytes."""
    await on.broker.command("project", "add", "another")
    stranger = await on.key("--project", "another")
    bodies = []
    for id in (pause, "pse_MISSING"):
        for method, path in (("GET", ""), ("POST", "/claim"), ("POST", "/cancel")):
            answer = await stranger.request(method, f"/v1/pauses/{id}{path}")
            assert answer.status_code == 404
            bodies.append({**answer.json(), "request_id": ""})
    assert all(body == bodies[0] for body in bodies)


async def _result(engine: httpx.AsyncClient, pause: str, claim: str, result: str) -> httpx.Response:
    body = {"claim": claim, "result": result}
    return await engine.post(f"/v1/pauses/{pause}/result", json=body)
