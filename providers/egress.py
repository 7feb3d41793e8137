"""The only way out: one guarded HTTP client, which looks at every address before it connects."""

import asyncio
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpcore
import httpx
import orjson

from providers.certificates import flaw_of
from providers.errors import HostRefused, ProviderError, TryLater
from providers.places import origin_of_url

CONNECT_S = 3.0
TOTAL_S = 10.0
BODY_LIMIT = 64 * 1024

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers with lower-case names, decoded body within its limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON; ValueError where it is none."""
        return orjson.loads(self.body)


class Egress:
    """One HTTP client for a process; close it with `aclose`.

    `allow` opens private networks (`10.1.0.0/16`). `origins` are exact origins, such as the
    simulator's `http://localhost:9300`, reached wherever they are and without TLS; nothing else on
    their address opens with them. Everything else is https to a public address. Redirects are
    answers like any other, the environment's proxies are ignored, no cookie is kept.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        origins: Iterable[str] = (),
        resolver: Resolver | None = None,
    ) -> None:
        self._origins = frozenset(map(_origin, origins))
        guard = Guard(
            allow=tuple(ip_network(text) for text in allow),
            doors=frozenset(map(_door, self._origins)),
            resolver=resolver or resolve,
        )
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(guard),
            timeout=httpx.Timeout(TOTAL_S, connect=CONNECT_S),
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "identity-broker", "Accept-Encoding": "identity"},
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        total_s: float = TOTAL_S,
        limit: int = BODY_LIMIT,
    ) -> Answer:
        """GET; TryLater for anything the network does, HostRefused for a place we do not go."""
        return await self.request("GET", url, headers=headers, total_s=total_s, limit=limit)

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        total_s: float = TOTAL_S,
    ) -> Answer:
        """POST a form, the way token endpoints want it; fails as `get` does."""
        data = httpx.QueryParams(dict(form))
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self.request(
            "POST", url, headers=sent, content=str(data).encode(), total_s=total_s
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        total_s: float = TOTAL_S,
        limit: int = BODY_LIMIT,
    ) -> Answer:
        """One request and its whole answer within `total_s` seconds and `limit` decoded bytes."""
        self._check(url)
        failure: ProviderError
        try:
            # httpx's own timeouts start anew with every byte.
            async with (
                asyncio.timeout(total_s),
                self._client.stream(method, url, headers=headers, content=content) as response,
            ):
                return await _read(response, limit)
        except TimeoutError:
            failure = TryLater("timeout", f"no complete answer within {total_s:g} seconds")
        except httpx.TimeoutException:
            failure = TryLater("timeout", "the connection or the answer took too long")
        except httpx.InvalidURL:
            failure = HostRefused("url-refused", "this is not a web address")
        except (httpx.HTTPError, httpx.StreamError) as error:
            failure = _failed(error)
        except (zlib.error, UnicodeError):
            failure = TryLater("unreadable", "the answer could not be decoded")
        # Raised out here, so that nothing of httpx, and no request with its form, hangs on to it.
        raise failure

    def _check(self, url: str) -> None:
        """https anywhere public, anything on our own listed origins."""
        origin = origin_of_url(url)
        if origin is None:
            raise HostRefused("url-refused", "this is not a web address without user information")
        if origin not in self._origins and not origin.startswith("https://"):
            raise HostRefused("plain-http-refused", "only https leaves this service")


def _failed(error: Exception) -> TryLater:
    """What the network did; a certificate that does not convince is told apart."""
    if (flaw := flaw_of(error)) is not None:
        return TryLater("certificate", f"the host's certificate was not accepted: {flaw}")
    return TryLater("unreachable", f"the call failed ({type(error).__name__})")


async def _read(response: httpx.Response, limit: int) -> Answer:
    """The body, inflated where it was compressed, and never more of it than `limit` allows."""
    coding = response.headers.get("content-encoding", "identity").lower()
    if coding not in ("identity", "gzip"):
        raise TryLater("unreadable", "the answer is encoded in a way nobody asked for")
    inflate = zlib.decompressobj(wbits=31) if coding == "gzip" else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        room = limit + 1 - len(body)
        body += inflate.decompress(chunk, room) if inflate else chunk[:room]
        if len(body) > limit:
            raise TryLater("too-large", f"the answer is larger than {limit} bytes")
    return Answer(response.status_code, dict(response.headers.items()), bytes(body))


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool whose connections are made by the guard.

    httpx 0.28 has no public way to hand in a network backend: `_pool` is pinned by a test.
    """

    def __init__(self, guard: httpcore.AsyncNetworkBackend) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=guard,
        )


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
                return await self._inner.connect_tcp(
                    text, port, timeout, local_address, socket_options
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

    def _permits(self, text: str) -> bool:
        address = plain(text)
        return is_public(address) or any(address in network for network in self._allow)


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


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address the system knows for a name, each once, in its order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _origin(url: str) -> str:
    origin = origin_of_url(url)
    if origin is None:
        raise ValueError(f"{url!r} is not an http or https origin")
    return origin


def _door(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
