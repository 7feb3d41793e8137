"""Pauses: steps that wait for a person, and their ends (rows P1 to P14)."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.clock import DAY, MINUTE
from broker.domain.errors import Conflict

STATUS = "Authentication needed"  # the owner's words, R14
CYCLES = 5  # P6: a step that cannot run after five sign-ins has another trouble
ANNOUNCE_AFTER = 10 * MINUTE  # P7
SILENCE = 5 * MINUTE  # P8
WEEK = 7 * DAY
REMINDERS = (DAY, 3 * DAY, WEEK)  # and then each week: a person who is away is not hunted


class State(StrEnum):
    """Where a pause stands; the last four are its ends."""

    WAITING = "waiting"
    READY = "ready"
    CLAIMED = "claimed"
    RESUMED = "resumed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to a pause; the words end the sentence "it cannot be …"."""

    SIGNED_IN = "made ready"
    MISMATCHED = "mismatched"
    CLAIMED = "claimed"
    RAN = "resumed"
    NOT_USABLE = "sent back"
    UNCLAIMED = "announced again"
    SILENT = "taken back"
    TIMED_OUT = "timed out"
    WITHDRAWN = "cancelled"
    ENDED = "ended"
    OVERRIDDEN = "overridden"
    POLICY_CHANGED = "given another policy"
    RELEASED = "released"


class Identity(StrEnum):
    """Whom a step runs as."""

    USER = "user"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class Pause:
    """A step of an execution that waits, since `created_at`, for `user` to sign in at `connector`.

    `key` is the API key that asked: it alone may claim, and `claim_hash` is the keyed hash of its
    newest claim token (safety 26). `expires_at` None is no limit (T4). `run_as` is the connector
    user only after an administrator said so (P12, P14). `remind_at` is when the person is written
    to again, should it still wait then. `scopes` are what the step needs: a sign-in that covers
    fewer does not release it (P3).
    """

    id: str
    project: str
    key: str
    decision: str
    connector: str
    user: str
    execution: str
    step: str
    state: State
    created_at: int
    changed_at: int
    version: int = 1
    run_as: Identity = Identity.USER
    cycles: int = 0
    claim_hash: str | None = None
    claimed_at: int | None = None
    expires_at: int | None = None
    remind_at: int | None = None
    scopes: tuple[str, ...] = ()
    reason: str | None = None


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
    (State.CLAIMED, Event.WITHDRAWN): State.CANCELLED,  # P10, with safety 8: every pause ends
    (State.WAITING, Event.ENDED): State.FAILED,  # P11
    (State.WAITING, Event.OVERRIDDEN): State.READY,  # P12
    (State.READY, Event.OVERRIDDEN): State.READY,  # P12, where no sign-in helps any more
    (State.WAITING, Event.POLICY_CHANGED): State.WAITING,  # P13
    (State.WAITING, Event.RELEASED): State.READY,  # P14
    (State.READY, Event.RELEASED): State.READY,  # P14, signed in and not claimed yet
}

# An administrator's word holds for the next go alone; after that the person's own account counts.
RUNS_AS = {
    Event.OVERRIDDEN: Identity.CONNECTOR,
    Event.RELEASED: Identity.CONNECTOR,
    Event.NOT_USABLE: Identity.USER,
    Event.SILENT: Identity.USER,
}

BY_HAND = {Event.ENDED: "ended", Event.OVERRIDDEN: "overridden"}
"""What everybody is told of an administrator's act; their own words are for pause and audit."""


def after(
    pause: Pause,
    event: Event,
    *,
    now: int,
    reason: str | None = None,
    claim_hash: str | None = None,
) -> Pause:
    """This pause once `event` has happened; Conflict where the table has no row.

    A claim brings the keyed hash of its token, new for each; any later event outdates it
    (safety 26). The fifth time a step cannot run although its person signed in, it fails (P6).
    """
    if (state := NEXT.get((pause.state, event))) is None:
        raise Conflict(
            f"A pause that is {pause.state} cannot be {event}", reason=f"pause-{pause.state}"
        )
    if (event is Event.CLAIMED) is (claim_hash is None):
        raise ValueError("a claim brings the hash of its token, and nothing else does")
    cycles = pause.cycles + (event is Event.NOT_USABLE)
    if event is Event.NOT_USABLE and cycles >= CYCLES:
        state, reason = State.FAILED, "too-many-cycles"
    return replace(
        pause,
        state=state,
        cycles=cycles,
        reason=reason,
        run_as=RUNS_AS.get(event, pause.run_as),
        claim_hash=claim_hash,
        claimed_at=now if event is Event.CLAIMED else pause.claimed_at,
        version=pause.version + 1,
        changed_at=now,
    )


def next_reminder(since: int, now: int) -> int:
    """When to write again to whose step waits since `since`: after 1, 3, 7, 14, 21 … days."""
    weekly = ((now - since) // WEEK + 1) * WEEK
    return since + next((rung for rung in REMINDERS if now - since < rung), weekly)
