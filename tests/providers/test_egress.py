"""The only way out: what it connects to, how long it waits, how much it reads."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import certifi
import httpcore
import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from providers.egress import BODY_LIMIT, Egress, GuardedTransport
from providers.errors import HostRefused, TryLater
from providers.guard import Guard, is_public, plain
from tests.providers.peers import hangs_up, peer, says, self_signed

NOT_PUBLIC = {
    "this host": "0.0.0.0",
    "loopback": "127.0.0.1",
    "loopback, another one": "127.8.8.8",
    "private 10": "10.1.2.3",
    "private 172.16": "172.31.255.1",
    "private 192.168": "192.168.0.1",
    "CGNAT": "100.64.0.1",
    "cloud metadata": "169.254.169.254",
    "IETF protocol assignments": "192.0.0.8",
    "6to4 relay anycast": "192.88.99.1",
    "documentation": "192.0.2.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.251",
    "public-looking multicast": "233.1.2.3",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unspecified 6": "::",
    "loopback 6": "::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped private": "::ffff:10.0.0.1",
    "mapped metadata": "::ffff:a9fe:a9fe",
    "IPv4-compatible": "::127.0.0.1",
    "IPv4-translated": "::ffff:0:10.0.0.1",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "NAT64 of a public address": "64:ff9b::808:808",
    "NAT64, local": "64:ff9b:1::1",
    "6to4": "2002:7f00:1::1",
    "Teredo": "2001:0:7f00:1::1",
    "ORCHID": "2001:20::1",
    "documentation 6": "2001:db8::1",
    "documentation 6, new": "3fff::1",
    "unique local": "fd00::1",
    "unique local metadata": "fd00:ec2::254",
    "link-local": "fe80::1",
    "link-local with its zone": "fe80::1%2",
    "site-local": "fec0::1",
    "multicast 6": "ff02::1",
    "multicast 6, global scope": "ff0e::1",
    "discard": "100::1",
    "segment routing": "5f00::1",
}


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_no_way_to_a_network_of_ours(address: str) -> None:
    """stack.md 1.11: an address that is not the open Internet, in any spelling, is refused."""
    assert not is_public(plain(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_the_open_internet_is_reached(address: str) -> None:
    """A public unicast address is no obstacle."""
    assert is_public(plain(address))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_the_address_it_maps(address: object) -> None:
    """Wrapping an IPv4 address into IPv6 changes no verdict."""
    assert is_public(plain(f"::ffff:{address}")) == is_public(plain(str(address)))


@given(st.ip_addresses(v=6, network="64:ff9b::/96") | st.ip_addresses(v=6, network="2002::/16"))
def test_a_relay_is_never_public(address: object) -> None:
    """NAT64 and 6to4 carry an IPv4 address inside, and lead wherever that is."""
    assert not is_public(plain(str(address)))


class Recorder(httpcore.AsyncNetworkBackend):
    """Connects nowhere; remembers where to, and is unreachable where told."""

    def __init__(self, *unreachable: str) -> None:
        self.tried: list[str] = []
        self._unreachable = unreachable

    async def connect_tcp(
        self,
        host: str,
        *_: object,
        **__: object,
    ) -> httpcore.AsyncNetworkStream:
        self.tried.append(host)
        if host in self._unreachable:
            raise httpcore.ConnectError("refused")
        return httpcore.AsyncMockStream([])


class Names:
    """A resolver that gives one answer after the other."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, *_: object) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0)


def guard(
    names: Names, inner: Recorder, *, allow: str | None = None, door: tuple[str, int] | None = None
) -> Guard:
    networks = (ip_network(allow),) if allow else ()
    return Guard(
        allow=networks, doors=frozenset([door] if door else []), resolver=names, inner=inner
    )


