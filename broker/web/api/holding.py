"""Waiting for news in a request: `Prefer: wait=N`, and what the caller knows (RFC 7240 §4.3)."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from broker.domain.callers import Caller
from broker.service.holding import LONGEST_S, LOOK_S, Holding, Topic

T = TypeVar("T")
WAIT = re.compile(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;|$)', re.ASCII | re.IGNORECASE)
TAG = re.compile(r'(?:W/)?("[^"]*")')


async def unless_known(
    holding: Holding,
    request: Request,
    caller: Caller,
    topic: Topic,
    read: Callable[[], Awaitable[T]],
    version: Callable[[T], object],
    answer: Callable[[T], Response],
    *,
    look_s: float = LOOK_S,
) -> Response:
    """What is `read`, with its version as ETag; 304 while it is one the caller has (RFC 9110 §13).

    With `Prefer: wait=N` beside If-None-Match the answer is held until the version is another,
    N seconds at most, and says `Preference-Applied: wait=N`. Without If-None-Match nothing is held.
    """
    known = request.headers.get("if-none-match")

    def tag(found: T) -> str:
        return f'"{version(found)}"'

    def is_new(found: T) -> bool:
        return known is None or (known.strip() != "*" and tag(found) not in TAG.findall(known))

    found = await news(holding, request, caller, topic, read, is_new, look_s=look_s)
    response = answer(found) if is_new(found) else Response(status_code=304)
    response.headers["ETag"] = tag(found)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(applied(request) if known is not None else {})
    return response


async def news(
    holding: Holding,
    request: Request,
    caller: Caller,
    topic: Topic,
    read: Callable[[], Awaitable[T]],
    is_news: Callable[[T], bool],
    *,
    look_s: float = LOOK_S,
) -> T:
    """What is `read`: at once, or after `Prefer: wait` as soon as it is news, else at the end.

    A caller that hangs up is not waited with: its place is free again (safety 37).
    """
    found, wait_s = await read(), wait_of(request)
    if not wait_s or is_news(found):
        return found
    held = asyncio.ensure_future(holding.until(caller, topic, read, is_news, wait_s, look_s=look_s))
    left = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((held, left), return_when=asyncio.FIRST_COMPLETED)
        return await held if held.done() else found
    finally:
        held.cancel()
        left.cancel()
        await asyncio.gather(held, left, return_exceptions=True)


def wait_of(request: Request) -> int | None:
    """How many seconds the caller would wait, 60 at most; None where it says nothing of it.

    The first such preference counts, and one that cannot be read is none (RFC 7240 §2).
    """
    for line in request.headers.getlist("prefer"):
        for preference in line.split(","):
            if found := WAIT.match(preference):
                return min(int(found[1]), int(LONGEST_S))
    return None


def applied(request: Request) -> dict[str, str]:
    """The header that tells the caller its wait was understood, and for how many seconds."""
    wait_s = wait_of(request)
    return {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
