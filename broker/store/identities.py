"""Who a sign-in is: by issuer and subject, or by the claim an administrator mapped (safety 5)."""

from broker.db.database import Transaction
from broker.domain.users import User
from broker.store.users import from_row


def find(tx: Transaction, project: str, issuer: str, subject: str) -> User | None:
    """The person whom this subject of this issuer is known to be."""
    sql = """
        SELECT u.* FROM identities i
          JOIN users u ON u.project_id = i.project_id AND u.id = i.user_id
         WHERE i.project_id = :project AND i.issuer = :issuer AND i.subject = :subject
           AND u.status <> 'deleted'
    """
    row = tx.find(sql, project=project, issuer=issuer, subject=subject)
    return from_row(row) if row else None


def claimed(tx: Transaction, project: str, external_id: str) -> User | None:
    """The living person with this externalId in the directory that was added first of those that
    have one; None where that directory has two (decision 0015).

    A detached person has left with their directory and is nobody's to sign in as (safety 12).
    """
    sql = """
        SELECT users.* FROM users
          LEFT JOIN directories ON directories.project_id = users.project_id
                               AND directories.id = users.directory_id
         WHERE users.project_id = :project AND users.external_id = :external
           AND users.status <> 'deleted' AND users.detached_at IS NULL
         ORDER BY directories.created_at, users.directory_id
         LIMIT 2
    """
    rows = tx.all(sql, project=project, external=external_id)
    if not rows or rows[0]["directory_id"] in [row["directory_id"] for row in rows[1:]]:
        return None
    return from_row(rows[0])


def learn(tx: Transaction, project: str, issuer: str, subject: str, user_id: str) -> None:
    """From now on this subject is that person; whoever it was before, it stays."""
    sql = """
        INSERT INTO identities (project_id, issuer, subject, user_id, created_at)
        VALUES (:project, :issuer, :subject, :user, :now)
        ON CONFLICT DO NOTHING
    """
    tx.run(sql, project=project, issuer=issuer, subject=subject, user=user_id, now=tx.now)


def erase_all(tx: Transaction, project: str, user_id: str) -> None:
    """The person was deleted: no sign-in is them any more, their next life learns its own."""
    sql = "DELETE FROM identities WHERE project_id = :project AND user_id = :user"
    tx.run(sql, project=project, user=user_id)
