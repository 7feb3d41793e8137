"""The suite's ear on every answer: what it hears, and what it lets pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import keeping
from tests.house.product import python, text

LICENSES: dict[str, Any] = {
    "capacity": 3,
    "held": 3,
    "withheld": 0,
    "free": 0,
    "over_allocated": 0,
    "queued": 1,
    "warning": 100,
    "exempt": 0,
}
MISSING = {
    "type": "/problems/not-found",
    "title": "There is no such thing, or it is not yours to see.",
    "status": 404,
    "code": "not-found",
    "detail": "There is no such thing, or it is not yours to see.",
    "retryable": False,
    "request_id": "req_1",
}
UNKNOWN = MISSING | {"status": 401, "code": "unknown-key"}
ENGLISH = {"Content-Type": "text/plain"}
PROBLEM = {"Content-Type": keeping.PROBLEM}
TOLD = PROBLEM | {"WWW-Authenticate": "Bearer"}


@pytest.fixture(autouse=True)
def _forgetting() -> Iterator[None]:
    """What these tests break on purpose fails no test."""
    yield
    keeping.broken.clear()


async def heard(path: str, answer: httpx.Response, *, method: str = "GET") -> str | None:
    """What the ear says of an answer that an ordinary client of the suite gets."""
    transport = httpx.MockTransport(lambda _: answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.request(method, path)
    return keeping.found()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/licenses", httpx.Response(200, json=LICENSES)),
        ("/v1/licenses", httpx.Response(200, json=LICENSES | {"new": "members are additions"})),
        ("/v1/licenses", httpx.Response(401, json=UNKNOWN, headers=TOLD)),
        ("/v1/users/usr_1", httpx.Response(404, json=MISSING, headers=PROBLEM)),
        ("/v1/odd", httpx.Response(404, json=MISSING | {"code": "no-route"}, headers=PROBLEM)),
        ("/static/broker.css", httpx.Response(200, text="main {}")),
    ],
)
async def test_what_is_promised_passes(path: str, answer: httpx.Response) -> None:
    """An answer of the contract, a member more, and what no contract speaks of."""
    assert await heard(path, answer) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(200, json=LICENSES | {"held": "3"}), "$.held: '3' is not of type"),
        (httpx.Response(200, json={"capacity": 3}), "'held' is a required property"),
        (httpx.Response(200, json=LICENSES | {"warning": 81}), "81 is not one of [80, 95, 100"),
        (httpx.Response(200, text="3", headers=ENGLISH), "the media type 'text/plain'"),
        (httpx.Response(202, json=LICENSES), "the status 202 is not described"),
        (httpx.Response(204), "the status 204 is not described"),
        (httpx.Response(404, json=MISSING, headers=PROBLEM), "the status 404 is not described"),
        (httpx.Response(500, json={"error": 1}), "500 is no problem of the contract"),
        (httpx.Response(401, json=UNKNOWN, headers=PROBLEM), "header WWW-Authenticate is missing"),
        (httpx.Response(401, json=UNKNOWN | {"code": "odd"}, headers=TOLD), "example of 'odd'"),
        (httpx.Response(401, json=UNKNOWN | {"status": 403}, headers=TOLD), "it says to be a 403"),
        (httpx.Response(401, json={"code": "unknown-key"}, headers=TOLD), "'title' is a required"),
    ],
)
async def test_what_is_not_promised_fails(answer: httpx.Response, told: str) -> None:
    """api-conventions.md 10: another status, media type, member, type, header or word is told."""
    said = await heard("/v1/licenses", answer)
    assert said is not None
    assert "GET /v1/licenses" in said
    assert told in said


async def test_times_have_one_form() -> None:
    """RFC 3339 in UTC with microseconds: another one that a schema calls a date-time is told."""
    shown = {"id": "lnk_1", "url": "https://x", "expires_at": "2026-11-21T20:46:16.100000Z"}
    assert await heard("/v1/links", httpx.Response(201, json=shown), method="POST") is None
    shown["expires_at"] = "2026-11-21 20:46:16"
    said = await heard("/v1/links", httpx.Response(201, json=shown), method="POST")
    assert "is not a 'date-time'" in str(said)


async def test_what_is_done_says_nothing() -> None:
    """An answer that has no body by the contract has none."""
    done = httpx.Response(204, json={"more": 1})
    said = await heard("/v1/pauses/pse_1/result", done, method="POST")
    assert "a body where there is none" in str(said)


async def test_somebody_elses_answers_are_not_ours() -> None:
    """The pretend programs are `localhost`, and keep no contract of this service."""
    transport = httpx.MockTransport(lambda _: httpx.Response(418))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.get("/v1/licenses")
    assert keeping.found() is None


def test_the_suite_asks_by_the_client_that_is_heard() -> None:
    """No test talks to a broker by a synchronous client, which nobody listens to."""
    asked = {path for path in python("tests") if "httpx.Client(" in text(path)}
    assert asked <= {"tests/house/test_keeping.py", "tests/idp/replay.py"}  # which speaks SCIM
