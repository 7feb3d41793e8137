"""Sync runs and their records; Success, Partial success and Failure are counted, never set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from broker.domain.directories import PUSH_WINDOW_LIMIT
from broker.domain.errors import Conflict
from broker.domain.mapping import Warning


class Kind(StrEnum):
    """What a run reads: a source page by page, pushes as they come, or what was pushed before."""

    PULL = "pull"
    PUSH = "push"
    REAPPLY = "re-apply"


class Trigger(StrEnum):
    """Who began it (R109)."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    PUSH = "push"


class State(StrEnum):
    """Where a run stands; only an ended one has its word for good."""

    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    ENDED = "ended"


class Event(StrEnum):
    """What can happen to a run."""

    STARTED = "started"
    HELD = "held"
    RELEASED = "released"
    FINISHED = "finished"
    CUT_SHORT = "cut short"


class Status(StrEnum):
    """The owner's three words (R117 to R119, R122), and no others."""

    SUCCESS = "Success"
    PARTIAL_SUCCESS = "Partial success"
    FAILURE = "Failure"


class Ending(StrEnum):
    """Why a run ended early."""

    CREDENTIALS_REFUSED = "credentials-refused"
    SOURCE_UNREACHABLE = "source-unreachable"
    MAPPING_UNLOADABLE = "mapping-unloadable"
    SCHEMA_REFUSED = "schema-refused"
    INTERRUPTED = "interrupted"
    DISABLED = "directory-disabled"
    DELETED = "directory-deleted"
    STOPPED = "stopped"


CRITICAL = frozenset(
    {
        Ending.CREDENTIALS_REFUSED,
        Ending.SOURCE_UNREACHABLE,
        Ending.MAPPING_UNLOADABLE,
        Ending.SCHEMA_REFUSED,
        Ending.INTERRUPTED,
    }
)


class Result(StrEnum):
    """What became of one record."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUSPENDED = "suspended"
    DELETED = "deleted"
    STAGED = "staged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records ended how; the total is their sum, so that it always adds up."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    suspended: int = 0
    deleted: int = 0
    staged: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All records, whatever became of them."""
        return self.applied + self.staged + self.skipped + self.failed

    @property
    def applied(self) -> int:
        """Records that are as the directory wants them: changed, or unchanged because they were."""
        return self.created + self.updated + self.unchanged + self.suspended + self.deleted

    def plus(self, result: Result, times: int = 1) -> Counts:
        """These counts with `times` more records of that result."""
        counted = asdict(self)
        return replace(self, **{result.value: counted[result.value] + times})


def counted(results: Iterable[Result]) -> Counts:
    """The counts of these results."""
    counts = Counts()
    for result in results:
        counts = counts.plus(result)
    return counts


@dataclass(frozen=True, slots=True)
class Change:
    """One value a record changed, before and after; None where there was none."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One changing request that named a resource, and what became of it.

    `resource` is User or Group, `resource_id` None where none came to be. `message` says what
    happened and `next` what to do, both for the administrator.
    """

    run: str
    seq: int
    resource: str
    resource_id: str | None
    external_id: str | None
    name: str
    result: Result
    at: int
    warnings: tuple[Warning, ...] = ()
    changes: tuple[Change, ...] = ()
    message: str | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """Equal warnings or failures of one run, counted once: 10,000 users, one line."""

    code: str
    attribute: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Run:
    """A group of pushes, a pull, or a re-apply.

    `warnings` counts warnings, apart from the records. `reads`, `unreadable` and `refused` count
    requests that are no records. `expected` is the total the source announced, or the last run's.
    `ending` is why it ended early, None where it ran to its end.
    """

    id: str
    project: str
    directory: str
    kind: Kind
    trigger: Trigger
    state: State
    started_at: int
    last_at: int
    ended_at: int | None = None
    ending: Ending | None = None
    counts: Counts = field(default_factory=Counts)
    warnings: int = 0
    reads: int = 0
    unreadable: int = 0
    refused: int = 0
    expected: int | None = None
    version: int = 1

    @property
    def status(self) -> Status:
        """The word for this run: final once it ended, provisional while it is open."""
        return status(self.counts, warnings=self.warnings, ending=self.ending)

    @property
    def is_provisional(self) -> bool:
        """Whether the word may still change."""
        return self.state is not State.ENDED


def status(counts: Counts, *, warnings: int, ending: Ending | None = None) -> Status:
    """The word these records make (R2, R3, R4, R8); the first rule that fits answers."""
    if ending in CRITICAL:
        return Status.FAILURE  # R4: with the count done so far
    if ending is not None:
        return Status.PARTIAL_SUCCESS if counts.applied else Status.FAILURE  # R8, R9
    if not counts.failed and not warnings:
        return Status.SUCCESS  # R2: no record at all is a success too
    return Status.PARTIAL_SUCCESS if counts.applied else Status.FAILURE  # R3, else R4


NEXT = {
    (State.QUEUED, Event.STARTED): State.RUNNING,  # R1
    (State.RUNNING, Event.FINISHED): State.ENDED,  # R2, R3, R4
    (State.RUNNING, Event.HELD): State.HELD,  # R5
    (State.HELD, Event.RELEASED): State.RUNNING,  # R6: all, some, or none of it
    (State.QUEUED, Event.CUT_SHORT): State.ENDED,  # R4, R8, R9
    (State.RUNNING, Event.CUT_SHORT): State.ENDED,  # R4, R8, R9
    (State.HELD, Event.CUT_SHORT): State.ENDED,  # R8, R9
}


def after(run: Run, event: Event, *, now: int, ending: Ending | None = None) -> Run:
    """This run once `event` has happened; Conflict where the table has no row.

    Cutting a run short names its `ending`, finishing it has none.
    """
    if (state := NEXT.get((run.state, event))) is None:
        raise Conflict(f"A run that is {run.state} cannot be {event}", reason=f"run-{run.state}")
    if (event is Event.CUT_SHORT) is (ending is None):
        raise ValueError("a run that is cut short names why, and no other does")
    ended_at = now if state is State.ENDED else None
    return replace(run, state=state, ending=ending, ended_at=ended_at, version=run.version + 1)


def is_over(run: Run, *, window: int, now: int) -> bool:
    """Whether a push run has ended: `window` microseconds of silence, or a day in all (R1)."""
    return now - run.last_at >= window or now - run.started_at >= PUSH_WINDOW_LIMIT
