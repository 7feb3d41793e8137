"""A connector with a relay, from the wizard to a refresh (R42, safety 18 and 20)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from broker.db.database import Database
from broker.demo.grants import ORGANIZATION
from broker.demo.simulator import Simulator
from broker.domain.clock import DAY
from broker.domain.connectors import State
from broker.domain.errors import Invalid
from broker.service.forms import Said
from tests.broker.service import outside
from tests.broker.service.outside import CLIENT_SECRET, ROBOT, Outside
from tests.clocks import MovableClock
from tests.providers.peers import Peer, relay

OAUTH = "/services/oauth2"


@pytest.fixture
async def way(programs: Simulator) -> AsyncIterator[Peer]:
    """A relay to the pretend programs."""
    async with relay(to=urlsplit(programs.base_url).port) as peer:
        yield peer


@pytest.fixture
async def world(db: Database, programs: Simulator, way: Peer) -> AsyncIterator[Outside]:
    """A project whose operator lists that relay, twice."""
    relays = {"site": way.origin, "dmz": way.origin}
    async with outside.opened(db, programs, relays=relays) as opened:
        yield opened
        await opened.vault.landed()


async def connected(world: Outside) -> str:
    """A connector that goes through the relay `site`."""
    complete = outside.complete()
    fields = complete["fields"] | {"relay": "site"}
    id = await world.draft(fields=fields)
    link = await world.connecting.authorize(world.administrator, id)
    assert (await world.sign_in(link, world.administrator, ROBOT)).ok
    await world.connecting.connect(world.administrator, id)
    return id


def paths(way: Peer) -> list[str]:
    """What the relay was asked for."""
    return [urlsplit(head.split()[1]).path for head in way.heads]


async def test_every_call_of_a_connector_goes_through_its_relay(
    world: Outside, way: Peer, clock: MovableClock
) -> None:
    """R42: exchange, identity, introspection and refresh reach the program by the relay alone."""
    id = await connected(world)
    assert [path.rpartition("/")[0] for path in paths(way)] == [OAUTH, f"/id/{ORGANIZATION}", OAUTH]
    clock.advance(DAY)
    world.programs.clock.advance(24 * 3600)
    assert await world.vault.usable(world.project, id, None)
    assert paths(way)[3:] == [f"{OAUTH}/token", f"{OAUTH}/introspect"]
    calls = world.programs.salesforce.calls
    assert calls["token"] + calls["identity"] + calls["introspect"] == len(way.heads)


async def test_another_relay_is_another_place(world: Outside, way: Peer) -> None:
    """safety 18: secrets go by no other relay than the one they were typed for; a change without
    them is refused, and with them the connector is authorized anew.
    """
    id = await connected(world)
    configure = world.connecting.configure
    asked = len(way.heads)
    with pytest.raises(Invalid) as refused:
        await configure(world.administrator, id, Said(fields={"relay": "dmz"}))
    assert [one.pointer for one in refused.value.problems] == ["/fields/client_secret"]
    said = Said(fields={"relay": "dmz", "client_secret": CLIENT_SECRET})
    moved = await configure(world.administrator, id, said)
    assert moved.connector.state is State.AUTHORIZING
    assert len(way.heads) == asked


async def test_a_relay_is_one_of_the_operators(world: Outside) -> None:
    """safety 20: a connector names a relay of the list; an address of its own is 422."""
    with pytest.raises(Invalid) as refused:
        await world.draft(fields={"relay": "http://10.0.0.9:3128"})
    assert [one.pointer for one in refused.value.problems] == ["/fields/relay"]
