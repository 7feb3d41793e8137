"""How many may be active: capacity, how many hold a license, and the number of the next in line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Licenses:
    """A project's licenses, read under its lock: one row, so that no two grants see one license.

    `capacity` None is unlimited. `next_seq` is the place in the queue the next comer gets; it
    only grows, and the order is by it, never by a clock. `automatic` promotes whoever is first
    (D1); `strict` refuses an administrator to pass those who wait longer (U7).
    """

    project: str
    capacity: int | None
    held: int = 0
    queued: int = 0
    next_seq: int = 1
    automatic: bool = True
    strict: bool = False

    @property
    def free(self) -> int | None:
        """How many may still be taken, None without a limit; 0 while over-allocated (U17)."""
        return None if self.capacity is None else max(self.capacity - self.held, 0)

    @property
    def has_free(self) -> bool:
        """Whether a license can be taken now."""
        return self.capacity is None or self.held < self.capacity

    @property
    def over_allocated(self) -> int:
        """How many more are held than there are; nobody is evicted for it (U17)."""
        return 0 if self.capacity is None else max(self.held - self.capacity, 0)

    @property
    def may_promote(self) -> bool:
        """Whether the head of the queue becomes active now (U6)."""
        return self.automatic and self.has_free and self.queued > 0

    @property
    def sentence(self) -> str:
        """The numbers of a refusal (U8), such as `3 of 3 licenses are held, 2 people wait`."""
        who = "1 person waits" if self.queued == 1 else f"{self.queued} people wait"
        return f"{self.held} of {self.capacity} licenses are held, {who}"
