"""Runs and their records, counted from the rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.db.database import Database, Duplicate, Transaction
from broker.domain.clock import SECOND
from broker.domain.directories import Directory, State
from broker.domain.mapping import Warning
from broker.domain.runs import Change, Ending, Kind, Record, Result, Trigger
from broker.domain.runs import State as RunState
from broker.store import directories, held, records, retries, rows, runs
from tests.clocks import MovableClock
from tests.watching import Watched, scans

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


@pytest.fixture
def watched(db: Database) -> Watched:
    """A database that remembers what it was asked."""
    return Watched(db)


async def many(db: Database, people: int) -> str:
    """A run in which so many people came with one unknown attribute, written as rows; its id."""
    run = await db.write(runs.open, *PLACE, Trigger.PUSH)
    assert run is not None

    def written(tx: Transaction) -> None:
        for start in range(0, people, 500):
            lines, named = rows.valued(
                "(:project, :run, 'User', {name}, 'created', 1)",
                [{"name": f"user-{n}"} for n in range(start, min(start + 500, people))],
            )
            tx.run(
                f"INSERT INTO records (project_id, run_id, kind, name, result, at) VALUES {lines}",
                project="prj_1",
                run=run,
                **named,
            )
        tx.run(
            """
            INSERT INTO record_warnings (project_id, run_id, record_n, code, attribute, text)
            SELECT project_id, run_id, n, 'unknown-attribute', 'shoeSize', 'x' FROM records
             WHERE project_id = :project AND run_id = :run
            """,
            project="prj_1",
            run=run,
        )

    await db.write(written)
    return run


async def test_one_attribute_of_ten_thousand_people_is_one_issue(watched: Watched) -> None:
    """c.6: grouped with a count, from an index alone and never from the tables."""
    run = await many(watched, 10_000)
    watched.clear()
    (issue,) = await watched.read(runs.issues, "prj_1", run)
    assert (issue.code, issue.attribute, issue.count) == ("unknown-attribute", "shoeSize", 10_000)
    found = await watched.read(runs.find, "prj_1", run)
    assert found is not None
    assert (found.counts.created, found.counts.total, found.warnings) == (10_000, 10_000, 10_000)
    assert watched.rows < 10
    assert [plan for plan in await watched.plans() if scans(plan)] == []


async def test_what_is_looked_for_is_found_by_an_index(watched: Watched) -> None:
    """building.md: no question about runs, held changes or retries reads a whole table."""
    run = await many(watched, 3)
    line = replace(LINE, result=Result.FAILED, raw=b"{}")
    n = await watched.write(records.append, *PLACE, line)
    assert n is not None
    watched.clear()

    def asking(tx: Transaction) -> None:
        runs.current(tx, *PLACE)
        runs.page(tx, "prj_1", "dir_1", before=None, limit=5)
        runs.past(tx, "prj_1", 2**60)
        records.page(tx, "prj_1", run, after=0, limit=5, troubled=True)
        records.page(tx, "prj_1", run, after=0, limit=5, result=Result.STAGED)
        records.last(tx, "prj_1", run)
        held.undecided(tx, "prj_1", run)
        held.decided(tx, "prj_1", run, 5)
        retries.of_run(tx, "prj_1", run)
        retries.of_directory(tx, *PLACE, but="")
        retries.of_person(tx, *PLACE, "e-1")
        retries.find(tx, "prj_1", n)
        for about in (line, replace(line, resource_id=None), replace(line, external_id=None)):
            retries.is_settled(tx, *PLACE, n, replace(about, resource_id=None))
        retries.is_settled(tx, *PLACE, n, line)

    await watched.read(asking)
    assert [plan for plan in await watched.plans() if scans(plan)] == []


async def test_a_run_goes_on_where_it_was(db: Database) -> None:
    """R10: its place, what it found unchanged and its total are kept; unchanged ones count."""
    run = await db.write(runs.open, *PLACE, Trigger.MANUAL, Kind.PULL, by="admin:setup")
    assert run is not None
    await db.write(runs.go_on, "prj_1", run, "7", unchanged=5, expected=9)
    await db.write(runs.go_on, "prj_1", run, "8", unchanged=3)
    await db.write(records.append, *PLACE, replace(LINE, result=Result.UNCHANGED))
    found = await db.read(runs.find, "prj_1", run)
    assert found is not None
    assert (found.place, found.expected, found.counts.unchanged) == ("8", 9, 9)
    assert (found.kind, found.started_by, found.counts.total) == (Kind.PULL, "admin:setup", 9)
    await db.write(runs.stop, "prj_2", run)
    going = await db.write(runs.going, "prj_1", run)
    assert going is not None
    assert not going.stopping
    await db.write(runs.stop, "prj_1", run)
    going = await db.write(runs.going, "prj_1", run)
    assert going is not None
    assert going.stopping
    assert await db.write(runs.hold, "prj_1", run)
    assert await db.write(runs.going, "prj_1", run) is None
    current = await db.read(runs.current, *PLACE)
    assert current is not None
    assert (current.id, current.state) == (run, RunState.HELD)
