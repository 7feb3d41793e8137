"""HTTP as bytes on a socket, for requests no client library would send."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 60.0
"""After which a server that says nothing is one that hangs."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back: status 0 for a connection closed without a word."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


async def say(base_url: str, *parts: bytes, hang_up: bool = False) -> Said:
    """Send `parts` one by one and hear the answer, or `hang_up` without waiting for it."""
    where = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            hearing = asyncio.create_task(_heard(reader))
            with suppress(ConnectionError):  # what it said before it closed is what counts
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            if hang_up:
                writer.write_eof()
            return await hearing
    except (ConnectionError, asyncio.IncompleteReadError):
        return Said(0, {}, b"")
    finally:
        writer.close()


async def _heard(reader: asyncio.StreamReader) -> Said:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip()
    first, *lines = head.split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = headers.get("content-length")
    body = await reader.readexactly(int(length)) if length else await reader.read()
    return Said(int(first.split()[1]), headers, body)


def request(
    method: str, url: str, headers: dict[str, str], body: bytes | None = None
) -> list[bytes]:
    """A request as bytes; its Content-Length is true unless `headers` says another."""
    host, _, target = url.partition("://")[2].partition("/")
    said = {"Host": host} | headers
    if body is not None and "Transfer-Encoding" not in said:
        said = {"Content-Length": str(len(body))} | said
    lines = [f"{method} /{target} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"
    return [head, body or b""]


def chunked(body: bytes, size: int = 65536) -> bytes:
    """A body as chunks, without ever saying how long it is."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
