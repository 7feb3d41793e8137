"""Protected fields: sealed, one row a field, each for the origin it was typed for.

Of connectors and of directories alike; whose they are, the id of the owner tells.
"""

from dataclasses import dataclass

from broker.db.database import Transaction

DIRECTORY = "dir_"


@dataclass(frozen=True, slots=True)
class Protected:
    """A protected field: sealed for its table, row `owner/field`, column sealed.

    `origin` is the one it was typed for; it goes to no other (safety 18).
    """

    field: str
    sealed: bytes
    origin: str
    changed_at: int


def keep(
    tx: Transaction, project: str, owner: str, field: str, sealed: bytes, *, origin: str, by: str
) -> None:
    """Keep a protected field; the value before is gone."""
    kind = "directory" if owner.startswith(DIRECTORY) else "connector"
    sql = f"""
        INSERT INTO {kind}_secrets (project_id, {kind}_id, field, sealed, origin,
                                    changed_at, changed_by)
        VALUES (:project, :owner, :field, :sealed, :origin, :now, :by)
        ON CONFLICT ({kind}_id, field) DO UPDATE
           SET sealed = excluded.sealed, origin = excluded.origin,
               changed_at = excluded.changed_at, changed_by = excluded.changed_by
         WHERE {kind}_secrets.project_id = excluded.project_id
    """
    tx.run(
        sql,
        project=project,
        owner=owner,
        field=field,
        sealed=sealed,
        origin=origin,
        now=tx.now,
        by=by,
    )


def of(tx: Transaction, project: str, owner: str) -> dict[str, Protected]:
    """The protected fields of a connector or a directory by name, sealed."""
    kind = "directory" if owner.startswith(DIRECTORY) else "connector"
    sql = f"""
        SELECT field, sealed, origin, changed_at FROM {kind}_secrets
         WHERE project_id = :project AND {kind}_id = :owner
    """
    rows = tx.all(sql, project=project, owner=owner)
    return {row["field"]: Protected(**dict(row)) for row in rows}


def erase(tx: Transaction, project: str, owner: str) -> None:
    """Erase the protected fields: their owner is gone, or goes elsewhere (C9, C11, R114)."""
    kind = "directory" if owner.startswith(DIRECTORY) else "connector"
    sql = f"""
        DELETE FROM {kind}_secrets
         WHERE project_id = :project AND {kind}_id = :owner
    """
    tx.run(sql, project=project, owner=owner)
