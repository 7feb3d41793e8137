"""A run for one record: the way of one person through the mapping, applied only when asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller, Kind
from broker.domain.directories import Directory
from broker.domain.errors import Conflict, Forbidden, NotFound
from broker.domain.runs import Kind as RunKind
from broker.domain.runs import Result, State, Status
from broker.service.sources import Sources
from broker.service.tracing import Tracing
from providers.errors import TryLater
from providers.sources.reading import CanReadDirectory, Found, Page
from tests import pushing
from tests.pushing import SOURCES, USER, House, Pusher
from tests.running import Runner

LOUD = {"to": "displayName", "rule": "upper", "from": ["userName"]}
SOURCE = '{"kind": "scim", "settings": {"base_url": "https://hr.example"}}'


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
def runner(house: House, push: Pusher) -> Runner:
    """An administrator's side of it."""
    return Runner.of(house, push)


@pytest.fixture
def tracing(house: House) -> Tracing:
    return Tracing(house.hosting(), SOURCES)


@dataclass(frozen=True, slots=True)
class Shown:
    """A source that shows one person, or fails."""

    found: Found | Exception | None
    translated: frozenset[str] = frozenset()
    whole: bool = True

    async def page(self, place: str | None) -> Page:
        raise NotImplementedError(place)

    async def one(self, kind: str, key: str) -> Found | None:
        assert kind == "User"
        if isinstance(self.found, Exception):
            raise self.found
        return self.found if self.found and self.found.key == key else None


@dataclass(frozen=True, slots=True)
class Opened(Sources):
    """Sources of which every one is this one."""

    source: CanReadDirectory | None = None

    def opened(self, tx: Transaction, directory: Directory, *, purpose: str) -> CanReadDirectory:
        del tx, directory, purpose
        assert self.source is not None
        return self.source


def reading(house: House, found: Found | Exception | None) -> Tracing:
    return Tracing(house.hosting(), Opened(SOURCES.kinds, SOURCES.seal, Shown(found)))


async def history(house: House) -> list[dict[str, Any]]:
    return await house.rows("SELECT id, kind, state FROM runs WHERE project_id = :project")


async def test_it_is_followed_and_nothing_is_stored(
    house: House, push: Pusher, runner: Runner, tracing: Tracing
) -> None:
    """admin-ui.md 3.4: read, match, map with before and after; without `apply` there is no run."""
    kim = await push.user("kim", externalId="e-1", shoeSize=44)
    await runner.mapping(LOUD)
    runs_before = await history(house)
    for who in ({"user_id": kim["id"]}, {"external_id": "e-1"}):
        trace = await tracing.trace(runner.caller, runner.id, **who)
        assert trace.preview is not None
        assert [step.step for step in trace.preview.steps] == ["read", "match", "map"]
        assert trace.preview.after is not None
        assert trace.preview.after["displayName"] == "KIM"
        assert [each.attribute for each in trace.preview.warnings] == ["shoeSize"]
        assert trace.run is None
    assert await history(house) == runs_before
    assert (await house.person(kim["id"])).display_name == "kim"


async def test_applied_it_is_a_run_of_its_own(
    house: House, push: Pusher, runner: Runner, tracing: Tracing
) -> None:
    """c.6: one record, with its steps; nobody else is touched."""
    kim, lee = await push.user("kim"), await push.user("lee")
    await runner.mapping(LOUD)
    with pytest.raises(Conflict, match="going on"):
        await tracing.trace(runner.caller, runner.id, user_id=kim["id"], apply=True)
    await runner.close()
    trace = await tracing.trace(runner.caller, runner.id, user_id=kim["id"], apply=True)
    assert trace.run is not None
    view = await runner.view(trace.run)
    assert (view.run.kind, view.run.state, view.run.counts.updated, view.run.counts.total) == (
        RunKind.RECORD,
        State.ENDED,
        1,
        1,
    )
    (line,) = await runner.lines(trace.run)
    assert [step["step"] for step in line.steps] == ["read", "match", "map"]
    assert [(c.path, c.after) for c in line.changes] == [("displayName", "KIM")]
    assert (await house.person(lee["id"])).display_name == "lee"
    again = await tracing.trace(runner.caller, runner.id, user_id=kim["id"], apply=True)
    assert (await runner.view(again.run or "")).run.counts.unchanged == 1


