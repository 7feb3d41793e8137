"""The pause that belongs to a decision: opened, met again, or given up, as the table answers."""

from dataclasses import replace

import orjson

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.callers import Caller
from broker.domain.clock import SECOND
from broker.domain.pauses import STATUS, Event, Pause, State, after, next_reminder
from broker.domain.steps import WALLS, Identity, Outcome
from broker.domain.steps import Decision as Answered
from broker.service import reminding
from broker.service.looking import Sight
from broker.service.releasing import SWITCHED_OFF
from broker.store import audit, callers, decisions, pauses, projects
from broker.store.decisions import Decision

LATER_ATTEMPT = "later-attempt"
ANSWERED = "answered-otherwise"
REVOKED = "key-revoked"
OPEN = "pause-open"
ABOUT = (Outcome.RUN, Outcome.PAUSE, Outcome.ERROR)
WAITS = Answered("P1", Outcome.PAUSE, STATUS, reason=OPEN)
WALLED = frozenset(wall.decision.row for wall in WALLS)
"""The rows of a step that would have run as the connector user, and cannot."""


def with_pause(
    tx: Transaction, caller: Caller, asked: Decision, sight: Sight, claimed: Pause | None = None
) -> tuple[Sight, Pause | None]:
    """What is answered, and the pause this answer opens, meets or waits for (P1); a claim's own.

    A step runs once. One that is asked again, by the same attempt or a later one of the same key,
    and runs or fails now has nothing left to claim: its pause is withdrawn (P10). A pause that is
    claimed may be running (P4), a later attempt's has taken over, another living key's is not ours
    to end (safety 26): then the answer is that one open pause, as it stands.
    """
    if claimed is not None:
        return _kept(sight, claimed), claimed
    if sight.decision.outcome not in ABOUT:
        return sight, None
    met = pauses.open_for(tx, asked.project, asked.execution, asked.step)
    if met is not None:
        sight, named, over = _met(tx, met, asked, sight)
        if over is None:
            return sight, named
        withdraw(tx, met, over)
        if over == REVOKED:
            audit.append(tx, met.project, caller.actor, "pause.cancelled", met.id, reason=over)
    if sight.decision.outcome is not Outcome.PAUSE:
        return sight, None
    if (pause := _opened(tx, asked, sight)) is None:
        return with_pause(tx, caller, asked, sight)  # another opened one meanwhile: meet it
    return sight, pause


def foreseen(tx: Transaction, asked: Decision, sight: Sight) -> tuple[Answered, Pause | None]:
    """What `with_pause` would answer, and the pause it would meet; nothing is opened, withdrawn or
    locked.
    """
    met = pauses.open_for(tx, asked.project, asked.execution, asked.step, lock=False)
    if met is None or sight.decision.outcome not in ABOUT:
        return sight.decision, None
    seen, named, _ = _met(tx, met, asked, sight)
    return seen.decision, named


def _kept(sight: Sight, pause: Pause) -> Sight:
    """The answer to whoever waits by that pause: it never becomes the connector user's, or an end
    for want of one, without an administrator's word (P12, P14): a policy moves nobody (P13, R14).
    The reason is `pause-open` where a sign-in would help, else what stands in its way.
    """
    decision, facts = sight.decision, sight.facts
    is_another = decision.identity is Identity.CONNECTOR or decision.row in WALLED
    if pause.run_as is not Identity.USER or not is_another:
        return sight
    joined = _joined(pause)
    if not (facts.user_authentication and facts.supported and facts.user_enabled):
        joined = replace(joined, reason=decision.reason or SWITCHED_OFF)
    return replace(sight, decision=joined)


def _met(
    tx: Transaction, met: Pause, asked: Decision, sight: Sight
) -> tuple[Sight, Pause | None, str | None]:
    """What is answered in view of an open pause, which of it the answer shows, and why it is given
    up, if it is. Nobody is shown what waits for another person, or at another connector.
    """
    is_there = sight.connector is not None and sight.connector.id == met.connector
    is_theirs = is_there and sight.user is not None and sight.user.id == met.user
    if is_theirs and met.decision == asked.id:
        sight = _kept(sight, met)
        if sight.decision.outcome is Outcome.PAUSE:
            return sight, met, None
    if over := _gives_way(tx, met, asked):
        return sight, None, over
    is_elsewhere = met.key != asked.key and not is_there
    if sight.decision.outcome is Outcome.ERROR or (
        sight.decision.outcome is Outcome.RUN and is_elsewhere
    ):
        return sight, None, None
    joined = _joined(met) if is_there else WAITS  # how others stand is theirs to know (safety 22)
    return replace(sight, decision=joined), met if is_theirs else None, None


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


def _gives_way(tx: Transaction, met: Pause, asked: Decision) -> str | None:
    """Why an open pause is over whose step nobody runs: it is this attempt's, an earlier one's, or
    of a key that was revoked, so that nobody could ever claim it.
    """
    if met.state is State.CLAIMED:
        return None
    if met.key != asked.key:
        return REVOKED if callers.find_key(tx, met.key) is None else None
    if met.decision == asked.id:
        return ANSWERED
    theirs = decisions.find(tx, asked.project, met.decision)
    return LATER_ATTEMPT if theirs is None or theirs.attempt <= asked.attempt else None


def _joined(met: Pause) -> Answered:
    """The answer to whoever asks for a step that waits, or runs, for somebody else's question."""
    if met.state is State.CLAIMED:
        return Answered("P4", Outcome.PAUSE, STATUS, reason="pause-claimed")
    return WAITS


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
