"""Runs and their records, counted from the rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.db.database import Database, Duplicate, Transaction
from broker.domain.clock import SECOND
from broker.domain.directories import Directory, State
from broker.domain.mapping import Warning
from broker.domain.runs import Change, Ending, Record, Result, Trigger
from broker.domain.runs import State as RunState
from broker.store import directories, records, runs
from tests.clocks import MovableClock

PLACE = ("prj_1", "dir_1")
LINE = Record(
    run="",
    kind="User",
    result=Result.CREATED,
    at=5,
    resource_id="usr_1",
    external_id="e-1",
    name="kim",
    warnings=(Warning("a", "text", "odd"), Warning("b", "text", "odd")),
    changes=(Change("title", None, "x"),),
)
ENTRA = Directory("dir_1", "prj_1", "Entra", "entra", State.ENABLED, 1, window_s=7)


async def test_one_run_a_directory_is_open(db: Database) -> None:
    """R1: of many that open one at once, one does; ended, the next may."""
    opened = await asyncio.gather(*(db.write(runs.open, *PLACE, Trigger.PUSH) for _ in range(8)))
    assert [bool(each) for each in sorted(opened, key=bool)] == [False] * 7 + [True]
    (run,) = await db.read(runs.page, "prj_1", None, before=None, limit=9)
    assert await db.write(runs.end, "prj_1", run.id, Ending.STOPPED)
    assert not await db.write(runs.end, "prj_1", run.id, None)
    assert not await db.write(runs.end, "prj_2", run.id, None)
    ended = await db.read(runs.find, "prj_1", run.id)
    assert ended is not None
    assert (ended.state, ended.reason) == (RunState.ENDED, Ending.STOPPED)
    assert await db.write(runs.open, *PLACE, Trigger.PUSH)
    newest = await db.read(runs.last, *PLACE)
    assert newest is not None
    assert newest.id > run.id


async def test_a_record_needs_an_open_run(db: Database) -> None:
    """A line joins the open run of its directory, with its warnings; without one it is refused."""
    assert not await db.write(records.append, *PLACE, LINE)
    await db.write(runs.open, *PLACE, Trigger.PUSH)
    assert await db.write(records.append, *PLACE, LINE)
    assert not await db.write(records.append, "prj_1", "dir_2", LINE)
    assert not await db.write(records.append, "prj_2", "dir_1", LINE)
    run = await db.read(runs.last, *PLACE)
    assert run is not None
    ((_, kept),) = await db.read(records.page, "prj_1", run.id, after=0, limit=9)
    assert kept == replace(LINE, run=run.id)
    assert (run.counts.created, run.counts.total, run.warnings, run.last_at) == (1, 1, 2, 5)
    assert await db.read(records.page, "prj_2", run.id, after=0, limit=9) == []


async def test_equal_warnings_and_failures_are_one_issue(db: Database) -> None:
    """c.6: grouped by code and attribute, the most frequent first."""
    await db.write(runs.open, *PLACE, Trigger.PUSH)
    failed = replace(LINE, result=Result.FAILED, warnings=())
    for line, code in ((LINE, None), (LINE, None), (failed, "uniqueness"), (failed, None)):
        await db.write(records.append, *PLACE, line, code)
    run = await db.read(runs.last, *PLACE)
    assert run is not None
    found = await db.read(runs.issues, "prj_1", run.id)
    assert [each.count for each in found] == [2, 2, 1, 1]
    assert {(each.code, each.attribute) for each in found} == {
        ("odd", "a"),
        ("odd", "b"),
        ("uniqueness", None),
        ("failed", None),
    }


async def test_requests_that_are_no_records_are_added_up(db: Database) -> None:
    """Reads, refused and unreadable requests count on the open run alone."""
    assert not await db.write(runs.count, *PLACE, {"reads": 1})
    await db.write(runs.open, *PLACE, Trigger.PUSH)
    for seen in ({"reads": 3}, {"refused": 1, "unreadable": 2}):
        assert await db.write(runs.count, *PLACE, seen)
    run = await db.read(runs.last, *PLACE)
    assert run is not None
    assert (run.reads, run.refused, run.unreadable) == (3, 1, 2)


async def test_open_runs_are_told_with_their_window(db: Database, clock: MovableClock) -> None:
    """c.6: heard last at the last record, else at the start; the window is the directory's."""
    await db.write(directories.insert, ENTRA)
    await db.write(runs.open, *PLACE, Trigger.PUSH)
    ((run, window),) = await db.read(runs.running)
    assert (run.last_at, window) == (run.started_at, 7 * SECOND)
    clock.advance(SECOND)

    def heard(tx: Transaction) -> int:
        records.append(tx, *PLACE, replace(LINE, at=tx.now))
        return tx.now

    at = await db.write(heard)
    ((run, _),) = await db.read(runs.running)
    assert run.last_at == at
    await db.write(runs.end, "prj_1", run.id)
    assert await db.read(runs.running) == []


async def test_a_directory_is_found_by_id_until_it_is_deleted(db: Database) -> None:
    """R113, safety 2: a deleted one is not there any more, and its name is free again."""
    await db.write(directories.insert, ENTRA)
    assert await db.read(directories.get, *PLACE) == ENTRA
    assert await db.read(directories.by_id, "dir_1") == ENTRA
    assert await db.read(directories.every, "prj_1") == [ENTRA]
    assert await db.read(directories.find, "prj_2", "dir_1") is None
    assert await db.read(directories.every, "prj_2") == []
    with pytest.raises(Duplicate):
        await db.write(directories.insert, replace(ENTRA, id="dir_2"))
    gone = replace(ENTRA, id="dir_3", name_key="gone", state=State.DELETED)
    await db.write(directories.insert, gone)
    await db.write(directories.insert, replace(gone, id="dir_4"))
    assert await db.read(directories.find, "prj_1", "dir_3") is None
