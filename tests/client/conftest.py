"""Each test of the contract meets both brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import engines
from tests.client.stages import Stage, faked, served


@pytest.fixture(params=["service", "fake"])
async def stage(
    request: pytest.FixtureRequest, sqlite_engine: engines.SqliteEngine, tmp_path: Path
) -> AsyncIterator[Stage]:
    """A broker with Kim and a connector: the real one, and the one for tests of its callers."""
    if request.param == "fake":
        async with faked() as fake:
            yield fake
    else:
        async with served(sqlite_engine, tmp_path) as real:
            yield real
