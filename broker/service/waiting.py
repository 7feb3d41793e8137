"""The pause that belongs to a decision: opened, met again, or given up, as the table answers."""

from __future__ import annotations

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.clock import DAY
from broker.domain.errors import Conflict
from broker.domain.pauses import Event, Pause, State, after
from broker.domain.steps import Outcome
from broker.service.looking import Sight
from broker.store import decisions, letters, pauses
from broker.store.decisions import Decision

LATER_ATTEMPT = "later-attempt"
ANSWERED = "answered-otherwise"


def settled(tx: Transaction, asked: Decision, sight: Sight, *, limit: int | None) -> Pause | None:
    """The pause this answer opens or meets (P1); None where the step does not wait.

    A step that waited and was asked again runs or fails now: its pause is over, so that nobody
    claims it and runs the step a second time.
    """
    outcome = sight.decision.outcome
    if outcome is Outcome.PAUSE:
        return _opened(tx, asked, sight, limit)
    if asked.version > 1 and outcome in (Outcome.RUN, Outcome.ERROR):
        met = pauses.open_for(tx, asked.project, asked.execution, asked.step)
        if met is not None and met.decision == asked.id:
            withdraw(tx, met, ANSWERED)
    return None


def withdraw(tx: Transaction, pause: Pause, reason: str) -> Pause:
    """P10: nothing waits any more; those who listen are told."""
    over = after(pause, Event.WITHDRAWN, now=tx.now, reason=reason)
    pauses.change(tx, pause, over)
    pauses.announce(tx, over)
    return over


def _opened(tx: Transaction, asked: Decision, sight: Sight, limit: int | None) -> Pause:
    """The pause of this attempt, new unless it is open already; an earlier attempt's is over."""
    met = pauses.open_for(tx, asked.project, asked.execution, asked.step)
    if met is not None and met.decision == asked.id:
        return met
    if met is not None:
        _give_way(tx, met, asked)
    pause = _pause(tx, asked, sight, limit)
    if not pauses.insert(tx, pause):
        raise _taken()
    pauses.announce(tx, pause)
    # P1: one letter a day to this person for this connector, however many of their steps wait.
    letters.add(
        tx,
        pause.project,
        pause.user,
        "needed",
        once=f"needed/{pause.user}/{pause.connector}/{tx.now // DAY}",
        connector=pause.connector,
    )
    return pause


def _give_way(tx: Transaction, met: Pause, asked: Decision) -> None:
    """End the pause of an earlier attempt; Conflict where a later one, or another key, waits."""
    earlier = decisions.find(tx, asked.project, met.decision)
    if met.key != asked.key or (earlier is not None and earlier.attempt > asked.attempt):
        raise _taken()
    withdraw(tx, met, LATER_ATTEMPT)


def _pause(tx: Transaction, asked: Decision, sight: Sight, limit: int | None) -> Pause:
    if sight.user is None or sight.connector is None:
        raise ValueError("only a step of a person at a connector waits")
    return Pause(
        id=ids.new("pse"),
        project=asked.project,
        key=asked.key,
        decision=asked.id,
        connector=sight.connector.id,
        user=sight.user.id,
        execution=asked.execution,
        step=asked.step,
        state=State.WAITING,
        created_at=tx.now,
        changed_at=tx.now,
        expires_at=None if limit is None else tx.now + limit,
    )


def _taken() -> Conflict:
    return Conflict(
        "This step of the execution waits already, for a later attempt or for another key.",
        reason="pause-open",
    )
