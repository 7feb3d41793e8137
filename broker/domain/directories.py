"""Directories: identity providers that push people to us, and whether they may right now."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.clock import DAY, SECOND
from broker.domain.errors import Conflict

PUSH_WINDOW_LIMIT = DAY  # a push run never stays open longer (semantics.md c.6)


class State(StrEnum):
    """Whether pushes are taken; a disabled directory keeps everything (R112)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class Event(StrEnum):
    """What an administrator does to a directory."""

    DISABLED = "disabled"
    ENABLED = "enabled"
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

    @property
    def window(self) -> int:
        """The silence that ends a push run, in microseconds."""
        return self.window_s * SECOND


NEXT = {
    (State.ENABLED, Event.DISABLED): State.DISABLED,  # R111
    (State.DISABLED, Event.ENABLED): State.ENABLED,  # R111
    (State.ENABLED, Event.DELETED): State.DELETED,  # R113
    (State.DISABLED, Event.DELETED): State.DELETED,  # R113
}


def after(directory: Directory, event: Event) -> Directory:
    """This directory once `event` has happened; Conflict where the table has no row."""
    if (state := NEXT.get((directory.state, event))) is None:
        raise Conflict(
            f"A directory that is {directory.state} cannot be {event}",
            reason=f"directory-{directory.state}",
        )
    return replace(directory, state=state)
