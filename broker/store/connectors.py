"""Connectors and drafts of connectors, kept; a deleted one stays as a row without secrets."""

from broker.db.database import Transaction
from broker.domain import names
from broker.domain.clock import DAY
from broker.domain.connectors import Connector
from broker.domain.errors import NotFound
from broker.store.shapes import Shape


def insert(tx: Transaction, connector: Connector) -> None:
    """Keep a new draft; its name is taken only once it is connected (C6)."""
    sql = f"""
        INSERT INTO connectors (project_id, {_SHAPE.columns})
        VALUES (:project, {_SHAPE.values})
    """
    tx.run(sql, **_SHAPE.parameters(connector))


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Connector | None:
    """The connector of that id, deleted ones too; `lock` holds it until the unit ends."""
    sql = "SELECT * FROM connectors WHERE project_id = :project AND id = :id"
    return _SHAPE.one(tx.find(sql + tx.for_update if lock else sql, project=project, id=id))


def get(
    tx: Transaction, project: str, id: str, *, lock: bool = False, gone: bool = False
) -> Connector:
    """The connector of that id; NotFound where it is deleted or an abandoned draft (R81).

    `gone` answers deleted ones too.
    """
    connector = find(tx, project, id, lock=lock)
    if connector is None or (not gone and connector.is_over(tx.now)):
        raise NotFound()
    return connector


def named(tx: Transaction, project: str, name_key: str) -> Connector | None:
    """The connector that steps mean by that name: one that was connected once (R81)."""
    sql = "SELECT * FROM connectors WHERE project_id = :project AND taken_name = :name_key"
    return _SHAPE.one(tx.find(sql, project=project, name_key=name_key))


def meant(tx: Transaction, project: str, called: str) -> Connector | None:
    """The connector a caller means, by name or id; one still in its wizard is none (R81)."""
    if not called.startswith("con_"):
        return named(tx, project, names.key(called))
    connector = find(tx, project, called)
    return connector if connector and connector.was_connected else None


def only(tx: Transaction, project: str, type: str) -> Connector | None:
    """The one connector of a type of which a project may have one (R63)."""
    sql = "SELECT * FROM connectors WHERE project_id = :project AND only_one = :type"
    return _SHAPE.one(tx.find(sql, project=project, type=type))


def drafts(tx: Transaction, project: str, name_key: str, created_by: str) -> list[Connector]:
    """What one administrator has begun under one name and not finished (C1)."""
    sql = """
        SELECT * FROM connectors
         WHERE project_id = :project AND name_key = :name_key AND created_by = :created_by
           AND expires_at > :now AND state <> 'deleted'
    """
    rows = tx.all(sql, project=project, name_key=name_key, created_by=created_by, now=tx.now)
    return _SHAPE.each(rows)


def every(tx: Transaction, project: str) -> list[Connector]:
    """All connectors of the project and living drafts, by name."""
    sql = """
        SELECT * FROM connectors
         WHERE project_id = :project AND state <> 'deleted'
           AND (expires_at IS NULL OR expires_at > :now)
         ORDER BY name_key, id
    """
    return _SHAPE.each(tx.all(sql, project=project, now=tx.now))


def sharing(tx: Transaction, connector: Connector, account: str) -> list[Connector]:
    """The other connectors of the project whose connector user is this account, of the same type
    and on the same host (R48).
    """
    sql = """
        SELECT c.* FROM tokens t JOIN connectors c ON c.id = t.connector_id
         WHERE t.project_id = :project AND c.project_id = :project AND t.user_id = ''
           AND t.account = :account AND t.state <> 'revoked'
           AND c.id <> :id AND c.type = :type AND c.state <> 'deleted'
    """
    about = {"id": connector.id, "type": connector.type, "account": account}
    host = _host(connector)
    rows = tx.all(sql, project=connector.project, **about)
    return [one for one in _SHAPE.each(rows) if _host(one) == host]


def in_use(tx: Transaction) -> dict[str, int]:
    """How many connectors and living drafts there are of each type, in all projects."""
    sql = """
        SELECT type, count(*) AS connectors FROM connectors
         WHERE state <> 'deleted' AND (expires_at IS NULL OR expires_at > :now)
         GROUP BY type ORDER BY type
    """
    return {row["type"]: row["connectors"] for row in tx.all(sql, now=tx.now)}


def overdue(tx: Transaction, project: str, limit: int = 100) -> list[Connector]:
    """Drafts that nobody finished within a day, locked (C1)."""
    sql = """
        SELECT * FROM connectors
         WHERE project_id = :project AND state <> 'deleted' AND expires_at <= :now
         ORDER BY id LIMIT :limit
    """
    return _SHAPE.each(tx.all(sql + tx.for_update, project=project, now=tx.now, limit=limit))


def change(tx: Transaction, connector: Connector) -> None:
    """Keep what became of a connector that this unit holds; a deleted one gives its name back."""
    sql = f"""
        UPDATE connectors
           SET {_SHAPE.changes},
               taken_name = CASE WHEN :state = 'deleted' THEN NULL ELSE taken_name END,
               only_one = CASE WHEN :state = 'deleted' THEN NULL ELSE only_one END
         WHERE project_id = :project AND id = :id
    """
    tx.run(sql, **_SHAPE.parameters(connector))


def take(tx: Transaction, connector: Connector, *, only_one: bool) -> None:
    """Take the name, and the one place of its type, from C6 on.

    Duplicate where another connector has them: of two that come at once, one wins (R63, R65).
    """
    sql = """
        UPDATE connectors SET taken_name = :name, only_one = :only_one
         WHERE project_id = :project AND id = :id
    """
    tx.run(
        sql,
        project=connector.project,
        id=connector.id,
        name=connector.name_key,
        only_one=connector.type if only_one else None,
    )


def resolved(tx: Transaction, connector: Connector) -> None:
    """Note that a step asked for it, once a day: keep-alive ends 180 days after the last (T13)."""
    yesterday = tx.now - DAY
    if connector.resolved_at is not None and connector.resolved_at >= yesterday:
        return
    sql = """
        UPDATE connectors SET resolved_at = :now
         WHERE project_id = :project AND id = :id
           AND (resolved_at IS NULL OR resolved_at < :yesterday)
    """
    tx.run(sql, project=connector.project, id=connector.id, now=tx.now, yesterday=yesterday)


def affected(tx: Transaction, project: str, id: str) -> dict[str, int]:
    """What ends with a connector: people who authorized it, token sets, pauses that wait (C11)."""
    sql = """
        SELECT count(*) AS tokens,
               COALESCE(sum(CASE WHEN user_id <> '' THEN 1 ELSE 0 END), 0) AS users,
               (SELECT count(*) FROM pauses
                 WHERE project_id = :project AND connector_id = :connector
                   AND state IN ('waiting', 'ready', 'claimed')) AS pauses
          FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND state <> 'revoked'
    """
    row = tx.find(sql, project=project, connector=id)
    return {name: int(row[name]) if row else 0 for name in ("users", "tokens", "pauses")}


def _host(connector: Connector) -> str:
    """Where it is, without what else its sealed values are bound to."""
    return (connector.origin or "").partition("?")[0]


_SHAPE = Shape(Connector, fixed=("id", "created_by", "created_at", "resolved_at"), few=True)
