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
