"""Steps that wait for a person: opened once a step, made ready by a sign-in, claimed by one."""

from collections.abc import Sequence

from broker.db.database import Row, Transaction
from broker.domain.errors import NotFound
from broker.domain.pauses import REMIND_AFTER, SILENCE, Event, Pause, RunAs, State, after
from broker.store import events, users

CLAIMS_A_SECOND = 10
"""How fast those who waited for one sign-in should come back: a provider is not hammered."""


def insert(tx: Transaction, pause: Pause) -> bool:
    """Keep a new pause; False where this step of the execution has an open one already."""
    row = tx.find(
        """
        INSERT INTO pauses (id, project_id, key_id, decision_id, connector_id, user_id, execution,
                            step, state, run_as, expires_at, created_at, changed_at)
        VALUES (:id, :project, :key, :decision, :connector, :user, :execution,
                :step, :state, :run_as, :expires_at, :created_at, :changed_at)
        ON CONFLICT DO NOTHING RETURNING id
        """,
        id=pause.id,
        project=pause.project,
        key=pause.key,
        decision=pause.decision,
        connector=pause.connector,
        user=pause.user,
        execution=pause.execution,
        step=pause.step,
        state=pause.state,
        run_as=pause.run_as,
        expires_at=pause.expires_at,
        created_at=pause.created_at,
        changed_at=pause.changed_at,
    )
    return row is not None


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Pause | None:
    """The pause of that id; with `lock` nobody else changes it until the unit ends."""
    sql = "SELECT * FROM pauses WHERE project_id = :project AND id = :id"
    row = tx.find(sql + tx.for_update if lock else sql, project=project, id=id)
    return _pause(row) if row else None


