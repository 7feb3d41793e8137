"""Letters leave by SMTP (RFC 5321): one connection, one letter after another, TLS on the way."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from providers.errors import ClientMisconfigured, ProviderError, TryLater
from providers.secret import Secret

PORTS = {"smtp": 587, "smtps": 465}
PATIENCE_S = 30.0
GOODBYE_S = 2.0
SAID_LIMIT = 200
CLOSING = 421  # RFC 5321, 3.8: the server says this and closes the connection
LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII | re.IGNORECASE)
"""The two parts of a mailbox, without quotes (RFC 5321, 4.1.2) and without address literals."""
BROKEN = (SMTPException, OSError, TimeoutError)


class Refused(ProviderError):
    """The server will not take this letter, now or later."""


class PutOff(TryLater):
    """The server does not take this letter now; others it may."""


class Lost(PutOff):
    """The connection ended in the middle of this letter: nobody knows whether it was taken."""


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server and how we introduce ourselves there.

    `tls` from the first byte on; else by STARTTLS, which `may_be_plain` makes optional. A
    certificate is checked whenever there is one.
    """

    host: str
    port: int
    user: str | None = None
    password: Secret | None = None
    tls: bool = False
    may_be_plain: bool = False
    patience_s: float = PATIENCE_S

    @classmethod
    def parse(cls, url: str) -> "Server":
        """The server of `smtp[s]://user:password@host:port[?starttls=optional]`; ValueError.

        Without TLS nothing leaves this machine, unless the URL says `starttls=optional`.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or PORTS[parts.scheme]
        except (ValueError, KeyError):  # the original would tell a part of the password
            raise ValueError(WANTED) from None
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        known = options in ({}, {"starttls": "optional"}) and not parts.fragment
        if not parts.hostname or parts.path not in ("", "/") or not known:
            raise ValueError(WANTED)
        user = unquote(parts.username or "") or None
        password = Secret(unquote(parts.password)) if parts.password else None
        if (user is None) is not (password is None):
            raise ValueError("a user and a password come together, or neither does")
        plain = bool(options) or _is_loopback(parts.hostname)
        return cls(parts.hostname, port, user, password, parts.scheme == "smtps", plain)

    @asynccontextmanager
    async def connected(self, name: str) -> AsyncIterator["Connection"]:
        """A connection that takes letters while the block runs; `name` is ours in EHLO.

        TryLater where nobody answers in time or TLS cannot be had, ClientMisconfigured where the
        server does not know us.
        """
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password.reveal() if self.password else None,
            use_tls=self.tls,
            start_tls=False if self.tls else None if self.may_be_plain else True,
            local_hostname=name,
            timeout=self.patience_s,
        )
        try:
            async with asyncio.timeout(self.patience_s):
                await client.connect()
        except BROKEN as error:
            client.close()
            raise _unreachable(error, self.host) from error
        try:
            yield Connection(client, self.patience_s)
        finally:
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await client.quit()
            except BROKEN:
                client.close()


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection; after `Lost` it is none."""

    client: aiosmtplib.SMTP
    patience_s: float

    async def send(self, message: EmailMessage, sender: Address, to: Address) -> None:
        """Hand over one letter; it is the server's once this returns.

        Refused, PutOff or Lost where it is not; ClientMisconfigured where the server takes no
        letter from this sender at all.
        """
        content = message.as_bytes(policy=policy.SMTP)
        try:
            async with asyncio.timeout(self.patience_s):
                await self.client.sendmail(sender.addr_spec, [to.addr_spec], content)
        except BROKEN as error:
            raise _untaken(error) from error


def address(text: str) -> Address:
    """The one mailbox a text names, with or without a name: `Acme <flows@acme.example>`.

    ValueError where it names none, or several: what a directory says may try to be more. The
    domain is in the form that travels (RFC 5891); a local part beyond ASCII does not.
    """
    name, spec = "", text.strip()
    if spec.endswith(">"):
        name, _, spec = spec[:-1].partition("<")
    local, _, domain = spec.rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    if not (text.isprintable() and LOCAL.fullmatch(local) and DOMAIN.fullmatch(domain)):
        raise ValueError("a mailbox is flows@acme.example, or Acme <flows@acme.example>")
    return Address(name.strip().strip('"'), local, domain)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _untaken(error: BaseException) -> ProviderError:
    """What became of a letter the server did not take."""
    match error:
        case aiosmtplib.SMTPSenderRefused():
            return ClientMisconfigured(f"{error.code}", f"It takes nothing from us: {_said(error)}")
        case aiosmtplib.SMTPRecipientsRefused(recipients=[first, *_]):
            return _untaken(first)
        case SMTPResponseException(code=code) if code != CLOSING:
            kind = PutOff if 400 <= code < 500 else Refused
            return kind(f"{code}", _said(error))
        case TimeoutError():
            return Lost("timeout", "The mail server did not answer in time.")
        case _:
            return Lost("connection-lost", "The mail server closed the connection.")


def _unreachable(error: BaseException, host: str) -> ProviderError:
    """Why there is no connection, in a sentence for whoever runs the broker."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = f"The certificate of {host} is not trusted: {cause.verify_message}."
            return TryLater("certificate", text)
        cause = cause.__cause__ or cause.__context__
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            text = f"{host} does not know this user and password: {_said(error)}"
            return ClientMisconfigured("authentication", text)
        case SMTPResponseException():
            return TryLater(f"{error.code}", f"{host} takes no letters now: {_said(error)}")
        case TimeoutError():
            return TryLater("timeout", f"{host} did not answer in time.")
        case aiosmtplib.SMTPConnectError() | OSError():
            return TryLater("connection", f"{host} cannot be reached.")
        case _:  # STARTTLS or AUTH is not offered
            return ClientMisconfigured("not-offered", f"{host}: {error}")


def _said(error: SMTPResponseException) -> str:
    """The server's words, on one line."""
    return " ".join(error.message.split())[:SAID_LIMIT]


WANTED = (
    "a mail server is smtp://user:password@host:587 or smtps://host:465,"
    " with what is special in the password percent-encoded"
)
