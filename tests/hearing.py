"""What this process says: its log, for a while; and what its httpx clients are answered."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import httpx
import structlog

from broker import logs


@contextmanager
def heard(level: str) -> Iterator[io.StringIO]:
    """The log from that level on, as a service that runs writes it; put back as it was."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    logs.set_up(level, stream)
    try:
        yield stream
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, before
        for name, each in levels.items():
            logging.getLogger(name).setLevel(each)


def hear_answers(hear: Callable[[httpx.Response], None]) -> None:
    """Have every answer to an httpx client of this process heard, until it ends; no streams."""
    send = httpx.AsyncClient.send

    @wraps(send)
    async def sent(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        answer = await send(self, request, **more)
        if not more.get("stream"):
            hear(answer)
        return answer

    setattr(httpx.AsyncClient, "send", sent)  # noqa: B010 - mypy lets no method be assigned
