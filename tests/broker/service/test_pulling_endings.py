"""How pulls end: refused, unreachable, broken, stopped, disabled, lost, each with its reason."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from broker.db.database import Transaction
from broker.demo.world import Trouble
from broker.domain.clock import MINUTE, SECOND, micros
from broker.domain.directories import State as Standing
from broker.domain.errors import Conflict
from broker.domain.runs import Ending, State, Status
from broker.service.working import Later
from broker.store import jobs
from broker.store.jobs import Job
from providers.errors import ClientMisconfigured, PlaceGone, SourceBroken, TryLater
from providers.sources.reading import Page
from tests.clocks import MovableClock
from tests.pulling import TOKEN, Puller, person, protect, served, written
from tests.pushing import SEAL, House
from tests.waiting import until

PAGES = [Page([person(n)]) for n in range(3)]
LATER = TryLater("unreachable", "the call failed")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ClientMisconfigured("unauthorized", "No such token."), Ending.CREDENTIALS_REFUSED),
        (SourceBroken("same-page", "The page leads to itself."), Ending.SCHEMA_REFUSED),
        (TryLater("html", "A page of some proxy."), Ending.SOURCE_UNREACHABLE),
        (PlaceGone("cursor-over", "This cursor is over."), Ending.SCHEMA_REFUSED),
    ],
)
async def test_a_source_that_cannot_be_read_ends_the_run(
    house: House, trouble: Exception, reason: Ending
) -> None:
    """R4, R118: Failure with its reason and the source's words, and with the count done so far."""
    puller, source = await written(house, *PAGES)
    source.troubles["1"] = [trouble] * 20
    view = await puller.pull()
    assert (view.run.status, view.run.reason) == (Status.FAILURE, reason)
    assert view.run.message == str(trouble)
    assert view.run.counts.created == 1
    assert len(source.asked) <= 12


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.UNAUTHORIZED, Ending.CREDENTIALS_REFUSED),
        (Trouble.FORBIDDEN, Ending.CREDENTIALS_REFUSED),
        (Trouble.RATE_LIMITED, Ending.SOURCE_UNREACHABLE),
        (Trouble.BROKEN, Ending.SOURCE_UNREACHABLE),
        (Trouble.HTML, Ending.SOURCE_UNREACHABLE),
        (Trouble.HALF_PAGE, Ending.SOURCE_UNREACHABLE),
        (Trouble.SAME_PAGE, Ending.SCHEMA_REFUSED),
    ],
)
async def test_bad_answers_over_http(house: House, trouble: Trouble, reason: Ending) -> None:
    """R4: whatever a server answers for ever, the run ends with its reason, and nobody's access."""
    async with served(house, waits=()) as (puller, simulator):
        simulator.hr.largest = 50
        await puller.pull()
        before = await puller.people()
        simulator.hr.switches.set(trouble, endpoint="page")
        view = await puller.pull()
        assert (view.run.status, view.run.reason) == (Status.FAILURE, reason)
        assert await puller.people() == before
        simulator.hr.switches.clear()
        view = await puller.pull()
        assert view.run.reason is None
        assert view.run.counts.total == 125


async def test_a_page_that_comes_at_last_is_no_failure(house: House) -> None:
    """A 429 and a broken page on the way: asked again, and the run is what it would have been."""
    async with served(house) as (puller, simulator):
        simulator.hr.switches.set(Trouble.BROKEN, endpoint="page", times=2)
        view = await puller.pull()
        assert view.run.reason is None
        assert view.run.counts.created == 125


async def test_refused_credentials_are_trouble_until_they_are_accepted(house: House) -> None:
    """The directory says why it cannot be read; the next reading that ends well clears it."""
    async with served(house) as (puller, simulator):
        simulator.hr.tokens.clear()
        await puller.pull()
        trouble = (await puller.directory()).trouble
        assert trouble
        simulator.hr.tokens.add(TOKEN)
        await puller.pull()
        assert (await puller.directory()).trouble is None


async def test_no_secret_is_in_what_is_told(house: House) -> None:
    """What the source said is shown, and nothing of what it was told."""
    async with served(house) as (puller, simulator):
        simulator.hr.tokens.clear()
        view = await puller.pull()
        told = f"{view} {await puller.directory()} {await house.rows(EVERYTHING)}"
        assert TOKEN not in told


EVERYTHING = "SELECT data, error FROM jobs WHERE project_id = :project"


