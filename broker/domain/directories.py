"""Directories: identity providers that push people to us or are read, and whether they may now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.domain.clock import DAY

PUSH_WINDOW_LIMIT = DAY  # no push run stays open longer, even where the pushes never pause


class State(StrEnum):
    """Whether pushes are taken and pulls made; a disabled directory keeps everything (R112)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class Absent(StrEnum):
    """What becomes of people and groups that a whole pull does not find any more."""

    SUSPEND = "suspend"
    DELETE = "delete"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Source:
    """Where people are read from: a kind that `providers.sources` knows, and its settings.

    Secrets are kept apart, sealed for the origin they were typed for (safety 18).
    """

    kind: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a sync begins by itself: cron text read in a time zone, up to `jitter_s` later."""

    cron: str
    zone: str = "UTC"
    jitter_s: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """How many people one run may suspend or delete before an administrator has to decide (R5).

    `percent` of the directory's people and at least `least`; `count` in their place where it is
    set. `pushes` extends it to what is pushed; access ends at once even so (T16).
    """

    percent: int = 10
    least: int = 5
    count: int | None = None
    pushes: bool = False

    def most(self, people: int) -> int:
        """The largest number that needs no decision, of this many people."""
        if self.count is not None:
            return self.count
        return max(self.least, people * self.percent // 100)


@dataclass(frozen=True, slots=True)
class Directory:
    """One identity provider's configuration; `name_key` comes from `names.named`.

    `tolerance` names a value of the SCIM stone: `standard` or `strict`. `window_s` is the silence,
    in seconds, that ends a push run. `source` None: it pushes, and there is nothing to read.
    `mapping_version` 0 is the default mapping. `trouble` is why it cannot be read until an
    administrator has looked.
    """

    id: str
    project: str
    name: str
    name_key: str
    state: State
    created_at: int
    tolerance: str = "standard"
    window_s: int = 300
    source: Source | None = None
    schedule: Schedule | None = None
    next_at: int | None = None
    holding: Holding = field(default_factory=Holding)
    absent: Absent = Absent.SUSPEND
    mapping_version: int = 0
    trouble: str | None = None
    version: int = 1

    @property
    def is_enabled(self) -> bool:
        """Whether pushes are taken and Sync now may be asked for (R110, R111)."""
        return self.state is State.ENABLED
