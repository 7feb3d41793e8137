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


def every(tx: Transaction, project: str) -> list[Directory]:
    """All directories of the project, by name."""
    sql = """
        SELECT * FROM directories
         WHERE project_id = :project AND state <> 'deleted' ORDER BY name_key
    """
    return _SHAPE.each(tx.all(sql, project=project))


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
