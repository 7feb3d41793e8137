"""Directories: identity providers that push people to us."""

from broker.db.database import Row, Transaction
from broker.domain.directories import Directory, State
from broker.domain.errors import NotFound


def insert(tx: Transaction, directory: Directory) -> None:
    """Keep a new directory; Duplicate where its name is taken."""
    tx.run(
        """
        INSERT INTO directories (id, project_id, name, name_key, state, tolerance, window_s,
                                 created_at)
        VALUES (:id, :project, :name, :name_key, :state, :tolerance, :window_s, :created_at)
        """,
        id=directory.id,
        project=directory.project,
        name=directory.name,
        name_key=directory.name_key,
        state=directory.state.value,
        tolerance=directory.tolerance,
        window_s=directory.window_s,
        created_at=directory.created_at,
    )


def find(tx: Transaction, project: str, id: str) -> Directory | None:
    """The directory of that id; a deleted one is not there any more (R113)."""
    row = tx.find(
        """
        SELECT * FROM directories
         WHERE project_id = :project AND id = :id AND state <> 'deleted'
        """,
        project=project,
        id=id,
    )
    return read(row) if row else None


def by_id(tx: Transaction, id: str) -> Directory | None:
    """The directory of that id in whatever project, for counting refused requests only."""
    row = tx.find("SELECT * FROM directories WHERE id = :id AND state <> 'deleted'", id=id)
    return read(row) if row else None


def get(tx: Transaction, project: str, id: str) -> Directory:
    """The directory of that id; NotFound."""
    directory = find(tx, project, id)
    if directory is None:
        raise NotFound()
    return directory


def every(tx: Transaction, project: str) -> list[Directory]:
    """All directories of the project, by name."""
    found = tx.all(
        """
        SELECT * FROM directories
         WHERE project_id = :project AND state <> 'deleted' ORDER BY name_key
        """,
        project=project,
    )
    return [read(row) for row in found]


def read(row: Row) -> Directory:
    """A row as a directory."""
    return Directory(
        id=row["id"],
        project=row["project_id"],
        name=row["name"],
        name_key=row["name_key"],
        state=State(row["state"]),
        created_at=row["created_at"],
        tolerance=row["tolerance"],
        window_s=row["window_s"],
    )
