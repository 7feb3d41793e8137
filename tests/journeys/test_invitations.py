"""120 people pushed twice by an identity provider: 120 letters, 100 active, 20 in the queue."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests import engines
from tests.posting import Post, receiving, text_of
from tests.serving import Served, serve
from tests.waiting import until

PEOPLE, LICENSES, AT_ONCE = 120, 100, 16
FROM = "Acme <flows@acme.example>"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


@asynccontextmanager
async def brokers(folder: Path, url: str, post: Post) -> AsyncIterator[list[Served]]:
    """One process on SQLite, two replicas on PostgreSQL, one mail server."""
    names = ["one"] if url.startswith("sqlite") else ["one", "two"]
    mail = {"BROKER_SMTP_URL": post.url, "BROKER_SMTP_FROM": FROM}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(serve(folder, url, name=name, demo=False, **mail))
            for name in names
        ]


async def in_parallel(calls: list[Any]) -> list[httpx.Response]:
    """Every call, some at a time; answers in order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(call: Any) -> httpx.Response:
        async with gate:
            response: httpx.Response = await call
            return response

    return list(await asyncio.gather(*map(one, calls)))


def person(number: int) -> dict[str, Any]:
    """Somebody at the identity provider."""
    name = f"person{number}@acme.example"
    return {
        "schemas": [USER],
        "userName": name,
        "externalId": f"ext-{number}",
        "displayName": f"Person {number}",
        "emails": [{"value": name, "type": "work", "primary": True}],
        "active": True,
    }


async def test_120_pushed_twice_120_letters_100_active_20_queued(
    database_url: str, tmp_path: Path
) -> None:
    """R123, R124, R127, R129, R131 through SCIM and mail alone: all are invited and none holds a
    license; each gets one letter however often the sync runs; each follows its link; one leaves,
    and the first who waits is told that they are active (U1, U3, U4, U6).
    """
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        receiving() as post,
        brokers(tmp_path, database_url, post) as served,
        httpx.AsyncClient(timeout=60, limits=limits) as http,
    ):
        turns = cycle(each.base_url for each in served)
        made = (await served[0].command("directory", "add", "Acme"))["scim"]
        scim, idp = urlsplit(made["base_url"]).path, {"authorization": f"Bearer {made['token']}"}
        scopes = ("--scope", "users:read,users:admin")
        key = (await served[0].command("apikey", "add", "admin", *scopes))["key"]
        admin = {"authorization": f"Bearer {key}"}

        async def licenses() -> dict[str, Any]:
            found: dict[str, Any] = (
                await http.get(f"{next(turns)}/v1/licenses", headers=admin)
            ).json()
            return found

        capacity = {"capacity": LICENSES}
        await http.put(f"{next(turns)}/v1/licenses", json=capacity, headers=admin)
        pushed = await in_parallel(
            [
                http.post(f"{next(turns)}{scim}/Users", json=person(n), headers=idp)
                for n in range(PEOPLE)
            ]
        )
        ids = [answer.json()["id"] for answer in pushed]
        again = await in_parallel(
            [
                http.put(f"{next(turns)}{scim}/Users/{id}", json=person(n), headers=idp)
                for n, id in enumerate(ids)
            ]
        )
        assert {answer.status_code for answer in again} == {200}
        await until(lambda: len(post.letters) >= PEOPLE)
        state = await licenses()
        assert (state["held"], state["queued"]) == (0, 0)
        invited = await http.get(f"{next(turns)}/v1/users?status=invited&limit=200", headers=admin)
        assert len(invited.json()["items"]) == PEOPLE

        links = [urlsplit(link).path for link in post.links()]
        assert len(set(links)) == PEOPLE
        await in_parallel([http.get(f"{next(turns)}{path}") for path in links])  # a mail scanner
        assert (await licenses())["held"] == 0
        done = await in_parallel([http.post(f"{next(turns)}{path}") for path in links])
        assert {answer.status_code for answer in done} == {200}
        waiting = [text for each in done if "ask your account admin" in (text := each.text)]
        places = {int(found[1]) for text in waiting if (found := re.search(r"number (\d+)", text))}
        assert places == set(range(1, PEOPLE - LICENSES + 1))
        assert not any("@" in text for text in waiting)  # R129: nobody's private data
        state = await licenses()
        assert (state["held"], state["free"], state["queued"]) == (LICENSES, 0, 20)
        used = await in_parallel([http.post(f"{next(turns)}{path}") for path in links])
        assert {answer.status_code for answer in used} == {410}

        queue = await http.get(f"{next(turns)}/v1/licenses/queue", headers=admin)
        head = queue.json()["items"][0]
        leaver = next(
            id
            for id, answer in zip(_in_order(ids, post, pushed), done, strict=True)
            if "You are active now" in answer.text
        )
        off = {
            "schemas": [PATCH],
            "Operations": [{"op": "replace", "path": "active", "value": False}],
        }
        await http.patch(f"{next(turns)}{scim}/Users/{leaver}", json=off, headers=idp)
        await until(lambda: len(post.letters) > PEOPLE)
        assert post.recipients[-1] == head["user_name"]
        assert "a license has become free" in text_of(post.letters[-1])
        assert (await licenses())["held"] == LICENSES
    assert sorted(post.recipients[:PEOPLE]) == sorted(person(n)["userName"] for n in range(PEOPLE))
    assert len(post.letters) == PEOPLE + 1


def _in_order(ids: list[str], post: Post, pushed: list[httpx.Response]) -> list[str]:
    """The ids of the people in the order in which their letters came."""
    named = {answer.json()["userName"]: id for id, answer in zip(ids, pushed, strict=True)}
    return [named[recipient] for recipient in post.recipients[:PEOPLE]]


async def test_killed_between_taken_and_written_down(database_url: str, tmp_path: Path) -> None:
    """A letter the server took and no broker wrote down leaves again, at least once: with the
    same Message-ID and the same link, so that a mail program shows one, and either copy works.
    """
    post, taken = Post(), asyncio.Event()

    async def never() -> None:
        taken.set()
        await asyncio.Event().wait()

    post.content["*"] = never
    mail = {"BROKER_SMTP_FROM": FROM}
    async with receiving(post), httpx.AsyncClient() as http:
        mail["BROKER_SMTP_URL"] = post.url
        async with serve(tmp_path, database_url, demo=False, **mail) as broker:
            made = (await broker.command("directory", "add", "Acme"))["scim"]
            idp = {"authorization": f"Bearer {made['token']}"}
            await http.post(f"{made['base_url']}/Users", json=person(1), headers=idp)
            await asyncio.wait_for(taken.wait(), 15)
            await broker.kill()
        post.content.clear()
        await _leases_ran_out(database_url)
        async with serve(tmp_path, database_url, name="two", demo=False, **mail) as broker:
            await until(lambda: post.letters)
            [link], [letter] = post.links(), post.letters
            done = await http.post(f"{broker.base_url}{urlsplit(link).path}")
            assert "You are active now." in done.text
    assert post.attempted == [letter["Message-ID"]] * 2


async def _leases_ran_out(url: str) -> None:
    """Five minutes later, as far as letters know."""
    db = await engines.connect(url)
    try:
        await db.write(lambda tx: tx.run("UPDATE letters SET lease_until = 0"))
    finally:
        await db.close()
