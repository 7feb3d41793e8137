"""Re-apply and retry: what is kept of a directory, mapped again; what failed, tried again (T8)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from broker.db.database import Database, Duplicate, Transaction, Unstorable
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE
from broker.domain.directories import Directory
from broker.domain.errors import BrokerError, Conflict, Invalid, NotFound
from broker.domain.runs import Ending, Kind, Record, Result, State, Trigger
from broker.service.going import going_on
from broker.service.hosting import Hosting
from broker.service.occupied import occupied
from broker.service.remapping import Remapping
from broker.service.syncing import ending
from broker.service.working import Later, turn
from broker.store import audit, directories, jobs, pages, resources, retries, runs
from broker.store.jobs import Job
from broker.store.pages import Where
from broker.store.resources import Shelf
from scim.document import Accepted
from scim.errors import Busy, ScimError
from scim.etag import IfMatch
from scim.values import Warning as Unused

AT_ONCE = 100
"""People mapped in one transaction: what a crash takes back, and what a push may wait for."""

BUSY = 5 * MINUTE
"""How long a retry by itself waits for a run that is going on."""

BROKER = "broker"
REFUSED = (BrokerError, ScimError, Duplicate, Unstorable)
SETTLED = "The directory has said something newer since, or the person is gone."


@dataclass(frozen=True, slots=True)
class Reapplying:
    """Runs that hear nothing new. Each goes on where it was, whoever takes it over (R10)."""

    hosting: Hosting

    def begin(self, tx: Transaction, directory: Directory, trigger: Trigger, by: str) -> str:
        """Begin to map everybody of a directory again and to retry what failed; the run's id.

        Conflict `run-running` where a run is going on (R7).
        """
        project, id = directory.project, directory.id
        run = runs.open(
            tx,
            project,
            id,
            trigger,
            Kind.REAPPLY,
            by=by,
            mapping_version=directory.mapping_version,
            expected=pages.count(tx, self._people(directory), Where())
            + len(retries.of_directory(tx, project, id, but="")),
        )
        if run is None:
            raise occupied(tx, directory)
        jobs.add(tx, "reapply", project, run=run)
        return run

    async def retry(self, caller: Caller, run: str) -> str:
        """Try the failed records of a run again, now; the new run's id. NotFound, Conflict."""
        return await self._db.write(self._retrying, caller, run)

    async def reapply(self, job: Job) -> None:
        """Do a re-apply run: first what failed, for a newer word about anybody is then no older."""
        project, id = job.project or "", str(job.data["run"])
        run = await self._db.read(runs.find, project, id)
        assert run is not None
        failed = await self._db.read(retries.of_directory, project, run.directory, but=id)
        limit: int = AT_ONCE
        error: Exception | None = None
        take_turns = turn()
        goes_on = await self._try(job, id, failed, take_turns)
        while goes_on:
            take_turns()
            try:
                goes_on = await self._db.write(self._batch, job, id, limit, error)
            except REFUSED as refused:
                if error is not None:
                    raise
                # One by one, until the one it was is met again and is a record of its own.
                limit, error = 1, refused if limit == 1 else None
            else:
                limit, error = limit if error is None else AT_ONCE, None

    async def retried(self, job: Job) -> None:
        """Do a retry run; Later while another run of the directory is going on."""
        run = await self._db.write(self._entering, job)
        if run is None:
            return
        failed = await self._db.read(retries.of_run, job.project or "", job.data["run"])
        if await self._try(job, run, failed, turn()):
            await self._db.write(self._leaving, job, run)

    def _retrying(self, tx: Transaction, caller: Caller, id: str) -> str:
        project, run = caller.project, runs.find(tx, caller.project, id)
        if run is None:
            raise NotFound()
        directory = directories.find(tx, project, run.directory)
        if directory is None or not directory.is_enabled:
            raise Conflict(
                "The directory is disabled or deleted.",
                reason="directory-disabled",
                next="Enable it first.",
            )
        if run.state is State.RUNNING:
            raise occupied(tx, directory)
        if not retries.of_run(tx, project, id):
            raise Conflict("Nothing of this run is left to be retried.", reason="nothing-to-retry")
        into = self._opened(tx, directory, id, Trigger.MANUAL, caller.actor)
        if into is None:
            raise occupied(tx, directory)
        audit.append(tx, project, caller.actor, "run.retried", id, run=into)
        jobs.add(tx, "retry", project, run=id, tries=0)
        return into

    def _entering(self, tx: Transaction, job: Job) -> str | None:
        """The run in which the failed records of another are tried again; None where none is left
        to try, or nothing may be.
        """
        project, source = job.project or "", str(job.data["run"])
        failed = runs.find(tx, project, source)
        directory = directories.find(tx, project, failed.directory) if failed else None
        if directory is None:
            return None
        going = runs.current(tx, project, directory.id)
        if going is not None and going.state is State.RUNNING:
            if going.place == _place(source):
                return going.id
            if going.kind is not Kind.PUSH:
                raise Later("a run is going on", after=BUSY)
        if not directory.is_enabled or not retries.of_run(tx, project, source):
            return None
        if going is not None and going.state is State.RUNNING:
            ending(tx, going)  # pushes that go on are the retry's, or the next run's
        return self._opened(tx, directory, source, Trigger.SCHEDULE, BROKER)

    def _opened(
        self, tx: Transaction, directory: Directory, source: str, trigger: Trigger, by: str
    ) -> str | None:
        project, mapping = directory.project, directory.mapping_version
        run = runs.open(
            tx,
            project,
            directory.id,
            trigger,
            Kind.RETRY,
            by=by,
            mapping_version=mapping,
            expected=len(retries.of_run(tx, project, source)),
        )
        if run is not None:
            runs.go_on(tx, project, run, _place(source))
        return run

    def _leaving(self, tx: Transaction, job: Job, id: str) -> None:
        going = going_on(tx, job, id)
        if going is not None:
            ending(tx, going[0], tries=job.data["tries"])

    async def _try(
        self, job: Job, run: str, failed: list[int], take_turns: Callable[[], None]
    ) -> bool:
        """Try each of these records again; whether the run goes on after them."""
        for n in failed:
            take_turns()
            going = await self._db.write(going_on, job, run)
            if going is None:
                return False
            await self._once_more(going[1], n)
        return True

    async def _once_more(self, directory: Directory, n: int) -> None:
        """Try one failed record; what becomes of it is a record of the run that is going on."""
        record = await self._db.write(self._unless_settled, directory, n)
        if record is None:
            return
        people, accepted = self.hosting.users(directory), said(record)
        try:
            if record.resource_id is None:
                await people.create(accepted, computed=frozenset())
            else:
                id = record.resource_id
                await people.replace(id, accepted, IfMatch(), computed=frozenset())
        except Busy:
            raise
        except REFUSED:
            pass  # the new record says why
        await self._db.write(retries.tried, directory.project, n)

    def _unless_settled(self, tx: Transaction, directory: Directory, n: int) -> Record | None:
        """A failed record that still says the last word about somebody; else it is skipped."""
        project = directory.project
        record = retries.find(tx, project, n)
        if record is None or not retries.is_settled(tx, project, directory.id, n, record):
            return record
        skipped = replace(record, result=Result.SKIPPED, at=tx.now, message=SETTLED)
        self.hosting.syncing.recording(
            tx, directory, replace(skipped, next=None, raw=None, warnings=(), changes=())
        )
        retries.tried(tx, project, n)
        return None

    def _batch(
        self, tx: Transaction, job: Job, id: str, limit: int, error: Exception | None
    ) -> bool:
        """Map the next people again, all in one transaction with the place behind them; whether
        there may be more. With `error` the next one alone is written down as failed by it.
        """
        going = going_on(tx, job, id)
        if going is None:
            return False
        run, directory = going
        try:
            mapping = self.hosting.mappings.of(tx, directory)
        except (Invalid, NotFound) as wrong:
            ending(tx, run, Ending.MAPPING_UNLOADABLE, message=str(wrong))
            return False
        if run.mapping_version != mapping.version:  # saved meanwhile: everybody once more
            runs.begin_anew(tx, run.project, id, mapping.version)
            run = replace(run, place=None)
        found = resources.batch(tx, self._people(directory), after=int(run.place or 0), limit=limit)
        if not found:
            ending(tx, run)
            return False
        unchanged = Remapping.of(self.hosting, directory).each(tx, found, mapping, error)
        runs.go_on(tx, run.project, id, str(found[-1][0].n), unchanged=unchanged)
        return True

    def _people(self, directory: Directory) -> Shelf:
        return Shelf(directory.project, directory.id, "User")

    @property
    def _db(self) -> Database:
        return self.hosting.syncing.db


def said(record: Record) -> Accepted:
    """What a failed record said, as it was accepted then."""
    kept = orjson.loads(record.raw or b"{}")
    warnings = tuple(Unused(**each) for each in kept["warnings"])
    return Accepted(kept["document"], kept["extras"], warnings)


def _place(source: str) -> str:
    return orjson.dumps(source).decode()
