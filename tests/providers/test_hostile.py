"""Promise 18: hostile addresses, each refused where the connection would be made."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import httpcore
import pytest

from providers.egress import Egress
from providers.errors import HostRefused, TryLater
from providers.places import Environment
from tests.providers.peers import peer, says

PUBLIC = "93.184.216.34"
NAMES: dict[str, Sequence[str]] = {
    "localhost": ["127.0.0.1", "::1"],
    "loopback.example": ["127.0.0.1"],
    "private.example": ["10.0.0.5"],
    "metadata.google.internal": ["169.254.169.254"],
    "half.example": [PUBLIC, "192.168.1.1"],
    "half-6.example": ["2606:4700::1111", "fd00::1"],
    "mapped.example": ["::ffff:169.254.169.254"],
    "nat64.example": ["64:ff9b::a9fe:a9fe"],
    "nat64-local.example": ["64:ff9b:1::a9fe:a9fe"],
    "6to4.example": ["2002:a9fe:a9fe::1"],
    "teredo.example": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "compatible.example": ["::169.254.169.254"],
    "translated.example": ["::ffff:0:169.254.169.254"],
    "isatap.example": ["fe80::5efe:10.0.0.1"],
    "zone.example": ["fe80::1%eth0"],
    "site-local.example": ["fec0::1"],
    "unspecified.example": ["::"],
    "this-host.example": ["0.0.0.0"],
    "cgnat.example": ["100.64.0.1"],
    "alibaba.example": ["100.100.100.200"],
    "multicast.example": ["239.255.255.250"],
    "broadcast.example": ["255.255.255.255"],
    "anycast-6to4.example": ["192.88.99.1"],
    "benchmark.example": ["198.18.0.1"],
    "xn--lgin-5qa.example": ["127.0.0.1"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
}

FORMS = {
    "loopback": "https://127.0.0.1/",
    "loopback, another": "https://127.127.127.127/",
    "loopback 6": "https://[::1]/",
    "loopback 6, long": "https://[0:0:0:0:0:0:0:1]/",
    "this host": "https://0.0.0.0/",
    "this host, short": "https://0/",
    "unspecified 6": "https://[::]/",
    "private 10": "https://10.0.0.1/",
    "private 172": "https://172.16.0.1/",
    "private 192": "https://192.168.1.1/",
    "CGNAT": "https://100.64.0.1/",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "metadata of containers": "https://169.254.170.2/v2/credentials",
    "metadata of Alibaba": "https://100.100.100.200/latest/",
    "metadata 6": "https://[fd00:ec2::254]/latest/",
    "metadata by name": "https://metadata.google.internal/computeMetadata/v1/",
    "decimal": "https://2130706433/",
    "decimal metadata": "https://2852039166/",
    "hexadecimal": "https://0x7f000001/",
    "hexadecimal metadata": "https://0xA9FEA9FE/",
    "hexadecimal, dotted": "https://0x7f.0x0.0x0.0x1/",
    "octal": "https://017700000001/",
    "octal, dotted": "https://0177.0.0.1/",
    "octal metadata": "https://0251.0376.0251.0376/",
    "octal with many zeros": "https://0000000177.0.0.1/",
    "short": "https://127.1/",
    "shorter private": "https://10.1/",
    "short, mixed": "https://0x7f.1/",
    "three parts": "https://169.254.43518/",
    "trailing dot": "https://127.0.0.1./",
    "mapped": "https://[::ffff:127.0.0.1]/",
    "mapped, hexadecimal": "https://[::ffff:a9fe:a9fe]/",
    "mapped, long": "https://[0:0:0:0:0:ffff:10.0.0.1]/",
    "compatible": "https://[::127.0.0.1]/",
    "translated": "https://[::ffff:0:127.0.0.1]/",
    "NAT64": "https://[64:ff9b::127.0.0.1]/",
    "NAT64 metadata": "https://[64:ff9b::a9fe:a9fe]/",
    "NAT64, local": "https://[64:ff9b:1::a9fe:a9fe]/",
    "6to4": "https://[2002:7f00:1::]/",
    "6to4 metadata": "https://[2002:a9fe:a9fe::]/",
    "Teredo": "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "unique local": "https://[fd12:3456:789a::1]/",
    "link-local": "https://[fe80::1]/",
    "link-local with a zone": "https://[fe80::1%25eth0]/",
    "link-local with a bare zone": "https://[fe80::1%eth0]/",
    "site-local": "https://[fec0::1]/",
    "multicast": "https://224.0.0.1/",
    "multicast 6": "https://[ff02::1]/",
    "broadcast": "https://255.255.255.255/",
    "the machine's name": "https://localhost/",
    "the machine's name, loud": "https://LOCALHOST/",
    "a name that leads to loopback": "https://loopback.example/",
    "a name that leads inside": "https://private.example/",
    "a name with its address in it": "https://127.0.0.1.nip.example/",
    "a name with two faces": "https://half.example/",
    "a name with two faces, 6": "https://half-6.example/",
    "a name for a mapped address": "https://mapped.example/",
    "a name for a NAT64 address": "https://nat64.example/",
    "a name for a local NAT64 address": "https://nat64-local.example/",
    "a name for a 6to4 address": "https://6to4.example/",
    "a name for a Teredo address": "https://teredo.example/",
    "a name for a compatible address": "https://compatible.example/",
    "a name for a translated address": "https://translated.example/",
    "a name for an ISATAP address": "https://isatap.example/",
    "a name for an address with a zone": "https://zone.example/",
    "a name for a site-local address": "https://site-local.example/",
    "a name for no address": "https://unspecified.example/",
    "a name for this host": "https://this-host.example/",
    "a name for CGNAT": "https://cgnat.example/",
    "a name for Alibaba's metadata": "https://alibaba.example/",
    "a name for multicast": "https://multicast.example/",
    "a name for broadcast": "https://broadcast.example/",
    "a name for the anycast of 6to4": "https://anycast-6to4.example/",
    "a name for benchmarks": "https://benchmark.example/",
    "a punycode name": "https://xn--lgin-5qa.example/",
    "an IDN": "https://lögin.example/",
    "an IDN of full-width digits": "https://１２７.０.０.１/",
    "an ideographic full stop": "https://127。0。0。1/",
    "a circled name": "https://ⓛocalhost/",
    "user information": "https://public.example@127.0.0.1/",
    "a password": "https://user:pw@public.example/",
    "an empty user": "https://@127.0.0.1/",
    "a backslash": "https://public.example\\@127.0.0.1/",
    "an encoded at sign": "https://public.example%40127.0.0.1/",
    "a tab": "https://public\t.example/",
    "a line break": "https://public.example/\r\nHost: 127.0.0.1",
    "a space": "https://public.example /",
    "a null": "https://127.0.0.1\0.public.example/",
    "plain http": "http://public.example/",
    "a strange port of plain http": "http://public.example:443/",
    "the metadata service, as it is spoken to": "http://169.254.169.254/latest/meta-data/",
    "a port that is none": "https://public.example:99999/",
    "a port in words": "https://public.example:https/",
    "ssh by https": "https://10.0.0.1:22/",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:6379/_INFO",
    "data": "data:text/plain,x",
    "no host": "https:///etc/passwd",
    "no scheme": "//127.0.0.1/",
    "nothing": "",
}


async def system(host: str, _: int) -> Sequence[str]:
    """Names as a hostile zone answers them, and numbers as the C library reads them."""
    if host.lower() in NAMES:
        return NAMES[host.lower()]
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    try:
        return [socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))]
    except OSError:
        return [PUBLIC]  # whatever else is asked for is on the open Internet


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address somebody tried to connect to; nobody gets through."""
    tried: list[str] = []

    async def connect(_: object, host: str, *__: object, **___: object) -> None:
        tried.append(host)
        raise httpcore.ConnectError("no network here")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    return tried


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    way = Egress(resolver=system)
    yield way
    await way.aclose()


