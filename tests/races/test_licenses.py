"""100 licenses and 120 people at once, through real processes: never 101, and the order is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving import Served, serve

CLIENTS = 32
SCOPES = ("logins:write", "users:read", "users:admin")
ONCE_AND_TWENTY_TIMES = [0, *(pytest.param(n, marks=pytest.mark.drill) for n in range(1, 20))]


@asynccontextmanager
async def replicas(folder: Path, url: str) -> AsyncIterator[list[Served]]:
    """One process on SQLite, two on PostgreSQL."""
    names = ["one"] if url.startswith("sqlite") else ["one", "two"]
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serve(folder, url, name=name)) for name in names]


async def in_parallel(calls: list[Any]) -> list[httpx.Response]:
    """Every call, 32 at a time; answers in order."""
    gate = asyncio.Semaphore(CLIENTS)

    async def one(call: Any) -> httpx.Response:
        async with gate:
            response: httpx.Response = await call()
            return response

    return list(await asyncio.gather(*(one(call) for call in calls)))


@pytest.mark.parametrize("go", ONCE_AND_TWENTY_TIMES)
async def test_exactly_100_of_120_become_active_and_20_have_places_1_to_20(
    database_url: str, tmp_path: Path, go: int
) -> None:
    """R128, R131: nobody pushed holds one; 32 clients activate; one leaves, the head follows."""
    async with (
        replicas(tmp_path, database_url) as brokers,
        httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=CLIENTS)) as http,
    ):
        first = brokers[0]
        directory = await first.command("directory", "add", f"entra-{go}")
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        key = await first.command("apikey", "add", "login-service", *scopes)
        idp = {"Authorization": f"Bearer {directory['scim']['token']}"}
        service = {"Authorization": f"Bearer {key['key']}"}
        scim = urlsplit(directory["scim"]["base_url"]).path
        turns = cycle(broker.base_url for broker in brokers)

        async def push(n: int) -> httpx.Response:
            person = {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "userName": f"person{n}@example.com",
                "externalId": f"ext-{n}",
                "active": True,
            }
            return await http.post(f"{next(turns)}{scim}/Users", headers=idp, json=person)

        async def log_in(n: int) -> httpx.Response:
            subject = {"external_id": f"ext-{n}", "directory": directory["directory"]}
            return await http.post(
                f"{next(turns)}/v1/logins", headers=service, json={"subject": subject}
            )

        async def licenses() -> dict[str, Any]:
            answer = await http.get(f"{next(turns)}/v1/licenses", headers=service)
            held: dict[str, Any] = answer.json()
            return held

        capacity = {"capacity": 100}
        answer = await http.put(f"{first.base_url}/v1/licenses", headers=service, json=capacity)
        assert answer.status_code == 200, answer.text

        pushed = await in_parallel([lambda n=n: push(n) for n in range(120)])
        assert {answer.status_code for answer in pushed} == {201}
        assert (await licenses())["held"] == 0

        answers = [a.json() for a in await in_parallel([lambda n=n: log_in(n) for n in range(120)])]
        statuses = [answer["status"] for answer in answers]
        assert (statuses.count("active"), statuses.count("queued")) == (100, 20)
        waiting = {a["user_id"]: a["place"] for a in answers if a["status"] == "queued"}
        assert sorted(waiting.values()) == list(range(1, 21))
        full = {"capacity": 100, "held": 100, "free": 0, "over_allocated": 0, "queued": 20}
        assert full.items() <= (await licenses()).items()

        leaver = next(a["user_id"] for a in answers if a["status"] == "active")
        off = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "Replace", "path": "active", "value": "False"}],
        }
        answer = await http.patch(f"{next(turns)}{scim}/Users/{leaver}", headers=idp, json=off)
        assert answer.status_code == 200, answer.text
        state = await licenses()
        assert (state["held"], state["queued"]) == (100, 19)
        head = next(user for user, place in waiting.items() if place == 1)
        promoted = await http.get(f"{next(turns)}/v1/users/{head}", headers=service)
        assert promoted.json()["status"] == "active"
        assert (
            await log_in(answers.index(next(a for a in answers if a["user_id"] == head)))
        ).json()["status"] == "active"