async def test_a_name_is_resolved_once() -> None:
    """Rebinding finds no second look-up: the connection goes to the very address that was seen."""
    names, inner = Names(["8.8.8.8"], ["127.0.0.1"]), Recorder()
    await guard(names, inner).connect_tcp("rebind.example", 443)
    assert (inner.tried, names.asked) == (["8.8.8.8"], 1)


async def test_one_bad_address_spoils_the_name() -> None:
    """A name with a public and a private address is refused before anything is connected."""
    inner = Recorder()
    with pytest.raises(HostRefused, match="address-refused"):
        await guard(Names(["8.8.8.8", "10.0.0.1"]), inner).connect_tcp("half.example", 443)
    assert inner.tried == []


async def test_the_next_address_is_tried() -> None:
    """A name whose first address does not answer is reached at its second."""
    inner = Recorder("2606:4700::1111")
    await guard(Names(["2606:4700::1111", "8.8.8.8"]), inner).connect_tcp("two.example", 443)
    assert inner.tried == ["2606:4700::1111", "8.8.8.8"]


@pytest.mark.parametrize(
    ("allow", "address", "passes"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "10.2.2.3", False),
        ("fd00:1::/32", "fd00:1::5", True),
        ("64:ff9b::/96", "64:ff9b::808:808", True),
        ("10.0.0.0/8", "169.254.169.254", False),
    ],
)
async def test_a_listed_network_is_open(allow: str, address: str, passes: bool) -> None:
    """The operator's list opens private networks, exactly as wide as written."""
    inner = Recorder()
    way = guard(Names([address]), inner, allow=allow)
    if passes:
        await way.connect_tcp("site.internal", 443)
        assert inner.tried == [address]
    else:
        with pytest.raises(HostRefused):
            await way.connect_tcp("site.internal", 443)
        assert inner.tried == []


@pytest.mark.parametrize(("host", "port"), [("localhost", 9301), ("127.0.0.1", 9300)])
async def test_the_simulator_opens_one_door_only(host: str, port: int) -> None:
    """building.md, Rehearsal: the listed origin is reached; its neighbors and aliases are not."""
    door = ("localhost", 9300)
    inner = Recorder()
    await guard(Names(["127.0.0.1"]), inner, door=door).connect_tcp("localhost", 9300)
    with pytest.raises(HostRefused):
        await guard(Names(["127.0.0.1"]), inner, door=door).connect_tcp(host, port)
    assert inner.tried == ["127.0.0.1"]


async def as_the_system_does(host: str, _: int) -> Sequence[str]:
    """Old spellings of IPv4 addresses, read as the C library reads them."""
    return [socket.inet_ntoa(socket.inet_aton(host))]


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    way = Egress(resolver=as_the_system_does)
    yield way
    await way.aclose()


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "017700000001", "0251.0376.0251.0376"]
)
async def test_odd_spellings_of_an_address_are_seen_through(egress: Egress, host: str) -> None:
    """Decimal, hexadecimal, octal and short forms are judged by the address they mean."""
    with pytest.raises(HostRefused):
        await egress.get(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://login.salesforce.com/",
        "ftp://login.salesforce.com/",
        "file:///etc/passwd",
        "https://user:pw@login.salesforce.com/",
        "https://login.salesforce.com\\@evil.example/",
        "https://login.salesforce.com /",
        "https://lögin.salesforce.com/",
        "https:///nowhere",
        "https://host:99999/",
        "//login.salesforce.com/",
        "",
    ],
)
async def test_a_strange_url_goes_nowhere(egress: Egress, url: str) -> None:
    """Only https to a plain host leaves; anything two parsers might read differently does not."""
    with pytest.raises(HostRefused):
        await egress.get(url)


async def test_a_redirect_is_an_answer() -> None:
    """providers.md: redirects are never followed on token, revoke and introspect."""
    async with peer(says("302 Found", b"", "Location: /elsewhere")) as far:
        egress = Egress(origins=[far.origin])
        answer = await egress.post(far.origin + "/token", {"code": "c"})
        await egress.aclose()
    assert (answer.status, answer.headers["location"], len(far.heads)) == (302, "/elsewhere", 1)


