"""What a pull would end: proposed, held beyond the limit, carried out or decided by a person."""

from __future__ import annotations

import pytest

from broker.domain.clock import MINUTE
from broker.domain.directories import Absent, Holding
from broker.domain.runs import Result, State, Status
from broker.service.deciding import Deciding
from broker.service.working import Worker
from providers.sources.reading import Page
from tests.clocks import MovableClock
from tests.pulling import Puller, gone, group, person, served, written
from tests.pushing import House
from tests.waiting import until

NARROW = Holding(percent=5)
STATES = "SELECT status, count(*) AS n FROM users WHERE project_id = :project GROUP BY status"


async def test_who_is_shown_no_more_is_suspended(house: House) -> None:
    """U9, U10: absence in a whole reading ends access, by the directory, and frees the license;
    whoever is shown again is invited again (U14), or back without a second letter (U12).
    """
    puller, source = await written(house, Page([person(1), person(2), person(3)]))
    await puller.pull()
    (first,) = await house.rows(
        "SELECT id FROM users WHERE project_id = :project AND external_id = 'e1'"
    )
    await house.log_in(first["id"])
    source.pages = [Page([person(3)])]
    view = await puller.pull()
    assert (view.run.counts.suspended, view.run.counts.unchanged) == (2, 1)
    assert view.run.status is Status.SUCCESS
    lines = await puller.records(view.run)
    assert {line.message for line in lines} == {"The source does not show it any more."}
    assert (await house.licensing.state(house.project)).held == 0
    source.pages = [Page([person(1), person(2), person(3)])]
    view = await puller.pull()
    assert view.run.counts.updated == 2
    assert set((await puller.people()).values()) == {"invited"}
    letters = await house.rows("SELECT user_id FROM invitations WHERE project_id = :project")
    assert [row["user_id"] for row in letters].count(first["id"]) == 1
    assert len(letters) == 4


async def test_who_is_said_to_be_inactive_is_suspended(house: House) -> None:
    """U9: `active` false is proposed like an absence, and what else is said is kept at once."""
    puller, source = await written(house, Page([person(1), person(2)]))
    await puller.pull()
    source.pages = [Page([person(1, active=False, title="Left"), person(2)])]
    view = await puller.pull()
    (line,) = await puller.records(view.run)
    assert (line.result, line.held) == (Result.SUSPENDED, Result.SUSPENDED)
    assert ("title", None, "Left") in [(c.path, c.before, c.after) for c in line.changes]
    assert await puller.people() == {"p1@acme.example": "suspended", "p2@acme.example": "invited"}
    view = await puller.pull()
    assert (view.run.counts.unchanged, view.run.counts.total) == (2, 2)


async def test_61_of_1200_disappear(house: House) -> None:
    """R5, R6: more than the limit is held, and all else is applied; an administrator releases
    three, rejects the others, and the history says who decided; then the run ends.
    """
    async with served(house) as (puller, simulator):
        simulator.hr.staff.hire(1200)
        await puller.pull()
        await puller.configure(holding=NARROW)
        simulator.hr.staff.leave(range(1, 62))
        simulator.hr.staff.come([1201])
        simulator.hr.staff.change(100, {"title": "Chief"})
        view = await puller.pull()
        assert view.run.state is State.HELD
        counts = view.run.counts
        assert (counts.staged, counts.created, counts.suspended) == (61, 1, 0)
        assert counts.total == 1201 + 5
        assert {row["status"] for row in await house.rows(STATES)} == {"invited"}

        deciding = Deciding(puller.hosting)
        page = await house.syncing.records(house.project, view.run.id, limit=10_000)
        staged = [n for n, record in page if record.result is Result.STAGED]
        administrator = house.administrator
        await deciding.decide(administrator, view.run.id, release=staged[:3], reject=None)
        worker = Worker(house.db, {"decided": deciding.carry_out})
        async with puller.working(worker):
            await until(lambda: _is_over(house, view.run.id))
        ended = (await house.syncing.run(house.project, view.run.id)).run
        assert (ended.counts.suspended, ended.counts.skipped, ended.counts.staged) == (3, 58, 0)
        assert ended.decided_by == administrator.actor
        lines = [each for each in await puller.records(view.run.id) if each.held]
        assert {each.decided_by for each in lines} == {administrator.actor}
        found = {row["status"]: row["n"] for row in await house.rows(STATES)}
        assert found == {"invited": 1198, "suspended": 3}


async def _is_over(house: House, run: str) -> bool:
    return (await house.syncing.run(house.project, run)).run.state is State.ENDED


