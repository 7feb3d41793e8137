"""What was done, by whom: rows that carry a digest of themselves, chained behind the commit."""

import hashlib

import orjson

from broker.db.database import Transaction
from broker.domain import ids


def append(
    tx: Transaction,
    project: str | None,
    actor: str,
    action: str,
    target: str | None = None,
    **detail: object,
) -> None:
    """Record an act in the transaction of its cause. `detail` holds ids, codes and counts only."""
    row = {
        "id": ids.new("aud"),
        "project": project,
        "at": tx.now,
        "actor": actor,
        "action": action,
        "target": target,
        "detail": orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode(),
    }
    digest = hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()
    sql = """
        INSERT INTO audit (id, project_id, at, actor, action, target, detail, digest)
        VALUES (:id, :project, :at, :actor, :action, :target, :detail, :digest)
    """
    tx.run(sql, **row, digest=digest)


def tried(tx: Transaction, project: str, actor: str, *, since: int) -> list[int]:
    """When a caller had connectors tested and checked since then, the oldest first.

    Its project is held until the unit ends, so that two who ask at once are counted in turn.
    """
    tx.find("SELECT id FROM projects WHERE id = :project" + tx.for_update, project=project)
    sql = """
        SELECT at FROM audit
         WHERE project_id = :project AND actor = :actor AND at > :since
           AND action IN ('connector.tested', 'connector.checked')
         ORDER BY at
    """
    rows = tx.all(sql, project=project, actor=actor, since=since)
    return [row["at"] for row in rows]
