"""Relays: the operator's HTTP proxies, by which a connector reaches what is not on the Internet."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import certifi
import pytest

from providers.definition import RELAY, Choice, Section
from providers.egress import Egress
from providers.errors import HostRefused, TryLater
from providers.registry import Registry
from providers.sources.registry import Sources
from tests.house.product import python, text
from tests.providers.peers import peer, relay, says, self_signed

SITE = "https://sharepoint.corp.example"


class Names:
    """The system's names: the relay's alone are known, the site's leads into a private network."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        self.asked.append(host)
        return ["127.0.0.1" if host == "localhost" else "10.0.0.5"]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose server certificates this process believes."""
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "server.pem"))
    return tmp_path


async def test_with_a_relay_calls_go_to_the_relay(trusted: Path) -> None:
    """R42: through a relay a private site answers; without one its address is refused. The relay
    learns the host's name and nothing else: TLS ends at the site, whose name nobody here looks up.
    """
    tls, names = self_signed(trusted, "sharepoint.corp.example"), Names()
    async with peer(says("200 OK", b"{}"), tls) as site, relay(to=site.port) as way:
        egress = Egress(relays={"site": way.origin}, resolver=names)
        url, headers = SITE + "/_api/web", {"Authorization": "Bearer canary"}
        answer = await egress.via("site").get(url, headers=headers)
        assert names.asked == ["localhost"]
        with pytest.raises(HostRefused, match="address-refused"):
            await egress.get(url, headers=headers)
        await egress.aclose()
    assert (answer.status, answer.body, len(site.heads)) == (200, b"{}", 1)
    assert "authorization: bearer canary" in site.heads[0].lower()
    [head] = way.heads
    assert head.startswith("CONNECT sharepoint.corp.example:443 HTTP/1.1\r\n")
    assert "canary" not in head


async def test_a_relay_may_speak_tls_itself(trusted: Path) -> None:
    """R42: the way to a relay at an https address is TLS, with the site's own TLS inside."""
    tls = self_signed(trusted)
    async with peer(says("200 OK", b"{}"), tls) as site, relay(to=site.port, tls=tls) as way:
        egress = Egress(origins=[site.origin], relays={"site": way.origin})
        assert (await egress.via("site").get(site.origin)).body == b"{}"
        await egress.aclose()
    assert way.heads[0].startswith(f"CONNECT localhost:{site.port} HTTP/1.1\r\n")


async def test_a_site_behind_a_relay_proves_its_name(trusted: Path) -> None:
    """R42: a relay is trusted with the way alone: a certificate of another name ends the call."""
    tls = self_signed(trusted, "other.corp.example")
    async with peer(says("200 OK", b"{}"), tls) as site, relay(to=site.port) as way:
        egress = Egress(relays={"site": way.origin})
        with pytest.raises(TryLater, match=r"certificate: .*it is for another name"):
            await egress.via("site").get(SITE)
        await egress.aclose()
    assert site.heads == []


async def test_a_rehearsal_goes_through_a_relay_too() -> None:
    """R42: the simulator's origin is asked of the relay in plain http, and of nobody else."""
    async with peer(says("200 OK", b"{}")) as site, relay(to=site.port) as way:
        egress = Egress(origins=[site.origin], relays={"site": way.origin})
        assert (await egress.via("site").get(site.origin + "/who")).status == 200
        await egress.aclose()
    assert way.heads[0].startswith(f"GET {site.origin}/who HTTP/1.1\r\n")


@pytest.fixture
async def relayed() -> AsyncIterator[Egress]:
    """A way whose relay would get anywhere."""
    async with relay(to=9) as way:
        egress = Egress(allow=["10.0.0.0/8", "127.0.0.0/8"], relays={"site": way.origin})
        yield egress.via("site")
        await egress.aclose()
        assert way.heads == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.1.2.3/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00:ec2::254]/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://relay.localhost/",
        "http://sharepoint.corp.example/",
        "https://user:pw@sharepoint.corp.example/",
    ],
)
async def test_a_relay_is_asked_for_names_alone(relayed: Egress, url: str) -> None:
    """safety 20, promise 18: the relay would connect wherever it is told, so it is told no address
    in any spelling, not its own machine, and no site without TLS.
    """
    with pytest.raises(HostRefused):
        await relayed.get(url)


async def test_what_a_relay_refuses_is_transient() -> None:
    """semantics.md c.2: the relay's no, or its absence, says nothing about a grant."""
    async with relay() as way:
        egress = Egress(relays={"site": way.origin, "gone": "http://localhost:9"})
        with pytest.raises(TryLater, match="relay-refused"):
            await egress.via("site").get(SITE)
        with pytest.raises(TryLater, match="unreachable"):
            await egress.via("gone").get(SITE)
        await egress.aclose()


async def test_a_relay_that_is_no_more_stops_its_connectors() -> None:
    """safety 20: an unknown relay is our misconfiguration, never a way around it."""
    egress = Egress(relays={"site": "http://localhost:9"})
    with pytest.raises(HostRefused, match="relay-unknown"):
        egress.via("gone")
    assert egress.via(None) is egress
    await egress.aclose()


async def test_every_program_offers_the_operators_relays() -> None:
    """R37, R42: where there are relays, each definition asks for one in Relay Options, out of the
    operator's list alone; it binds what is sealed (safety 18). Without relays nobody is asked.
    """
    with_relays, without = Egress(relays={"site": "http://r:1", "dmz": "http://r:2"}), Egress()
    offered = Registry(with_relays, simulator="http://localhost:9300").definitions
    for definition in offered:
        [field] = [one for one in definition.fields if one.section is Section.RELAY]
        assert (field.name, field.binds, field.required) == (RELAY, True, False)
        assert field.choices == (Choice("dmz", "dmz"), Choice("site", "site"))
    for definition in Registry(without).definitions:
        assert not [one for one in definition.fields if one.section is Section.RELAY]
    await with_relays.aclose()
    await without.aclose()


def test_no_call_of_a_program_goes_around_its_relay() -> None:
    """R42, safety 20: whatever speaks to a connector's program does so by `egress.via` alone."""
    around = re.compile(r"_egress\.(?!via\()|[(,] ?self\._egress[,)]")
    apart = ("providers/oidc.py", "providers/sources/")
    programs = [path for path in python("providers") if not path.startswith(apart)]
    assert [path for path in programs if around.search(text(path))] == []
    assert around.search("await self._egress.get(url)")


async def test_no_source_and_no_sign_in_takes_a_relay() -> None:
    """safety 20: relays are for connectors; pull sources and identity providers have none."""
    egress = Egress(relays={"site": "http://localhost:9"})
    kinds = Sources(egress).kinds
    assert not [kind.kind for kind in kinds for one in kind.fields if one.name == RELAY]
    apart = [path for path in python("providers/sources") if ".via(" in text(path)]
    assert apart == []
    assert ".via(" not in text("providers/oidc.py")
    await egress.aclose()