async def test_the_wish_of_the_source_is_kept(house: House, clock: MovableClock) -> None:
    """Retry-After: nobody asks again before; in words of hours, within a quarter of one."""
    puller, source = await written(house, *PAGES)
    for wish, least, most in ((40, 40, 50), (7200, 15 * 60, 15 * 60 + 10)):
        source.troubles[None] = [TryLater("429", retry_after_s=wish)]
        await puller.begin()
        job = await house.db.write(jobs.claim)
        assert job is not None
        with pytest.raises(Later) as later:
            await puller.pulling.pull(job)
        assert later.value.after is not None
        assert least * SECOND <= later.value.after <= most * SECOND
        await _stop(puller, job)
        clock.advance(20 * MINUTE)


async def _stop(puller: Puller, job: Job) -> None:
    """Be done with a job and its run."""
    await puller.configure(state=Standing.DISABLED.value)
    await puller.pulling.pull(job)
    await puller.house.db.write(jobs.done, job)
    await puller.configure(state=Standing.ENABLED.value)


async def test_waits_grow_and_end(house: House) -> None:
    """1, 2, 4 … seconds after one another, and then the run is a Failure: bounded time."""
    puller, source = await written(house, *PAGES)
    object.__setattr__(puller.pulling, "waits", (1 * SECOND, 2 * SECOND, 4 * SECOND))
    source.troubles[None] = [LATER] * 9
    await puller.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    waits: list[int | None] = []
    while len(waits) < 3:
        with pytest.raises(Later) as later:
            await puller.pulling.pull(job)
        waits.append(later.value.after)
    assert waits == [1 * SECOND, 2 * SECOND, 4 * SECOND]
    await puller.pulling.pull(job)
    (run,) = await house.rows("SELECT state, reason FROM runs WHERE project_id = :project")
    assert run == {"state": "ended", "reason": "source-unreachable"}


async def test_a_run_that_kills_every_process_is_interrupted(house: House) -> None:
    """R4, R10: begun at one place again and again without coming on, it ends as Failure."""
    puller, source = await written(house, *PAGES)
    source.troubles["1"] = [MemoryError()] * 20
    await puller.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    begun = 0
    while (await house.run()).run.state is State.RUNNING:
        begun += 1
        with suppress(MemoryError):
            await puller.pulling.pull(job)
    assert begun <= 8
    run = await house.run()
    assert (run.run.reason, run.run.status) == (Ending.INTERRUPTED, Status.FAILURE)
    assert run.run.counts.created == 1


@pytest.mark.parametrize(
    ("columns", "stop", "reason"),
    [
        ({"state": "disabled"}, False, Ending.DISABLED),
        ({"state": "deleted"}, False, Ending.DELETED),
        ({}, True, Ending.STOPPED),
    ],
)
async def test_a_pull_ends_after_the_record_it_is_at(
    house: House, columns: dict[str, str], stop: bool, reason: Ending
) -> None:
    """R8, R9, stop: what was taken stays, no further page is taken, and the reason is named."""
    puller, source = await written(house, *PAGES)
    source.troubles["1"] = [LATER]
    run = await puller.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    with pytest.raises(Later):
        await puller.pulling.pull(job)
    await puller.configure(**columns)
    if stop:
        await house.syncing.stop(house.administrator, run)
        job = await house.db.write(jobs.claim)
        assert job is not None
    await puller.pulling.pull(job)
    view = await house.syncing.run(house.project, run)
    assert (view.run.reason, view.run.status) == (reason, Status.PARTIAL_SUCCESS)
    assert (view.run.counts.created, view.run.message) == (1, str(LATER))
    assert source.asked == [None, "1"]
    assert await house.rows("SELECT key FROM seen WHERE project_id = :project") == []


async def test_a_pull_that_waits_says_why_and_ends_at_once(house: House) -> None:
    """R105, stop: the cause and when it is asked again, and a line in the log; a stop takes effect
    without more waiting, and the cause stays.
    """
    puller, source = await written(house, *PAGES)
    object.__setattr__(puller.pulling, "waits", (15 * MINUTE,))
    source.troubles["1"] = [LATER]
    run = await puller.begin()
    with capture_logs() as lines:
        await _put_off(puller)
    (due,) = await house.rows("SELECT due_at FROM jobs WHERE project_id = :project")
    said = (await house.syncing.run(house.project, run)).run.message or ""
    cause, again = said.removesuffix(".").split(". It is asked again at ")
    assert cause == f"The source cannot be read: {LATER}"
    assert abs(micros(again) - due["due_at"]) < MINUTE
    line = {"event": "source disturbed", "run": run, "code": "unreachable", "log_level": "warning"}
    assert lines == [line]
    assert await house.db.write(jobs.claim) is None
    await house.syncing.stop(house.administrator, run)
    async with puller.working():
        view = await puller.over(run)
    assert (view.run.reason, view.run.message) == (Ending.STOPPED, str(LATER))
    assert source.asked == [None, "1"]


