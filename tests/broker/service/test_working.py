"""The worker: what is due is done, once, and what fails is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from broker.db.database import Database, Duplicate, Transaction
from broker.domain.clock import MINUTE, SECOND
from broker.service.working import Chore, Later, Worker
from broker.store import jobs
from broker.store.jobs import Job
from tests.clocks import MovableClock
from tests.waiting import until
from tests.watching import Watched

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    """The worker at work, finished at the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


def worker(db: Database, do: Callable[[Job], Awaitable[None]], *chores: Chore) -> Worker:
    """A worker that knows one kind of job."""
    return Worker(db, {"test": do}, chores)


async def add(db: Database, kind: str = "test", n: int = 0) -> None:
    """A job that is due now."""
    await db.write(lambda tx: jobs.add(tx, kind, "prj_1", n=n))


async def row(db: Database) -> dict[str, object]:
    """The one job there is."""

    def reading(tx: Transaction) -> dict[str, object]:
        (found,) = tx.all("SELECT * FROM jobs")
        return dict(found)

    return await db.read(reading)


async def test_what_is_due_is_done_once(db: Database) -> None:
    """Two workers, twenty jobs: each is done by one of them, and marked done."""
    done: list[str] = []

    async def do(job: Job) -> None:
        done.append(str(job.data["n"]))
        await asyncio.sleep(0)

    for n in range(20):
        await add(db, n=n)
    async with working(worker(db, do)), working(worker(db, do)):
        await until(lambda: len(done) >= 20)
    assert sorted(done, key=int) == [str(n) for n in range(20)]
    assert not await db.read(jobs.is_due)


@SQLITE
async def test_it_wakes_at_once(db: Database) -> None:
    """`wake` after a commit: the job does not wait for the next poll."""
    done = asyncio.Event()

    async def do(_: Job) -> None:
        done.set()

    async with working(worker(db, do)) as awake:
        await add(db)
        awake.wake()
        await asyncio.wait_for(done.wait(), 10)


async def test_a_failure_is_tried_again_later(db: Database, clock: MovableClock) -> None:
    """An error puts the job back, up the ladder, with its class for the operator and no words."""
    tries: list[int] = []

    async def do(job: Job) -> None:
        tries.append(job.attempt)
        if job.attempt == 1:
            raise ValueError("canary")

    await add(db)
    async with working(worker(db, do)):
        await until(lambda: tries == [1])
        await until(lambda: _put_back(db))
        kept = await row(db)
        assert kept["error"] == "ValueError"
        clock.advance(MINUTE)
        await until(lambda: tries == [1, 2])


async def _put_back(db: Database) -> bool:
    found = await row(db)
    return found["lease_until"] is None


async def test_later_says_when(db: Database) -> None:
    """A handler that knows when to come back is asked again then."""

    async def do(_: Job) -> None:
        raise Later("rate-limited", after=90 * SECOND)

    await add(db)
    before = await db.read(lambda tx: tx.now)
    async with working(worker(db, do)):
        await until(lambda: _put_back_later(db))
    kept = await row(db)
    assert kept["error"] == "rate-limited"
    assert isinstance(kept["due_at"], int)
    assert kept["due_at"] >= before + 90 * SECOND


async def _put_back_later(db: Database) -> bool:
    found = await row(db)
    return found["error"] == "rate-limited"


@SQLITE
async def test_a_job_nobody_knows_is_dead(db: Database) -> None:
    """A kind without a handler is not tried for ever."""

    async def do(_: Job) -> None:
        pytest.fail("another kind")

    await add(db, "unknown")
    async with working(worker(db, do)):
        await until(lambda: _dead(db))


async def _dead(db: Database) -> bool:
    found = await row(db)
    return found["dead_at"] is not None


@SQLITE
async def test_an_idle_worker_only_looks(db: Database) -> None:
    """Reading is cheaper than claiming: with nothing due nothing is written."""
    looked = Watched(db)

    async def do(_: Job) -> None:
        pytest.fail("nothing is due")

    async with working(worker(looked, do)):
        await until(lambda: len(looked.asked) >= 2)
    assert {each.verb for each in looked.asked} == {"SELECT"}


@SQLITE
async def test_what_is_claimed_is_finished(db: Database) -> None:
    """Asked to stop in the middle of a job, the worker finishes it and claims no other."""
    began, may_end = asyncio.Event(), asyncio.Event()
    done: list[object] = []

    async def do(job: Job) -> None:
        began.set()
        await may_end.wait()
        done.append(job.data["n"])

    await add(db, n=1)
    busy = worker(db, do)
    task = asyncio.create_task(busy.run())
    await began.wait()
    await add(db, n=2)
    busy.stop()
    may_end.set()
    await task
    assert done == [1]
    assert await db.read(jobs.is_due)


@SQLITE
async def test_chores_survive_their_failures(db: Database) -> None:
    """A chore that fails, or that another replica did, keeps nobody else from work."""
    done: list[str] = []

    async def failing() -> None:
        done.append("failing")
        raise ValueError("canary")

    async def taken() -> None:
        done.append("taken")
        raise Duplicate

    async def do(job: Job) -> None:
        done.append(job.kind)

    await add(db)
    chores = (Chore("failing", 0.0, failing), Chore("taken", 0.0, taken))
    async with working(worker(db, do, *chores)):
        await until(lambda: {"failing", "taken", "test"} <= set(done))
        await until(lambda: done.count("failing") >= 2)


async def test_chores_are_done_while_there_is_no_end_of_work(db: Database) -> None:
    """A job that goes back into the line again and again keeps no chore waiting."""
    did: list[str] = []

    async def do(_: Job) -> None:
        did.append("job")
        if did.count("chore") < 2:
            raise Later("others have their turn", after=0)

    async def chore() -> None:
        did.append("chore")

    await add(db)
    async with working(worker(db, do, Chore("chore", 0.0, chore))):
        await until(lambda: did.count("chore") > 2 and did.count("job") > 1)


async def test_a_lease_is_extended_by_whoever_holds_it(db: Database, clock: MovableClock) -> None:
    """A minute more each time; once another has claimed the job, nothing is extended any more."""
    await add(db)
    slow = await db.write(jobs.claim)
    assert slow is not None
    clock.advance(50 * SECOND)
    assert await db.write(jobs.extend, slow)
    clock.advance(50 * SECOND)
    assert await db.write(jobs.claim) is None
    clock.advance(50 * SECOND)
    quick = await db.write(jobs.claim)
    assert quick is not None
    assert not await db.write(jobs.extend, slow)
    assert await db.write(jobs.extend, quick)
    await db.write(jobs.done, quick)
    assert not await db.write(jobs.extend, quick)
