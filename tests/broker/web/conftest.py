"""The service as its callers meet it, on the engine that needs nothing else.

What differs between engines is below the faces, and tested there on both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.demo import simulator
from tests import engines
from tests.broker.web.rehearsing import Rehearsal
from tests.clocks import MovableClock
from tests.faces import Faces, faces


@pytest.fixture
async def service(
    sqlite_engine: engines.SqliteEngine, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Faces]:
    """A fresh service."""
    with sqlite_engine.database(tmp_path) as url:
        async with faces(url, clock=clock) as found:
            yield found


@pytest.fixture
async def rehearsal(
    sqlite_engine: engines.SqliteEngine, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[Rehearsal]:
    """A service with three people, a connector that works, and the pretend programs."""
    with sqlite_engine.database(tmp_path) as url:
        async with (
            simulator.serving() as pretend,
            faces(url, clock=clock, simulator_url=pretend.base_url) as found,
        ):
            yield await Rehearsal.set_up(found, pretend)
