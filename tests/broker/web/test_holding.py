"""`Prefer: wait` through the doors: held, woken, 304, and nothing kept of who hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from broker.service.holding import A_KEY
from broker.web.api.holding import news, wait_of
from tests.broker.web.parking import Parking, parking
from tests.clocks import MovableClock
from tests.waiting import until

CURRENT = {"If-None-Match": '"1"'}
WAIT = {"Prefer": "wait=60"}


@pytest.fixture
async def at(database_url: str, clock: MovableClock) -> AsyncIterator[Parking]:
    """A flow engine whose steps wait; nobody is held any more at the end."""
    async with parking(database_url, clock) as made:
        yield made
        made.service.broker.holding.close()
        await until(lambda: made.service.broker.holding._watcher is None)


def ask(at: Parking, pause: str, *headers: dict[str, str]) -> asyncio.Task[httpx.Response]:
    """A question about a pause, under way."""
    said = at.on.headers.copy()
    for each in headers:
        said |= each
    return asyncio.create_task(at.service.client.get(f"/v1/pauses/{pause}", headers=said))


async def is_held(at: Parking, many: int = 1) -> None:
    """So many requests are held."""
    await until(lambda: sum(at.service.broker.holding._held.values()) == many)


async def test_held_until_the_pause_has_changed(at: Parking) -> None:
    """R15, convention "waiting": the answer to `Prefer: wait` comes with the sign-in, with the new
    version as ETag; the next question is held by that.
    """
    pause = await at.wait()
    held = ask(at, pause, CURRENT, WAIT)
    await is_held(at)
    await at.sign_in()
    await at.service.broker.publishing.publish()
    answer = await held
    assert (answer.status_code, answer.json()["state"]) == (200, "ready")
    assert (answer.headers["etag"], answer.headers["preference-applied"]) == ('"2"', "wait=60")
    again = ask(at, pause, {"If-None-Match": answer.headers["etag"]}, WAIT)
    await is_held(at)
    await at.claimed(pause)
    await at.service.broker.publishing.publish()
    assert (await again).json()["state"] == "claimed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_not_held(at: Parking) -> None:
    """Without If-None-Match, or with another version in it, the answer comes at once; without
    Prefer a known version is 304 at once (RFC 9110 §13.1.2).
    """
    pause = await at.wait()
    plain = await ask(at, pause, WAIT)
    assert (plain.status_code, plain.headers["etag"]) == (200, '"1"')
    assert "preference-applied" not in plain.headers
    for known in ('"0"', 'W/"7", "8"'):
        assert (await ask(at, pause, {"If-None-Match": known}, WAIT)).status_code == 200
    for known in ('"1"', 'W/"1"', '"7", W/"1"', "*"):
        answer = await ask(at, pause, {"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"1"', "no-store")
        assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_wait_ends_unchanged(at: Parking) -> None:
    """Convention "waiting": 304 with `Preference-Applied`, after the seconds asked for."""
    answer = await ask(at, await at.wait(), CURRENT, {"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (304, "wait=1")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_fifty_are_held_and_no_more(at: Parking) -> None:
    """Safety 37: the 51st of a key is 429 with Retry-After; what has its answer needs no place.
    When the process drains all of them end, unchanged.
    """
    pause = await at.wait()
    held = [ask(at, pause, CURRENT, WAIT) for _ in range(A_KEY)]
    await is_held(at, A_KEY)
    refused = await ask(at, pause, CURRENT, WAIT)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-held")
    assert int(refused.headers["retry-after"]) > 0
    assert (await ask(at, pause, {"If-None-Match": '"0"'}, WAIT)).status_code == 200
    at.service.broker.holding.close()
    assert {answer.status_code for answer in await asyncio.gather(*held)} == {304}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_revoked_key_is_answered_so(at: Parking) -> None:
    """Safety 24: a key that is revoked while its request is held gets 401 at the next look."""
    pause = await at.wait()
    held = ask(at, pause, CURRENT, WAIT)
    await is_held(at)
    [row] = await at.rows("SELECT id FROM api_keys WHERE name = 'test'")
    await at.service.broker.callers.revoke_key(at.service.project, row["id"], by="test")
    await at.release()
    assert (await held).status_code == 401


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_hangs_up_leaves_its_place(at: Parking) -> None:
    """Safety 37: a client that goes away is not waited with, so its retries are not refused."""
    holding = at.service.broker.holding
    gone, body = asyncio.Event(), [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "headers": [(b"prefer", b"wait=60")]}
    caller = await at.service.broker.callers.service(at.on.headers["Authorization"])

    async def read() -> int:
        return 1

    topic = (at.service.project, "pse_1")
    held = asyncio.create_task(
        news(holding, Request(scope, receive), caller, topic, read, lambda seen: seen > 1)
    )
    await is_held(at)
    gone.set()
    assert await held == 1
    await is_held(at, 0)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["wait=30"], 30),
        (["respond-async, wait=10"], 10),
        (["return=minimal; foo=bar", 'Wait = "7"'], 7),
        (["wait=20, wait=5"], 20),
        (["wait=600"], 60),
        (["wait=0"], 0),
        (["wait=10;flag"], 10),
        ([], None),
        (["wait"], None),
        (["wait=soon"], None),
        (["wait=-1"], None),
        (["await=5"], None),
        (["wait=1.5"], None),
    ],
)
def test_how_long_a_caller_would_wait(lines: list[str], seconds: int | None) -> None:
    """RFC 7240 §2 and §4.3: the first of its kind counts, what cannot be read is ignored, and
    nobody waits longer than a minute.
    """
    headers = [(b"prefer", line.encode()) for line in lines]
    assert wait_of(Request({"type": "http", "headers": headers})) == seconds
