"""Schedules: when a directory syncs by itself, each time once on however many replicas (R109)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller
from broker.domain.clock import rfc3339
from broker.domain.directories import Directory, Schedule
from broker.domain.errors import Conflict
from broker.domain.runs import Trigger
from broker.domain.schedules import checked, following, sentence
from broker.service.configuring import hold
from broker.service.starting import Starting
from broker.store import audit, directories, events

BY = "schedule"
TROUBLED = "directory-troubled"


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule in words, and the next times it is due (microseconds), of this version of its
    directory; nothing of it without a schedule, and no times while it is disabled.
    """

    schedule: Schedule | None
    version: int
    sentence: str | None = None
    next: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Scheduling:
    """Keeps schedules, and begins what is due."""

    db: Database
    starting: Starting

    async def get(self, project: str, id: str) -> ScheduleView:
        """The schedule of a directory; NotFound."""
        return await self.db.read(lambda tx: _viewed(tx, directories.get(tx, project, id)))

    async def change(
        self, caller: Caller, id: str, schedule: Schedule | None, *, version: int | None = None
    ) -> ScheduleView:
        """Sync by this schedule from now on, or by none; Invalid, Stale."""
        caller.require("directories:write")
        return await self.db.write(_changing, caller, id, schedule, version)

    async def fire(self) -> int:
        """Begin a run of every directory whose time has come; how many times had.

        Times that passed while nobody looked are one. The next one is later than now and than the
        one that was due, so that a clock set back brings none again.
        """
        fired = 0
        while await self.db.peek(directories.is_due):
            if not await self.db.write(self._firing):
                break
            fired += 1
        return fired

    def _firing(self, tx: Transaction) -> bool:
        directory = directories.claim_due(tx)
        if directory is None or directory.schedule is None or directory.next_at is None:
            return False
        project, id, due = directory.project, directory.id, directory.next_at
        directories.plan(tx, project, id, following(directory.schedule, id, tx.now, 1)[0])
        about = {"directory": id, "due_at": rfc3339(due)}
        if directory.trouble:
            events.append(tx, project, "run.skipped", **about, reason=TROUBLED)
            return True
        try:
            self.starting.begin(tx, directory, Trigger.SCHEDULE, BY)
        except Conflict as error:
            events.append(tx, project, "run.skipped", **about, **error.more, reason=error.reason)
        return True


def _changing(
    tx: Transaction, caller: Caller, id: str, schedule: Schedule | None, version: int | None
) -> ScheduleView:
    before = hold(tx, caller, id, version)
    next_at = None
    if schedule is not None:
        next_at = following(checked(schedule, now=tx.now), id, tx.now, 1)[0]
    after = replace(before, schedule=schedule, next_at=next_at, version=before.version + 1)
    directories.change(tx, after)
    told = {"cron": schedule.cron, "zone": schedule.zone} if schedule else {}
    audit.append(tx, caller.project, caller.actor, "directory.schedule.changed", id, **told)
    return _viewed(tx, after)


def _viewed(tx: Transaction, directory: Directory) -> ScheduleView:
    """The first time is the one in the row: it is due even where it has passed."""
    schedule, due = directory.schedule, directory.next_at
    if schedule is None or due is None:
        return ScheduleView(None, directory.version)
    times = [at for at in following(schedule, directory.id, tx.now) if at > due]
    shown = [due, *times][:5] if directory.is_enabled else []
    return ScheduleView(schedule, directory.version, sentence(schedule), shown)
