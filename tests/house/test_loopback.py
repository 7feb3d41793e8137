"""The wall around the session: tests reach loopback and nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import httpx
import pytest

from tests import loopback


def connect() -> None:
    socket.create_connection(("192.0.2.1", 80), timeout=1)


def connect6() -> None:
    with socket.socket(socket.AF_INET6) as handle:
        handle.connect(("2001:db8::1", 80))


def datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.sendto(b"x", ("198.51.100.1", 53))


def look_up() -> None:
    socket.getaddrinfo("example.com", 443)


def request() -> None:
    httpx.get("http://198.51.100.1/")


@pytest.mark.parametrize("reach", [connect, connect6, datagram, look_up, request])
def test_the_outside_is_refused(reach: Callable[[], None]) -> None:
    """A connection, datagram or look-up beyond loopback raises what no retry swallows."""
    with pytest.raises(loopback.Outside):
        reach()
    assert len(loopback.attempts) == 1
    loopback.attempts.clear()  # or this test would fail by its own rule


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_is_open(host: str) -> None:
    """A service of the test itself is reached, by address and by name."""
    served = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.set()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
        await served.wait()
        writer.close()
        await writer.wait_closed()
