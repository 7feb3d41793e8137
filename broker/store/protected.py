"""Protected fields of connectors: sealed, one row a field, each for the origin it was typed for."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain.connectors import Connector


@dataclass(frozen=True, slots=True)
class Protected:
    """A protected field: sealed for table connector_secrets, row `connector/field`, column sealed.

    `origin` is the one it was typed for; it goes to no other (safety 18).
    """

    field: str
    sealed: bytes
    origin: str
    changed_at: int


def keep(
    tx: Transaction, connector: Connector, field: str, sealed: bytes, *, origin: str, by: str
) -> None:
    """Keep a protected field; the value before is gone."""
    sql = """
        INSERT INTO connector_secrets (project_id, connector_id, field, sealed, origin,
                                       changed_at, changed_by)
        VALUES (:project, :connector, :field, :sealed, :origin, :now, :by)
        ON CONFLICT (connector_id, field) DO UPDATE
           SET sealed = excluded.sealed, origin = excluded.origin,
               changed_at = excluded.changed_at, changed_by = excluded.changed_by
         WHERE connector_secrets.project_id = excluded.project_id
    """
    tx.run(
        sql,
        project=connector.project,
        connector=connector.id,
        field=field,
        sealed=sealed,
        origin=origin,
        now=tx.now,
        by=by,
    )


def of(tx: Transaction, project: str, connector_id: str) -> dict[str, Protected]:
    """The protected fields of a connector by name, sealed."""
    sql = """
        SELECT field, sealed, origin, changed_at FROM connector_secrets
         WHERE project_id = :project AND connector_id = :connector
    """
    rows = tx.all(sql, project=project, connector=connector_id)
    return {row["field"]: Protected(**dict(row)) for row in rows}


def erase(tx: Transaction, project: str, connector_id: str) -> None:
    """Erase the protected fields: the connector is gone, or goes elsewhere (C9, C11)."""
    sql = """
        DELETE FROM connector_secrets
         WHERE project_id = :project AND connector_id = :connector
    """
    tx.run(sql, project=project, connector=connector_id)
