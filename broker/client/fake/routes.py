"""The routes of a FakeBroker: HTTP without a wire, so that a client's every line is used."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from broker.client.fake.actions import Actions
from broker.client.fake.scene import Refusal, Scene
from broker.client.fake.steps import Steps, link

WAIT = re.compile(r"wait=(\d+)")
Answered = tuple[int, Any, str | None]
"""Status, body, and the version for an ETag."""


@dataclass(slots=True)
class Routes:
    """Answers requests as the broker does; refuses the connection while `is_reachable` is False."""

    scene: Scene
    steps: Steps
    actions: Actions
    is_reachable: bool = True

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to one request."""
        if not self.is_reachable:
            raise httpx.ConnectError("the fake is not reachable", request=request)
        try:
            return await self._held(request)
        except Refusal as refusal:
            headers = {"content-type": "application/problem+json", "retry-after": "1"}
            said = json.dumps(refusal.said).encode()
            return httpx.Response(refusal.status, content=said, headers=headers)

    async def _held(self, request: httpx.Request) -> httpx.Response:
        """The answer; held as long as `Prefer: wait` says while there is no news in it."""
        wait = WAIT.search(request.headers.get("prefer", ""))
        ends = time.monotonic() + (int(wait[1]) if wait else 0)
        known = request.headers.get("if-none-match")
        while True:
            told = self.scene.news
            status, body, version = self._answered(request)
            is_news = body["items"] if "last" in (body or {}) else f'"{version}"' != known
            if is_news or (left := ends - time.monotonic()) <= 0:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), left)
        if not is_news and known is not None:
            return httpx.Response(304)
        etag = {"etag": f'"{version}"'} if version else {}
        return httpx.Response(status, json=body, headers=etag)

    def _answered(self, request: httpx.Request) -> Answered:
        said = json.loads(request.content or b"{}")
        path = request.url.path
        for method, pattern, answer in ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, path)):
                return answer(self, said, request.url.params, *found.groups())
        raise Refusal(404, "no-route")


def _pauses(on: Routes, _: Any, params: httpx.QueryParams) -> Answered:
    states = params.get_list("state")
    items = [
        one
        for one in on.steps.pauses.values()
        if (not states or one["state"] in states)
        and one["user_id"] == params.get("user_id", one["user_id"])
        and one["connector"] == params.get("connector", one["connector"])
    ]
    return 200, {"items": items, "next_cursor": None}, None


def _pause(on: Routes, _: Any, __: Any, id: str) -> Answered:
    pause = on.steps.get(id)
    return 200, pause, str(pause["version"])


def _result(on: Routes, said: Any, _: Any, id: str) -> Answered:
    on.steps.result(id, said)
    return 204, None, None


def _perform(on: Routes, said: Any, _: Any) -> Answered:
    status, body = on.actions.perform(said)
    return status, body, str(on.actions.version(body["actionCoupon"]))


def _action(on: Routes, _: Any, params: httpx.QueryParams, coupon: str) -> Answered:
    status, body = on.actions.get(int(coupon), params.get("code"))
    return status, body, str(on.actions.version(int(coupon)))


def _events(on: Routes, _: Any, params: httpx.QueryParams) -> Answered:
    after, limit = int(params["after"]), int(params["limit"])
    words = [re.escape(word).replace(r"\*", ".*") for word in params.get_list("types")]
    fits = re.compile("|".join(words) or ".*").fullmatch
    found = [one for one in on.scene.events[after:] if fits(one["type"])][:limit]
    last = found[-1]["sequence"] if len(found) == limit else len(on.scene.events)
    return 200, {"items": found, "last": last}, None


def _session(on: Routes, _: Any, __: Any) -> Answered:
    made = link(on.scene)
    return 201, {"url": made["url"], "expires_at": made["expires_at"]}, None


def _rejected(on: Routes, _: Any, __: Any, id: str) -> Answered:
    if id not in {one["id"] for one in on.steps.decisions.values()}:
        raise Refusal(404, "not-found")
    return 200, {"result": "expired", "next": "Ask again."}, None


ROUTES: list[tuple[str, str, Callable[..., Answered]]] = [
    ("POST", "/v1/resolve", lambda on, said, _: (200, on.steps.resolve(said), None)),
    ("POST", "/v1/resolve/batch", lambda on, said, _: (200, on.steps.batch(said), None)),
    ("POST", "/v1/resolve/explain", lambda on, said, _: (200, on.steps.explain(said), None)),
    ("POST", "/v1/decisions/([^/]+)/rejected", _rejected),
    ("GET", "/v1/pauses", _pauses),
    ("GET", "/v1/pauses/([^/]+)", _pause),
    ("POST", "/v1/pauses/([^/]+)/claim", lambda on, _, __, id: (200, on.steps.claim(id), None)),
    ("POST", "/v1/pauses/([^/]+)/result", _result),
    (
        "POST",
        "/v1/pauses/([^/]+)/end",
        lambda on, _, __, id: (200, on.steps.over(id, "failed", "ended", "waiting"), None),
    ),
    (
        "POST",
        "/v1/pauses/([^/]+)/cancel",
        lambda on, _, __, id: (
            200,
            on.steps.over(id, "cancelled", "flow-cancelled", "waiting", "ready", "claimed"),
            None,
        ),
    ),
    ("POST", "/v1/actions/AuthenticateUser", _perform),
    ("GET", r"/v1/actions/(\d+)", _action),
    ("GET", "/v1/events", _events),
    ("POST", "/v1/links", lambda on, _, __: (201, link(on.scene), None)),
    ("POST", "/v1/connect-sessions", _session),
]