def get(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Pause:
    """The pause of that id; NotFound where there is none."""
    if (pause := find(tx, project, id, lock=lock)) is None:
        raise NotFound()
    return pause


def open_for(tx: Transaction, project: str, execution: str, step: str) -> Pause | None:
    """The open pause of a step, locked until the unit ends."""
    row = tx.find(
        """
        SELECT * FROM pauses
         WHERE project_id = :project AND execution = :execution AND step = :step
           AND state IN ('waiting', 'ready', 'claimed')
        """
        + tx.for_update,
        project=project,
        execution=execution,
        step=step,
    )
    return _pause(row) if row else None


def page(
    tx: Transaction,
    project: str,
    *,
    states: Sequence[State] = tuple(State),
    user: str | None = None,
    connector: str | None = None,
    after: str = "",
    limit: int = 50,
) -> list[Pause]:
    """Pauses in the order they were opened, those behind the id `after`."""
    rows = tx.all(
        f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND id > :after AND state IN ({_words(states)})
           {"AND user_id = :user" if user else ""}
           {"AND connector_id = :connector" if connector else ""}
         ORDER BY id LIMIT :limit
        """,
        project=project,
        after=after,
        limit=limit,
        **({"user": user} if user else {}),
        **({"connector": connector} if connector else {}),
    )
    return [_pause(row) for row in rows]


def change(tx: Transaction, before: Pause, pause: Pause) -> bool:
    """Keep what became of a pause; False where another change came first (compare and set)."""
    row = tx.find(
        """
        UPDATE pauses
           SET state = :state, reason = :reason, claim_hash = :claim_hash, claimed_at = :claimed_at,
               run_as = :run_as, cycles = :cycles, version = :version, changed_at = :changed_at
         WHERE project_id = :project AND id = :id AND version = :was
        RETURNING id
        """,
        project=pause.project,
        id=pause.id,
        state=pause.state,
        reason=pause.reason,
        claim_hash=pause.claim_hash,
        claimed_at=pause.claimed_at,
        run_as=pause.run_as,
        cycles=pause.cycles,
        version=pause.version,
        changed_at=pause.changed_at,
        was=before.version,
    )
    return row is not None


def announce(tx: Transaction, pause: Pause, *, claim_after_s: int = 0) -> None:
    """Tell those who listen where the pause stands now: `pause.ready`, `pause.cancelled` …"""
    events.append(
        tx,
        pause.project,
        f"pause.{pause.state}",
        pause=pause.id,
        execution=pause.execution,
        step=pause.step,
        reason=pause.reason,
        version=pause.version,
        claim_after_s=claim_after_s,
    )


def readying(tx: Transaction, project: str, user_id: str, connector_id: str) -> list[Pause]:
    """P2: the person signed in at the connector, so every pause that waited for it is ready.

    Takes the person's row first: a resolve that opens a pause holds it while it looks at the
    token, so neither misses the other (F11, `semantics.md` c.4).
    """
    users.lock(tx, project, user_id)
    ready = _changed(tx, _waiting(tx, project, user_id, connector_id), Event.SIGNED_IN)
    for place, pause in enumerate(ready):
        announce(tx, pause, claim_after_s=place // CLAIMS_A_SECOND)
    return ready


def mismatched(
    tx: Transaction, project: str, user_id: str, connector_id: str, reason: str
) -> list[Pause]:
    """P3: signed in with another account or fewer scopes; they wait on and show the reason."""
    waiting = _waiting(tx, project, user_id, connector_id)
    return _changed(tx, waiting, Event.MISMATCHED, reason=reason)


def cancel_all(tx: Transaction, project: str, user_id: str, reason: str) -> list[Pause]:
    """P10: the person was suspended or deleted; nothing waits for them any more (safety 8)."""
    return _cancelled(tx, project, "user_id", user_id, reason)


def cancel_connector(tx: Transaction, project: str, connector_id: str, reason: str) -> list[Pause]:
    """P10: the connector was disabled or deleted."""
    return _cancelled(tx, project, "connector_id", connector_id, reason)


def overdue(tx: Transaction, limit: int = 100) -> list[Pause]:
    """Pauses of any project that something happens to by itself (P7 to P9), locked."""
    rows = tx.all(
        """
        SELECT * FROM pauses
         WHERE (state = 'ready' AND changed_at <= :remind)
            OR (state = 'claimed' AND changed_at <= :silent)
            OR (expires_at <= :now AND state IN ('waiting', 'ready'))
         ORDER BY id LIMIT :limit
        """
        + tx.for_update,
        remind=tx.now - REMIND_AFTER,
        silent=tx.now - SILENCE,
        now=tx.now,
        limit=limit,
    )
    return [_pause(row) for row in rows]


def _waiting(tx: Transaction, project: str, user_id: str, connector_id: str) -> list[Pause]:
    rows = tx.all(
        """
        SELECT * FROM pauses
         WHERE project_id = :project AND user_id = :user AND connector_id = :connector
           AND state = 'waiting'
         ORDER BY created_at, id
        """
        + tx.for_update,
        project=project,
        user=user_id,
        connector=connector_id,
    )
    return [_pause(row) for row in rows]


def _cancelled(tx: Transaction, project: str, whose: str, id: str, reason: str) -> list[Pause]:
    rows = tx.all(
        f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND {whose} = :id
           AND state IN ('waiting', 'ready', 'claimed')
         ORDER BY id
        """
        + tx.for_update,
        project=project,
        id=id,
    )
    cancelled = _changed(tx, [_pause(row) for row in rows], Event.WITHDRAWN, reason=reason)
    for pause in cancelled:
        announce(tx, pause)
    return cancelled


def _changed(
    tx: Transaction, pauses: list[Pause], event: Event, *, reason: str | None = None
) -> list[Pause]:
    """Locked pauses, each once `event` has happened to it."""
    changed = [after(pause, event, now=tx.now, reason=reason) for pause in pauses]
    for before, pause in zip(pauses, changed, strict=True):
        change(tx, before, pause)
    return changed


def _words(states: Sequence[State]) -> str:
    return ", ".join(f"'{state}'" for state in states) or "''"


def _pause(row: Row) -> Pause:
    return Pause(
        id=row["id"],
        project=row["project_id"],
        key=row["key_id"],
        decision=row["decision_id"],
        connector=row["connector_id"],
        user=row["user_id"],
        execution=row["execution"],
        step=row["step"],
        state=State(row["state"]),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        version=row["version"],
        run_as=RunAs(row["run_as"]),
        cycles=row["cycles"],
        claim_hash=row["claim_hash"],
        claimed_at=row["claimed_at"],
        expires_at=row["expires_at"],
        reason=row["reason"],
    )
