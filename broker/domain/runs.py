"""Sync runs and their records; Success, Partial success and Failure are counted, never set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from broker.domain.clock import SECOND
from broker.domain.directories import PUSH_WINDOW_LIMIT
from broker.domain.mapping import Warning


class Trigger(StrEnum):
    """Who began it (R109); a manual run of a directory that only pushes is a re-apply (T8)."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    PUSH = "push"


class Kind(StrEnum):
    """What a run is made of (c.6)."""

    PUSH = "push"  # what an identity provider pushed until it fell silent
    PULL = "pull"  # a source read from its first page to its last
    REAPPLY = "reapply"  # what is kept of everybody, mapped again
    RETRY = "retry"  # the failed records of another run
    RECORD = "record"  # one record, by hand


class State(StrEnum):
    """Whether a run is still open; only an ended one has its word for good.

    A held one has done all it may and waits for an administrator's decision (R5, R6).
    """

    RUNNING = "running"
    HELD = "held"
    ENDED = "ended"


class Status(StrEnum):
    """The owner's three words (R117 to R119), and no others (R122)."""

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


CRITICAL = frozenset(Ending) - {Ending.DISABLED, Ending.DELETED, Ending.STOPPED}
"""Endings that make a run a Failure, however much it did (R4)."""


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
        """Records that are as the directory wants them: changed, or found so already."""
        return self.created + self.updated + self.unchanged + self.suspended + self.deleted


@dataclass(frozen=True, slots=True)
class Change:
    """One value a record changed, before and after; None where there was none."""

    path: str
    before: str | None
    after: str | None


class Decision(StrEnum):
    """What an administrator said about a held change (R6)."""

    RELEASED = "released"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Record:
    """One changing request that named a resource, and what became of it.

    `kind` is User or Group; `resource_id` None where none came to be. `message` says what
    happened and `next` what to do, both to the administrator. `raw` is what a failed record said,
    as JSON, for another try; `retried_at` is when that was. `held` is what a held change would do;
    once decided, `result` says what became of it and `decided_by` who decided what (R6). `steps`
    is how a record by hand went: read, match, map, apply.
    """

    run: str
    kind: str
    result: Result
    at: int
    resource_id: str | None = None
    external_id: str | None = None
    name: str = ""
    message: str | None = None
    next: str | None = None
    warnings: tuple[Warning, ...] = ()
    changes: tuple[Change, ...] = ()
    raw: bytes | None = None
    retried_at: int | None = None
    held: Result | None = None
    decided_by: str | None = None
    decided_at: int | None = None
    decision: Decision | None = None
    steps: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Issue:
    """Equal warnings or failures of one run, shown once: 10,000 users, one line."""

    code: str
    attribute: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Run:
    """A group of pushes, a pull, or a re-apply.

    `counts` and `warnings` are counted from the records; `reads`, `refused` and `unreadable` count
    requests that are no records. `last_at` is when the directory was last heard. `expected` is the
    total, where it was told. `reason` is why it ended early, None where it ran to its end, and
    `message` the same in words; of one that goes on, why it waits. `started_by` is whoever asked
    for it. `mapping_version` is the mapping it used. `stopping` says that somebody asked it to end.
    """

    id: str
    project: str
    directory: str
    trigger: Trigger
    state: State
    started_at: int
    last_at: int
    ended_at: int | None = None
    reason: Ending | None = None
    counts: Counts = field(default_factory=Counts)
    warnings: int = 0
    reads: int = 0
    refused: int = 0
    unreadable: int = 0
    expected: int | None = None
    kind: Kind = Kind.PUSH
    started_by: str = ""
    message: str | None = None
    held_at: int | None = None
    decided_by: str | None = None
    mapping_version: int = 0
    place: str | None = None
    stopping: bool = False

    @property
    def status(self) -> Status:
        """The word for this run: final once it ended, provisional while it is open."""
        return status(self.counts, warnings=self.warnings, reason=self.reason)

    @property
    def is_provisional(self) -> bool:
        """Whether the word may still change."""
        return self.state is not State.ENDED

    @property
    def of_about(self) -> int | None:
        """The total as far as it is known: None where nobody told, or where more came than that."""
        return self.expected if (self.expected or 0) >= self.counts.total else None

    def rate_per_s(self, now: int) -> float:
        """Records a second, from its start until now or its end (R105)."""
        took = (self.held_at or self.ended_at or now) - self.started_at
        return round(self.counts.total * SECOND / took, 1) if took > 0 else 0.0


def status(counts: Counts, *, warnings: int, reason: Ending | None = None) -> Status:
    """The word these records make (R2, R3, R4, R8); the first rule that fits answers."""
    if reason in CRITICAL:
        return Status.FAILURE  # R4: with the count done so far
    if reason is None and not counts.failed and not warnings:
        return Status.SUCCESS  # R2: no record at all is a success too
    return Status.PARTIAL_SUCCESS if counts.applied else Status.FAILURE  # R3, R8; else R4


def is_over(run: Run, *, window: int, now: int) -> bool:
    """Whether a push run ends: `window` microseconds of silence, or a day in all (c.6)."""
    return now - run.last_at >= window or now - run.started_at >= PUSH_WINDOW_LIMIT
