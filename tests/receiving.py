"""A receiver of webhooks on this machine: it checks what comes, as any receiver would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import standardwebhooks

OK = 200
TLS = b"\x16"
"""How a handshake begins: this receiver speaks none and hangs up."""
SILENT = 0
"""Instead of a status: it takes the message and never answers."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request, as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id, by which a receiver knows what it has had."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """What is said."""
        said: dict[str, Any] = orjson.loads(self.body)
        return said

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, once the outside library has checked the signature and the time."""
        said: dict[str, Any] = standardwebhooks.Webhook(secret).verify(self.body, self.headers)
        return said


@dataclass(slots=True)
class Receiver:
    """It answers each message with the status that `answer` gives for it."""

    answer: Callable[[Message], int] = lambda _: OK
    url: str = ""
    heard: list[Message] = field(default_factory=list)
    text: bytes = b"{}"
    more: str = ""
    """Further headers of each answer."""
    lines: int = 0
    """How many connections were made."""

    @property
    def times(self) -> Counter[str]:
        """How often each event came."""
        return Counter(message.id for message in self.heard)

    @property
    def types(self) -> list[str]:
        """What came, in the order in which it came."""
        return [message.event["type"] for message in self.heard]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        self.lines += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (first := await reader.readexactly(1)) != TLS:
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = [line.partition(": ") for line in head[1:] if line]
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                message = Message(headers, body)
                self.heard.append(message)
                status = self.answer(message)
                if status == SILENT:
                    await reader.read()
                    break
                said = f"HTTP/1.1 {status} X\r\nContent-Length: {len(self.text)}\r\n{self.more}\r\n"
                writer.write(said.encode() + self.text)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(receiver: Receiver | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens on loopback."""
    receiver = receiver or Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{port}/hooks"
    try:
        yield receiver
    finally:
        server.close()
