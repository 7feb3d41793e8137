"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_S = 15.0
PAUSE_S = 0.02


async def until(
    happened: Callable[[], Any] | Callable[[], Awaitable[Any]], *, within_s: float = PATIENCE_S
) -> Any:
    """Ask `happened`, plain or async, again and again; its first true answer.

    AssertionError after `within_s`: long enough that a slow machine passes, so a green test never
    waits that long.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = happened()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not true within {within_s} s"
        await asyncio.sleep(PAUSE_S)
