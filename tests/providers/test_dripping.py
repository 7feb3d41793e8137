"""Peers that never end: each is cut off by the deadline of the whole answer, or by a size."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import certifi
import httpcore
import pytest

from providers.egress import CONNECT_S, Egress
from providers.errors import TryLater
from tests.providers.peers import Behavior, drips, floods, peer, self_signed

DEADLINE_S = 0.3
OK = b"HTTP/1.1 200 OK\r\n"

DRIPPING: dict[str, Behavior] = {
    "status line": drips(b"HT", b"T"),
    "headers": drips(OK + b"X-Long: ", b"x"),
    "header after header": drips(OK, b"X-More: yes\r\n"),
    "body": drips(OK + b"Content-Length: 10000\r\n\r\n"),
    "body without a length": drips(OK + b"Connection: close\r\n\r\n"),
    "chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk extension": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"b"),
    "trailers": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: ", b"x"),
    "informational answers": drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}
FLOODING: dict[str, Behavior] = {
    "headers": floods(OK + b"X-Long: ", b"x" * 65536),
    "body": floods(OK + b"Connection: close\r\n\r\n", b"x" * 65536),
    "chunks": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"100\r\n" + b"x" * 256 + b"\r\n"),
    "chunk extension": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"b" * 65536),
}


async def cut_off(origin: str, **more: Any) -> TryLater:
    """How the call to that peer ends, which it does long before the test's own patience."""
    egress = Egress(allow=["127.0.0.0/8", "::1/128"], origins=[origin], **more)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(TryLater) as caught:
                await egress.get(origin, total_s=DEADLINE_S)
    finally:
        await egress.aclose()
    return caught.value


@pytest.mark.parametrize("behave", DRIPPING.values(), ids=DRIPPING)
async def test_a_dripping_peer_is_cut_off(behave: Behavior) -> None:
    """safety 19, stack.md finding 10: the deadline is for the whole answer, so that no byte now
    and then prolongs it, wherever in the answer it falls.
    """
    async with peer(behave) as far:
        assert (await cut_off(far.origin)).provider_code == "timeout"


@pytest.mark.parametrize("behave", FLOODING.values(), ids=FLOODING)
async def test_a_flooding_peer_is_cut_off(behave: Behavior) -> None:
    """safety 19: more than an answer may hold ends the call, before or at the deadline."""
    async with peer(behave) as far:
        caught = await cut_off(far.origin)
    assert caught.provider_code in ("too-large", "unreachable", "timeout")


async def test_a_handshake_that_drips_is_cut_off() -> None:
    """safety 19: TLS that never completes is inside the deadline too, and nothing was sent."""
    record = b"\x16\x03\x03\x40\x00"  # a handshake record of 16 KiB, which never ends
    async with peer(drips(record, b"\x02"), listens=False) as far:
        caught = await cut_off(far.origin.replace("http:", "https:"))
    assert caught.provider_code == "timeout"


async def test_a_peer_that_never_speaks_is_cut_off() -> None:
    """safety 19: silence after the connection ends at the deadline."""
    async with peer(drips(b"", b""), listens=False) as far:
        assert (await cut_off(far.origin)).provider_code == "timeout"


async def test_a_body_that_drips_through_tls_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safety 19: closing a TLS connection does not wait for a peer that would not stop."""
    tls = self_signed(tmp_path)
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "server.pem"))
    async with peer(drips(OK + b"Content-Length: 10000\r\n\r\n"), tls) as far:
        assert (await cut_off(far.origin)).provider_code == "timeout"


async def test_a_relay_that_drips_is_cut_off() -> None:
    """R42, safety 19: the deadline holds for what the relay says before the tunnel stands."""
    async with peer(drips(b"HTTP/1.1 200 ", b"O")) as far:
        egress = Egress(relays={"site": far.origin})
        with pytest.raises(TryLater, match="timeout"):
            await egress.via("site").get("https://site.example/", total_s=DEADLINE_S)
        await egress.aclose()


async def test_a_connection_has_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """providers.md: connect 3 s, for each address of a name; what takes longer is transient."""
    given: list[object] = []

    async def never(_: object, host: str, port: int, timeout: float | None, *__: object) -> None:
        given.append((host, port, timeout))
        raise httpcore.ConnectTimeout("nobody there")

    async def two(*_: object) -> list[str]:
        return ["2606:4700::1111", "8.8.8.8"]

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", never)
    egress = Egress(resolver=two)
    with pytest.raises(TryLater, match="timeout: the connection"):
        await egress.get("https://slow.example/")
    await egress.aclose()
    assert given == [("2606:4700::1111", 443, CONNECT_S), ("8.8.8.8", 443, CONNECT_S)]
    assert CONNECT_S == 3.0
