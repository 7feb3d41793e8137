"""What webhooks are still to be told, and what became of it: one row for each event and webhook."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from broker.db.database import Transaction
from broker.domain.clock import MINUTE
from broker.domain.errors import NotFound
from broker.domain.webhooks import Delivery, DeliveryState
from broker.store import rows
from broker.store.shapes import Shape

LEASE = MINUTE


class Place(NamedTuple):
    """A webhook to which something is due."""

    project: str
    webhook: str


def add(tx: Transaction, project: str, webhook: str, events: Iterable[str]) -> None:
    """Let the webhook be told of these events, each once."""
    sql = """
        INSERT INTO deliveries (project_id, webhook_id, event_id, state, due_at, created_at)
        VALUES (:project, :webhook, :event, 'waiting', :now, :now)
        ON CONFLICT DO NOTHING
    """
    for event in events:
        tx.run(sql, project=project, webhook=webhook, event=event, now=tx.now)


def due(tx: Transaction) -> list[Place]:
    """The webhooks, of any project, to which something may be sent now."""
    sql = f"""
        SELECT project_id, id FROM webhooks
         WHERE state = 'enabled' AND (rests_until IS NULL OR rests_until <= :now)
           AND EXISTS (SELECT 1 FROM deliveries
                        WHERE deliveries.project_id = webhooks.project_id
                          AND webhook_id = webhooks.id AND {_IS_DUE})
    """
    return [Place(row["project_id"], row["id"]) for row in tx.all(sql, now=tx.now)]


def claim(tx: Transaction, place: Place, limit: int) -> list[Delivery]:
    """Those that are due the longest, leased for a minute; whoever claims holds the webhook."""
    named = {"project": place.project, "webhook": place.webhook}
    sql = f"""
        SELECT n FROM deliveries
         WHERE project_id = :project AND webhook_id = :webhook AND {_IS_DUE}
         ORDER BY due_at, n LIMIT :limit
    """
    found = tx.all(sql, **named, now=tx.now, limit=limit)
    sql = """
        UPDATE deliveries SET lease_until = :until, attempt = attempt + 1
         WHERE project_id = :project AND n = :n RETURNING *
    """
    until = tx.now + LEASE
    taken = [tx.find(sql, project=place.project, n=row["n"], until=until) for row in found]
    return _SHAPE.each(row for row in taken if row)


def ended(
    tx: Transaction, delivery: Delivery, state: DeliveryState, status: int | None, error: str | None
) -> bool:
    """The try this delivery was claimed for was the last; False where another has it by now."""
    sql = """
        UPDATE deliveries SET state = :state, status = :status, error = :error, ended_at = :now,
               lease_until = NULL
         WHERE project_id = :project AND n = :n AND attempt = :attempt AND state = 'waiting'
           AND lease_until IS NOT NULL
        RETURNING n
    """
    said = {"state": state, "status": status, "error": error, "now": tx.now}
    return tx.find(sql, **_claimed(delivery), **said) is not None


def put_off(
    tx: Transaction, delivery: Delivery, due: int, status: int | None, error: str | None
) -> bool:
    """It is tried again then; False where another has it by now."""
    sql = """
        UPDATE deliveries SET due_at = :due, status = :status, error = :error, lease_until = NULL
         WHERE project_id = :project AND n = :n AND attempt = :attempt AND state = 'waiting'
           AND lease_until IS NOT NULL
        RETURNING n
    """
    return tx.find(sql, **_claimed(delivery), due=due, status=status, error=error) is not None


def hasten(tx: Transaction, project: str, webhook: str) -> None:
    """Whatever waits for a webhook is due now."""
    sql = """
        UPDATE deliveries SET due_at = :now
         WHERE project_id = :project AND webhook_id = :webhook AND state = 'waiting'
           AND due_at > :now
    """
    tx.run(sql, project=project, webhook=webhook, now=tx.now)


def again(tx: Transaction, project: str, webhook: str, n: int) -> Delivery:
    """Send it once more as if it were new, whatever became of it, and of a try that is on its way:
    what comes of that counts no more. NotFound where it or its event is gone.
    """
    sql = """
        UPDATE deliveries SET state = 'waiting', due_at = :now, created_at = :now, ended_at = NULL,
               lease_until = NULL
         WHERE project_id = :project AND webhook_id = :webhook AND n = :n
           AND EXISTS (SELECT 1 FROM events WHERE project_id = :project AND id = event_id)
        RETURNING *
    """
    found = _SHAPE.one(tx.find(sql, project=project, webhook=webhook, n=n, now=tx.now))
    if found is None:
        raise NotFound()
    return found


def drop(tx: Transaction, project: str, webhook: str) -> None:
    """Nobody is told of what waits any more."""
    sql = """
        DELETE FROM deliveries
         WHERE project_id = :project AND webhook_id = :webhook AND state = 'waiting'
    """
    tx.run(sql, project=project, webhook=webhook)


def page(
    tx: Transaction,
    project: str,
    webhook: str,
    states: Collection[DeliveryState],
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """Those in these states, the newest first, from below the number `before`."""
    names, named = rows.listed(sorted(states), "state")
    sql = f"""
        SELECT * FROM deliveries
         WHERE project_id = :project AND webhook_id = :webhook AND state IN ({names})
           {"" if before is None else "AND n < :before"}
         ORDER BY n DESC LIMIT :limit
    """
    about = {"project": project, "webhook": webhook, "before": before, "limit": limit}
    return _SHAPE.each(tx.all(sql, **about, **named))


def _claimed(delivery: Delivery) -> dict[str, object]:
    return {"project": delivery.project, "n": delivery.n, "attempt": delivery.attempt}


_IS_DUE = """state = 'waiting' AND due_at <= :now AND (lease_until IS NULL OR lease_until < :now)"""
_SHAPE = Shape(Delivery, named={"webhook": "webhook_id", "event": "event_id"})
