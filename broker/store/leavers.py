"""People whose access a directory's runs end: how many by now, and what is held of one of them."""

from typing import NamedTuple

from broker.db.database import Transaction
from broker.domain.users import SUSPENSION_HELD


class Leavers(NamedTuple):
    """People the directory's running run has suspended, deleted, or would have but for a decision;
    of those, how many it deleted; and whether a held run of it waits.
    """

    people: int
    deleted: int
    is_waiting: bool


def of_directory(tx: Transaction, project: str, directory: str, *, but: str) -> Leavers:
    """How many leave by the running run, each counted once and the person of id `but` not at all.

    What is held still counts, or the first over the limit would be the last one held.
    """
    sql = """
        SELECT COUNT(DISTINCT resource_id) AS people,
               COUNT(DISTINCT CASE WHEN records.result = 'deleted' OR held = 'deleted'
                                   THEN resource_id END) AS deleted
          FROM runs
          JOIN records ON records.project_id = runs.project_id AND records.run_id = runs.id
         WHERE runs.project_id = :project AND runs.directory_id = :directory
           AND runs.state = 'running' AND records.kind = 'User' AND resource_id <> :but
           AND records.result IN ('suspended', 'deleted', 'staged')
    """
    counted = tx.find(sql, project=project, directory=directory, but=but)
    sql = """
        SELECT id FROM runs
         WHERE project_id = :project AND directory_id = :directory
           AND state = 'held' AND state <> 'ended'
         LIMIT 1
    """  # the second condition names the index
    held = tx.find(sql, project=project, directory=directory)
    people, deleted = (counted["people"], counted["deleted"]) if counted else (0, 0)
    return Leavers(people, deleted, held is not None)


def undecided(tx: Transaction, project: str, directory: str) -> list[str]:
    """The people of a directory of whom something is held."""
    sql = f"""
        SELECT id FROM users
         WHERE project_id = :project AND directory_id = :directory AND {_UNDECIDED}
         ORDER BY id
    """
    found = tx.all(sql, project=project, directory=directory, held=SUSPENSION_HELD)
    return [row["id"] for row in found]


def waits(tx: Transaction, project: str, run: str) -> bool:
    """Whether a run holds what was pushed into it: somebody whose access has ended already."""
    sql = f"""
        SELECT users.id FROM records
          JOIN users ON users.project_id = records.project_id AND users.id = resource_id
         WHERE records.project_id = :project AND run_id = :run AND result = 'staged'
           AND {_UNDECIDED}
         LIMIT 1
    """
    return tx.find(sql, project=project, run=run, held=SUSPENSION_HELD) is not None


def overtake(tx: Transaction, project: str, user_id: str, by: str) -> list[str]:
    """The directory said something newer about the person: nothing is left to decide, what was
    done at once is done (a deletion was carried out by the caller). The runs that held it.
    """
    sql = """
        UPDATE records SET result = held, decided_by = :by, decided_at = :now
         WHERE project_id = :project AND resource_id = :user AND result = 'staged'
        RETURNING run_id
    """
    found = tx.all(sql, project=project, user=user_id, by=by, now=tx.now)
    return [row["run_id"] for row in found]


_UNDECIDED = """status = 'suspended'
           AND (license = 'withheld' OR deleted_at IS NOT NULL OR status_reason = :held)"""
