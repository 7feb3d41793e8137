"""What failed records said, kept until it is tried again or replaced (building.md, retention)."""

from broker.db.database import Transaction
from broker.domain.runs import Record
from broker.store import records
from scim.fold import fold


def replace(tx: Transaction, project: str, directory: str, record: Record, n: int) -> None:
    """Forget what earlier failures of this directory said of the same resource: `n` says it now."""
    sql = """
        UPDATE records SET raw = NULL
         WHERE project_id = :project AND name = :name AND raw IS NOT NULL AND n < :n
           AND kind = :kind AND COALESCE(resource_id, '') = :resource
           AND COALESCE(external_id, '') = :external
           AND run_id IN (SELECT id FROM runs
                           WHERE project_id = :project AND directory_id = :directory)
    """
    tx.run(
        sql,
        project=project,
        directory=directory,
        name=record.name,
        kind=record.kind,
        resource=record.resource_id or "",
        external=record.external_id or "",
        n=n,
    )


def of_run(tx: Transaction, project: str, run: str) -> list[int]:
    """The records of a run that can be tried again, by number."""
    sql = """
        SELECT n FROM records
         WHERE project_id = :project AND run_id = :run AND result = 'failed'
           AND raw IS NOT NULL
         ORDER BY n
    """
    return [row["n"] for row in tx.all(sql, project=project, run=run)]


def of_directory(tx: Transaction, project: str, directory: str, but: str) -> list[int]:
    """The records of a directory that can be tried again, but those of the run `but`."""
    sql = """
        SELECT n FROM records
         WHERE project_id = :project AND raw IS NOT NULL AND run_id <> :but
           AND run_id IN (SELECT id FROM runs
                           WHERE project_id = :project AND directory_id = :directory)
         ORDER BY n
    """
    found = tx.all(sql, project=project, directory=directory, but=but)
    return [row["n"] for row in found]


def find(tx: Transaction, project: str, n: int) -> Record | None:
    """The record of that number, with what it said; None where it has been tried or replaced."""
    sql = """
        SELECT * FROM records WHERE project_id = :project AND n = :n AND raw IS NOT NULL
    """
    row = tx.find(sql, project=project, n=n)
    return records.read(tx, project, [row])[0][1] if row else None


def of_person(
    tx: Transaction, project: str, directory: str, external_id: str
) -> tuple[int, Record] | None:
    """The newest record that could not create a person of that externalId, with its number."""
    sql = """
        SELECT * FROM records
         WHERE project_id = :project AND raw IS NOT NULL AND external_id = :external
           AND resource_id IS NULL
           AND run_id IN (SELECT id FROM runs
                           WHERE project_id = :project AND directory_id = :directory)
         ORDER BY n DESC LIMIT 1
    """
    row = tx.find(sql, project=project, directory=directory, external=external_id)
    return records.read(tx, project, [row])[0] if row else None


def tried(tx: Transaction, project: str, n: int) -> None:
    """It was tried again; what became of it is a record of its own."""
    sql = """
        UPDATE records SET raw = NULL, retried_at = :now WHERE project_id = :project AND n = :n
    """
    tx.run(sql, project=project, n=n, now=tx.now)


def is_settled(tx: Transaction, project: str, directory: str, n: int, record: Record) -> bool:
    """Whether something newer was said of the resource: an older word never undoes a newer one,
    and nobody who was deleted since comes back.
    """
    if record.resource_id is not None:
        sql = """
            SELECT 1 AS newer FROM records
             WHERE project_id = :project AND resource_id = :id AND n > :n AND result <> 'failed'
             LIMIT 1
        """
        return tx.find(sql, project=project, id=record.resource_id, n=n) is not None
    sql = f"""
        SELECT 1 AS newer FROM users
         WHERE project_id = :project AND directory_id = :directory
           AND {"external_id = :external" if record.external_id else "user_name_key = :name"}
           AND (created_at > :at OR deleted_at > :at)
         LIMIT 1
    """
    return (
        tx.find(
            sql,
            project=project,
            directory=directory,
            external=record.external_id,
            name=fold(record.name),
            at=record.at,
        )
        is not None
    )