@pytest.mark.parametrize(
    ("body", "header", "fails"),
    [
        (b"x" * BODY_LIMIT, "X-Plain: yes", None),
        (b"x" * (BODY_LIMIT + 1), "X-Plain: yes", "too-large"),
        (gzip.compress(b"x" * BODY_LIMIT, mtime=0), "Content-Encoding: gzip", None),
        (gzip.compress(b"x" * (BODY_LIMIT + 1), mtime=0), "Content-Encoding: gzip", "too-large"),
        (b"not gzip", "Content-Encoding: gzip", "unreadable"),
        (b"x", "Content-Encoding: br", "unreadable"),
        (
            gzip.compress(gzip.compress(b"x", mtime=0), mtime=0),
            "Content-Encoding: gzip, gzip",
            "unreadable",
        ),
    ],
)
async def test_a_body_has_a_limit(body: bytes, header: str, fails: str | None) -> None:
    """safety 19: 64 KiB of decoded bytes; a bomb is not inflated beyond them."""
    async with peer(says("200 OK", body, header)) as far:
        egress = Egress(origins=[far.origin])
        if fails:
            with pytest.raises(TryLater, match=fails):
                await egress.get(far.origin)
        else:
            assert len((await egress.get(far.origin)).body) == BODY_LIMIT
        await egress.aclose()


async def test_a_bomb_is_not_inflated() -> None:
    """safety 19: refusing 100 MB of zeroes takes no memory to speak of."""
    bomb = gzip.compress(b"\0" * 100_000_000, mtime=0)
    async with peer(says("200 OK", bomb, "Content-Encoding: gzip")) as far:
        egress = Egress(origins=[far.origin])
        tracemalloc.start()
        with pytest.raises(TryLater, match="too-large"):
            await egress.get(far.origin)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await egress.aclose()
    assert peak < 10_000_000


async def test_no_cookie_is_kept_and_no_environment_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two calls share nothing but the connection, and a proxy setting outside changes none."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with peer(says("200 OK", b"{}", "Set-Cookie: a=b; Path=/")) as far:
        egress = Egress(origins=[far.origin])
        for _ in range(2):
            await egress.get(far.origin + "/who")
        await egress.aclose()
    assert [("cookie:" in head.lower(), head.split()[1]) for head in far.heads] == [
        (False, "/who"),
        (False, "/who"),
    ]


async def test_a_lost_connection_is_transient_and_carries_nothing_of_httpx() -> None:
    """The boundary: TryLater leaves, without httpx's exception and its request behind it."""
    async with peer(hangs_up) as far:
        egress = Egress(origins=[far.origin])
        with pytest.raises(TryLater) as caught:
            await egress.post(far.origin, {"refresh_token": "canary"})
        await egress.aclose()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)


async def test_a_certificate_that_does_not_convince_is_told_apart(tmp_path: Path) -> None:
    """R4: a self-signed host over real TLS is TryLater `certificate`, and gets no request."""
    async with peer(says("200 OK", b"{}"), self_signed(tmp_path)) as far:
        egress = Egress(allow=["127.0.0.0/8", "::1/128"])
        with pytest.raises(TryLater) as caught:
            await egress.get(far.origin, headers={"Authorization": "Bearer canary"})
        await egress.aclose()
    assert (caught.value.provider_code, far.heads) == ("certificate", [])
    assert "the host signed it itself" in caught.value.provider_text
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "days", "flaw"),
    [
        ("localhost", 1, None),
        ("localhost", -1, "it has expired"),
        ("localhost", 20, "it is not valid yet"),
        ("other.example", 1, "it is for another name"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: int, flaw: str | None
) -> None:
    """R4: OpenSSL's verdict on a signature it trusts reaches the administrator as a sentence."""
    tls = self_signed(tmp_path, name, days=days)
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "server.pem"))
    async with peer(says("200 OK", b"{}"), tls) as far:
        egress = Egress(allow=["127.0.0.0/8", "::1/128"])
        if flaw is None:
            assert (await egress.get(far.origin)).body == b"{}"
        else:
            with pytest.raises(TryLater, match=f"certificate: .*{flaw}"):
                await egress.get(far.origin)
        await egress.aclose()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
