"""Servers on loopback that behave as badly as a test needs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behavior = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Where it listens, and the request heads it has seen."""

    port: int
    scheme: str = "http"
    heads: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"


@contextlib.asynccontextmanager
async def peer(
    behave: Behavior, tls: ssl.SSLContext | None = None, *, listens: bool = True
) -> AsyncIterator[Peer]:
    """A server that reads each request's head, then does what the test says, then hangs up.

    One that does not listen begins to talk at once.
    """
    seen: Peer
    served: list[tuple[asyncio.Task[None] | None, asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append((asyncio.current_task(), writer))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if listens:
                seen.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await behave(writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen = Peer(server.sockets[0].getsockname()[1], "https" if tls else "http")
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


def drips(first: bytes, drop: bytes = b" ") -> Behavior:
    """A drop now and then after the first words, so that no timeout between two ever ends it."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        for _ in range(10_000):
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.02)

    return behave


def floods(first: bytes, more: bytes) -> Behavior:
    """The same words again and again, as fast as they are taken, for as long as anybody listens."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(more)
            await writer.drain()

    return behave


async def hangs_up(writer: asyncio.StreamWriter) -> None:
    """Not a word."""
    writer.close()


def self_signed(folder: Path, name: str = "localhost", *, days: int = 1) -> ssl.SSLContext:
    """TLS for a server whose certificate for `name` nobody else signed; `days` below 0: expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = datetime.now(UTC) + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=10))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextlib.asynccontextmanager
async def relay(*, to: int | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """An HTTP proxy: whatever host it is asked for, it goes to that port of loopback.

    Without one it lets nobody through.
    """
    seen: Peer
    tasks: list[asyncio.Task[None]] = []
    lines: list[asyncio.StreamWriter] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while said := await reader.read(65536):
                if b" HTTP/1.1\r\n" in said:  # a further request of a connection that is kept
                    seen.heads.append(said.partition(b"\r\n\r\n")[0].decode())
                writer.write(said)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        seen.heads.append(head.decode())
        if to is None:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        there, over = await asyncio.open_connection("localhost", to)
        lines.append(over)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            over.write(head)
        tasks.append(asyncio.create_task(pipe(reader, over)))
        tasks.append(asyncio.create_task(pipe(there, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen = Peer(server.sockets[0].getsockname()[1], "https" if tls else "http")
    try:
        yield seen
    finally:
        server.close()
        for line in lines:
            line.transport.abort()
        if tasks:
            await asyncio.wait(tasks)
