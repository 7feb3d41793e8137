"""Pauses: steps that wait for a person, and their ends (rows P1 to P14)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.clock import MINUTE
from broker.domain.errors import Conflict

CYCLES = 5  # P6: a step that cannot run after five sign-ins has another trouble
REMIND_AFTER = 10 * MINUTE  # P7
SILENCE = 5 * MINUTE  # P8


class State(StrEnum):
    """Where a pause stands; the last four are its ends."""

    WAITING = "waiting"
    READY = "ready"
    CLAIMED = "claimed"
    RESUMED = "resumed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


OPEN = frozenset({State.WAITING, State.READY, State.CLAIMED})


class Event(StrEnum):
    """What can happen to a pause."""

    SIGNED_IN = "signed in"
    MISMATCHED = "mismatched"
    CLAIMED = "claimed"
    RAN = "run"
    NOT_USABLE = "sent back"
    UNCLAIMED = "left unclaimed"
    SILENT = "left silent"
    TIMED_OUT = "timed out"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"
    OVERRIDDEN = "overridden"
    POLICY_CHANGED = "given another policy"
    RELEASED = "released"


class RunAs(StrEnum):
    """Whom the step will run as once it is claimed."""

    USER = "user"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of an execution that waits for `user` to sign in at `connector`.

    `key` is the API key that asked and alone may claim (safety 26); `claim` is the keyed hash of
    the newest claim token. `expires_at` None is no limit (T4). `run_as` is the connector user only
    after an administrator said so (P12, P14), which `overridden_by` names.
    """

    id: str
    project: str
    decision: str
    connector: str
    user: str
    key: str
    execution: str
    flow: str | None
    step: str
    attempt: int
    state: State
    since: int
    changed_at: int
    version: int = 1
    run_as: RunAs = RunAs.USER
    overridden_by: str | None = None
    cycles: int = 0
    ready_at: int | None = None
    claimed_at: int | None = None
    claim: bytes | None = None
    expires_at: int | None = None
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still waits, is ready, or is claimed: one open pause a step."""
        return self.state in OPEN


NEXT = {
    (State.WAITING, Event.SIGNED_IN): State.READY,  # P2
    (State.WAITING, Event.MISMATCHED): State.WAITING,  # P3
    (State.READY, Event.CLAIMED): State.CLAIMED,  # P4
    (State.CLAIMED, Event.RAN): State.RESUMED,  # P5
    (State.CLAIMED, Event.NOT_USABLE): State.WAITING,  # P6
    (State.READY, Event.UNCLAIMED): State.READY,  # P7
    (State.CLAIMED, Event.SILENT): State.READY,  # P8
    (State.WAITING, Event.TIMED_OUT): State.EXPIRED,  # P9
    (State.READY, Event.TIMED_OUT): State.EXPIRED,  # P9
    (State.WAITING, Event.WITHDRAWN): State.CANCELLED,  # P10
    (State.READY, Event.WITHDRAWN): State.CANCELLED,  # P10
    (State.CLAIMED, Event.WITHDRAWN): State.CANCELLED,  # P10 and safety 8: all pauses end
    (State.WAITING, Event.ENDED): State.FAILED,  # P11
    (State.WAITING, Event.OVERRIDDEN): State.READY,  # P12
    (State.WAITING, Event.POLICY_CHANGED): State.WAITING,  # P13
    (State.WAITING, Event.RELEASED): State.READY,  # P14
}

_OVERRIDES = frozenset({Event.OVERRIDDEN, Event.RELEASED})


def after(
    pause: Pause,
    event: Event,
    *,
    now: int,
    reason: str | None = None,
    by: str | None = None,
    claim: bytes | None = None,
) -> Pause:
    """This pause once `event` has happened; Conflict where the table has no row.

    `by` is the administrator who overrides (P12) or releases (P14); `claim` the keyed hash of the
    token a claim returns, new for each claim (safety 26). The fifth cycle ends it (P6).
    """
    if (state := NEXT.get((pause.state, event))) is None:
        raise Conflict(
            f"A pause that is {pause.state} cannot be {event}", reason=f"pause-{pause.state}"
        )
    if (event in _OVERRIDES) is (by is None) or (event is Event.CLAIMED) is (claim is None):
        raise ValueError("an override names who, a claim brings its hash, nothing else does")
    cycles = pause.cycles + (event is Event.NOT_USABLE)
    if event is Event.NOT_USABLE and cycles >= CYCLES:
        state, reason = State.FAILED, "too-many-cycles"
    return replace(
        pause,
        state=state,
        cycles=cycles,
        reason=reason,
        run_as=RunAs.CONNECTOR if event in _OVERRIDES else pause.run_as,
        overridden_by=by or pause.overridden_by,
        ready_at=now if state is State.READY else pause.ready_at,
        claimed_at=now if state is State.CLAIMED else pause.claimed_at,
        claim=claim,
        version=pause.version + 1,
        changed_at=now,
    )
