"""Directories: identity providers that push people to us."""

from broker.db.database import Row, Transaction
from broker.domain.directories import Directory, Holding, Schedule, Source
from broker.domain.errors import NotFound
from broker.store.shapes import Shape, record_form


def insert(tx: Transaction, directory: Directory) -> None:
    """Keep a new directory; Duplicate where its name is taken."""
    sql = f"""
        INSERT INTO directories (project_id, {_SHAPE.columns})
        VALUES (:project, {_SHAPE.values})
    """
    tx.run(sql, **_SHAPE.parameters(directory))


def find(tx: Transaction, project: str, id: str) -> Directory | None:
    """The directory of that id; a deleted one is not there any more (R113)."""
    sql = """
        SELECT * FROM directories
         WHERE project_id = :project AND id = :id AND state <> 'deleted'
    """
    return _SHAPE.one(tx.find(sql, project=project, id=id))


def by_id(tx: Transaction, id: str) -> Directory | None:
    """The directory of that id in whatever project, for counting refused requests only."""
    row = tx.find("SELECT * FROM directories WHERE id = :id AND state <> 'deleted'", id=id)
    return _SHAPE.one(row)


def get(tx: Transaction, project: str, id: str) -> Directory:
    """The directory of that id; NotFound."""
    directory = find(tx, project, id)
    if directory is None:
        raise NotFound()
    return directory


def lock(tx: Transaction, project: str, id: str) -> Directory:
    """The directory of that id, nobody else's to change until this unit ends; NotFound."""
    sql = """
        SELECT * FROM directories
         WHERE project_id = :project AND id = :id AND state <> 'deleted'
    """
    directory = _SHAPE.one(tx.find(sql + tx.for_update, project=project, id=id))
    if directory is None:
        raise NotFound()
    return directory


def change(tx: Transaction, directory: Directory) -> None:
    """Keep a locked directory as it is now; Duplicate where its name is taken."""
    sql = f"""
        UPDATE directories SET {_SHAPE.changes}
         WHERE project_id = :project AND id = :id
    """
    tx.run(sql, **_SHAPE.parameters(directory))


def bury(tx: Transaction, directory: Directory) -> None:
    """Delete a locked directory: nothing that was set up is kept, and its name is free (R113)."""
    sql = """
        UPDATE directories
           SET state = 'deleted', deleted_at = :now, source = NULL, schedule = NULL,
               next_at = NULL, trouble = NULL, delta = NULL
         WHERE project_id = :project AND id = :id
    """
    tx.run(sql, project=directory.project, id=directory.id, now=tx.now)
    for table in ("directory_tokens", "mappings"):
        sql = f"DELETE FROM {table} WHERE project_id = :project AND directory_id = :id"
        tx.run(sql, project=directory.project, id=directory.id)


def is_due(tx: Transaction) -> bool:
    """Whether the schedule of any directory is due; reading is cheaper than claiming."""
    return tx.find(_DUE, now=tx.now) is not None


def claim_due(tx: Transaction) -> Directory | None:
    """The enabled directory whose schedule is due the longest, locked; None where none is."""
    return _SHAPE.one(tx.find(_DUE + tx.skip_locked, now=tx.now))


def plan(tx: Transaction, project: str, id: str, next_at: int | None) -> None:
    """Keep when the schedule of a locked directory is due next."""
    sql = "UPDATE directories SET next_at = :next_at WHERE project_id = :project AND id = :id"
    tx.run(sql, project=project, id=id, next_at=next_at)


def every(tx: Transaction, project: str) -> list[Directory]:
    """All directories of the project, by name."""
    sql = """
        SELECT * FROM directories
         WHERE project_id = :project AND state <> 'deleted' ORDER BY name_key
    """
    return _SHAPE.each(tx.all(sql, project=project))


_DUE = """
    SELECT * FROM directories
     WHERE next_at IS NOT NULL AND next_at <= :now AND state = 'enabled'
     ORDER BY next_at
     LIMIT 1
"""
_SHAPE = Shape(
    Directory,
    forms={
        "source": record_form(Source),
        "schedule": record_form(Schedule),
        "holding": record_form(Holding),
    },
)


def read(row: Row) -> Directory:
    """A row as a directory."""
    return _SHAPE.read(row)
