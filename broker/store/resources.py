"""SCIM resources as their directory said them: the stored bytes are the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from broker.db.database import Row, Transaction
from broker.store import rows


@dataclass(frozen=True, slots=True)
class Shelf:
    """All resources of one type in one directory; nothing reaches beyond it (safety 1)."""

    project: str
    directory: str
    type: str

    @property
    def named(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return {"project": self.project, "directory": self.directory, "type": self.type}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a resource is found by, as its schema compares it, and what it is called."""

    name: str | None
    external: str | None
    display: str
    """What members and groups of it are called, as it stands."""

    display_key: str | None = None
    """displayName, of what is named otherwise."""

    emails: tuple[str, ...] = ()
    """Each address once; the first is kept in the row, the others in rows of their own."""

    @property
    def named(self) -> dict[str, str | None]:
        """As parameters of a statement."""
        return {
            "name": self.name,
            "external": self.external,
            "display_key": self.display_key,
            "email": self.emails[0] if self.emails else None,
        }


class Resource(NamedTuple):
    """One row: `n` orders and joins, and is never shown; times in microseconds."""

    n: int
    id: str
    document: bytes
    version: int
    created_at: int
    changed_at: int


def insert(
    tx: Transaction, shelf: Shelf, id: str, keys: Keys, document: bytes, extras: bytes
) -> int:
    """Keep a new resource of version 1; its number.

    Its block is counted last and stays locked until the end (PostgreSQL): come here late.
    """
    row = tx.find(
        """
        INSERT INTO resources (id, project_id, directory_id, type, document, extras, name_key,
                               external_key, display_key, email_key, display,
                               created_at, changed_at)
        VALUES (:id, :project, :directory, :type, :document, :extras, :name,
                :external, :display_key, :email, :display, :now, :now)
        RETURNING n
        """,
        **shelf.named,
        **keys.named,
        id=id,
        document=document,
        extras=extras,
        display=keys.display,
        now=tx.now,
    )
    assert row is not None
    n = int(row["n"])
    _add_addresses(tx, shelf, n, keys.emails[1:])
    _count(tx, shelf, n, 1)
    return n


def find(tx: Transaction, shelf: Shelf, id: str) -> Resource | None:
    """The resource of that id on this shelf."""
    row = tx.find(
        f"SELECT {COLUMNS} FROM resources WHERE id = :id AND {_SHELF}", **shelf.named, id=id
    )
    return of_row(row) if row else None


def lock(tx: Transaction, shelf: Shelf, id: str) -> tuple[Resource, bytes] | None:
    """The resource of that id and its extras, nobody else's to change until this unit ends."""
    row = tx.find(
        f"SELECT {COLUMNS}, extras FROM resources WHERE id = :id AND {_SHELF}" + tx.for_update,
        **shelf.named,
        id=id,
    )
    return (of_row(row), row["extras"]) if row else None


def whole(tx: Transaction, shelf: Shelf, id: str) -> tuple[Resource, bytes] | None:
    """The resource of that id, and what was kept beside it."""
    sql = f"SELECT {COLUMNS}, extras FROM resources WHERE id = :id AND {_SHELF}"
    row = tx.find(sql, **shelf.named, id=id)
    return (of_row(row), row["extras"]) if row else None


def batch(tx: Transaction, shelf: Shelf, *, after: int, limit: int) -> list[tuple[Resource, bytes]]:
    """The next resources of a shelf in the order they came, with what was kept beside them;
    nobody else's to change until this unit ends.
    """
    sql = f"""
        SELECT {COLUMNS}, extras FROM resources
         WHERE {_SHELF} AND n > :after ORDER BY n LIMIT :limit
    """
    found = tx.all(sql + tx.for_update, **shelf.named, after=after, limit=limit)
    return [(of_row(row), row["extras"]) for row in found]


def source_key(tx: Transaction, shelf: Shelf, id: str) -> str | None:
    """The id that a resource has where it is fetched from; None where it was never fetched."""
    row = tx.find(
        f"SELECT source_key FROM resources WHERE id = :id AND {_SHELF}", **shelf.named, id=id
    )
    return row["source_key"] if row else None


