"""Invitations: one a person and epoch, and one letter for each."""

from __future__ import annotations

from dataclasses import dataclass

from broker.db.database import Row, Transaction
from broker.domain import ids
from broker.domain.users import INVITATION_LIFETIME, User
from broker.store import letters


@dataclass(frozen=True, slots=True)
class Invitation:
    """What lets a person in once; `epoch` tells the letters of one person apart."""

    id: str
    project: str
    user_id: str
    epoch: int
    created_at: int
    expires_at: int
    accepted_at: int | None
    voided_at: int | None

    def is_open(self, now: int) -> bool:
        """Whether it can still be accepted."""
        return self.accepted_at is None and self.voided_at is None and now < self.expires_at


def insert(tx: Transaction, user: User) -> None:
    """Invite the person: one invitation and one letter for this epoch, however often asked (U1)."""
    tx.run(
        """
        INSERT INTO invitations (id, project_id, user_id, epoch, created_at, expires_at)
        VALUES (:id, :project, :user, :epoch, :now, :expires)
        ON CONFLICT DO NOTHING
        """,
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
    tx.run(
        """
        UPDATE invitations SET voided_at = :now
         WHERE project_id = :project AND user_id = :user
           AND accepted_at IS NULL AND voided_at IS NULL
        """,
        project=project,
        user=user_id,
        now=tx.now,
    )


def accepted(tx: Transaction, project: str, user_id: str) -> None:
    """The person came in: their open invitation has done its work (U3, U4)."""
    tx.run(
        """
        UPDATE invitations SET accepted_at = :now
         WHERE project_id = :project AND user_id = :user
           AND accepted_at IS NULL AND voided_at IS NULL
        """,
        project=project,
        user=user_id,
        now=tx.now,
    )


def of_user(tx: Transaction, project: str, user_id: str) -> list[Invitation]:
    """Every invitation of the person, the newest first."""
    rows = tx.all(
        """
        SELECT * FROM invitations
         WHERE project_id = :project AND user_id = :user
         ORDER BY epoch DESC
        """,
        project=project,
        user=user_id,
    )
    return [_invitation(row) for row in rows]


def _invitation(row: Row) -> Invitation:
    return Invitation(
        id=row["id"],
        project=row["project_id"],
        user_id=row["user_id"],
        epoch=row["epoch"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        accepted_at=row["accepted_at"],
        voided_at=row["voided_at"],
    )
