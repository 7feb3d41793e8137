"""The only way out: one guarded HTTP client, which looks at every address before it connects."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_network
from typing import TypeVar
from urllib.parse import urlsplit

import httpcore
import httpx
import orjson

from providers.certificates import flaw_of
from providers.errors import HostRefused, ProviderError, TryLater
from providers.guard import Guard, Resolver, is_name, resolve
from providers.places import origin_of_url

# At every lock httpcore tries to import a module that tells asyncio from trio. Without trio it is
# not installed, and each try searches every folder: two fifths of the CPU of a refresh. Noted as
# missing, it is missed at once.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # as import itself reads it

CONNECT_S = 3.0
TOTAL_S = 10.0
BODY_LIMIT = 64 * 1024
DRAIN_S = 1.0
T = TypeVar("T")


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

    With `plain`, this machine itself is reached without TLS where `allow` opens its address: for
    receivers of webhooks beside the service.

    `relays` are the operator's HTTP proxies by name (safety 20). What goes `through` one connects
    to nothing but the relay, and asks it for https to names: the relay knows what they mean.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        origins: Iterable[str] = (),
        relays: Mapping[str, str] | None = None,
        resolver: Resolver = resolve,
        through: str | None = None,
        plain: bool = False,
    ) -> None:
        self.relays = dict(relays or {})
        self._origins = frozenset(map(_origin, origins))
        self._through = through
        self._plain = plain
        self._guard = Guard(
            allow=tuple(ip_network(text) for text in allow),
            doors=frozenset(map(_door, [through] if through else self._origins)),
            resolver=resolver,
        )
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(self._guard, through),
            timeout=httpx.Timeout(TOTAL_S, connect=CONNECT_S),
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "identity-broker", "Accept-Encoding": "identity"},
        )
        self._ways = {
            name: Egress(origins=self._origins, resolver=resolver, through=url)
            for name, url in self.relays.items()
        }

    def via(self, relay: str | None) -> Egress:
        """The way a connector's requests take (R42); HostRefused where its relay is no more."""
        if relay is None:
            return self
        if relay not in self._ways:
            raise HostRefused("relay-unknown", f"the operator lists no relay {relay}")
        return self._ways[relay]

    async def aclose(self) -> None:
        await self._client.aclose()
        for way in self._ways.values():
            await way.aclose()

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

        async def read(response: httpx.Response) -> Answer:
            return await _read(response, limit)

        return await self._ask(method, url, headers, content, total_s, read)

    async def status(
        self, url: str, content: bytes, *, headers: Mapping[str, str], total_s: float = TOTAL_S
    ) -> int:
        """POST, and what is answered within `total_s` seconds; nobody reads the body."""
        return await self._ask("POST", url, headers, content, total_s, _status)

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        total_s: float,
        read: Callable[[httpx.Response], Awaitable[T]],
    ) -> T:
        self.check(url)
        failure: ProviderError
        try:
            # httpx's own timeouts start anew with every byte.
            async with (
                asyncio.timeout(total_s),
                self._client.stream(method, url, headers=headers, content=content) as response,
            ):
                return await read(response)
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

    def check(self, url: str) -> None:
        """HostRefused where nothing is ever sent: neither https nor a listed origin of ours.

        What a name stands for is looked at later, where the connection is made.
        """
        origin = origin_of_url(url)
        if origin is None:
            raise HostRefused("url-refused", "this is not a web address without user information")
        host = urlsplit(url).hostname or ""
        plain = origin in self._origins or (self._plain and self._guard.is_here(host))
        if not plain and not origin.startswith("https://"):
            raise HostRefused("plain-http-refused", "only https leaves this service")
        if self._through and origin not in self._origins and not is_name(host):
            raise HostRefused("address-refused", "a relay is asked for names, never for addresses")


def _failed(error: Exception) -> TryLater:
    """What the network did; a certificate that does not convince is told apart."""
    if (flaw := flaw_of(error)) is not None:
        return TryLater("certificate", f"the host's certificate was not accepted: {flaw}")
    if isinstance(error, httpx.ProxyError):
        return TryLater("relay-refused", "the relay did not let us through to the host")
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


async def _status(response: httpx.Response) -> int:
    """The status; a short body is let in, so that the connection can be used again."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(DRAIN_S):
            left = BODY_LIMIT
            async for chunk in response.aiter_raw():
                left -= len(chunk)
                if left < 0:
                    break
    return response.status_code


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool whose connections are made by the guard.

    httpx 0.28 has no public way to hand in a network backend: `_pool` is pinned by a test.
    """

    def __init__(self, guard: httpcore.AsyncNetworkBackend, relay: str | None = None) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        tls = context if (relay or "").startswith("https:") else None
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            proxy=httpcore.Proxy(relay, ssl_context=tls) if relay else None,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=guard,
        )


def _origin(url: str) -> str:
    origin = origin_of_url(url)
    if origin is None:
        raise ValueError(f"{url!r} is not an http or https origin")
    return origin


def _door(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
