"""Servers on loopback that behave as badly as a test needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Behavior = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Where it listens, and the request heads it has seen."""

    port: int
    heads: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"


@contextlib.asynccontextmanager
async def peer(behave: Behavior) -> AsyncIterator[Peer]:
    """A server that reads each request's head, then does what the test says, then hangs up."""
    seen: Peer
    served: list[tuple[asyncio.Task[None] | None, asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append((asyncio.current_task(), writer))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            seen.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await behave(writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen = Peer(server.sockets[0].getsockname()[1])
    try:
        yield seen
    finally:
        server.close()
        for task, writer in served:
            writer.transport.abort()
            if task is not None:
                await asyncio.wait([task])


def says(status: str, body: bytes = b"", *headers: str) -> Behavior:
    """One whole answer."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        writer.write("\r\n".join([*lines, *headers, "", ""]).encode() + body)

    return behave


async def drips(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, so that no timeout between two bytes ever ends it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(10_000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hangs_up(writer: asyncio.StreamWriter) -> None:
    """Not a word."""
    writer.close()
