"""Which groups somebody is in: directly, or because a group they are in is in another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker.db.database import Transaction
from broker.store import rows
from broker.store.members import Entry
from broker.store.resources import Resource, Shelf, of_row

CLOSE = 4
"""How many numbers to each that is meant make one stretch cheaper than to name them."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A group somebody is in; `direct`, or because a group they are in is in it."""

    group: Entry
    direct: bool


def find_with_groups(
    tx: Transaction, shelf: Shelf, id: str
) -> tuple[Resource, list[Entry], bool] | None:
    """The resource of that id, the groups it is directly in, and whether any of those is itself
    in a group: one statement.
    """
    found = tx.all(
        """
        SELECT n, id, document, version, created_at, changed_at, '' AS display, 0 AS nested,
               0 AS part
          FROM resources
         WHERE project_id = :project AND directory_id = :directory AND type = :type AND id = :id
        UNION ALL
        SELECT held.n, held.id, NULL, 0, 0, 0, held.display,
               CASE WHEN EXISTS (SELECT 1 FROM members above WHERE above.member_n = held.n)
                    THEN 1 ELSE 0 END, 1
          FROM resources
          JOIN members ON members.member_n = resources.n
          JOIN resources held ON held.n = members.group_n
         WHERE resources.project_id = :project AND resources.directory_id = :directory
           AND resources.type = :type AND resources.id = :id
         ORDER BY part, n
        """,
        **shelf.named,
        id=id,
    )
    if not found:
        return None
    row, *groups = found
    entries = [Entry(group["n"], group["id"], "Group", group["display"]) for group in groups]
    return of_row(row), entries, any(group["nested"] for group in groups)


def groups_of(tx: Transaction, project: str, members: Sequence[int]) -> dict[int, list[Membership]]:
    """The groups each of these is in, direct ones first, then those by nesting, each once.

    One statement a level of nesting for all of them together; a circle of groups ends by itself.
    """
    parents = _parents(tx, project, members)
    asked = set(members)
    while beyond := {group.n for found in parents.values() for group in found} - asked:
        asked |= beyond
        parents |= _parents(tx, project, sorted(beyond))
    return {member: _memberships(member, parents) for member in members if member in parents}


def _parents(tx: Transaction, project: str, members: Sequence[int]) -> dict[int, list[Entry]]:
    meant = set(members)
    found: dict[int, list[Entry]] = {}
    for these, named in _stretches(members):
        for row in tx.all(
            f"""
            SELECT members.member_n, held.n, held.id, held.type, held.display
              FROM members JOIN resources held ON held.n = members.group_n
             WHERE members.project_id = :project AND members.member_n {these}
             ORDER BY members.member_n, members.group_n
            """,
            project=project,
            **named,
        ):
            if row["member_n"] in meant:
                found.setdefault(row["member_n"], []).append(Entry.of(row))
    return found


def _stretches(members: Sequence[int]) -> Iterator[tuple[str, dict[str, int]]]:
    """What finds these numbers: one stretch where they lie close, as those of a page do."""
    first, last = min(members, default=0), max(members, default=0)
    if last - first < CLOSE * len(members):
        yield "BETWEEN :first AND :last", {"first": first, "last": last}
        return
    for some in rows.chunks(members):
        listed, named = rows.listed(some)
        yield f"IN ({listed})", named


def _memberships(member: int, parents: dict[int, list[Entry]]) -> list[Membership]:
    found = {group.n: Membership(group, direct=True) for group in parents[member]}
    waiting = list(found)
    for n in waiting:
        for group in parents.get(n, ()):
            if group.n not in found:
                found[group.n] = Membership(group, direct=False)
                waiting.append(group.n)
    return list(found.values())
