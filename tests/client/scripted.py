"""A broker that does what a script says, connection by connection, on a real socket.

It is reached as `localhost`: what it says is not held to the contract (tests/keeping.py).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from broker.client import Broker
from tests.chaos.proxy import aborted, listening

STALL, RESET = "stall", "reset"
KEY = "brk_key_scripted"


@dataclass(slots=True)
class Script:
    """Answers, or what happens instead, in order; the last one goes on for ever.

    `asked` holds the requests that arrived whole, as bytes.
    """

    steps: list[bytes | str]
    url: str = ""
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n") if b": " in line)
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        self.asked.append(head + body)
        match self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]:
            case str(fate):
                if fate == STALL:
                    await reader.read()  # until the caller hangs up
                aborted(writer)
            case bytes(answer):
                writer.write(answer)
                await writer.drain()
                writer.close()


def answer(status: int, said: Any = None, **headers: str) -> bytes:
    """An answer with a JSON body."""
    body = b"" if said is None else orjson.dumps(said)
    lines = [f"HTTP/1.1 {status} So", f"content-length: {len(body)}", "connection: close"]
    lines += ["content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def problem(status: int, code: str = "so", **more: Any) -> bytes:
    """A problem of the broker, not retryable unless it says so."""
    said = {"status": status, "code": code, "detail": "So.", "retryable": False, **more}
    return answer(status, said)


@asynccontextmanager
async def scripted(
    *steps: bytes | str, deadline_s: float = 5.0, try_s: float = 0.3
) -> AsyncIterator[tuple[Broker, Script]]:
    """A client before such a broker."""
    script = Script(list(steps))
    async with listening(script.serve) as port:
        script.url = f"http://localhost:{port}"
        async with Broker(script.url, KEY, deadline_s=deadline_s, try_s=try_s) as broker:
            yield broker, script


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"
