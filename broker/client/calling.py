"""One call: tried again where that is safe, for as long as its deadline, and no longer."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from broker.client.problems import Later, Problem, Unreadable, Wrong

T = TypeVar("T")
LOST = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
BUSY = (429, 503)
LONGEST_BREAK_S = 5.0


@dataclass(frozen=True, slots=True)
class Calls:
    """The way to one broker with one key.

    A call takes `deadline_s` at most, all its tries together, and one try `try_s`: a broker that
    drips its answer holds up nobody for longer (the timeouts of httpx bound a single read). One
    question is held for `hold_s` at most: that long a dead connection stays unnoticed.
    """

    http: httpx.AsyncClient
    deadline_s: float
    try_s: float
    hold_s: float
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def call(
        self,
        method: str,
        path: str,
        said: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0,
        once: bool = False,
        repeats: bool = True,
    ) -> httpx.Response:
        """The answer, 2xx or 304. `wait_s` is how long the broker was asked to hold it; `once`
        lets it know a repetition (`Idempotency-Key`).

        Tried again: what got no answer, 429, 503, and what says that it is retryable; without
        `repeats` nothing that may have arrived unanswered. Later where it is not tried any more;
        Wrong for any other refusal.
        """
        key = {"Idempotency-Key": uuid.uuid4().hex} if once else {}
        request = self.http.build_request(
            method, path, json=said, params=params, headers={**(headers or {}), **key}
        )
        return await self._tried(request, wait_s, repeats)

    async def _tried(self, request: httpx.Request, wait_s: float, repeats: bool) -> httpx.Response:
        ends = time.monotonic() + self.deadline_s + wait_s
        was_lost, tries = False, 0
        while True:
            within_s = min(self.try_s + wait_s, ends - time.monotonic())
            try:
                answer = await _sent(self.http, request, within_s)
            except (*LOST, TimeoutError) as error:
                was_lost = was_lost or not isinstance(error, NEVER_SENT)
                failed = Later(f"The broker gave no answer: {type(error).__name__}.", 0)
                failed.__cause__ = error
            else:
                if answer.is_success or answer.status_code == 304:
                    return answer
                failed = _refused(answer, was_lost)
            tries += 1
            rest = max(failed.retry_after_s, _break_s(tries))
            if time.monotonic() + rest >= ends or (was_lost and not repeats):
                failed.retry_after_s = rest
                raise failed
            await self.rest(rest)

    async def held(
        self,
        path: str,
        wait_s: float,
        is_news: Callable[[httpx.Response], bool],
        **more: Any,
    ) -> httpx.Response | None:
        """News within `wait_s`, `hold_s` at most; None where there is none.

        A replica that drains answers at once: the next question waits a moment for another one.
        """
        asked, began = max(1, math.ceil(min(self.hold_s, wait_s))), time.monotonic()
        headers = {"Prefer": f"wait={asked}", **more.pop("headers", {})}
        answer = await self.call("GET", path, headers=headers, wait_s=asked, **more)
        if is_news(answer):
            return answer
        await self.rest(min(1.0, max(0.0, asked - (time.monotonic() - began))))
        return None


async def _sent(http: httpx.AsyncClient, request: httpx.Request, within_s: float) -> httpx.Response:
    async with asyncio.timeout(within_s):
        return await http.send(request)


def _refused(answer: httpx.Response, was_lost: bool) -> Later:
    """Why to ask again; raises Wrong where that would not help."""
    problem = Problem.of(answer)
    if not problem.retryable and answer.status_code not in BUSY:
        raise Wrong(problem, was_repeated=was_lost)
    said = answer.headers.get("retry-after", "")
    after_s = float(said[:9]) if said.isascii() and said.isdigit() else 0.0
    return Later(problem.detail, after_s, problem)


def _break_s(tries: int) -> float:
    """The pause before the next try: doubled each time, and never the same for two callers."""
    return min(LONGEST_BREAK_S, 0.05 * 2.0 ** min(tries, 10)) * random.uniform(0.5, 1)


def read(answer: httpx.Response, shape: Callable[[Any], T]) -> T:
    """What `shape` makes of the body; Unreadable where it is none of the broker's."""
    try:
        return shape(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"This is no answer of the broker: {error!r}") from error
