"""Real mail servers on loopback (aiosmtpd) that take letters, or do not."""

from __future__ import annotations

import asyncio
import email
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LINK = re.compile(r"https?://\S+/invitations/\S+")
Answer = str | Callable[[], Awaitable[str | None]] | None
TAKEN = "250 taken"
DROPPED = "a letter is kept, and the connection ends without a word"


@dataclass
class Post:
    """What a mail server took, and how it answers; `to` and `content` by recipient, else for all.

    An answer is a line, or something to await that gives one; None takes the letter.
    """

    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    to: dict[str, Answer] = field(default_factory=dict)
    content: dict[str, Answer] = field(default_factory=dict)
    attempted: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """The setting that names it."""
        return f"smtp://127.0.0.1:{self.port}"

    def links(self) -> list[str]:
        """The link of each letter that holds one."""
        return [found[0] for one in self.letters if (found := LINK.search(text_of(one)))]

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, answers: Any
    ) -> Any:
        self.connections += 1
        session.host_name = hostname
        return answers

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        answer = await _answer(self.to, address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or TAKEN

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        [address] = envelope.rcpt_tos
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.attempted.append(message["Message-ID"])
        answer = await _answer(self.content, address)
        if answer is None or answer in (TAKEN, DROPPED):
            self.letters.append(message)
            self.recipients.append(address)
        if answer == DROPPED:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return answer or TAKEN


async def _answer(table: dict[str, Answer], address: str) -> str | None:
    said = table.get(address, table.get("*"))
    return await said() if callable(said) else said


@asynccontextmanager
async def receiving(post: Post | None = None, **settings: Any) -> AsyncIterator[Post]:
    """A mail server that answers while the block runs."""
    post = post or Post()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(post, hostname="pretend", loop=loop, **settings), "127.0.0.1", 0
    )
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()
        await server.wait_closed()


def text_of(message: EmailMessage) -> str:
    """The words of a letter."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(message: EmailMessage) -> str:
    """The other form of a letter."""
    body = message.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that it signed itself; whoever trusts it says so."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    kept = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(pem)
    file = folder / "mail.pem"
    file.write_bytes(kept)
    return file


def with_tls(file: Path) -> ssl.SSLContext:
    """A server's side of TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
