"""Steps that wait for a person: opened once a step, made ready by a sign-in, claimed by one."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from broker.db.database import Transaction
from broker.domain.errors import NotFound
from broker.domain.pauses import ANNOUNCE_AFTER, BY_HAND, SILENCE, Event, Pause, State, after
from broker.store import events, rows, users
from broker.store.shapes import Shape

CLAIMS_A_SECOND = 10
"""How fast those who waited for one sign-in should come back: a provider is not hammered."""


def insert(tx: Transaction, pause: Pause) -> bool:
    """Keep and announce a new pause; False where this step of the execution has an open one."""
    sql = f"""
        INSERT INTO pauses (project_id, {_SHAPE.columns}) VALUES (:project, {_SHAPE.values})
        ON CONFLICT DO NOTHING RETURNING id
    """
    return _announced(tx, tx.find(sql, **_SHAPE.parameters(pause)) is not None, pause)


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Pause | None:
    """The pause of that id; with `lock` nobody else changes it until the unit ends."""
    sql = "SELECT * FROM pauses WHERE project_id = :project AND id = :id"
    return _SHAPE.one(tx.find(sql + tx.for_update if lock else sql, project=project, id=id))


def get(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Pause:
    """The pause of that id; NotFound where there is none."""
    if (pause := find(tx, project, id, lock=lock)) is None:
        raise NotFound()
    return pause


def open_for(
    tx: Transaction, project: str, execution: str, step: str, *, lock: bool = True
) -> Pause | None:
    """The open pause of a step; with `lock` nobody else changes it until the unit ends."""
    sql = """
        SELECT * FROM pauses
         WHERE project_id = :project AND execution = :execution AND step = :step
           AND state IN ('waiting', 'ready', 'claimed')
    """
    sql += tx.for_update if lock else ""
    return _SHAPE.one(tx.find(sql, project=project, execution=execution, step=step))


def page(
    tx: Transaction,
    project: str,
    *,
    states: Sequence[State] = tuple(State),
    user: str | None = None,
    connector: str | None = None,
    names: Sequence[str] = (),
    policy_changed: bool = False,
    after: str = "",
    limit: int = 50,
) -> list[Pause]:
    """Pauses in the order they were opened, those behind the id `after`.

    `names` are the keys of connectors it is narrowed to; with `policy_changed` it is to those
    where no step would wait by now (P13).
    """
    called, keys = rows.listed(names, "name")
    narrowed = f"AND name_key IN ({called})" if names else ""
    narrowed += " AND (user_authentication = 0 OR policy <> 'pause')" if policy_changed else ""
    sql = f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND id > :after AND state IN ({_words(states)})
           {"AND user_id = :user" if user else ""}
           {"AND connector_id = :connector" if connector else ""}
           {f"AND connector_id IN ({_CONNECTORS} {narrowed})" if narrowed else ""}
         ORDER BY id LIMIT :limit
    """
    named = {"project": project, "user": user, "connector": connector, **keys}
    return _SHAPE.each(tx.all(sql, **named, after=after, limit=limit))


def change(
    tx: Transaction,
    before: Pause,
    pause: Pause,
    *,
    claim_after_s: int = 0,
    said: str | None = None,
) -> bool:
    """Keep and announce what became of a pause, `said` instead of its reason; False where another
    change came first.
    """
    sql = f"""
        UPDATE pauses SET {_SHAPE.changes}
         WHERE project_id = :project AND id = :id AND version = :was
        RETURNING id
    """
    kept = tx.find(sql, **_SHAPE.parameters(pause), was=before.version) is not None
    told = replace(pause, reason=said) if said else pause
    return _announced(tx, kept, told, claim_after_s)