@pytest.mark.parametrize(
    ("holding", "leaving", "state"),
    [
        (Holding(), 5, State.ENDED),
        (Holding(), 6, State.HELD),
        (Holding(percent=50), 10, State.ENDED),
        (Holding(count=1), 2, State.HELD),
        (Holding(count=0), 1, State.HELD),
    ],
)
async def test_the_limit(house: House, holding: Holding, leaving: int, state: State) -> None:
    """R5: a share of the people and at least five, or a number."""
    puller, source = await written(house, Page([person(n) for n in range(20)]))
    await puller.pull()
    await puller.configure(holding=holding)
    source.pages = [Page([person(n) for n in range(leaving, 20)])]
    view = await puller.pull()
    assert view.run.state is state
    ended = {"suspended" if state is State.ENDED else "staged": leaving}
    assert {name: getattr(view.run.counts, name) for name in ended} == ended


@pytest.mark.parametrize(
    ("absent", "result", "left"),
    [
        (Absent.DELETE, Result.DELETED, "deleted"),
        (Absent.NOTHING, None, "invited"),
    ],
)
async def test_what_becomes_of_the_absent_is_configured(
    house: House, absent: Absent, result: Result | None, left: str
) -> None:
    """`Directory.absent`: deleted for good (U15), or left as they are; groups go with the first."""
    puller, source = await written(house, Page([person(1), person(2), group("g", "k1", "k2")]))
    await puller.pull()
    await puller.configure(absent=absent.value)
    source.pages = [Page([person(1)])]
    view = await puller.pull()
    lines = [line.result for line in await puller.records(view.run)]
    assert lines == ([result, result] if result else [])
    assert (await puller.people())["p2@acme.example"] == left
    assert await puller.inside("g") == (set() if result else {"p1@acme.example", "p2@acme.example"})


async def test_a_reading_that_is_unsure_ends_nobody(house: House) -> None:
    """Where the source cannot tell who is absent, nobody is; the run says why."""
    puller, source = await written(house, Page([person(1), person(2), group("g")]))
    await puller.pull()
    source.pages = [Page([person(1)], unsure={"User": "People left while it was read."})]
    view = await puller.pull()
    assert (view.run.counts.suspended, view.run.counts.deleted) == (0, 1)
    assert view.run.message == "People left while it was read."
    source.whole = False
    source.pages = [Page([])]
    view = await puller.pull()
    assert view.run.counts.total == 0


async def test_who_was_never_read_is_not_absent(house: House, clock: MovableClock) -> None:
    """Whoever was pushed, and is nobody at the source, stays."""
    puller, _ = await written(house, Page([person(1)]))
    people = puller.hosting.users(await puller.directory())
    await people.create(puller.accepted(userName="pushed@acme.example"), computed=frozenset())
    clock.advance(10 * MINUTE)
    await house.syncing.close_due()
    await puller.pull()
    assert (await puller.people())["pushed@acme.example"] == "invited"


async def test_a_deletion_that_can_be_taken_back_only_suspends(house: House) -> None:
    """A directory's own trash: gone and restorable is suspended, gone for good is deleted."""
    puller, source = await written(house, Page([person(1), person(2)], delta="1"))
    await puller.pull()
    await puller.configure(absent=Absent.DELETE.value)
    left = [gone("User", "k1", restorable=True), gone("User", "k2")]
    source.pages = [Page([]), Page(left, delta="2"), Page([gone("User", "k1")], delta="2")]
    await puller.pull()
    assert await puller.people() == {"p1@acme.example": "suspended", "p2@acme.example": "deleted"}
    await puller.pull()
    assert (await puller.people())["p1@acme.example"] == "deleted"


async def test_a_run_that_ends_early_ends_nobody(house: House) -> None:
    """R8: what was proposed and not decided is left out, and found again by the next run."""
    puller, source = await written(house, Page([person(n) for n in range(3)]))
    await puller.pull()
    await puller.configure(holding=Holding(count=0))
    source.pages = [Page([person(1)])]
    view = await puller.pull()
    assert view.run.state is State.HELD
    assert view.run.counts.staged == 2
    assert await _held_then_pushed(puller) == "invited"


async def _held_then_pushed(puller: Puller) -> str:
    """Pushes go on beside a run that is held; the status of whom they make."""
    people = puller.hosting.users(await puller.directory())
    await people.create(puller.accepted(userName="new@acme.example"), computed=frozenset())
    return (await puller.people())["new@acme.example"]
