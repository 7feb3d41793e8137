"""The pretend programs, and a broker over each database that knows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from broker.db.database import Database
from broker.demo.simulator import Simulator
from tests.broker.service import outside
from tests.broker.service.outside import Outside


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