@pytest.mark.parametrize("url", FORMS.values(), ids=FORMS)
async def test_a_hostile_form_reaches_nobody(
    egress: Egress, connections: list[str], url: str
) -> None:
    """Promise 18, safety 19: refused on the real way of a call, before any connection."""
    with pytest.raises(HostRefused):
        await egress.get(url, headers={"Authorization": "Bearer canary"})
    assert connections == []


def test_there_are_sixty_forms_and_more() -> None:
    """Promise 18: at least 60 hostile forms, each different."""
    assert len(set(FORMS.values())) == len(FORMS) >= 60


async def test_the_table_can_fail(egress: Egress, connections: list[str]) -> None:
    """An honest address goes all the way to the connection, by the same way."""
    with pytest.raises(TryLater, match="unreachable"):
        await egress.get("https://public.example/")
    assert connections == [PUBLIC]


async def test_a_name_that_changes_its_mind_is_asked_once(connections: list[str]) -> None:
    """Promise 18, rebinding: what was looked at is what is connected to; there is no second answer
    to give.
    """
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def rebinding(*_: object) -> Sequence[str]:
        return answers.pop(0)

    egress = Egress(resolver=rebinding)
    with pytest.raises(TryLater):
        await egress.get("https://rebind.example/")
    assert (connections, len(answers)) == (["8.8.8.8"], 1)
    with pytest.raises(HostRefused, match="address-refused"):
        await egress.get("https://rebind.example/")
    assert connections == ["8.8.8.8"]
    await egress.aclose()


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/latest/meta-data/", "https://127.0.0.1/", "//[::1]/"]
)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 For good"])
async def test_a_redirect_leads_nowhere(status: str, place: str) -> None:
    """Promise 18, safety 19: a redirect to a metadata address is an answer like any other."""
    async with peer(says(status, b"", f"Location: {place}")) as far:
        egress = Egress(origins=[far.origin])
        answer = await egress.post(far.origin + "/token", {"code": "c"})
        await egress.aclose()
    assert (answer.status, len(far.heads)) == (int(status[:3]), 1)


