"""Changes a run holds: what an administrator decides about them, record by record (R5, R6)."""

from collections.abc import Sequence

from broker.db.database import Transaction
from broker.domain.runs import Decision, Record, Result
from broker.store import records, rows


def decide(
    tx: Transaction,
    project: str,
    run: str,
    decision: Decision,
    by: str,
    numbers: Sequence[int] | None = None,
) -> int:
    """Decide about the records of these numbers, or about all left (None); how many that were.

    What was decided before stays as it was.
    """
    if numbers is None:
        return _decide(tx, project, run, decision, by, "")
    decided = 0
    for some in rows.chunks(numbers):
        listed, named = rows.listed(some)
        decided += _decide(tx, project, run, decision, by, f"AND n IN ({listed})", **named)
    return decided


def _decide(
    tx: Transaction, project: str, run: str, decision: Decision, by: str, which: str, **named: int
) -> int:
    sql = f"""
        UPDATE records SET decision = :decision, decided_by = :by, decided_at = :now
         WHERE project_id = :project AND run_id = :run AND result = 'staged'
           AND decision IS NULL {which}
        RETURNING n
    """
    said = {"decision": decision.value, "by": by, "now": tx.now}
    return len(tx.all(sql, project=project, run=run, **said, **named))


def undecided(tx: Transaction, project: str, run: str) -> int:
    """How many changes of a run nobody has decided about."""
    sql = """
        SELECT count(*) AS left_over FROM records
         WHERE project_id = :project AND run_id = :run AND result = 'staged' AND decision IS NULL
    """
    row = tx.find(sql, project=project, run=run)
    return int(row["left_over"]) if row else 0


def decider(tx: Transaction, project: str, run: str) -> str | None:
    """Who decided last about what a run held; None where nobody did."""
    sql = """
        SELECT decided_by FROM records
         WHERE project_id = :project AND run_id = :run AND decided_by IS NOT NULL
         ORDER BY decided_at DESC, n DESC LIMIT 1
    """
    row = tx.find(sql, project=project, run=run)
    return row["decided_by"] if row else None


def decided(tx: Transaction, project: str, run: str, limit: int) -> list[tuple[int, Record]]:
    """Changes of a run that are decided and not carried out yet, with their numbers."""
    sql = """
        SELECT * FROM records
         WHERE project_id = :project AND run_id = :run AND result = 'staged'
           AND decision IS NOT NULL
         ORDER BY n LIMIT :limit
    """
    return records.read(tx, project, tx.all(sql, project=project, run=run, limit=limit))


def of_kind(tx: Transaction, project: str, run: str, kind: str) -> int:
    """How many changes of people, or of groups, a run holds."""
    sql = """
        SELECT count(*) AS staged FROM records
         WHERE project_id = :project AND run_id = :run AND result = 'staged' AND kind = :kind
    """
    row = tx.find(sql, project=project, run=run, kind=kind)
    return int(row["staged"]) if row else 0


def proposed(
    tx: Transaction, project: str, run: str, kind: str, limit: int
) -> list[tuple[int, Record]]:
    """Some of these changes, with their numbers."""
    sql = """
        SELECT * FROM records
         WHERE project_id = :project AND run_id = :run AND result = 'staged' AND kind = :kind
         ORDER BY n LIMIT :limit
    """
    found = tx.all(sql, project=project, run=run, kind=kind, limit=limit)
    return records.read(tx, project, found)


def settle(
    tx: Transaction, project: str, n: int, result: Result, message: str | None = None
) -> bool:
    """Say what became of a held change; False where another replica just did."""
    sql = """
        UPDATE records SET result = :result, message = COALESCE(:message, message)
         WHERE project_id = :project AND n = :n AND result = 'staged' RETURNING n
    """
    said = {"result": result.value, "message": message}
    return tx.find(sql, project=project, n=n, **said) is not None


def drop(tx: Transaction, project: str, run: str) -> None:
    """Leave out what a run held that ended early: the next one finds it again."""
    sql = """
        UPDATE records SET result = 'skipped', message = :message
         WHERE project_id = :project AND run_id = :run AND result = 'staged'
    """
    message = "The run ended before this was decided; the next one finds it again."
    tx.run(sql, project=project, run=run, message=message)
