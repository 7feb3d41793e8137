"""Sync now: one door for whoever asks, and what stands in its way (R109, R110, R7)."""

from __future__ import annotations

import asyncio

import pytest

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller, Kind
from broker.domain.errors import Conflict, Forbidden
from broker.domain.runs import Kind as RunKind
from broker.domain.runs import Record, Result, Run
from broker.service.sourcing import SourceSaid
from broker.store import records, runs
from tests import pushing
from tests.pushing import House

SOURCE = SourceSaid("scim", {"base_url": "https://hr.example", "token": "t"})


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


async def begun(house: House, id: str) -> Run:
    """Sync now."""
    return await pushing.starting(house).sync(house.administrator, id)


async def refused(house: House, id: str) -> Conflict:
    """Why Sync now does not work."""
    with pytest.raises(Conflict) as error:
        await begun(house, id)
    return error.value


@pytest.mark.parametrize("source", [None, SOURCE], ids=["pushes", "is read"])
async def test_sync_now_works_while_idle(house: House, source: SourceSaid | None) -> None:
    """R109, R110, T8: a manual run that says who began it: a pull where there is a source, else
    what is kept is mapped again.
    """
    directory, _ = await house.directory(source=source)
    run = await begun(house, directory.id)
    kind = RunKind.PULL if source else RunKind.REAPPLY
    assert (run.kind, run.trigger, run.started_by) == (kind, "manual", "admin:setup")
    assert run.state == "running"
    acts = await house.rows(
        "SELECT actor FROM audit WHERE project_id = :project AND action = 'directory.synced'"
    )
    assert acts == [{"actor": "admin:setup"}]


async def test_sync_now_while_running_names_the_run(house: House) -> None:
    """R7, R110: the answer to a second one is the run that is going on, whoever began it; of many
    at once one begins.
    """
    directory, _ = await house.directory()
    asked = [begun(house, directory.id) for _ in range(8)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    (run,) = [each for each in answers if isinstance(each, Run)]
    others = [each for each in answers if isinstance(each, Conflict)]
    assert [(each.reason, each.more) for each in others] == [("run-running", {"run": run.id})] * 7
    async with pushing.calling(house, "Pushes") as push:
        await push.user("kim")
        going = (await house.run()).run
        error = await refused(house, push.directory.id)
    assert (error.reason, error.more) == ("run-running", {"run": going.id})


async def test_sync_now_while_disabled_says_why_not(house: House) -> None:
    """R110: nothing begins, and the answer says what to do."""
    directory, _ = await house.directory()
    await house.configuring.disable(house.administrator, directory.id)
    error = await refused(house, directory.id)
    assert error.reason == "directory-disabled"
    assert error.next == "Enable it, then sync."
    assert await house.syncing.runs(house.project) == []


async def test_sync_now_waits_for_a_decision(house: House) -> None:
    """R5, R6: while changes are held the next run would find them again; the answer names the run
    that waits.
    """
    directory, _ = await house.directory()
    run = await begun(house, directory.id)

    def holding(tx: Transaction) -> bool:
        leaver = Record("", "User", Result.STAGED, tx.now, name="kim", held=Result.SUSPENDED)
        assert records.append(tx, house.project, directory.id, leaver)
        return runs.hold(tx, house.project, run.id)

    assert await house.db.write(holding)
    error = await refused(house, directory.id)
    assert (error.reason, error.more) == ("run-held", {"run": run.id})


async def test_sync_now_needs_its_scope(house: House) -> None:
    """api.md: whoever may only read directories begins nothing."""
    directory, _ = await house.directory()
    reader = Caller(Kind.SERVICE, house.project, "key_1", scopes=frozenset({"directories:read"}))
    with pytest.raises(Forbidden):
        await pushing.starting(house).sync(reader, directory.id)
    assert await house.syncing.runs(house.project) == []
