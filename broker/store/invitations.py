"""Invitations: one a person and epoch, and one letter for each."""

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.users import INVITATION_LIFETIME, User
from broker.store import letters


def insert(tx: Transaction, user: User) -> None:
    """Invite the person: one invitation and one letter for this epoch, however often asked (U1)."""
    sql = """
        INSERT INTO invitations (id, project_id, user_id, epoch, created_at, expires_at)
        VALUES (:id, :project, :user, :epoch, :now, :expires)
        ON CONFLICT DO NOTHING
    """
    tx.run(
        sql,
        id=ids.new("inv"),
        project=user.project,
        user=user.id,
        epoch=user.invite_epoch,
        now=tx.now,
        expires=tx.now + INVITATION_LIFETIME,
    )
    once = f"invitation:{user.id}:{user.invite_epoch}"
    letters.add(tx, user.project, user.id, "invitation", once=once, epoch=user.invite_epoch)


def void_all(tx: Transaction, project: str, user_id: str) -> None:
    """End the person's open invitations (U10, safety 8)."""
    _end(tx, "voided_at", project, user_id)


def accepted(tx: Transaction, project: str, user_id: str) -> None:
    """The person came in: their open invitation has done its work (U3, U4)."""
    _end(tx, "accepted_at", project, user_id)


def _end(tx: Transaction, how: str, project: str, user_id: str) -> None:
    sql = f"""
        UPDATE invitations SET {how} = :now
         WHERE project_id = :project AND user_id = :user
           AND accepted_at IS NULL AND voided_at IS NULL
    """
    tx.run(sql, project=project, user=user_id, now=tx.now)
