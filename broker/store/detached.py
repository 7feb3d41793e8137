"""Detached people: their directory was deleted, and until another adopts them they are nobody's."""

from collections.abc import Sequence

from broker.db.database import Transaction
from broker.domain.users import User
from broker.store import letters, rows
from broker.store.users import from_row
from scim.fold import fold


def count(tx: Transaction, project: str, directory: str) -> int:
    """How many living people a directory has."""
    sql = """
        SELECT count(*) AS people FROM users
         WHERE project_id = :project AND directory_id = :directory AND status <> 'deleted'
    """
    row = tx.find(sql, project=project, directory=directory)
    return int(row["people"]) if row else 0


def detach(tx: Transaction, project: str, directory: str, issuer: str | None) -> None:
    """Let go of the living people of a directory: who they are, status and license stay.

    Tombstones stay its own: what it deleted it deleted. Nobody is ticked. Open invitations end
    with their letters: nobody comes in through a directory that is gone (safety 12).
    """
    sql = """
        UPDATE invitations SET voided_at = :now
         WHERE project_id = :project AND accepted_at IS NULL AND voided_at IS NULL
           AND user_id IN (
               SELECT id FROM users
                WHERE project_id = :project AND directory_id = :directory AND status = 'invited')
        RETURNING user_id
    """
    for row in tx.all(sql, project=project, directory=directory, now=tx.now):
        letters.void_invitations(tx, project, row["user_id"])
    sql = """
        UPDATE users
           SET directory_id = NULL, detached_at = :now, detached_issuer = :issuer, adoptable = 0,
               version = version + 1, changed_at = :now
         WHERE project_id = :project AND directory_id = :directory AND status <> 'deleted'
    """
    tx.run(sql, project=project, directory=directory, issuer=issuer, now=tx.now)


def page(tx: Transaction, project: str, *, after: str, limit: int) -> list[User]:
    """Detached people by id, from the first id above `after`."""
    sql = """
        SELECT * FROM users
         WHERE project_id = :project AND detached_at IS NOT NULL AND status <> 'deleted'
           AND id > :after
         ORDER BY id
         LIMIT :limit
    """
    return [from_row(row) for row in tx.all(sql, project=project, after=after, limit=limit)]


def tick(tx: Transaction, project: str, ids: Sequence[str] | None, adoptable: bool) -> int:
    """Let directories adopt these detached people, or no longer; None: all there are. How many
    of them are detached.
    """
    ticked = 0
    for some in [None] if ids is None else rows.chunks(ids):
        listed, named = rows.listed(some or ())
        sql = f"""
            UPDATE users SET adoptable = :adoptable
             WHERE project_id = :project AND detached_at IS NOT NULL AND status <> 'deleted'
               {"" if some is None else f"AND id IN ({listed})"}
            RETURNING id
        """
        ticked += len(tx.all(sql, project=project, adoptable=int(adoptable), **named))
    return ticked


def adoptable(
    tx: Transaction, project: str, external_id: str | None, user_name: str
) -> User | None:
    """The ticked person with this externalId, else with this userName, locked (safety 12).

    Where several have the externalId, the one of them who has the userName too; else nobody:
    nothing is guessed.
    """
    sql = """
        SELECT * FROM users
         WHERE project_id = :project AND adoptable = 1 AND status <> 'deleted'
           AND (external_id = :external OR user_name_key = :name)
         LIMIT 3
    """
    found = tx.all(sql + tx.for_update, project=project, external=external_id, name=fold(user_name))
    same = [row for row in found if external_id is not None and row["external_id"] == external_id]
    named = [row for row in same or found if row["user_name_key"] == fold(user_name)]
    chosen = same if len(same) == 1 else named
    return from_row(chosen[0]) if chosen else None


def overdue(tx: Transaction, project: str, since: int, limit: int) -> list[str]:
    """People who can still come in and have been detached since then or longer, by id."""
    sql = """
        SELECT id FROM users
         WHERE project_id = :project AND detached_at IS NOT NULL AND detached_at <= :since
           AND status IN ('invited', 'queued', 'active')
         ORDER BY id
         LIMIT :limit
    """
    return [row["id"] for row in tx.all(sql, project=project, since=since, limit=limit)]


def clear(tx: Transaction, project: str, directory: str, limit: int) -> bool:
    """Remove some of the resources of a deleted directory, people before groups, with every
    membership they have; False once none is left, and nothing else of what it said.
    """
    sql = """
        DELETE FROM resources
         WHERE project_id = :project AND directory_id = :directory AND n IN (
               SELECT n FROM resources
                WHERE project_id = :project AND directory_id = :directory
                ORDER BY type DESC, n DESC
                LIMIT :limit)
        RETURNING n
    """
    if tx.all(sql, project=project, directory=directory, limit=limit):
        return True
    sql = "DELETE FROM blocks WHERE project_id = :project AND directory_id = :directory"
    tx.run(sql, project=project, directory=directory)
    sql = """
        UPDATE records SET raw = NULL
         WHERE project_id = :project AND raw IS NOT NULL AND run_id IN (
               SELECT id FROM runs WHERE project_id = :project AND directory_id = :directory)
    """
    tx.run(sql, project=project, directory=directory)
    return False


def release(tx: Transaction, project: str, id: str) -> None:
    """Remove what is left of this person in the directory that was deleted, so that another can
    keep a resource under the same id.
    """
    sql = """
        DELETE FROM resources
         WHERE project_id = :project AND id = :id AND directory_id IN (
               SELECT id FROM directories WHERE project_id = :project AND state = 'deleted')
    """
    tx.run(sql, project=project, id=id)
