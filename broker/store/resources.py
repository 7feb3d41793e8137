"""SCIM resources as their directory said them: the stored bytes are the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    """What a resource is found and called by: folded name, exact externalId, shown name."""

    name: str
    external: str | None
    display: str


@dataclass(frozen=True, slots=True)
class Resource:
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
    """Keep a new resource of version 1; its number."""
    row = tx.find(
        """
        INSERT INTO resources (id, project_id, directory_id, type, document, extras,
                               name_key, external_key, display, created_at, changed_at)
        VALUES (:id, :project, :directory, :type, :document, :extras,
                :name, :external, :display, :now, :now)
        RETURNING n
        """,
        **shelf.named,
        id=id,
        document=document,
        extras=extras,
        name=keys.name,
        external=keys.external,
        display=keys.display,
        now=tx.now,
    )
    assert row is not None
    return int(row["n"])


def find(tx: Transaction, shelf: Shelf, id: str) -> Resource | None:
    """The resource of that id on this shelf."""
    row = tx.find(
        f"SELECT {_COLUMNS} FROM resources WHERE id = :id AND {_SHELF}", **shelf.named, id=id
    )
    return _resource(row) if row else None


def lock(tx: Transaction, shelf: Shelf, id: str) -> tuple[Resource, bytes] | None:
    """The resource of that id and its extras, nobody else's to change until this unit ends."""
    row = tx.find(
        f"SELECT {_COLUMNS}, extras FROM resources WHERE id = :id AND {_SHELF}" + tx.for_update,
        **shelf.named,
        id=id,
    )
    return (_resource(row), row["extras"]) if row else None


def change(tx: Transaction, shelf: Shelf, resource: Resource, keys: Keys, extras: bytes) -> None:
    """Keep a locked resource as it is now."""
    tx.run(
        """
        UPDATE resources
           SET document = :document, extras = :extras, name_key = :name,
               external_key = :external, display = :display,
               version = :version, changed_at = :changed_at
         WHERE project_id = :project AND directory_id = :directory AND n = :n
        """,
        project=shelf.project,
        directory=shelf.directory,
        n=resource.n,
        document=resource.document,
        extras=extras,
        name=keys.name,
        external=keys.external,
        display=keys.display,
        version=resource.version,
        changed_at=resource.changed_at,
    )


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
    """Remove a resource, and with it every membership it has or holds."""
    tx.run(
        """
        DELETE FROM resources
         WHERE project_id = :project AND directory_id = :directory AND n = :n
        """,
        project=shelf.project,
        directory=shelf.directory,
        n=n,
    )


@dataclass(frozen=True, slots=True)
class Where:
    """Equalities an index answers: folded name, exact externalId, id, one member of a group."""

    name: str | None = None
    external: str | None = None
    id: str | None = None
    member: str | None = None

    @property
    def sql(self) -> str:
        """The equalities that are asked for."""
        asked = {name: value for name, value in self.named.items() if value is not None}
        return "".join(f" AND {_EQUALS[name]}" for name in asked)

    @property
    def named(self) -> dict[str, str | None]:
        """As parameters of a statement."""
        return {
            "name": self.name,
            "external": self.external,
            "id": self.id,
            "member": self.member,
        }


def count(tx: Transaction, shelf: Shelf, where: Where) -> int:
    """How many resources of the shelf fulfil all of `where`."""
    row = tx.find(
        f"SELECT count(*) AS found FROM resources WHERE {_SHELF}{where.sql}",
        **shelf.named,
        **where.named,
    )
    return int(row["found"]) if row else 0


def page(
    tx: Transaction,
    shelf: Shelf,
    where: Where,
    *,
    offset: int,
    limit: int,
    by_name: bool = False,
    descending: bool = False,
) -> list[Resource]:
    """Resources of the shelf, oldest first or by folded name: `limit` after the first `offset`."""
    order = f"name_key {'DESC' if descending else 'ASC'}, n" if by_name else "n"
    found = tx.all(
        f"""
        SELECT {_COLUMNS} FROM resources
         WHERE {_SHELF}{where.sql}
         ORDER BY {order}
         LIMIT :limit OFFSET :offset
        """,
        **shelf.named,
        **where.named,
        limit=limit,
        offset=offset,
    )
    return [_resource(row) for row in found]


def batch(tx: Transaction, shelf: Shelf, where: Where, *, after: int, limit: int) -> list[Resource]:
    """The next resources of the shelf in the order of their numbers, above the number `after`."""
    found = tx.all(
        f"""
        SELECT {_COLUMNS} FROM resources
         WHERE {_SHELF} AND n > :after{where.sql}
         ORDER BY n
         LIMIT :limit
        """,
        **shelf.named,
        **where.named,
        after=after,
        limit=limit,
    )
    return [_resource(row) for row in found]


def numbered(tx: Transaction, shelf: Shelf, numbers: Sequence[int]) -> dict[int, Resource]:
    """The resources of these numbers."""
    found: dict[int, Resource] = {}
    for some in rows.chunks(numbers):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"SELECT {_COLUMNS} FROM resources WHERE {_SHELF} AND n IN ({listed})",
            **shelf.named,
            **named,
        ):
            found[row["n"]] = _resource(row)
    return found


_COLUMNS = "n, id, document, version, created_at, changed_at"
_SHELF = "project_id = :project AND directory_id = :directory AND type = :type"
_EQUALS: Mapping[str, str] = {
    "name": "name_key = :name",
    "external": "external_key = :external",
    "id": "id = :id",
    "member": """n IN (
            SELECT members.group_n FROM members
              JOIN resources held ON held.n = members.member_n
             WHERE held.project_id = :project AND held.directory_id = :directory
               AND held.id = :member)""",
}


def _resource(row: Row) -> Resource:
    return Resource(
        n=row["n"],
        id=row["id"],
        document=row["document"],
        version=row["version"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )
