"""Resources as they are looked for: by what an index finds, in an order, a page at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from broker.db.database import Row, Transaction
from broker.store import rows
from broker.store.resources import BLOCK_BITS, Shelf
from scim.resources import Stored

Place: TypeAlias = tuple[Any, ...]
"""Where a resource stands: `(n,)`, or by name `(False, name key, n)`; () is nowhere."""


class Where:
    """Equalities an index answers: `name`, `external`, `display` and `email` of a resource, its
    `id`, the id of a `member` of it.
    """

    __slots__ = ("is_named", "named", "sql")

    def __init__(self, **asked: str) -> None:
        self.named = asked
        """What is asked for, as parameters of a statement."""
        self.sql = "".join(f" AND {_EQUALS[name]}" for name in asked)
        self.is_named = not asked.keys().isdisjoint(("id", "email", "member"))
        """Whether ids or numbers are looked up one by one, so that no range is to be walked."""


@dataclass(frozen=True, slots=True)
class Order:
    """In the order of arrival, or by name, of equal ones the first that came."""

    by_name: bool = False
    descending: bool = False

    def sql(self, *, backwards: bool = False) -> str:
        """What follows ORDER BY."""
        n = f"n {_WAYS[backwards][0]}"
        return f"name_key {_WAYS[self.descending != backwards][0]}, {n}" if self.by_name else n

    def beyond(self, where: Where, *, backwards: bool = False) -> str:
        """The condition that leaves what lies beyond the place (`:at_name`, `:at_n`)."""
        n = f"n{' + 0' if where.is_named else ''} {_WAYS[backwards][1]} :at_n"
        if not self.by_name:
            return f" AND {n}"
        name = f"name_key {_WAYS[self.descending != backwards][1]}"
        return f" AND {name}= :at_name AND ({name} :at_name OR {n})"


def count(tx: Transaction, shelf: Shelf, where: Where) -> int:
    """How many resources of the shelf fulfil all of `where`; all of them are a sum of blocks."""
    found = "count(*) AS found FROM resources" if where.sql else "SUM(held) AS found FROM blocks"
    confined = _NAMED if where.is_named else _SHELF
    row = tx.find(f"SELECT {found} WHERE {confined}{where.sql}", **shelf.named, **where.named)
    return int(row["found"] or 0) if row else 0


def extent(tx: Transaction, shelf: Shelf, offset: int) -> tuple[int, Place, int]:
    """How many resources the shelf holds, a place before the one that follows the first `offset`,
    and how many stand between the two: fewer than a block has numbers.
    """
    found = tx.all(
        f"""
        SELECT block, SUM(held) AS held FROM blocks WHERE {_SHELF} GROUP BY block ORDER BY block
        """,
        **shelf.named,
    )
    total, at, between = 0, 0, offset
    for row in found:
        total += int(row["held"])
        if total <= offset:
            at, between = (row["block"] + 1 << BLOCK_BITS) - 1, offset - total
    return total, (at,), between


def page(
    tx: Transaction,
    shelf: Shelf,
    where: Where,
    order: Order,
    at: Place = (),
    *,
    backwards: bool = False,
    limit: int,
    offset: int = 0,
) -> list[Stored]:
    """The nearest `limit` resources behind the place `at`, nearest first and without the first
    `offset`; `backwards` those before it. Without a place it begins at the first, or the last.
    """
    confined = _NAMED if where.is_named else _SHELF
    beyond = order.beyond(where, backwards=backwards) if at else ""
    found = tx.all(
        f"""
        SELECT id, version, document, n{", name_key" if order.by_name else ""} FROM resources
         WHERE {confined}{where.sql}{beyond}
         ORDER BY {order.sql(backwards=backwards)}
         LIMIT :limit OFFSET :offset
        """,
        **shelf.named,
        **where.named,
        at_n=at[-1] if at else None,
        at_name=at[1] if len(at) > 1 else None,
        limit=limit,
        offset=offset,
    )
    if order.by_name:
        return [_stored(row, (False, row["name_key"], row["n"])) for row in found]
    return [_stored(row, (row["n"],)) for row in found]


def numbered(tx: Transaction, shelf: Shelf, numbers: Sequence[int]) -> dict[int, Stored]:
    """The resources of these numbers."""
    found: dict[int, Stored] = {}
    for some in rows.chunks(numbers):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT id, version, document, n FROM resources
             WHERE {_NAMED} AND n IN ({listed})
            """,
            **shelf.named,
            **named,
        ):
            found[row["n"]] = _stored(row, (row["n"],))
    return found


def _stored(row: Row, at: Place) -> Stored:
    """A row as an answer, made in one step as pages are full of them."""
    return Stored(row["id"], row["version"], row["document"], b"", False, None, at)


_SHELF = "project_id = :project AND directory_id = :directory AND type = :type"
_NAMED = f"({_SHELF}) IS TRUE"  # so that PostgreSQL walks no shelf for what is named (0018)
_WAYS = {False: ("ASC", ">"), True: ("DESC", "<")}
_EQUALS: Mapping[str, str] = {
    "name": "name_key = :name",
    "external": "external_key = :external",
    "display": "display_key = :display",
    "id": "id = :id",
    "email": f"""n IN (
            SELECT n FROM resources WHERE {_SHELF} AND email_key = :email
             UNION ALL
            SELECT resource_n FROM addresses
             WHERE project_id = :project AND directory_id = :directory AND key = :email)""",
    "member": """n IN (
            SELECT members.group_n FROM members
              JOIN resources held ON held.n = members.member_n
             WHERE held.project_id = :project AND held.directory_id = :directory
               AND held.id = :member)""",
}
