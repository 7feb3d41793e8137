"""The worker: claims what is due and does it, and looks after what only time brings about."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from broker.db.database import Database, Duplicate, Transaction, Unavailable
from broker.store import jobs
from broker.store.jobs import Job

POLL_S = 0.5
AT_ONCE = 8
REST_S = 0.02  # a burst of changes wakes the worker once, not once each

Handler = Callable[[Job], Awaitable[None]]
log = structlog.get_logger("broker.worker")


class Later(Exception):
    """Not this time: the job is tried again, `after` microseconds from now or up the ladder."""

    def __init__(self, why: str, *, after: int | None = None) -> None:
        super().__init__(why)
        self.after = after


def turn(lasts_s: float = 2.0) -> Callable[[], None]:
    """What a long job asks before each step: Later once its turn is over and others have theirs."""
    until = time.monotonic() + lasts_s

    def take_turns() -> None:
        if time.monotonic() > until:
            raise Later("others have their turn", after=0)

    return take_turns


@dataclass(frozen=True, slots=True)
class Chore:
    """What every replica does every so often; doing it twice at once does it once."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Worker:
    """One task a process. It reads first and claims only when something is due."""

    db: Database
    handlers: Mapping[str, Handler]
    chores: tuple[Chore, ...] = ()
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look for work now: a change was just committed in this process."""
        self.woken.set()

    def stop(self) -> None:
        """Claim nothing more; what is claimed is finished."""
        self.stopping.set()
        self.woken.set()

    async def run(self) -> None:
        """Work until `stop`."""
        due = {chore.name: 0.0 for chore in self.chores}
        while not self.stopping.is_set():
            await self._chores(due)
            try:
                while not self.stopping.is_set() and await self.db.peek(jobs.is_due):
                    await self._round()
                    await self._chores(due)  # there may be no end of work
            except Unavailable as error:
                log.warning("database unavailable", exc_info=error)
            await self._rest()

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self.woken.wait(), POLL_S)
        except TimeoutError:
            return
        self.woken.clear()
        if not self.stopping.is_set():
            await asyncio.sleep(REST_S)

    async def _round(self) -> None:
        """Claim a handful and do them side by side: one slow provider holds up no other."""
        claimed: list[Job] = []
        while len(claimed) < AT_ONCE and (job := await self.db.write(jobs.claim)) is not None:
            claimed.append(job)
        await asyncio.gather(*map(self._do, claimed))

    async def _do(self, job: Job) -> None:
        """Do one job and write down how it ended; an error is another try, up the ladder."""
        handler = self.handlers.get(job.kind)
        try:
            if handler is None:
                await self.db.write(jobs.dead, job, "no-handler")
                log.error("job of unknown kind", job=job.id, kind=job.kind)
                return
            await handler(job)
            await self.db.write(jobs.done, job)
        except Later as later:
            await self._again(job, str(later), later.after)
        except Exception as error:
            log.error("job failed", job=job.id, kind=job.kind, exc_info=error)
            await self._again(job, type(error).__name__, None)

    async def _again(self, job: Job, why: str, after: int | None) -> None:
        """Put the job back; where even that fails, its lease runs out and another takes it."""
        try:
            await self.db.write(_later, job, why, after)
        except Unavailable as error:
            log.warning("job left to its lease", job=job.id, exc_info=error)

    async def _chores(self, due: dict[str, float]) -> None:
        now = time.monotonic()
        for chore in self._ready(due, now):
            due[chore.name] = now + chore.every_s
            try:
                await chore.do()
            except Duplicate:
                log.debug("another replica did it", chore=chore.name)
            except Exception as error:
                log.error("chore failed", chore=chore.name, exc_info=error)

    def _ready(self, due: Mapping[str, float], now: float) -> Iterable[Chore]:
        return [chore for chore in self.chores if due[chore.name] <= now]


def _later(tx: Transaction, job: Job, why: str, after: int | None) -> None:
    jobs.later(tx, job, why, after=after)