async def _put_off(puller: Puller) -> None:
    """Let the source disturb the pull, as the worker does."""
    job = await puller.house.db.write(jobs.claim)
    assert job is not None
    with pytest.raises(Later) as later:
        await puller.pulling.pull(job)
    await puller.house.db.write(_later, job, later.value.after)


def _later(tx: Transaction, job: Job, after: int | None) -> None:
    jobs.later(tx, job, "unreachable", after=after)


async def test_disabling_a_directory_keeps_why_its_run_waited(house: House) -> None:
    """R9: the run ends with its cause, and says no longer when it would be asked again."""
    puller, source = await written(house, *PAGES)
    source.troubles[None] = [LATER]
    run = await puller.begin()
    await _put_off(puller)
    await house.configuring.disable(house.administrator, puller.id)
    view = await house.syncing.run(house.project, run)
    assert (view.run.reason, view.run.message) == (Ending.DISABLED, str(LATER))


async def test_going_on_clears_why_it_waited(house: House) -> None:
    """R105: once the source is read again nothing is left of what disturbed it."""
    puller, source = await written(house, *PAGES)
    source.troubles["1"] = [LATER]
    view = await puller.pull()
    assert (view.run.reason, view.run.message) == (None, None)


async def test_a_stop_reaches_a_run_whoever_has_it(house: House) -> None:
    """Stop: the lease of who reads a page is over, so that nobody puts the job off once more."""
    puller, _ = await written(house, *PAGES)
    run = await puller.begin()
    reading = await house.db.write(jobs.claim)
    assert reading is not None
    await house.syncing.stop(house.administrator, run)
    await house.db.write(_later, reading, MINUTE)
    job = await house.db.write(jobs.claim)
    assert job is not None
    await puller.pulling.pull(job)
    assert (await house.run()).run.reason is Ending.STOPPED


async def test_a_token_no_header_can_hold_ends_the_run(house: House) -> None:
    """R4: it is no network that failed, and asking again would not help."""
    async with served(house) as (puller, simulator):
        where = house.project, puller.id, simulator.base_url, "tök\u200ben", SEAL
        await house.db.write(protect, *where)
        view = await puller.pull()
        assert view.run.reason is Ending.CREDENTIALS_REFUSED
        assert simulator.hr.calls.total() == 0


async def test_who_lost_the_lease_writes_nothing_more(house: House, clock: MovableClock) -> None:
    """R10: a process that slept is overtaken; what it still does is refused by the fence."""
    puller, source = await written(house, *PAGES)
    source.gate = asyncio.Event()
    run = await puller.begin()
    slow = await house.db.write(jobs.claim)
    assert slow is not None
    sleeping = asyncio.create_task(puller.pulling.pull(slow))
    await until(lambda: source.asked)
    clock.advance(2 * MINUTE)
    quick = await house.db.write(jobs.claim)
    assert quick is not None
    assert quick.id == slow.id
    source.gate.set()
    await sleeping
    assert (await house.syncing.run(house.project, run)).run.counts.total == 0
    await puller.pulling.pull(quick)
    view = await house.syncing.run(house.project, run)
    assert (view.run.counts.created, view.run.counts.total) == (3, 3)


async def test_a_slow_page_keeps_the_lease(house: House) -> None:
    """R10: while the source takes its time the lease is extended, and nobody else begins."""
    puller, source = await written(house, *PAGES)
    object.__setattr__(puller.pulling, "beat_s", 0.01)
    source.gate = asyncio.Event()
    await puller.begin()
    job = await house.db.write(jobs.claim)
    assert job is not None
    pulling = asyncio.create_task(puller.pulling.pull(job))
    (before,) = await house.rows(LEASE)
    await until(lambda: _later_than(house, before["lease_until"]))
    source.gate.set()
    await pulling
    assert (await house.run()).run.counts.created == 3


LEASE = "SELECT lease_until FROM jobs WHERE project_id = :project"


async def _later_than(house: House, before: int) -> bool:
    (now,) = await house.rows(LEASE)
    return bool(now["lease_until"] > before)


async def test_one_run_at_a_time(house: House) -> None:
    """R7: a second pull of a directory is refused while the first is going on."""
    puller, _ = await written(house, *PAGES)
    await puller.begin()
    with pytest.raises(Conflict) as refused:
        await puller.begin()
    assert refused.value.reason == "run-running"


async def test_other_work_has_its_turn(house: House) -> None:
    """A pull works in slices: its job goes back into the line, and the next slice goes on."""
    puller, source = await written(house, *PAGES)
    object.__setattr__(puller.pulling, "slice_s", 0.0)
    view = await puller.pull()
    assert source.asked == [None, "1", "2"]
    assert view.run.counts.created == 3
    (job,) = await house.rows("SELECT attempt FROM jobs WHERE project_id = :project")
    assert job["attempt"] > 3