def waiting(
    tx: Transaction, project: str, connector_id: str, user_id: str | None = None
) -> list[Pause]:
    """What waits at a connector, for this person or for any, locked, in order of creation."""
    sql = f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND connector_id = :connector AND state = 'waiting'
           {"AND user_id = :user" if user_id else ""}
         ORDER BY created_at, id
    """
    named = {"project": project, "connector": connector_id, "user": user_id}
    return _SHAPE.each(tx.all(sql + tx.for_update, **named))


def unreleased(tx: Transaction, project: str, connector_id: str) -> list[Pause]:
    """P14: what counts on people who sign in at a connector, waiting for them or ready since they
    did, locked, in order of creation.
    """
    sql = """
        SELECT * FROM pauses
         WHERE project_id = :project AND connector_id = :connector AND run_as = 'user'
           AND state IN ('waiting', 'ready')
         ORDER BY created_at, id
    """
    return _SHAPE.each(tx.all(sql + tx.for_update, project=project, connector=connector_id))


def move(
    tx: Transaction, found: list[Pause], event: Event, *, reason: str | None = None
) -> list[Pause]:
    """Locked pauses, each once `event` has happened to it; those that became ready, spread."""
    changed = [after(pause, event, now=tx.now, reason=reason) for pause in found]
    for place, (before, pause) in enumerate(zip(found, changed, strict=True)):
        spread = place // CLAIMS_A_SECOND if pause.state is State.READY else 0
        change(tx, before, pause, claim_after_s=spread, said=BY_HAND.get(event))
    return changed


def readying(
    tx: Transaction,
    project: str,
    user_id: str,
    connector_id: str,
    granted: Collection[str] | None = None,
) -> list[Pause]:
    """P2: the person signed in at the connector, so every pause that waited for it is ready; but
    for those (P3) whose scopes are not all among the `granted`, where that is known.

    Takes the person's row first: a resolve that opens a pause holds it while it looks at the
    token, so neither misses the other (F11), be it on a snapshot from before.
    """
    users.stir(tx, project, user_id)
    found = waiting(tx, project, connector_id, user_id)
    short = [pause for pause in found if granted is not None and not {*pause.scopes} <= {*granted}]
    move(tx, short, Event.MISMATCHED, reason="scopes-missing")
    waits_on = {pause.id for pause in short}
    return move(tx, [pause for pause in found if pause.id not in waits_on], Event.SIGNED_IN)


def scopes(tx: Transaction, project: str, user_id: str, connector_id: str) -> tuple[str, ...]:
    """What a sign-in has to cover for all who wait for it (K15)."""
    sql = """
        SELECT DISTINCT scopes FROM pauses
         WHERE project_id = :project AND user_id = :user AND connector_id = :connector
           AND state = 'waiting' ORDER BY scopes
    """
    found = tx.all(sql, project=project, user=user_id, connector=connector_id)
    return tuple(dict.fromkeys(" ".join(row["scopes"] for row in found).split()))


def awaited(tx: Transaction, project: str, connector_id: str, limit: int = 1000) -> list[str]:
    """For whom steps wait at a connector."""
    sql = """
        SELECT DISTINCT user_id FROM pauses
         WHERE project_id = :project AND connector_id = :connector AND state = 'waiting'
         ORDER BY user_id LIMIT :limit
    """
    found = tx.all(sql, project=project, connector=connector_id, limit=limit)
    return [row["user_id"] for row in found]


def unreminded(tx: Transaction, limit: int = 100) -> list[tuple[str, str, str]]:
    """Who is to be reminded now, in any project: project, person and connector."""
    sql = """
        SELECT DISTINCT project_id, user_id, connector_id FROM pauses
         WHERE state = 'waiting' AND remind_at <= :now LIMIT :limit
    """
    found = tx.all(sql, now=tx.now, limit=limit)
    return [(row["project_id"], row["user_id"], row["connector_id"]) for row in found]


def remind_at(tx: Transaction, project: str, user_id: str, connector_id: str, at: int) -> None:
    """Remind the person of all that waits for them at the connector at one time."""
    sql = """
        UPDATE pauses SET remind_at = :at
         WHERE project_id = :project AND user_id = :user AND connector_id = :connector
           AND state = 'waiting'
    """
    tx.run(sql, project=project, user=user_id, connector=connector_id, at=at)


def mismatched(
    tx: Transaction, project: str, user_id: str, connector_id: str, reason: str
) -> list[Pause]:
    """P3: signed in with another account; they wait on and show the reason."""
    found = waiting(tx, project, connector_id, user_id)
    return move(tx, found, Event.MISMATCHED, reason=reason)


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
         WHERE (state = 'ready' AND changed_at <= :unclaimed)
            OR (state = 'claimed' AND changed_at <= :silent)
            OR (expires_at <= :now AND state IN ('waiting', 'ready'))
         ORDER BY id LIMIT :limit
    """
    rows = tx.all(
        sql + tx.for_update,
        unclaimed=tx.now - ANNOUNCE_AFTER,
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


def _cancelled(tx: Transaction, project: str, whose: str, id: str, reason: str) -> list[Pause]:
    sql = f"""
        SELECT * FROM pauses
         WHERE project_id = :project AND {whose} = :id
           AND state IN ('waiting', 'ready', 'claimed')
         ORDER BY id
    """
    rows = tx.all(sql + tx.for_update, project=project, id=id)
    return move(tx, _SHAPE.each(rows), Event.WITHDRAWN, reason=reason)


def _announced(tx: Transaction, kept: bool, pause: Pause, claim_after_s: int = 0) -> bool:
    """Whether it was kept; then those who listen hear it: `pause.ready`, `pause.claimed` …

    Each version of a pause is one event, so whoever reads the feed misses none.
    """
    if kept:
        events.append(
            tx,
            pause.project,
            f"pause.{pause.state}",
            pause=pause.id,
            connector=pause.connector,
            user_id=pause.user,
            execution=pause.execution,
            step=pause.step,
            reason=pause.reason,
            version=pause.version,
            claim_after_s=claim_after_s,
        )
    return kept


def _words(states: Sequence[State]) -> str:
    return ", ".join(f"'{state}'" for state in states) or "''"


_CONNECTORS = "SELECT id FROM connectors WHERE project_id = :project"
_SHAPE = Shape(Pause)
