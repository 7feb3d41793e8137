"""Schedules: each time begins one run, on however many replicas and whatever the clocks do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from broker.db.database import Database
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND, micros, rfc3339
from broker.domain.directories import Schedule
from broker.domain.errors import Invalid, Stale
from broker.service.configuring import Said
from broker.service.scheduling import Scheduling
from broker.service.sourcing import SourceSaid
from broker.service.syncing import Syncing
from broker.store import directories, projects
from tests import engines, pushing
from tests.clocks import MovableClock
from tests.pushing import House

HOURLY = Schedule("0 * * * *")


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


def scheduling(house: House) -> Scheduling:
    """What begins its runs."""
    return Scheduling(house.db, pushing.starting(house))


async def scheduled(house: House, schedule: Schedule, name: str = "Directory") -> str:
    """A directory that syncs by this schedule; its id."""
    directory, _ = await house.directory(name)
    await scheduling(house).change(house.administrator, directory.id, schedule)
    return directory.id


async def next_at(house: House) -> int:
    """When the one directory is due."""
    (row,) = await house.rows("SELECT next_at FROM directories WHERE project_id = :project")
    return int(row["next_at"])


async def finished(house: House) -> None:
    """Every run is over."""

    def ending(tx: Any) -> None:
        sql = "UPDATE runs SET state = 'ended', ended_at = :now WHERE project_id = :project"
        tx.run(sql, project=house.project, now=tx.now)

    await house.db.write(ending)


def at(clock: MovableClock, text: str) -> None:
    """Make it this time."""
    clock.advance(micros(text) - clock())


async def skipped(house: House) -> list[dict[str, Any]]:
    """What the events say of times that began nothing."""
    rows = await house.rows(
        "SELECT data FROM events WHERE project_id = :project AND type = 'run.skipped' ORDER BY n"
    )
    return [orjson.loads(row["data"]) for row in rows]


async def test_a_schedule_begins_runs(house: House, clock: MovableClock) -> None:
    """R109: when its time has come a run begins whose trigger is the schedule; not before."""
    at(clock, "2026-11-21T12:30:00Z")
    id = await scheduled(house, HOURLY)
    assert await scheduling(house).fire() == 0
    at(clock, "2026-11-21T13:00:05Z")
    assert await scheduling(house).fire() == 1
    run = (await house.run()).run
    assert (run.directory, run.trigger, run.started_by) == (id, "schedule", "schedule")
    assert rfc3339(await next_at(house))[:16] == "2026-11-21T14:00"


async def test_two_replicas_begin_a_time_once(database_url: str, clock: MovableClock) -> None:
    """c.6: two replicas that look at the same moment, again and again, begin each time once."""
    first = await engines.connect(database_url, clock=clock)
    second = await engines.connect(database_url, clock=clock)
    try:
        house = await pushing.house(first)
        assert await second.read(_running, house.project) == 0  # it knows the time before it moves
        at(clock, "2026-11-21T12:30:00Z")
        names = [f"Directory {n}" for n in range(6)]
        for name in names:
            await scheduled(house, HOURLY, name)
        other = replace(house, db=second, syncing=Syncing(second))
        replicas = [scheduling(house), scheduling(other)]
        for _ in range(3):
            clock.advance(HOUR)
            assert [await each.db.peek(directories.is_due) for each in replicas] == [True, True]
            fired = await asyncio.gather(*(each.fire() for each in replicas for _ in range(4)))
            assert sum(fired) == len(names)
            assert await first.read(_running, house.project) == len(names)
            await finished(house)
        assert len(await house.syncing.runs(house.project, limit=100)) == 3 * len(names)
        assert await skipped(house) == []
    finally:
        await first.close()
        await second.close()


def _running(tx: Any, project: str) -> int:
    projects.get(tx, project)
    sql = "SELECT id FROM runs WHERE project_id = :project AND state = 'running'"
    return len(tx.all(sql, project=project))


async def test_times_missed_while_down_are_one(house: House, clock: MovableClock) -> None:
    """c.6: after three days without a process there is one run, and the next is in its hour."""
    at(clock, "2026-11-21T12:30:00Z")
    await scheduled(house, HOURLY)
    clock.advance(3 * DAY)
    assert await scheduling(house).fire() == 1
    await finished(house)
    assert await scheduling(house).fire() == 0
    assert rfc3339(await next_at(house))[:16] == "2026-11-24T13:00"


async def test_a_clock_set_back_brings_no_time_again(house: House, clock: MovableClock) -> None:
    """c.6: the time that was begun is past for good, whatever the clock says next."""
    at(clock, "2026-11-21T12:30:00Z")
    await scheduled(house, Schedule("0 * * * *", "UTC", 60))
    clock.advance(HOUR)
    assert await scheduling(house).fire() == 1
    await finished(house)
    begun = await next_at(house)
    clock.advance(-HOUR)
    for _ in range(6):
        assert await scheduling(house).fire() == 0
        clock.advance(10 * MINUTE)
    assert await next_at(house) == begun


@pytest.mark.parametrize(
    ("evening", "night"),
    [
        ("2026-03-28T20:00:00Z", "2026-03-29T01:00"),
        ("2026-10-24T20:00:00Z", "2026-10-25T00:30"),
    ],
    ids=["spring", "autumn"],
)
async def test_half_past_two_begins_once_on_the_days_of_change(
    house: House, clock: MovableClock, evening: str, night: str
) -> None:
    """c.6, daylight saving: 02:30 in Berlin on the day that has none and on the day that has two:
    one run that night, and the next one a day later.
    """
    at(clock, evening)
    await scheduled(house, Schedule("30 2 * * *", "Europe/Berlin"))
    assert rfc3339(await next_at(house))[:16] == night
    fired = 0
    for _ in range(24):
        clock.advance(30 * MINUTE)
        fired += await scheduling(house).fire()
        await finished(house)
    assert fired == 1


async def test_a_time_while_a_run_is_going_on_is_recorded(
    house: House, clock: MovableClock
) -> None:
    """c.6: it begins nothing, the event says why and which run was in its way, and the next time
    is kept.
    """
    at(clock, "2026-11-21T12:30:00Z")
    id = await scheduled(house, HOURLY)
    run = await pushing.starting(house).sync(house.administrator, id)
    at(clock, "2026-11-21T13:00:05Z")
    assert await scheduling(house).fire() == 1
    due = "2026-11-21T13:00:00.000000Z"  # as everywhere at a face
    assert await skipped(house) == [
        {"directory": id, "due_at": due, "run": run.id, "reason": "run-running"}
    ]
    assert len(await house.syncing.runs(house.project)) == 1
    assert await scheduling(house).fire() == 0


async def test_a_troubled_source_is_not_asked_again_by_itself(
    house: House, clock: MovableClock
) -> None:
    """R4: refused credentials are not tried hour by hour; an administrator looks first."""
    at(clock, "2026-11-21T12:30:00Z")
    id = await scheduled(house, HOURLY)
    source = SourceSaid("scim", {"base_url": "https://hr.example", "token": "t"})
    await house.configuring.change(house.administrator, id, Said(source=source))

    def troubled(tx: Any) -> None:
        sql = "UPDATE directories SET trouble = '401: who are you?' WHERE project_id = :project"
        tx.run(sql, project=house.project)

    await house.db.write(troubled)
    clock.advance(HOUR)
    assert await scheduling(house).fire() == 1
    assert await house.syncing.runs(house.project) == []
    assert [each["reason"] for each in await skipped(house)] == ["directory-troubled"]


async def test_the_answer_has_the_sentence_and_the_next_five_times(
    house: House, clock: MovableClock
) -> None:
    """admin-ui.md 3.2: when it is, in words and as times; none of them while it is disabled."""
    at(clock, "2026-11-21T12:30:00Z")
    id = await scheduled(house, Schedule("30 2 * * *", "Europe/Berlin"))
    view = await scheduling(house).get(house.project, id)
    assert view.sentence == "At 02:30 every day (Europe/Berlin)"
    days = ("22", "23", "24", "25", "26")
    assert [rfc3339(each)[:16] for each in view.next] == [f"2026-11-{day}T01:30" for day in days]
    await house.configuring.disable(house.administrator, id)
    view = await scheduling(house).get(house.project, id)
    assert (view.schedule is None, view.next) == (False, [])


async def test_a_schedule_is_taken_away(house: House, clock: MovableClock) -> None:
    """R109: without one nothing begins by itself; the change is audited, for a version seen."""
    id = await scheduled(house, HOURLY)
    admin = house.administrator
    with pytest.raises(Stale):
        await scheduling(house).change(admin, id, None, version=1)
    with pytest.raises(Invalid):
        await scheduling(house).change(admin, id, Schedule("at noon"), version=2)
    view = await scheduling(house).change(admin, id, None, version=2)
    assert (view.schedule, view.sentence, view.version) == (None, None, 3)
    clock.advance(HOUR + SECOND)
    assert await scheduling(house).fire() == 0
    acts = await house.rows(
        "SELECT target FROM audit WHERE project_id = :project"
        " AND action = 'directory.schedule.changed'"
    )
    assert acts == [{"target": id}] * 2
