"""Deleted people: who somebody was before, and what an administrator had decided about them."""

from __future__ import annotations

from broker.db.database import Transaction
from broker.domain.users import User
from broker.store import users
from scim.fold import fold


def last(
    tx: Transaction, project: str, directory: str, external_id: str | None, user_name: str
) -> list[User]:
    """Who had this userName, and who had this externalId in this directory, before they were
    deleted: the last of each, if any (safety 6).
    """
    found = tx.all(
        """
        SELECT users.*, 'name' AS shared FROM users
         WHERE project_id = :project AND user_name_key = :name AND status = 'deleted'
        UNION ALL
        SELECT users.*, 'external id' AS shared FROM users
         WHERE project_id = :project AND external_id = :external AND directory_id = :directory
           AND status = 'deleted'
         ORDER BY deleted_at
        """,
        project=project,
        name=fold(user_name),
        external=external_id,
        directory=directory,
    )
    return [users.from_row(row) for row in {row["shared"]: row for row in found}.values()]


def history(tx: Transaction, user: User) -> list[User]:
    """The deleted people this one was before: same directory and externalId (U16), newest first."""
    found = tx.all(
        """
        SELECT * FROM users
         WHERE project_id = :project AND directory_id = :directory
           AND external_id = :external AND status = 'deleted' AND id <> :id
         ORDER BY deleted_at DESC, id DESC
        """,
        project=user.project,
        directory=user.directory,
        external=user.external_id,
        id=user.id,
    )
    return [users.from_row(row) for row in found]