PROGRAM = Environment(
    "custom", "Custom", None, typed=("*.site.example",), answers=("*.site.example", "api.example")
)


async def test_who_supplied_the_url_decides(connections: list[str]) -> None:
    """Promise 18: a public host and an allowed private one are both refused where an answer or a
    form names them and the definition does not; what the operator listed is open to nobody else's
    say-so.
    """
    egress = Egress(allow=["10.0.0.0/8"], resolver=system)
    for url in ("https://evil.example", "https://private.example", "https://10.0.0.5"):
        with pytest.raises(HostRefused, match="answer-host-refused"):
            PROGRAM.trusted(url)
        with pytest.raises(HostRefused, match="host-refused"):
            PROGRAM.origin_of(url.removeprefix("https://"))
    assert connections == []
    with pytest.raises(TryLater):
        await egress.get("https://private.example/")  # the operator's word, for a host of ours
    assert connections == ["10.0.0.5"]
    with pytest.raises(HostRefused, match="plain-http-refused"):
        await egress.get("http://private.example/")
    await egress.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        "http://a.site.example",
        "https://a.b.site.example",
        "https://site.example",
        "https://a.site.example.evil.example",
        "https://a.site.example@evil.example",
        "https://a.site.example:8443",
        "https://a.site.example.",
        "https://a.site.example\\@evil.example",
        "https://ä.site.example",
        "https://api.example.evil.example",
        "javascript:alert(1)",
        None,
        7,
    ],
)
def test_a_host_out_of_an_answer_is_the_programs(answer: object) -> None:
    """safety 19: what an answer names is the program's own host to the letter, with TLS and its
    own port, before anything secret goes there.
    """
    assert PROGRAM.trusted("https://a.site.example/path") == "https://a.site.example/path"
    with pytest.raises(HostRefused):
        PROGRAM.trusted(answer)
