"""Steps that wait for a person: opened once a step, made ready by a sign-in, claimed by one."""

from collections.abc import Sequence

from broker.db.database import Transaction
from broker.domain.errors import NotFound
from broker.domain.pauses import REMIND_AFTER, SILENCE, Event, Pause, State, after
from broker.store import events, users
from broker.store.shapes import Shape

CLAIMS_A_SECOND = 10
"""How fast those who waited for one sign-in should come back: a provider is not hammered."""


def insert(tx: Transaction, pause: Pause) -> bool:
    """Keep a new pause; False where this step of the execution has an open one already."""
    sql = f"""
        INSERT INTO pauses (project_id, {_SHAPE.columns}) VALUES (:project, {_SHAPE.values})
        ON CONFLICT DO NOTHING RETURNING id
    """
    return tx.find(sql, **_SHAPE.parameters(pause)) is not None


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Pause | None:
    """The pause of that id; with `lock` nobody else changes it until the unit ends."""
    sql = "SELECT * FROM pauses WHERE project_id = :project AND id = :id"
    return _SHAPE.one(tx.find(sql + tx.for_update if lock else sql, project=project, id=id))


def get(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Pause:
    """The pause of that id; NotFound where there is none."""
    if (pause := find(tx, project, id, lock=lock)) is None:
        raise NotFound()
    return pause


def open_for(tx: Transaction, project: str, execution: str, step: str) -> Pause | None:
    """The open pause of a step, locked until the unit ends."""
    sql = """
        SELECT * FROM pauses
         WHERE project_id = :project AND execution = :execution AND step = :step
           AND state IN ('waiting', 'ready', 'claimed')
    """
    return _SHAPE.one(tx.find(sql + tx.for_update, project=project, execution=execution, step=step))


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
    sql = f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND id > :after AND state IN ({_words(states)})
           {"AND user_id = :user" if user else ""}
           {"AND connector_id = :connector" if connector else ""}
         ORDER BY id LIMIT :limit
    """
    named = {"project": project, "user": user, "connector": connector}
    return _SHAPE.each(tx.all(sql, **named, after=after, limit=limit))


def change(tx: Transaction, before: Pause, pause: Pause) -> bool:
    """Keep what became of a pause; False where another change came first (compare and set)."""
    sql = f"""
        UPDATE pauses SET {_SHAPE.changes}
         WHERE project_id = :project AND id = :id AND version = :was
        RETURNING id
    """
    return tx.find(sql, **_SHAPE.parameters(pause), was=before.version) is not None


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
    token, so neither misses the other (F11).
    """
    users.lock(tx, project, user_id)
    ready = _changed(tx, _waiting(tx, project, user_id, connector_id), Event.SIGNED_IN)
    for place, pause in enumerate(ready):
        announce(tx, pause, claim_after_s=place // CLAIMS_A_SECOND)
    return ready


def awaited(tx: Transaction, project: str, connector_id: str, limit: int = 1000) -> list[str]:
    """For whom steps wait at a connector."""
    sql = """
        SELECT DISTINCT user_id FROM pauses
         WHERE project_id = :project AND connector_id = :connector AND state = 'waiting'
         ORDER BY user_id LIMIT :limit
    """
    found = tx.all(sql, project=project, connector=connector_id, limit=limit)
    return [row["user_id"] for row in found]


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
    sql = """
        SELECT * FROM pauses
         WHERE (state = 'ready' AND changed_at <= :remind)
            OR (state = 'claimed' AND changed_at <= :silent)
            OR (expires_at <= :now AND state IN ('waiting', 'ready'))
         ORDER BY id LIMIT :limit
    """
    rows = tx.all(
        sql + tx.for_update,
        remind=tx.now - REMIND_AFTER,
        silent=tx.now - SILENCE,
        now=tx.now,
        limit=limit,
    )
    return _SHAPE.each(rows)


def waits(tx: Transaction, project: str, user_id: str, connector_id: str) -> bool:
    """Whether any step of this person waits for their sign-in at the connector."""
    sql = """
        SELECT id FROM pauses
         WHERE project_id = :project AND user_id = :user AND connector_id = :connector
           AND state = 'waiting' LIMIT 1
    """
    return tx.find(sql, project=project, user=user_id, connector=connector_id) is not None


def _waiting(tx: Transaction, project: str, user_id: str, connector_id: str) -> list[Pause]:
    sql = """
        SELECT * FROM pauses
         WHERE project_id = :project AND user_id = :user AND connector_id = :connector
           AND state = 'waiting'
         ORDER BY created_at, id
    """
    rows = tx.all(sql + tx.for_update, project=project, user=user_id, connector=connector_id)
    return _SHAPE.each(rows)


def _cancelled(tx: Transaction, project: str, whose: str, id: str, reason: str) -> list[Pause]:
    sql = f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND {whose} = :id
           AND state IN ('waiting', 'ready', 'claimed')
         ORDER BY id
    """
    rows = tx.all(sql + tx.for_update, project=project, id=id)
    cancelled = _changed(tx, _SHAPE.each(rows), Event.WITHDRAWN, reason=reason)
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


_SHAPE = Shape(Pause)
