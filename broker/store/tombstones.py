"""Deleted people: who somebody was before, and what an administrator had decided about them."""

from broker.db.database import Transaction
from broker.domain.users import User
from broker.store import users
from scim.fold import fold


def past(
    tx: Transaction, project: str, directory: str, external_id: str | None, user_name: str
) -> User | None:
    """Who had this userName, or this externalId in this directory, before they were deleted: one
    of this directory whose deletion is still held (R5), else the last one whom an administrator
    had suspended, else the last one (safety 6).
    """
    # By the two names, each through its own index: an OR would look at everybody, and so would a
    # directory, which engines take for smaller than it is.
    sql = """
        WITH named AS (
            SELECT * FROM users
             WHERE project_id = :project AND user_name_key = :name AND deleted_at IS NOT NULL
             UNION
            SELECT * FROM users
             WHERE project_id = :project AND external_id = :external AND deleted_at IS NOT NULL
               AND (directory_id || '') = :directory)
        SELECT * FROM named WHERE status = 'deleted' OR directory_id = :directory
         ORDER BY CASE status WHEN 'deleted' THEN 1 ELSE 0 END,
                  CASE WHEN suspended_by IS NULL THEN 1 ELSE 0 END, deleted_at DESC, id DESC
         LIMIT 1
    """
    row = tx.find(
        sql, project=project, name=fold(user_name), external=external_id, directory=directory
    )
    return users.from_row(row) if row else None


def leave(tx: Transaction, tombstone: User) -> None:
    """Keep a tombstone under names that somebody suspended has left; one is enough (safety 6)."""
    sql = """
        SELECT id FROM users
         WHERE project_id = :project AND status = 'deleted' AND suspended_by = 'admin'
           AND user_name_key = :name AND directory_id = :directory
           AND COALESCE(external_id, '') = :external
         LIMIT 1
    """
    row = tx.find(
        sql,
        project=tombstone.project,
        name=fold(tombstone.user_name),
        directory=tombstone.directory,
        external=tombstone.external_id or "",
    )
    if row is None:
        users.insert(tx, tombstone)


def lift(tx: Transaction, user: User) -> None:
    """An administrator reinstated the person: no tombstone of a name of theirs bars any more."""
    sql = """
        UPDATE users SET suspended_by = NULL, version = version + 1, changed_at = :now
         WHERE project_id = :project AND status = 'deleted' AND suspended_by = 'admin'
           AND (user_name_key = :name OR (external_id = :external AND directory_id = :directory))
    """
    tx.run(
        sql,
        project=user.project,
        name=fold(user.user_name),
        external=user.external_id,
        directory=user.directory,
        now=tx.now,
    )