def call(tx: Transaction, project: str, id: str, display: str) -> None:
    """What members and groups of a resource call it from now on; it is no version of it."""
    sql = "UPDATE resources SET display = :display WHERE project_id = :project AND id = :id"
    tx.run(sql, project=project, id=id, display=display)


def change(
    tx: Transaction, shelf: Shelf, resource: Resource, keys: Keys, extras: bytes, *, was: Keys
) -> None:
    """Keep a locked resource as it is now; only keys that are not as they were cost anything."""
    tx.run(
        f"""
        UPDATE resources
           SET document = :document, extras = :extras, display = :display,
               version = :version, changed_at = :changed_at
               {_KEYED if keys.named != was.named else ""}
         WHERE project_id = :project AND directory_id = :directory AND n = :n
        """,
        **keys.named,
        project=shelf.project,
        directory=shelf.directory,
        n=resource.n,
        document=resource.document,
        extras=extras,
        display=keys.display,
        version=resource.version,
        changed_at=resource.changed_at,
    )
    if keys.emails[1:] != was.emails[1:]:
        tx.run(
            "DELETE FROM addresses WHERE project_id = :project AND resource_n = :n",
            project=shelf.project,
            n=resource.n,
        )
        _add_addresses(tx, shelf, resource.n, keys.emails[1:])


def stamp(tx: Transaction, project: str, resource: Resource) -> None:
    """Keep a locked resource under its new version; nothing else of it changed."""
    tx.run(
        """
        UPDATE resources SET document = :document, version = :version, changed_at = :changed_at
         WHERE project_id = :project AND n = :n
        """,
        project=project,
        n=resource.n,
        document=resource.document,
        version=resource.version,
        changed_at=resource.changed_at,
    )


def delete(tx: Transaction, shelf: Shelf, n: int) -> None:
    """Remove a resource, and with it every membership it has or holds.

    Its block is counted last and stays locked until the end (PostgreSQL): come here late.
    """
    gone = tx.find(
        """
        DELETE FROM resources
         WHERE project_id = :project AND directory_id = :directory AND type = :type AND n = :n
        RETURNING n
        """,
        **shelf.named,
        n=n,
    )
    if gone:
        _count(tx, shelf, n, -1)


def of_row(row: Row) -> Resource:
    """A row with all of COLUMNS."""
    return Resource._make(_fields(row))


BLOCK_BITS = 10
"""A block is a run of 1,024 numbers, so that many steps at most lead from its begin to a page."""
STRIPES = 8
COLUMNS = ", ".join(Resource._fields)
_fields = itemgetter(*Resource._fields)
_SHELF = "project_id = :project AND directory_id = :directory AND type = :type"
_KEYED = """, name_key = :name, external_key = :external, display_key = :display_key,
               email_key = :email"""


def _count(tx: Transaction, shelf: Shelf, n: int, by: int) -> None:
    """Count a resource in its block: in a stripe of it where writers do not stand in line."""
    tx.run(
        """
        INSERT INTO blocks (project_id, directory_id, type, block, stripe, held)
        VALUES (:project, :directory, :type, :block, :stripe, :by)
        ON CONFLICT (project_id, directory_id, type, block, stripe)
        DO UPDATE SET held = blocks.held + :by
        """,
        **shelf.named,
        block=n >> BLOCK_BITS,
        stripe=n % STRIPES if tx.for_update else 0,
        by=by,
    )


def _add_addresses(tx: Transaction, shelf: Shelf, n: int, keys: Sequence[str]) -> None:
    for some in rows.chunks(keys):
        lines, named = rows.valued(
            "(:project, :directory, :n, {key})", [{"key": each} for each in some]
        )
        tx.run(
            f"INSERT INTO addresses (project_id, directory_id, resource_n, key) VALUES {lines}",
            project=shelf.project,
            directory=shelf.directory,
            n=n,
            **named,
        )
