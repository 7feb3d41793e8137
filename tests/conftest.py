"""What every test may ask for: a database of each engine, a clock, and no way out of loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from broker.db.database import Database
from tests import canaries, engines, happenings, keeping, loopback
from tests.clocks import MovableClock

loopback.wall()
canaries.watch()
happenings.watch()
keeping.watch()
# Two shared cores: a slow example is no defect; CI repeats the same examples each time.
hypothesis.settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def _no_way_out() -> Iterator[None]:
    """A refused address fails the test even where the product swallowed the refusal."""
    loopback.attempts.clear()
    yield
    if loopback.attempts:
        pytest.fail(f"reached for {', '.join(loopback.attempts)}; tests talk to loopback alone")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Promise 17: a planted secret in what a test printed, logged, raised or was answered fails it,
    also where the test itself was content.
    """
    report = yield
    for name, text in report.sections:
        canaries.search(name, text)
    for told in (canaries.found(), happenings.found(), keeping.found()):
        if told and report.outcome != "failed":
            report.outcome, report.longrepr = "failed", told
    return report


@pytest.fixture(scope="session")
def sqlite_engine(tmp_path_factory: pytest.TempPathFactory) -> engines.SqliteEngine:
    """The engine that needs nothing else, migrated once."""
    return engines.SqliteEngine(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_engine() -> Iterator[engines.PostgresEngine]:
    """The engine for scale-out: one server a session, migrated once; fails where none starts."""
    try:
        with engines.postgres_server() as url:
            engine = engines.PostgresEngine(url)
            yield engine
            engine.close()
    except engines.NoServer as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database of each engine, for tests that start real processes.

    `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)` asks for one engine.
    """
    engine: engines.Engine = request.getfixturevalue(f"{request.param}_engine")
    with engine.database(tmp_path) as url:
        yield url


@pytest.fixture
def clock() -> MovableClock:
    """The process clock of `db`: real time until the test moves it."""
    return MovableClock()


@pytest.fixture
async def db(database_url: str, clock: MovableClock) -> AsyncIterator[Database]:
    """A fresh, empty, migrated database of each engine."""
    database = await engines.connect(database_url, clock=clock)
    yield database
    await database.close()
