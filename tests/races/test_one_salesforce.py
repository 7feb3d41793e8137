"""Two administrators finish their wizards in one moment, at two processes: one is connected."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from broker.demo import simulator
from broker.demo.grants import App
from broker.demo.people import PEOPLE
from tests.journeys.stage import CLIENT, CLIENT_SECRET, ROBOT, Browser, query_of
from tests.serving import serve

ROUNDS = 8


async def test_r63_a_race_of_two_creates_leaves_one(database_url: str, tmp_path: Path) -> None:
    """R63: two replicas on PostgreSQL, two askers of one process on SQLite: exactly one becomes
    the project's Salesforce connector, the other is told so; each time.
    """
    names = ["one"] if database_url.startswith("sqlite") else ["one", "two"]
    async with AsyncExitStack() as stack:
        pretend = await stack.enter_async_context(simulator.serving())
        simulated = {"BROKER_SIMULATOR_URL": pretend.base_url}
        served = [
            await stack.enter_async_context(
                serve(tmp_path, database_url, name=name, demo=False, **simulated)
            )
            for name in names
        ]
        admins = []
        for broker in (served[0], served[-1]):
            app = App(CLIENT, CLIENT_SECRET, redirect_prefix="http://127.0.0.1")
            pretend.salesforce.register(app)
            admin = Browser(broker.base_url)
            stack.push_async_callback(admin.client.aclose)
            link = (await broker.command("admin", "link"))["url"].rpartition("/")[2]
            assert (await admin.post(f"/setup/{link}")).status_code == 200
            admins.append(admin)
        for number in range(ROUNDS):
            await raced(admins, pretend, number)


async def raced(admins: list[Browser], pretend: simulator.Simulator, number: int) -> None:
    """Both come as far as authorized, then press Next together."""
    paths = []
    for place, admin in enumerate(admins):
        name = f"Salesforce {number} {place}"
        paths.append(await authorized(admin, pretend, name, [ROBOT, PEOPLE[0].user_name][place]))
    ends = await asyncio.gather(
        *(admin.client.post(f"{path}/connect") for admin, path in zip(admins, paths, strict=True))
    )
    assert sorted(end.status_code for end in ends) == [200, 409], [end.text for end in ends]
    [lost] = [end for end in ends if end.status_code == 409]
    assert lost.json()["code"] == "one-connector-per-project"
    for admin, path, end in zip(admins, paths, ends, strict=True):
        shown = (await admin.client.get(path)).json()
        assert shown["state"] == ("connected" if end.status_code == 200 else "authorized")
        gone = await deleted(admin, path, shown["name"])
        assert gone.status_code == 204, gone.text


async def authorized(admin: Browser, pretend: simulator.Simulator, name: str, account: str) -> str:
    """A wizard whose account has allowed it: the connector's address."""
    form: dict[str, Any] = {
        "name": name,
        "type": "salesforce",
        "environment": {"name": "rehearsal"},
        "options": {"buttons": "skip"},
        "fields": {"client_id": CLIENT, "client_secret": CLIENT_SECRET},
    }
    made = await admin.client.post(f"{admin.base_url}/v1/connectors", json=form)
    assert made.status_code == 201, made.text
    path = f"{admin.base_url}/v1/connectors/{made.json()['id']}"
    link = (await admin.client.post(f"{path}/authorize", json={})).json()["url"]
    away = await admin.client.post(link)
    back = pretend.pages.decide(query_of(away.headers["location"]), account)
    assert (await admin.client.get(back)).status_code == 200
    return path


async def deleted(admin: Browser, path: str, name: str) -> httpx.Response:
    return await admin.client.delete(path, params={"name": name}, headers={"If-Match": "*"})
