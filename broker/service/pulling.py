"""Pull runs: a source read page by page, a place kept with each hundred records (R10).

The worker takes a pull in slices, so that other work gets its turn. Whatever ends a process ends
one transaction at most: the next slice, wherever it runs, begins at the place that was kept, and
what was taken from there already is passed over.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import structlog

from broker.db.database import Database, Duplicate, Row, Transaction, Unavailable, Unstorable
from broker.db.seal import Unreadable
from broker.domain.clock import MINUTE, SECOND
from broker.domain.directories import Directory
from broker.domain.errors import BrokerError, Conflict
from broker.domain.pulls import Place, Stage
from broker.domain.runs import Ending, Result, Trigger
from broker.service.keeping import Doing, Going, Keeping, nothing
from broker.service.meeting import MEMBER, Item, ends
from broker.service.sources import Sources
from broker.service.working import Later, turn
from broker.store import jobs, seen, sourced
from broker.store.jobs import Job
from broker.store.resources import Shelf
from providers.errors import ClientMisconfigured, PlaceGone, ProviderError, SourceBroken
from providers.sources.reading import CanReadDirectory, Page
from scim.errors import ScimError

T = TypeVar("T")
log = structlog.get_logger("broker.pulling")
AT_ONCE = 100
"""Records taken in one transaction."""
MEMBERS_AT_ONCE = 5_000
MISSING_AT_ONCE = 500
ENDED_AT_ONCE = 50
MOST_BEGINNINGS = 3
"""How often the source may lose its place in one run."""
WAITS = tuple(seconds * SECOND for seconds in (1, 2, 4, 8, 16, 32, 64, 128))
LONGEST_WAIT = 15 * MINUTE
ENDINGS: dict[type[Exception], Ending] = {
    ClientMisconfigured: Ending.CREDENTIALS_REFUSED,
    Conflict: Ending.CREDENTIALS_REFUSED,
    Unreadable: Ending.CREDENTIALS_REFUSED,
    SourceBroken: Ending.SCHEMA_REFUSED,
    PlaceGone: Ending.SCHEMA_REFUSED,
}
"""What ends a pull at once (R4); all else that a source does is met with patience."""
REFUSED = (BrokerError, ScimError, Duplicate, Unstorable)
"""What a record may be refused with; anything else is a fault of ours, and logged."""


class Over(Exception):
    """The run goes on no more, or another process has it."""


@dataclass(frozen=True, slots=True)
class Pulling:
    """Reads directories. One run a directory is open at a time, in one process at a time.

    A page that cannot be had is asked for again after each of `waits` (microseconds), and after
    the last the run is a Failure.
    """

    keeping: Keeping
    sources: Sources
    waits: Sequence[int] = WAITS
    slice_s: float = 2.0
    beat_s: float = 15.0
    opened: dict[tuple[str, int], CanReadDirectory] = field(default_factory=dict)
    """By directory and its version: a reader remembers its access token."""

    def begin(self, tx: Transaction, directory: Directory, trigger: Trigger, by: str) -> str:
        """Begin to read the directory; the run's id. Conflict `run-running` where a run is going
        on (R7), `no-source` where it cannot be read.
        """
        self.sources.kind(directory)
        return self.keeping.begin(tx, directory, trigger, by)

    async def pull(self, job: Job) -> None:
        """One slice of a pull; Later while there is more to do."""
        take_turns = turn(self.slice_s)
        try:
            going = await self._resumed(job)
            while True:
                going = await self._step(job, going)
                take_turns()
        except Over:
            await self._forget(job)
        except Unavailable as error:
            raise Later("the database is unavailable") from error

    @property
    def _db(self) -> Database:
        return self.keeping.hosting.syncing.db

    async def _resumed(self, job: Job) -> Going:
        directory, place = _on(await self._db.write(self.keeping.resume, job, len(self.waits) + 1))
        key = directory.id, directory.version
        try:
            if key not in self.opened:
                opened = self.sources.opened
                self.opened[key] = await self._db.write(opened, directory, purpose="pull")
        except tuple(ENDINGS) as error:
            raise await self._ended(job, error) from error
        return Going(job.data["run"], directory, self.opened[key], place)

    async def _step(self, job: Job, going: Going) -> Going:
        """Do the next piece; where it leads. Over, Later."""
        match going.place.stage:
            case Stage.PAGES:
                return await self._read(job, going)
            case Stage.MEMBERS:
                return await self._join(job, going)
            case Stage.USERS:
                return await self._miss(job, going, "User")
            case Stage.GROUPS:
                return await self._miss(job, going, "Group")
            case Stage.DECIDING:
                return await self._decide(job, going)

    async def _read(self, job: Job, going: Going) -> Going:
        """Read a page and take what is on it; its place is left last."""
        at = going.place.at
        try:
            page = await self._patiently(job, going.source.page(at))
        except PlaceGone as error:
            if going.place.begun == MOST_BEGINNINGS:
                raise await self._ended(job, error) from error
            return _on(await self._db.write(self.keeping.begin_anew, job, going))
        except ProviderError as error:
            raise await self._disturbed(job, going, error) from error
        judge = self.keeping.taking(going).item
        for chunk in _chunks(map(judge, page.found)):
            going = await self._take(job, going, chunk)
        place = replace(going.place, at=page.next, tries=0)
        if page.next is None:
            unsure = {str(kind): why for kind, why in page.unsure.items()}
            place = replace(place, delta=page.delta, unsure=unsure).onward
        refused = page.refused
        return await self._write(
            job, going, place, lambda tx, taking: taking.refuse(tx, refused, at), page.expected
        )

    async def _take(self, job: Job, going: Going, chunk: Sequence[Item]) -> Going:
        """Take records in one transaction; where one of them fails, each in its own."""
        place = replace(going.place, tries=0)
        try:
            return await self._write(job, going, place, lambda tx, taking: taking.take(tx, chunk))
        except (Over, Unavailable):
            raise
        except Exception as error:
            problem = error
        if len(chunk) > 1:
            for item in chunk:
                going = await self._take(job, going, [item])
            return going
        if not isinstance(problem, REFUSED):
            log.error("record failed", run=going.run, exc_info=problem)
        return await self._write(
            job, going, place, lambda tx, taking: taking.fail(tx, chunk[0], problem)
        )

    async def _join(self, job: Job, going: Going) -> Going:
        """Put those into groups who came after them."""
        project, after = going.directory.project, going.place.after
        waiting = await self._db.read(
            seen.page, project, going.run, MEMBER, after=after, limit=MISSING_AT_ONCE
        )
        if not waiting:
            return await self._write(job, going, going.place.onward, nothing)
        place = replace(going.place, after=waiting[-1].key, tries=0)
        return await self._write(job, going, place, lambda tx, taking: taking.join(tx, waiting))

    async def _miss(self, job: Job, going: Going, kind: str) -> Going:
        """Propose what becomes of those whom a whole reading did not show."""
        place, directory = going.place, going.directory
        shows_all = going.source.whole and place.anew and kind not in place.unsure
        how = ends(directory, kind) if shows_all else None
        missing: list[Row] = []
        if how is not None:
            missing = await self._db.read(
                sourced.absent,
                Shelf(directory.project, directory.id, kind),
                going.run,
                after=int(place.after or 0),
                limit=MISSING_AT_ONCE,
                suspended_too=how is Result.DELETED,
            )
        if not missing:
            return await self._write(job, going, place.onward, nothing)
        onward = replace(place, after=str(missing[-1]["n"]), tries=0)
        return await self._write(
            job, going, onward, lambda tx, taking: taking.propose(tx, kind, missing)
        )

    async def _decide(self, job: Job, going: Going) -> Going:
        """Carry out what needs no decision, and end the run, or hold the rest (R5)."""
        limit: int = ENDED_AT_ONCE
        problem: Exception | None = None
        while True:
            try:
                on = await self._db.write(self.keeping.decide, job, going, limit, problem)
            except Unavailable:
                raise
            except Exception as error:
                if problem is not None:
                    raise
                limit, problem = 1, error if limit == 1 else None
            else:
                return _on(on)

    async def _patiently(self, job: Job, reading: Coroutine[Any, Any, Page]) -> Page:
        """Wait for the source, and keep the lease meanwhile."""
        task = asyncio.ensure_future(reading)
        try:
            while not (await asyncio.wait({task}, timeout=self.beat_s))[0]:
                if not await self._db.write(jobs.extend, job):
                    raise Over
            return task.result()
        finally:
            task.cancel()

    async def _disturbed(self, job: Job, going: Going, error: ProviderError) -> Exception:
        """Come again later; or, once that was tried long enough or is hopeless, end the run."""
        log.warning("source disturbed", run=going.run, code=error.provider_code)
        tries = max(going.place.tries, 1)
        if isinstance(error, tuple(ENDINGS)) or tries > len(self.waits):
            return await self._ended(job, error)
        place = replace(going.place, tries=tries, why=str(error))
        wished = (getattr(error, "retry_after_s", None) or 0) * SECOND
        wait = max(self.waits[tries - 1], min(wished, LONGEST_WAIT))
        _on(await self._db.write(self.keeping.wait, job, place, wait))
        return Later(error.provider_code, after=wait)

    async def _ended(self, job: Job, error: Exception) -> Over:
        """End the run for what its source said (R4)."""
        reasons = (why for kind, why in ENDINGS.items() if isinstance(error, kind))
        reason = next(reasons, Ending.SOURCE_UNREACHABLE)
        await self._db.write(self.keeping.end, job, reason, str(error))
        return Over()

    async def _write(
        self, job: Job, going: Going, place: Place, do: Doing, expected: int | None = None
    ) -> Going:
        return _on(await self._db.write(self.keeping.keep, job, going, place, do, expected))

    async def _forget(self, job: Job) -> None:
        """Empty what an ended run has seen, and let go of its source."""
        for key in [each for each in self.opened if each[0] == job.data["directory"]]:
            del self.opened[key]
        while await self._db.write(self.keeping.forget, job):
            pass


def _on(found: T | None) -> T:
    if found is None:
        raise Over
    return found


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Records in order: of one kind, each key once, and no more members than fit a transaction."""
    chunk: list[Item] = []
    keys: set[str] = set()
    weight = 0
    for item in items:
        said = item.found.members
        members = len(said.added) + len(said.removed) if said else 0
        full = len(chunk) == AT_ONCE or weight + members > MEMBERS_AT_ONCE
        if chunk and (full or item.key in keys or item.found.kind != chunk[0].found.kind):
            yield chunk
            chunk, keys, weight = [], set(), 0
        chunk.append(item)
        keys.add(item.key)
        weight += members
    if chunk:
        yield chunk
