"""What is past its days: found oldest first, removed a chunk at a time."""

from broker.db.database import Transaction
from broker.store import rows


def events(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove events that happened before then; False where none is left."""
    sql = """
        DELETE FROM events
         WHERE project_id = :project
           AND n IN (SELECT n FROM (SELECT n, at FROM events WHERE project_id = :project
                                     ORDER BY n LIMIT :limit) AS oldest
                      WHERE at < :before)
        RETURNING n
    """
    return len(tx.all(sql, project=project, before=before, limit=limit)) == limit


def deliveries(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove what webhooks were told, or were still to be told, of events of before then; False
    where none is left.
    """
    sql = """
        DELETE FROM deliveries
         WHERE project_id = :project
           AND n IN (SELECT n FROM (SELECT n, created_at FROM deliveries
                                     WHERE project_id = :project AND webhook_id = :webhook
                                     ORDER BY n LIMIT :limit) AS oldest
                      WHERE created_at < :before)
        RETURNING n
    """
    more = False
    for each in tx.all("SELECT id FROM webhooks WHERE project_id = :project", project=project):
        named = {"project": project, "webhook": each["id"], "before": before, "limit": limit}
        more |= len(tx.all(sql, **named)) == limit
    return more


def old_secrets(tx: Transaction, project: str, before: int, _: int) -> bool:
    """Erase secrets of webhooks that sign no more since then; False: all of them at once."""
    sql = """
        UPDATE webhooks SET old_secret = NULL, old_secret_until = NULL
         WHERE project_id = :project AND old_secret_until < :before
    """
    tx.run(sql, project=project, before=before)
    return False


def replays(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove answers whose key is forgotten since before then; False where none is left."""
    sql = """
        DELETE FROM replays
         WHERE project_id = :project
           AND (key_id, route, key) IN (SELECT key_id, route, key FROM replays
                                         WHERE project_id = :project AND expires_at <= :before
                                         LIMIT :limit)
        RETURNING key
    """
    return len(tx.all(sql, project=project, before=before, limit=limit)) == limit


def sessions(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove sessions that expired before then; False where none is left."""
    sql = """
        DELETE FROM sessions
         WHERE project_id = :project
           AND hash IN (SELECT hash FROM sessions
                         WHERE project_id = :project AND expires_at < :before LIMIT :limit)
        RETURNING hash
    """
    return len(tx.all(sql, project=project, before=before, limit=limit)) == limit


def jobs(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove jobs that were done, or given up, before then; False where none is left."""
    sql = """
        DELETE FROM jobs
         WHERE project_id = :project
           AND id IN (SELECT id FROM jobs
                       WHERE project_id = :project AND (done_at < :before OR dead_at < :before)
                       LIMIT :limit)
        RETURNING id
    """
    return len(tx.all(sql, project=project, before=before, limit=limit)) == limit


def decisions(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove decisions whose last line is from before then, with their lines, unless a pause
    still waits for one; False where none is left.
    """
    sql = """
        SELECT DISTINCT decision_id
          FROM (SELECT decision_id, at FROM decision_lines
                 WHERE project_id = :project ORDER BY n LIMIT :limit) AS oldest
         WHERE at < :before
           AND NOT EXISTS (SELECT 1 FROM decision_lines AS later
                            WHERE later.project_id = :project AND later.at >= :before
                              AND later.decision_id = oldest.decision_id)
           AND NOT EXISTS (SELECT 1 FROM pauses
                            WHERE pauses.project_id = :project
                              AND pauses.decision_id = oldest.decision_id
                              AND pauses.state IN ('waiting', 'ready', 'claimed'))
    """
    found = tx.all(sql, project=project, before=before, limit=limit)
    for some in rows.chunks([row["decision_id"] for row in found]):
        listed, named = rows.listed(some)
        for table, column in (("decision_lines", "decision_id"), ("decisions", "id")):
            sql = f"DELETE FROM {table} WHERE project_id = :project AND {column} IN ({listed})"
            tx.run(sql, project=project, **named)
    return bool(found)