async def test_an_unknown_name_is_transient(error: Exception) -> None:
    """semantics.md c.2: DNS trouble says nothing about a grant."""

    async def fails(*_: object) -> Sequence[str]:
        raise error

    egress = Egress(resolver=fails)
    with pytest.raises(TryLater, match="unreachable"):
        await egress.get("https://gone.example/")
    await egress.aclose()


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("TLS"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("no HTTP"),
    ],
)
async def test_every_network_failure_is_transient(egress: Egress, error: Exception) -> None:
    """semantics.md c.2: timeout, reset and TLS failures are TryLater."""
    with respx.mock as border:
        border.get("https://login.salesforce.com/").mock(side_effect=error)
        with pytest.raises(TryLater):
            await egress.get("https://login.salesforce.com/")


async def test_the_private_attribute_is_still_there() -> None:
    """httpx 0.28 keeps its pool in `_pool`: the guard would silently be passed by without it."""
    before = httpx.AsyncHTTPTransport(trust_env=False)
    assert isinstance(vars(before)["_pool"], httpcore.AsyncConnectionPool)
    inner = Recorder()
    transport = GuardedTransport(guard(Names(["10.0.0.1"]), inner))
    with pytest.raises(HostRefused):
        await transport.handle_async_request(httpx.Request("GET", "https://inside.example/"))
    await before.aclose()
    await transport.aclose()


def test_a_misspelt_list_stops_the_start() -> None:
    """What the operator lists is a network or an origin, or the process does not begin."""
    with pytest.raises(ValueError, match="has host bits set"):
        Egress(allow=["10.0.0.1/8"])
    with pytest.raises(ValueError, match="is not an http or https origin"):
        Egress(origins=["localhost:9300"])


@pytest.mark.parametrize(
    ("url", "allow", "plain", "passes"),
    [
        ("http://127.0.0.1:9000/hook", "127.0.0.0/8", True, True),
        ("http://[::1]:9000/hook", "::1/128", True, True),
        ("http://127.0.0.1:9000/hook", "127.0.0.0/8", False, False),
        ("http://127.0.0.1:9000/hook", "10.0.0.0/8", True, False),
        ("http://10.0.0.1/hook", "10.0.0.0/8", True, False),
        ("http://localhost:9000/hook", "127.0.0.0/8", True, False),
        ("http://127.1:9000/hook", "127.0.0.0/8", True, False),
        ("http://flows.example/hook", "127.0.0.0/8", True, False),
        ("https://flows.example/hook", "127.0.0.0/8", True, True),
    ],
)
async def test_this_machine_is_reached_without_tls_where_it_is_opened(
    url: str, allow: str, plain: bool, passes: bool
) -> None:
    """Plain http goes to an address of this machine that the operator opened, for receivers of
    webhooks alone; never to a name, which could come to mean another.
    """
    egress = Egress(allow=[allow], plain=plain)
    if passes:
        egress.check(url)
    else:
        with pytest.raises(HostRefused) as refused:
            egress.check(url)
        assert refused.value.provider_code == "plain-http-refused"
    await egress.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 2 * BODY_LIMIT,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
    ],
    ids=["nothing", "too much", "cut"],
)
async def test_a_status_is_all_that_is_asked_for(answer: bytes) -> None:
    """What follows the status may be long, cut or nonsense: it changes nothing."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with peer(behave) as there:
        egress = Egress(origins=[there.origin])
        assert await egress.status(f"{there.origin}/hook", b"{}", headers={}) == 200
        await egress.aclose()
