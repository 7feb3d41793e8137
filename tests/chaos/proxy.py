"""A hostile stretch of network: what is on the way between a caller and the replicas."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
PIECE = 64 * 1024
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: a close that sends RST
FATES = ("reset", "stall", "swallow", "cut", "drip", "slow")
"""What a connection may meet: closed at once; never answered; its answer lost whole, or in the
middle; a few bytes at a time; late.
"""


@dataclass(slots=True)
class Proxy:
    """A TCP proxy on loopback before `backends`, that lets connections meet a fate.

    While it is `hostile`, every second connection meets one of the fates, dealt like cards, so that
    none is left out; `met` counts them. A peaceful connection is closed after some answers, so that
    a caller gets new ones. What is dealt depends on the seed and the order of the connections.
    """

    dice: random.Random
    backends: list[tuple[str, int]] = field(default_factory=list)
    hostile: bool = False
    met: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _turn: int = 0
    _deck: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where callers come in."""
        return f"http://127.0.0.1:{self.port}"

    def before(self, urls: Iterable[str]) -> None:
        """Let these be the replicas from now on."""
        parts = [urlsplit(url) for url in urls]
        self.backends = [(str(part.hostname), int(part.port or 80)) for part in parts]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a caller."""
        fate = self._dealt() if self.hostile else "pass"
        answers, bytes_kept = self.dice.randint(1, 4), self.dice.randint(1, 200)
        self.met[fate] += 1
        try:
            if fate == "reset":
                return
            if fate == "stall":
                await reader.read()  # until the caller hangs up
                return
            if fate == "slow":
                await asyncio.sleep(0.2)
            await self._relay(reader, writer, fate, answers, bytes_kept)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            aborted(writer)

    def _dealt(self) -> str:
        if not self._deck:
            self._deck = [*FATES, *("pass" for _ in FATES)]
            self.dice.shuffle(self._deck)
        return self._deck.pop()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fate: str,
        answers: int,
        kept: int,
    ) -> None:
        if (backend := await self._backend()) is None:
            return
        theirs, there = backend
        asking = asyncio.create_task(_copied(reader, there))
        try:
            while (piece := await theirs.read(PIECE)) and answers:
                answers -= 1
                if fate == "swallow":
                    return
                if fate == "cut":
                    writer.write(piece[:kept])
                    await writer.drain()
                    await asyncio.sleep(0.01)  # so that the caller has read it before the RST
                    return
                if fate == "drip":
                    await _dripped(writer, piece)
                    continue
                writer.write(piece)
                await writer.drain()
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await asking
            aborted(there)

    async def _backend(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A replica that takes connections, each in its turn; None where there is none."""
        for _ in range(len(self.backends)):
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection(
                    *self.backends[self._turn % len(self.backends)]
                )
        return None


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.close()


async def _dripped(writer: asyncio.StreamWriter, piece: bytes) -> None:
    for start in range(0, len(piece), 32):
        writer.write(piece[start : start + 32])
        await writer.drain()
        await asyncio.sleep(0.05)


def aborted(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a machine does that forgot the connection."""
    held = writer.get_extra_info("socket")
    with suppress(OSError):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()


@asynccontextmanager
async def listening(serve: Connected) -> AsyncIterator[int]:
    """A port of loopback where each connection is served; they end with it."""
    serving: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append((asyncio.create_task(serve(reader, writer)), writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task, writer in serving:
            task.cancel()
            aborted(writer)
        await asyncio.gather(*(task for task, _ in serving), return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the next round of the loop


@asynccontextmanager
async def proxy(seed: int) -> AsyncIterator[Proxy]:
    """A proxy that listens."""
    made = Proxy(random.Random(seed))
    async with listening(made.serve) as made.port:
        yield made