async def test_what_fails_is_the_run_s_one_record(
    push: Pusher, runner: Runner, tracing: Tracing
) -> None:
    """T7: what is required and empty: the trace says so, and so does the run."""
    kim = await push.user("kim")
    await runner.mapping({"to": "displayName", "rule": "copy", "from": ["title"], "required": True})
    await runner.close()
    trace = await tracing.trace(runner.caller, runner.id, user_id=kim["id"], apply=True)
    assert trace.preview is not None
    assert trace.preview.error is not None
    view = await runner.view(trace.run or "")
    assert (view.run.status, view.run.counts.failed) == (Status.FAILURE, 1)


async def test_a_push_that_failed_is_followed_from_what_it_said(
    house: House, push: Pusher, runner: Runner, tracing: Tracing
) -> None:
    """Who never came to be: by externalId, from the failed record, and applied it is retried."""
    lee = await push.user("kim")
    body = {"schemas": [USER], "userName": "KIM", "externalId": "e-1", "shoeSize": 4}
    await push("POST", "/Users", body)
    await runner.close()
    trace = await tracing.trace(runner.caller, runner.id, external_id="e-1", apply=True)
    view = await runner.view(trace.run or "")
    assert (view.run.counts.failed, view.retriable) == (1, 1)
    await push("DELETE", f"/Users/{lee['id']}")
    await runner.close()
    trace = await tracing.trace(runner.caller, runner.id, external_id="e-1", apply=True)
    (line,) = await runner.lines(trace.run or "")
    assert (line.result, line.external_id) == (Result.CREATED, "e-1")
    assert [warning.attribute for warning in line.warnings] == ["shoeSize"]
    kept = await house.rows("SELECT n FROM records WHERE project_id = :project AND raw IS NOT NULL")
    assert kept == []


async def test_with_a_source_it_is_read_there(house: House, runner: Runner) -> None:
    """Entra's on-demand run: somebody nobody knew is created, then found as they were."""
    await runner.set(source=SOURCE)
    there = Found("User", "k-1", {"userName": "ana", "externalId": "e-9", "active": True})
    tracing = reading(house, there)
    trace = await tracing.trace(runner.caller, runner.id, external_id="k-1", apply=True)
    (line,) = await runner.lines(trace.run or "")
    assert (line.result, line.name, line.steps[0]["step"]) == (Result.CREATED, "ana", "read")
    again = await tracing.trace(runner.caller, runner.id, user_id=line.resource_id, apply=True)
    assert (await runner.view(again.run or "")).run.counts.unchanged == 1
    gone = reading(house, Found("User", "k-1", {"userName": "ana", "active": False}))
    trace = await gone.trace(runner.caller, runner.id, user_id=line.resource_id, apply=True)
    view = await runner.view(trace.run or "")
    assert (view.run.state, view.run.counts.suspended) == (State.ENDED, 1)
    assert (await house.person(line.resource_id or "")).is_gone
    assert await house.rows("SELECT key FROM seen WHERE project_id = :project") == []


@pytest.mark.parametrize("found", [None, TryLater("It does not answer.")], ids=["nobody", "silent"])
async def test_a_source_that_shows_nobody_says_so(
    house: House, runner: Runner, found: Exception | None
) -> None:
    """The first step, read, failed; nothing is stored."""
    await runner.set(source=SOURCE)
    tracing = reading(house, found)
    trace = await tracing.trace(runner.caller, runner.id, external_id="k-1", apply=True)
    assert (trace.preview, trace.run) == (None, None)
    assert trace.error
    assert await history(house) == []


async def test_nobody_else_asks(house: House, runner: Runner) -> None:
    """Safety 3: another project's directory and an unknown person are missing; reading is not
    enough.
    """
    tracing = Tracing(house.hosting(), SOURCES)
    other = await pushing.house(house.db, "other")
    with pytest.raises(NotFound):
        await tracing.trace(other.administrator, runner.id, external_id="e")
    with pytest.raises(NotFound):
        await tracing.trace(runner.caller, runner.id, external_id="e")
    reader = Caller(Kind.SERVICE, house.project, "key_1", scopes=frozenset({"directories:read"}))
    with pytest.raises(Forbidden):
        await tracing.trace(reader, runner.id, external_id="e")
