"""What stands above every page until somebody has seen to it, counted."""

from dataclasses import dataclass

from broker.db.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait, and since when the first of them."""

    count: int
    since: int


def detached(tx: Transaction, project: str) -> Waiting | None:
    """Living people whose directory was deleted (safety 12)."""
    sql = """
        SELECT count(*) AS count, MIN(detached_at) AS since FROM users
         WHERE project_id = :project AND detached_at IS NOT NULL AND status <> 'deleted'
    """
    return _waiting(tx.find(sql, project=project))


def letters(tx: Transaction, project: str) -> Waiting | None:
    """Letters that have not left."""
    sql = """
        SELECT count(*) AS count, MIN(created_at) AS since FROM letters
         WHERE project_id = :project AND state = 'waiting'
    """
    return _waiting(tx.find(sql, project=project))


def _waiting(row: Row | None) -> Waiting | None:
    return Waiting(row["count"], row["since"] or 0) if row and row["count"] else None
