"""Which addresses this service speaks to: each is looked at where the connection is made."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore

from providers.errors import HostRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

# `is_global` calls these public, and each of them leads somewhere else: relays that carry an
# IPv4 address inside (NAT64 RFC 6052, Teredo RFC 4380, 6to4 RFC 3056), and special blocks.
NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "192.88.99.0/24",
        "192.0.0.0/24",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
UNICAST_6 = IPv6Network(
    "2000::/3"
)  # all that IANA gave out; NAT64 and every local block lie outside


class Guard(httpcore.AsyncNetworkBackend):
    """Resolve once, look at every address, connect to a checked one: nothing to rebind."""

    def __init__(
        self,
        *,
        allow: tuple[Network, ...],
        doors: frozenset[tuple[str, int]],
        resolver: Resolver,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allow = allow
        self._doors = doors
        self._resolver = resolver
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that answers, once all of them may be spoken to."""
        addresses = await self._resolved(host, port)
        if (host.lower(), port) not in self._doors:
            for text in addresses:
                if not self._permits(text):
                    raise HostRefused("address-refused", f"{host} is at an address we do not call")
        last: httpcore.ConnectError | httpcore.ConnectTimeout
        for text in addresses:
            try:
                return Line(
                    await self._inner.connect_tcp(
                        text, port, timeout, local_address, socket_options
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name does not resolve") from error
        if not addresses:
            raise httpcore.ConnectError("the name has no address")
        return addresses

    def is_here(self, host: str) -> bool:
        """Whether a host is this machine, by its address, and may be spoken to: a name could come
        to mean another.
        """
        try:
            return plain(host).is_loopback and self._permits(host)
        except ValueError:
            return False

    def _permits(self, text: str) -> bool:
        address = plain(text)
        return is_public(address) or any(address in network for network in self._allow)


class Line(httpcore.AsyncNetworkStream):
    """A connection that is closed where its TLS handshake is broken off: httpcore leaves it open
    when a deadline cancels it.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return Line(await self._inner.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:
            await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def plain(text: str) -> Address:
    """An address as it will be reached: an IPv4 address mapped into IPv6 is that IPv4 address."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def is_public(address: Address) -> bool:
    """Whether the open Internet is there, and no network of ours by any detour."""
    if isinstance(address, IPv6Address) and address not in UNICAST_6:
        return False
    if address.is_multicast or not address.is_global:
        return False
    return not any(address in network for network in NOT_PUBLIC)


def is_name(host: str) -> bool:
    """Whether a host can only be reached by looking its name up, and not on the machine that does.

    Old spellings of IPv4 addresses (decimal, octal, short) are addresses, as the C library has it.
    """
    plain_host = host.lower().rstrip(".")
    if ":" in plain_host or plain_host == "localhost" or plain_host.endswith(".localhost"):
        return False
    try:
        socket.inet_aton(plain_host)
    except OSError:
        return True
    return False


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address the system knows for a name, each once, in its order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
