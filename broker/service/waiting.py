"""The pause that belongs to a decision: opened, met again, or given up, as the table answers."""

from dataclasses import replace

import orjson

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.clock import SECOND
from broker.domain.pauses import STATUS, Event, Pause, State, after, next_reminder
from broker.domain.steps import Decision as Answered
from broker.domain.steps import Outcome
from broker.service import reminding
from broker.service.looking import Sight
from broker.store import decisions, pauses, projects
from broker.store.decisions import Decision

LATER_ATTEMPT = "later-attempt"
ANSWERED = "answered-otherwise"


def with_pause(tx: Transaction, asked: Decision, sight: Sight) -> tuple[Sight, Pause | None]:
    """What is answered, and the pause this answer opens, meets or waits for (P1).

    A step runs once. One that is asked again, by the same attempt or a later one of the same key,
    and runs or fails now has nothing left to claim: its pause is withdrawn (P10). A pause that is
    claimed may be running (P4), a later attempt's has taken over, another key's is not ours to
    end (safety 26): then the answer is that one open pause, as it stands.
    """
    outcome = sight.decision.outcome
    if outcome not in (Outcome.RUN, Outcome.PAUSE, Outcome.ERROR):
        return sight, None
    met = pauses.open_for(tx, asked.project, asked.execution, asked.step)
    if met is not None and outcome is Outcome.PAUSE and met.decision == asked.id:
        return sight, met
    if met is not None and _gives_way(tx, met, asked):
        withdraw(tx, met, ANSWERED if met.decision == asked.id else LATER_ATTEMPT)
    elif met is not None and outcome is not Outcome.ERROR:
        return replace(sight, decision=_joined(met)), met
    if outcome is not Outcome.PAUSE:
        return sight, None
    if (pause := _opened(tx, asked, sight)) is None:
        return with_pause(tx, asked, sight)  # another opened one meanwhile: meet it
    return sight, pause


def foreseen(tx: Transaction, asked: Decision, decision: Answered) -> tuple[Answered, Pause | None]:
    """What `with_pause` would answer in place of `decision`, and the pause it would meet; nothing
    is opened, withdrawn or locked.
    """
    met = pauses.open_for(tx, asked.project, asked.execution, asked.step, lock=False)
    if met is None or decision.outcome not in (Outcome.RUN, Outcome.PAUSE):
        return decision, None
    if decision.outcome is Outcome.PAUSE and met.decision == asked.id:
        return decision, met
    return (decision, None) if _gives_way(tx, met, asked) else (_joined(met), met)


def withdraw(tx: Transaction, pause: Pause, reason: str) -> Pause:
    """P10: nothing waits any more; those who listen are told."""
    over = after(pause, Event.WITHDRAWN, now=tx.now, reason=reason)
    pauses.change(tx, pause, over)
    return over


def _opened(tx: Transaction, asked: Decision, sight: Sight) -> Pause | None:
    """A new pause of this attempt; None where the step has an open one after all."""
    pause = _pause(tx, asked, sight)
    if not pauses.insert(tx, pause):
        return None
    reminding.write(tx, pause)
    return pause


def _gives_way(tx: Transaction, met: Pause, asked: Decision) -> bool:
    """Whether an open pause is this attempt's or an earlier one's, and nobody runs its step."""
    if met.key != asked.key or met.state is State.CLAIMED:
        return False
    theirs = decisions.find(tx, asked.project, met.decision)
    return theirs is None or theirs.attempt <= asked.attempt


def _joined(met: Pause) -> Answered:
    """The answer to whoever asks for a step that waits, or runs, for somebody else's question."""
    if met.state is State.CLAIMED:
        return Answered("P4", Outcome.PAUSE, STATUS, reason="pause-claimed")
    return Answered("P1", Outcome.PAUSE, STATUS, reason="pause-open")


def _pause(tx: Transaction, asked: Decision, sight: Sight) -> Pause:
    if sight.user is None or sight.connector is None:
        raise ValueError("only a step of a person at a connector waits")
    limit_s = projects.get(tx, asked.project).pause_limit_s
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
        expires_at=None if limit_s is None else tx.now + limit_s * SECOND,
        remind_at=next_reminder(tx.now, tx.now),
        scopes=tuple(orjson.loads(asked.question)["step"]["scopes"]),
    )
