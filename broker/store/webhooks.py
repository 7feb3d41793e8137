"""Webhooks, kept; a deleted one stays as a row without secrets."""

from broker.db.database import Transaction
from broker.domain.errors import NotFound
from broker.domain.webhooks import State, Webhook
from broker.store.shapes import Shape


def insert(tx: Transaction, webhook: Webhook) -> None:
    """Keep a new one."""
    sql = f"""
        INSERT INTO webhooks (project_id, {_SHAPE.columns})
        VALUES (:project, {_SHAPE.values})
    """
    tx.run(sql, **_SHAPE.parameters(webhook))


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Webhook | None:
    """The webhook of that id, unless it is deleted; `lock` holds it until the unit ends."""
    sql = """
        SELECT * FROM webhooks WHERE project_id = :project AND id = :id AND state <> 'deleted'
    """
    return _SHAPE.one(tx.find(sql + tx.for_update if lock else sql, project=project, id=id))


def get(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Webhook:
    """The same; NotFound where there is none."""
    found = find(tx, project, id, lock=lock)
    if found is None:
        raise NotFound()
    return found


def every(tx: Transaction, project: str, *states: State) -> list[Webhook]:
    """Those in these states, or all that are not deleted, in the order in which they were made."""
    sql = """
        SELECT * FROM webhooks WHERE project_id = :project AND state <> 'deleted' ORDER BY id
    """
    found = _SHAPE.each(tx.all(sql, project=project))
    return [each for each in found if not states or each.state in states]


def held(tx: Transaction, project: str) -> list[Webhook]:
    """All that are not deleted, with the project's row held: who adds one counts all others."""
    tx.find("SELECT id FROM projects WHERE id = :project" + tx.for_update, project=project)
    return every(tx, project)


def change(tx: Transaction, webhook: Webhook) -> None:
    """Keep what became of one this unit holds."""
    sql = f"UPDATE webhooks SET {_SHAPE.changes} WHERE project_id = :project AND id = :id"
    tx.run(sql, **_SHAPE.parameters(webhook))


_SHAPE = Shape(Webhook, fixed=("id", "created_at", "created_by"))
