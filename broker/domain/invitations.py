"""Invitations: one a person and epoch, with one link that works once (D2)."""

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """What a link is good for."""

    OPEN = "open"
    USED = "used"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation; `hash` is of its link's secret, once a letter or an administrator has it.

    The seven days begin when the link first leaves: before, `expires_at` says nothing (U18).
    """

    id: str
    project: str
    user: str
    epoch: int
    created_at: int
    expires_at: int
    hash: str | None = None
    accepted_at: int | None = None
    voided_at: int | None = None

    def standing(self, now: int) -> Standing:
        """What its link is good for at this moment."""
        if self.accepted_at is not None:
            return Standing.USED
        if self.voided_at is not None:
            return Standing.WITHDRAWN
        left = self.hash is not None
        return Standing.EXPIRED if left and now >= self.expires_at else Standing.OPEN
