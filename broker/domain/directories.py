"""Directories: identity providers that push people to us, and whether they may right now."""

from dataclasses import dataclass
from enum import StrEnum

from broker.domain.clock import DAY

PUSH_WINDOW_LIMIT = DAY  # no push run stays open longer, even where the pushes never pause


class State(StrEnum):
    """Whether pushes are taken; a disabled directory keeps everything (R112)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Directory:
    """One identity provider's configuration; `name_key` comes from `names.named`.

    `tolerance` names a value of the SCIM stone: `standard` or `strict`. `window_s` is the silence,
    in seconds, that ends a push run.
    """

    id: str
    project: str
    name: str
    name_key: str
    state: State
    created_at: int
    tolerance: str = "standard"
    window_s: int = 300

    @property
    def is_enabled(self) -> bool:
        """Whether pushes are taken and Sync now may be asked for (R110, R111)."""
        return self.state is State.ENABLED
