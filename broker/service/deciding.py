"""Held changes: an administrator releases all of them, some or none; then they are carried out."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.db.database import Database, Duplicate, Transaction, Unstorable
from broker.domain.callers import Caller
from broker.domain.errors import BrokerError, Conflict, NotFound
from broker.domain.runs import Decision, Kind, Record, Result, Run, State
from broker.domain.users import SUSPENSION_HELD, User
from broker.service import proposing
from broker.service.hosting import Hosting
from broker.service.syncing import ending
from broker.service.withholding import Withholding
from broker.service.working import turn
from broker.store import audit, directories, events, held, jobs, runs, users
from broker.store.jobs import Job
from scim.errors import ScimError

REFUSED = (BrokerError, ScimError, Duplicate, Unstorable)
LET_BE = "An administrator decided against it."
PASSED = "It has happened since, or nobody is there any more."


@dataclass(frozen=True, slots=True)
class Deciding:
    """Decisions about what runs hold (R6): kept with who made them, carried out one by one."""

    hosting: Hosting

    async def decide(
        self,
        caller: Caller,
        run: str,
        *,
        release: Sequence[int] | None = (),
        reject: Sequence[int] | None = (),
    ) -> int:
        """Release and reject these records by number, None for all that are left; how many wait on.

        What is decided is carried out in the background, and with the last of it the run ends.
        Conflict `run-not-held` where the run holds nothing, `run-decided` with who did where
        all of it was decided before, `not-staged` where a record holds nothing.
        Only in an administrator's session (safety 27).
        """
        caller.require_administrator()
        return await self._db.write(_deciding, caller, run, release, reject)

    async def carry_out(self, job: Job) -> None:
        """Do what was decided about a run, record by record, wherever somebody left off."""
        error: Exception | None = None
        goes_on, take_turns = True, turn()
        while goes_on:
            take_turns()
            try:
                goes_on = await self._db.write(self._next, job, error)
            except REFUSED as refused:
                if error is not None:
                    raise
                error = refused
            else:
                error = None

    def _next(self, tx: Transaction, job: Job, error: Exception | None) -> bool:
        """Carry out one decision; whether there may be more. With `error` the next one has failed
        by it. The run ends where nothing is left to decide.
        """
        if not jobs.extend(tx, job):
            return False
        project = job.project or ""
        run = runs.find(tx, project, job.data["run"])
        if run is None or run.state is not State.HELD:
            return False
        found = held.decided(tx, project, run.id, 1)
        if not found:
            ending(tx, run, run.reason, message=run.message)
            return False
        n, record = found[0]
        if error is not None:
            held.settle(tx, project, n, Result.FAILED, str(error))
            return True
        result = self._done(tx, run, record)
        skipped = LET_BE if record.decision is Decision.REJECTED else PASSED
        held.settle(tx, project, n, result, skipped if result is Result.SKIPPED else None)
        return True

    def _done(self, tx: Transaction, run: Run, record: Record) -> Result:
        """Do what was decided: of a push, which may have joined a pull, by whoever held it back."""
        released, by = record.decision is Decision.RELEASED, record.decided_by or ""
        user = users.find(tx, run.project, record.resource_id or "")
        if run.kind is not Kind.PULL or (user and _was_pushed(user)):
            pushes = Withholding(self.hosting.licensing)
            decided = pushes.released if released else pushes.rejected
            return decided(tx, run.project, record, by)
        directory = directories.find(tx, run.project, run.directory)
        if not released or directory is None:
            return Result.SKIPPED
        return proposing.carry_out(tx, self.hosting, directory, record)

    @property
    def _db(self) -> Database:
        return self.hosting.syncing.db


def _was_pushed(user: User) -> bool:
    """Whether their access has ended already, which only a held push brings about (T16)."""
    return user.deletion_is_held or user.status_reason == SUSPENSION_HELD


def _deciding(
    tx: Transaction,
    caller: Caller,
    id: str,
    release: Sequence[int] | None,
    reject: Sequence[int] | None,
) -> int:
    project, by = caller.project, caller.actor
    if runs.find(tx, project, id) is None:
        raise NotFound()
    if not runs.decide(tx, project, id, by):
        raise Conflict("The run holds no changes that wait for a decision.", reason="run-not-held")
    if not held.undecided(tx, project, id):
        raise Conflict(
            f"All that the run held was decided by {held.decider(tx, project, id) or 'nobody'}.",
            reason="run-decided",
            next="Follow the run: what was decided is being carried out.",
        )
    decided = {}
    said = (Decision.REJECTED, reject), (Decision.RELEASED, release)
    for decision, numbers in sorted(said, key=lambda each: each[1] is None):  # the rest comes last
        decided[decision.value] = held.decide(tx, project, id, decision, by, numbers)
        if numbers is not None and decided[decision.value] < len(set(numbers)):
            raise Conflict(
                "A record of these holds no change, or was decided before.", reason="not-staged"
            )
    left = held.undecided(tx, project, id)
    audit.append(tx, project, by, "run.decided", id, **decided, undecided=left)
    events.append(tx, project, "run.decided", run=id, **decided, undecided=left)
    jobs.add(tx, "decided", project, run=id)
    return left
