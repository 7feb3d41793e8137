"""Invitations: one a person and epoch, and one letter for each."""

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.invitations import Invitation
from broker.domain.users import INVITATION_LIFETIME, User
from broker.store import letters
from broker.store.shapes import Shape


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
    letters.invite(tx, user)


def find(tx: Transaction, project: str, id: str) -> Invitation | None:
    """The invitation of that id."""
    sql = "SELECT * FROM invitations WHERE project_id = :project AND id = :id"
    return _SHAPE.one(tx.find(sql, project=project, id=id))


def of(tx: Transaction, user: User) -> Invitation | None:
    """The person's invitation of this epoch, whatever became of it."""
    sql = """
        SELECT * FROM invitations
         WHERE project_id = :project AND user_id = :user AND epoch = :epoch
    """
    found = tx.find(sql, project=user.project, user=user.id, epoch=user.invite_epoch)
    return _SHAPE.one(found)


def link_ends(tx: Transaction, user: User) -> int | None:
    """When the person's link does; None where none has left."""
    found = of(tx, user)
    return found.expires_at if found is not None and found.hash is not None else None


def by_link(tx: Transaction, hash: str) -> Invitation | None:
    """The invitation whose link has this secret, by its keyed hash."""
    return _SHAPE.one(tx.find("SELECT * FROM invitations WHERE hash = :hash", hash=hash))


def leave(tx: Transaction, invitation: Invitation, hash: str) -> Invitation:
    """The link leaves: from now on it can be opened, for the next seven days (D2)."""
    sql = """
        UPDATE invitations SET hash = :hash, expires_at = :expires
         WHERE project_id = :project AND id = :id
        RETURNING *
    """
    expires = tx.now + INVITATION_LIFETIME
    row = tx.find(sql, project=invitation.project, id=invitation.id, hash=hash, expires=expires)
    if row is None:
        raise LookupError(invitation.id)
    return _SHAPE.read(row)


def void_all(tx: Transaction, project: str, user_id: str) -> None:
    """End the person's open invitations (U10, safety 8)."""
    _end(tx, "voided_at", project, user_id)


def accepted(tx: Transaction, project: str, user_id: str) -> None:
    """The person came in: their open invitation has done its work (U3, U4)."""
    _end(tx, "accepted_at", project, user_id)


def _end(tx: Transaction, how: str, project: str, user_id: str) -> None:
    """Also for the letters that would have carried them."""
    sql = f"""
        UPDATE invitations SET {how} = :now
         WHERE project_id = :project AND user_id = :user
           AND accepted_at IS NULL AND voided_at IS NULL
    """
    tx.run(sql, project=project, user=user_id, now=tx.now)
    letters.void_invitations(tx, project, user_id)


_SHAPE = Shape(Invitation)
