"""Connectors and drafts of connectors, kept; a deleted one stays as a row without secrets."""

import orjson

from broker.db.database import Row, Transaction
from broker.domain import names
from broker.domain.clock import DAY
from broker.domain.connectors import Connector, Policy, State
from broker.domain.errors import NotFound


def insert(tx: Transaction, connector: Connector) -> None:
    """Keep a new draft; its name is taken only once it is connected (C6)."""
    tx.run(
        """
        INSERT INTO connectors (id, project_id, name, name_key, description, type, integration,
                                environment, options, fields, origin, state, user_authentication,
                                policy, keep_alive, created_by, created_at, changed_at,
                                expires_at)
        VALUES (:id, :project, :name, :name_key, :description, :type, :integration,
                :environment, :options, :fields, :origin, :state, :user_authentication,
                :policy, :keep_alive, :created_by, :created_at, :changed_at, :expires_at)
        """,
        created_by=connector.created_by,
        created_at=connector.created_at,
        **_columns(connector),
    )


def find(tx: Transaction, project: str, id: str, *, lock: bool = False) -> Connector | None:
    """The connector of that id, deleted ones too; `lock` holds it until the unit ends."""
    sql = "SELECT * FROM connectors WHERE project_id = :project AND id = :id"
    row = tx.find(sql + tx.for_update if lock else sql, project=project, id=id)
    return _connector(row) if row else None


def get(
    tx: Transaction, project: str, id: str, *, lock: bool = False, gone: bool = False
) -> Connector:
    """The connector of that id; NotFound where it is deleted or an abandoned draft (R81).

    `gone` answers deleted ones too.
    """
    connector = find(tx, project, id, lock=lock)
    if connector is None or (not gone and _is_over(connector, tx.now)):
        raise NotFound()
    return connector


def named(tx: Transaction, project: str, name_key: str) -> Connector | None:
    """The connector that steps mean by that name: one that was connected once (R81)."""
    row = tx.find(
        "SELECT * FROM connectors WHERE project_id = :project AND taken_name = :name_key",
        project=project,
        name_key=name_key,
    )
    return _connector(row) if row else None


def meant(tx: Transaction, project: str, called: str) -> Connector | None:
    """The connector a caller means, by name or id; one still in its wizard is none (R81)."""
    if not called.startswith("con_"):
        return named(tx, project, names.key(called))
    connector = find(tx, project, called)
    return connector if connector and connector.was_connected else None


def only(tx: Transaction, project: str, type: str) -> Connector | None:
    """The one connector of a type of which a project may have one (R63)."""
    row = tx.find(
        "SELECT * FROM connectors WHERE project_id = :project AND only_one = :type",
        project=project,
        type=type,
    )
    return _connector(row) if row else None


def drafts(tx: Transaction, project: str, name_key: str, created_by: str) -> list[Connector]:
    """What one administrator has begun under one name and not finished (C1)."""
    rows = tx.all(
        """
        SELECT * FROM connectors
         WHERE project_id = :project AND name_key = :name_key AND created_by = :created_by
           AND expires_at > :now AND state <> 'deleted'
        """,
        project=project,
        name_key=name_key,
        created_by=created_by,
        now=tx.now,
    )
    return [_connector(row) for row in rows]


def every(tx: Transaction, project: str) -> list[Connector]:
    """All connectors of the project and living drafts, by name."""
    rows = tx.all(
        """
        SELECT * FROM connectors
         WHERE project_id = :project AND state <> 'deleted'
           AND (expires_at IS NULL OR expires_at > :now)
         ORDER BY name_key, id
        """,
        project=project,
        now=tx.now,
    )
    return [_connector(row) for row in rows]


def overdue(tx: Transaction, project: str, limit: int = 100) -> list[Connector]:
    """Drafts that nobody finished within a day, locked (C1)."""
    rows = tx.all(
        """
        SELECT * FROM connectors
         WHERE project_id = :project AND state <> 'deleted' AND expires_at <= :now
         ORDER BY id LIMIT :limit
        """
        + tx.for_update,
        project=project,
        now=tx.now,
        limit=limit,
    )
    return [_connector(row) for row in rows]


