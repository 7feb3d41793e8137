"""Runs: one open a directory, ended by silence, and a word that is counted and never set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from broker.db.database import Database
from broker.domain.clock import SECOND
from broker.domain.errors import NotFound
from broker.domain.runs import State
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import USER, House, Pusher


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory whose window is a minute."""
    async with pushing.calling(house, window_s=60) as push:
        yield push


async def test_first_pushes_at_once_open_one_run(house: House, push: Pusher) -> None:
    """R1: 32 first pushes at the same time join one run, and every one is a line of it."""
    await asyncio.gather(*(push.user(f"user-{n}") for n in range(32)))
    (run,) = await house.syncing.runs(house.project)
    assert (run.counts.created, run.counts.total, run.trigger) == (32, 32, "push")
    assert len(await house.records()) == 32


async def test_a_run_ends_after_its_window_of_silence(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """c.6, R106: each push holds the run open; after the window it is over, and said so once."""
    await push.user("kim")
    clock.advance(50 * SECOND)
    await push.user("lee")
    clock.advance(50 * SECOND)
    await house.syncing.close_due()
    run = (await house.run()).run
    assert (run.state, run.is_provisional, run.status) == (State.RUNNING, True, "Success")
    clock.advance(11 * SECOND)
    await asyncio.gather(*(house.syncing.close_due() for _ in range(4)))
    run = (await house.run()).run
    assert (run.state, run.is_provisional, run.status) == (State.ENDED, False, "Success")
    said = await house.rows(
        "SELECT data FROM events WHERE project_id = :project AND type = 'run.ended'"
    )
    assert [orjson.loads(row["data"]) for row in said] == [
        {"run": run.id, "directory": push.directory.id, "status": "Success"}
    ]


async def test_the_next_push_opens_the_next_run(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R107: every run appears once, the newest first, page by page."""
    for n in range(3):
        await push.user(f"user-{n}")
        clock.advance(61 * SECOND)
        await house.syncing.close_due()
    runs = await house.syncing.runs(house.project)
    assert [run.counts.created for run in runs] == [1, 1, 1]
    first, second = (
        (await house.syncing.runs(house.project, limit=2)),
        await house.syncing.runs(house.project, push.directory.id, before=runs[1].id),
    )
    assert [*first, *second] == runs
    assert runs == sorted(runs, key=lambda run: run.started_at, reverse=True)
    view = await house.configuring.directory(house.project, push.directory.id)
    assert view.last_run == runs[0]


async def test_directories_have_runs_of_their_own(house: House) -> None:
    """R1: one run a directory; two directories at once are two runs."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        await asyncio.gather(*(each.user(f"{each.directory.id}") for each in (one, two)))
    runs = await house.syncing.runs(house.project)
    assert {run.directory for run in runs} == {one.directory.id, two.directory.id}
    assert [run.counts.total for run in runs] == [1, 1]


BAD = {"schemas": [USER], "displayName": "nameless"}
ODD = {"schemas": [USER], "userName": "odd", "shoeSize": 44}
GOOD = {"schemas": [USER], "userName": "kim"}


@pytest.mark.parametrize(
    ("bodies", "word"),
    [
        ([GOOD], "Success"),
        ([GOOD, ODD], "Partial success"),
        ([GOOD, BAD], "Partial success"),
        ([ODD], "Partial success"),
        ([BAD, BAD], "Failure"),
    ],
    ids=["R2", "R3 warning", "R3 failure", "R3 warnings alone", "R4 every record"],
)
async def test_the_word_is_counted_from_the_rows(
    house: House, push: Pusher, bodies: list[dict[str, object]], word: str
) -> None:
    """R117 to R119, R122: exactly three words; counts add up to the records there are."""
    for body in bodies:
        await push("POST", "/Users", body)
    run = (await house.run()).run
    assert run.status == word
    assert run.counts.total == len(await house.records()) == len(bodies)
    columns = await house.rows("SELECT * FROM runs WHERE project_id = :project")
    assert "status" not in columns[0]


async def test_equal_issues_are_shown_once_with_a_count(house: House, push: Pusher) -> None:
    """c.6: the same unknown attribute on 40 people is one issue; failures count by their code."""
    for n in range(40):
        await push.user(f"user-{n}", shoeSize=44)
    await push("POST", "/Users", BAD)
    await push("POST", "/Users", GOOD | {"userName": "USER-1"})
    await push("POST", "/Users", GOOD | {"userName": "USER-2"})
    view = await house.run()
    assert [(issue.code, issue.attribute, issue.count) for issue in view.issues] == [
        ("unknown-attribute", "shoeSize", 40),
        ("uniqueness", None, 2),
        ("invalidValue", None, 1),
    ]


async def test_records_are_read_page_by_page(house: House, push: Pusher) -> None:
    """Lines come in the order in which they happened; the next page begins after the last one."""
    for n in range(5):
        await push.user(f"user-{n}", shoeSize=n)
    run = (await house.run()).run.id
    whole = await house.syncing.records(house.project, run)
    first = await house.syncing.records(house.project, run, limit=3)
    rest = await house.syncing.records(house.project, run, after=first[-1][0])
    assert [*first, *rest] == whole
    assert [line.name for _, line in whole] == [f"user-{n}" for n in range(5)]
    assert all(len(line.warnings) == 1 for _, line in whole)


async def test_bodies_nobody_can_read_open_a_run(house: House, push: Pusher) -> None:
    """A client that sends only garbage is seen: a run without records, and a count."""
    await push("GET", "/Users")
    await house.syncing.close_due()
    assert await house.syncing.runs(house.project) == []
    await push("POST", "/Users", "{")
    await house.syncing.close_due()
    run = (await house.run()).run
    assert (run.unreadable, run.counts.total, run.status) == (1, 0, "Success")


async def test_a_project_sees_its_own_runs_alone(house: House, push: Pusher) -> None:
    """Safety 2, 3: another project's run and directory are missing ones."""
    await push.user("kim")
    other = await pushing.house(house.db, "other")
    run = (await house.run()).run.id
    assert await other.syncing.runs(other.project) == []
    assert await other.configuring.directories(other.project) == []
    for asked in (
        other.syncing.run(other.project, run),
        other.syncing.records(other.project, run),
        other.configuring.directory(other.project, push.directory.id),
        other.configuring.add_token(other.project, push.directory.id, by="operator"),
    ):
        with pytest.raises(NotFound):
            await asked
