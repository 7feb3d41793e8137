"""The pretend programs, and a broker over each database that knows them; steps that run there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from broker.db.database import Database
from broker.demo.simulator import Simulator
from broker.domain.callers import Caller
from tests import proof, pushing, stepping
from tests.broker.service import outside
from tests.broker.service.outside import Outside
from tests.pushing import House
from tests.scene import Scene
from tests.stepping import World
from tests.watching import Watched


@pytest.fixture
def watched(db: Database) -> Watched:
    """A database that remembers what it was asked."""
    return Watched(db)


@pytest.fixture
async def house(watched: Watched) -> House:
    """A project on each engine."""
    return await pushing.house(watched)


@pytest.fixture(scope="module")
def programs() -> Iterator[Simulator]:
    """One simulator for the tests of a module."""
    with outside.running() as simulator:
        yield simulator


@pytest.fixture
async def world(db: Database, programs: Simulator) -> AsyncIterator[Outside]:
    """A project whose programs are the simulator's; no refresh outlives its test."""
    async with outside.opened(db, programs) as opened:
        yield opened
        await opened.vault.landed()


@pytest.fixture
async def at(db: Database) -> AsyncIterator[World]:
    """A project in which steps run, and which believes the pretend identity provider."""
    async with stepping.world(db) as made:
        yield await proof.believing(made)


@pytest.fixture
async def engine(at: World) -> Caller:
    """A key that may present id_tokens of the pretend identity provider."""
    return await at.key(evidence=((at.simulator.identity.issuer, proof.AUDIENCE),))


@pytest.fixture
async def scene(at: World) -> Scene:
    """A step may wait here."""
    return await Scene.made(at)
