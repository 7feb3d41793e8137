"""Licenses: how many there are, how many are held, and the last place in the queue."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self


class Promotion(StrEnum):
    """Whether whoever waits longest becomes active by itself, or by an administrator (D1, T3)."""

    AUTO = "auto"
    MANUAL = "manual"


WARNINGS = (80, 95, 100)
"""Shares in percent whose crossing is announced, each once on the way up."""


@dataclass(frozen=True, slots=True)
class Licenses:
    """A project's licenses, read under its lock: one row, so that no two grants see one license.

    `capacity` None is unlimited. `queue_last` is the last place that was given; it only grows, and
    the order is by it, never by a clock. `strict` refuses an administrator to pass those who wait
    longer (U7). `queued` is how many wait, for the sentences. `withheld` were freed by a held
    change and are nobody's until it is decided (R5); `warned` is the share announced last, in
    percent.
    """

    project: str
    capacity: int | None
    held: int = 0
    queued: int = 0
    queue_last: int = 0
    promotion: Promotion = Promotion.AUTO
    strict: bool = False
    withheld: int = 0
    warned: int = 0

    @property
    def next_seq(self) -> int:
        """The place in the queue that the next comer gets (U4)."""
        return self.queue_last + 1

    @property
    def taken(self) -> int:
        """How many are nobody else's to take: held, or withheld until a decision."""
        return self.held + self.withheld

    @property
    def free(self) -> int | None:
        """How many may still be taken, None without a limit; 0 while over-allocated (U17)."""
        return None if self.capacity is None else max(self.capacity - self.taken, 0)

    @property
    def has_free(self) -> bool:
        """Whether a license can be taken now."""
        return self.capacity is None or self.taken < self.capacity

    @property
    def over_allocated(self) -> int:
        """How many more are held than there are; nobody is evicted for it (U17)."""
        return 0 if self.capacity is None else max(self.held - self.capacity, 0)

    @property
    def warning(self) -> int:
        """The highest share of WARNINGS that is taken, in percent; 0 below all of them."""
        if self.capacity is None:
            return 0
        used, of = self.taken * 100, self.capacity
        return max((share for share in WARNINGS if used >= share * of), default=0)

    @property
    def announced(self) -> Self:
        """The same, once its warning is out; going down, it may be crossed again."""
        return replace(self, warned=self.warning)

    @property
    def is_idle(self) -> bool:
        """Whether somebody waits while a license is free: for an administrator to give (T3)."""
        return self.has_free and self.queued > 0

    @property
    def may_promote(self) -> bool:
        """Whether the head of the queue, if there is one, becomes active now (U6)."""
        return self.promotion is Promotion.AUTO and self.has_free

    @property
    def sentence(self) -> str:
        """The numbers of a refusal (U8), such as `3 of 3 licenses are held, 2 people wait`."""
        who = "1 person waits" if self.queued == 1 else f"{self.queued} people wait"
        withheld = f", {self.withheld} withheld until a decision" if self.withheld else ""
        return f"{self.held} of {self.capacity} licenses are held{withheld}, {who}"
