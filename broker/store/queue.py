"""Those who wait for a license, in the order of their numbers."""

from broker.db.database import Transaction
from broker.domain.users import User
from broker.store import users


def head(tx: Transaction, project: str) -> User | None:
    """Whoever has waited longest for a license, locked until this transaction ends."""
    sql = """
        SELECT * FROM users
         WHERE project_id = :project AND queue_seq IS NOT NULL
         ORDER BY queue_seq
         LIMIT 1
    """
    row = tx.find(sql + tx.for_update, project=project)
    return users.from_row(row) if row else None


def length(tx: Transaction, project: str, *, before: int | None = None) -> int:
    """How many wait for a license; with `before`, how many wait longer than that number."""
    sql = """
        SELECT count(*) AS waiting FROM users
         WHERE project_id = :project AND queue_seq IS NOT NULL
           AND (CAST(:before AS bigint) IS NULL OR queue_seq < :before)
    """
    row = tx.find(sql, project=project, before=before)
    return int(row["waiting"]) if row else 0


def page(tx: Transaction, project: str, *, skip: int, limit: int) -> list[User]:
    """Those who wait, in order of their numbers: `limit` of them after the first `skip`."""
    sql = """
        SELECT * FROM users
         WHERE project_id = :project AND queue_seq IS NOT NULL
         ORDER BY queue_seq
         LIMIT :limit OFFSET :skip
    """
    rows = tx.all(sql, project=project, limit=limit, skip=skip)
    return [users.from_row(row) for row in rows]


def places(tx: Transaction, project: str, *, last: int) -> dict[str, int]:
    """The place of everybody up to the number `last`, by id: 1 is next."""
    sql = """
        SELECT id FROM users
         WHERE project_id = :project AND queue_seq IS NOT NULL AND queue_seq <= :last
         ORDER BY queue_seq
    """
    rows = tx.all(sql, project=project, last=last)
    return {row["id"]: place for place, row in enumerate(rows, 1)}