def change(tx: Transaction, connector: Connector) -> None:
    """Keep what became of a connector that this unit holds; a deleted one gives its name back."""
    tx.run(
        """
        UPDATE connectors
           SET name = :name, name_key = :name_key, description = :description,
               type = :type, integration = :integration, environment = :environment,
               options = :options, fields = :fields, origin = :origin, state = :state,
               reason = :reason, disabled_from = :disabled_from,
               user_authentication = :user_authentication, policy = :policy,
               keep_alive = :keep_alive, authorized_by = :authorized_by, version = :version,
               changed_at = :changed_at, expires_at = :expires_at,
               taken_name = CASE WHEN :state = 'deleted' THEN NULL ELSE taken_name END,
               only_one = CASE WHEN :state = 'deleted' THEN NULL ELSE only_one END
         WHERE project_id = :project AND id = :id
        """,
        reason=connector.reason,
        disabled_from=connector.disabled_from,
        authorized_by=connector.authorized_by,
        version=connector.version,
        **_columns(connector),
    )


def take(tx: Transaction, connector: Connector, *, only_one: bool) -> None:
    """Take the name, and the one place of its type, from C6 on.

    Duplicate where another connector has them: of two that come at once, one wins (R63, R65).
    """
    tx.run(
        """
        UPDATE connectors SET taken_name = :name, only_one = :only_one
         WHERE project_id = :project AND id = :id
        """,
        project=connector.project,
        id=connector.id,
        name=connector.name_key,
        only_one=connector.type if only_one else None,
    )


def resolved(tx: Transaction, project: str, id: str) -> None:
    """Note that a step asked for it, once a day: keep-alive ends 180 days after the last (T13)."""
    tx.run(
        """
        UPDATE connectors SET resolved_at = :now
         WHERE project_id = :project AND id = :id
           AND (resolved_at IS NULL OR resolved_at < :yesterday)
        """,
        project=project,
        id=id,
        now=tx.now,
        yesterday=tx.now - DAY,
    )


def affected(tx: Transaction, project: str, id: str) -> dict[str, int]:
    """What ends with a connector: people who authorized it, token sets, pauses that wait (C11)."""
    row = tx.find(
        """
        SELECT count(*) AS tokens,
               COALESCE(sum(CASE WHEN user_id <> '' THEN 1 ELSE 0 END), 0) AS users,
               (SELECT count(*) FROM pauses
                 WHERE project_id = :project AND connector_id = :connector
                   AND state IN ('waiting', 'ready', 'claimed')) AS pauses
          FROM tokens
         WHERE project_id = :project AND connector_id = :connector AND state <> 'revoked'
        """,
        project=project,
        connector=id,
    )
    return {name: int(row[name]) if row else 0 for name in ("users", "tokens", "pauses")}


def _is_over(connector: Connector, now: int) -> bool:
    ended = connector.expires_at is not None and connector.expires_at <= now
    return ended or connector.state is State.DELETED


def _columns(connector: Connector) -> dict[str, object]:
    """What an insert and a change both write."""
    environment = connector.environment
    return {
        "id": connector.id,
        "project": connector.project,
        "name": connector.name,
        "name_key": connector.name_key,
        "description": connector.description,
        "type": connector.type,
        "integration": connector.integration,
        "environment": orjson.dumps(environment).decode() if environment else None,
        "options": orjson.dumps(connector.options).decode(),
        "fields": orjson.dumps(connector.fields).decode(),
        "origin": connector.origin,
        "state": connector.state,
        "user_authentication": int(connector.user_authentication),
        "policy": connector.policy,
        "keep_alive": int(connector.keep_alive),
        "changed_at": connector.changed_at,
        "expires_at": connector.expires_at,
    }


def _connector(row: Row) -> Connector:
    return Connector(
        id=row["id"],
        project=row["project_id"],
        name=row["name"],
        name_key=row["name_key"],
        type=row["type"],
        state=State(row["state"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        version=row["version"],
        description=row["description"],
        integration=row["integration"],
        environment=orjson.loads(row["environment"]) if row["environment"] else None,
        options=orjson.loads(row["options"]),
        fields=orjson.loads(row["fields"]),
        origin=row["origin"],
        reason=row["reason"],
        disabled_from=State(row["disabled_from"]) if row["disabled_from"] else None,
        user_authentication=bool(row["user_authentication"]),
        policy=Policy(row["policy"]) if row["policy"] else Policy.END_WITH_ERROR,
        authorized_by=row["authorized_by"],
        keep_alive=bool(row["keep_alive"]),
        expires_at=row["expires_at"],
    )
