"""Who is in which group: rows, so that a change costs what changed and not what the group holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain.errors import NotFound
from broker.store import rows
from broker.store.resources import Resource, Shelf


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a group, or a group of a member: what is shown of it, and its number."""

    n: int
    id: str
    type: str
    display: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A group somebody is in; `direct`, or because a group they are in is in it."""

    group: Entry
    direct: bool


def known(tx: Transaction, project: str, directory: str, ids: Sequence[str]) -> dict[str, Entry]:
    """Those of these ids that name a resource of this directory (safety 1)."""
    found: dict[str, Entry] = {}
    for some in rows.chunks(ids):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT n, id, type, display FROM resources
             WHERE project_id = :project AND directory_id = :directory AND id IN ({listed})
            """,
            project=project,
            directory=directory,
            **named,
        ):
            found[row["id"]] = Entry(row["n"], row["id"], row["type"], row["display"])
    return found


def add(tx: Transaction, project: str, group: int, members: Sequence[int]) -> set[int]:
    """Put these into the group; those who were not in it."""
    added: set[int] = set()
    for some in rows.chunks(members):
        lines, named = rows.valued("(:project, :group, {member})", [{"member": n} for n in some])
        found = tx.all(
            f"""
            INSERT INTO members (project_id, group_n, member_n) VALUES {lines}
            ON CONFLICT DO NOTHING RETURNING member_n
            """,
            project=project,
            group=group,
            **named,
        )
        added.update(row["member_n"] for row in found)
    return added


def remove(tx: Transaction, project: str, group: int, members: Sequence[int]) -> set[int]:
    """Take these out of the group; those who were in it."""
    removed: set[int] = set()
    for some in rows.chunks(members):
        listed, named = rows.listed(some)
        found = tx.all(
            f"""
            DELETE FROM members
             WHERE project_id = :project AND group_n = :group AND member_n IN ({listed})
            RETURNING member_n
            """,
            project=project,
            group=group,
            **named,
        )
        removed.update(row["member_n"] for row in found)
    return removed


def numbers(tx: Transaction, project: str, group: int) -> list[int]:
    """The numbers of all members of a group."""
    found = tx.all(
        "SELECT member_n FROM members WHERE project_id = :project AND group_n = :group",
        project=project,
        group=group,
    )
    return [row["member_n"] for row in found]


def of_groups(
    tx: Transaction, project: str, groups: Sequence[int], *, at_most: int | None = None
) -> dict[int, list[Entry]]:
    """The members of each group, in the order in which they came to us; `at_most` of all."""
    found: dict[int, list[Entry]] = {}
    for some in rows.chunks(groups):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT members.group_n, held.n, held.id, held.type, held.display
              FROM members JOIN resources held ON held.n = members.member_n
             WHERE members.project_id = :project AND members.group_n IN ({listed})
             ORDER BY members.group_n, members.member_n
             {"LIMIT :at_most" if at_most is not None else ""}
            """,
            project=project,
            at_most=at_most,
            **named,
        ):
            entry = Entry(row["n"], row["id"], row["type"], row["display"])
            found.setdefault(row["group_n"], []).append(entry)
    return found


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
    resource = Resource(
        row["n"],
        row["id"],
        row["document"],
        row["version"],
        row["created_at"],
        row["changed_at"],
    )
    entries = [Entry(group["n"], group["id"], "Group", group["display"]) for group in groups]
    return resource, entries, any(group["nested"] for group in groups)


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
    found: dict[int, list[Entry]] = {}
    for some in rows.chunks(members):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT members.member_n, held.n, held.id, held.type, held.display
              FROM members JOIN resources held ON held.n = members.group_n
             WHERE members.project_id = :project AND members.member_n IN ({listed})
             ORDER BY members.member_n, members.group_n
            """,
            project=project,
            **named,
        ):
            entry = Entry(row["n"], row["id"], row["type"], row["display"])
            found.setdefault(row["member_n"], []).append(entry)
    return found


def _memberships(member: int, parents: dict[int, list[Entry]]) -> list[Membership]:
    found = {group.n: Membership(group, direct=True) for group in parents[member]}
    waiting = list(found)
    for n in waiting:
        for group in parents.get(n, ()):
            if group.n not in found:
                found[group.n] = Membership(group, direct=False)
                waiting.append(group.n)
    return list(found.values())


def lock_groups(tx: Transaction, project: str, member: int) -> list[Resource]:
    """The groups somebody is directly in, locked in the order of their numbers."""
    found = tx.all(
        """
        SELECT n, id, document, version, created_at, changed_at FROM resources
         WHERE project_id = :project
           AND n IN (SELECT group_n FROM members
                      WHERE project_id = :project AND member_n = :member)
         ORDER BY n
        """
        + tx.for_update,
        project=project,
        member=member,
    )
    return [Resource(**row) for row in found]


def people_of(tx: Transaction, project: str, group: str) -> list[str]:
    """The ids of the people in a group, not of groups in it; NotFound without such a group."""
    if not tx.find(
        "SELECT n FROM resources WHERE project_id = :project AND id = :id AND type = 'Group'",
        project=project,
        id=group,
    ):
        raise NotFound()
    found = tx.all(
        """
        SELECT person.id FROM resources AS held
          JOIN members ON members.group_n = held.n AND members.project_id = held.project_id
          JOIN resources AS person ON person.n = members.member_n
         WHERE held.project_id = :project AND held.id = :id AND person.type = 'User'
         ORDER BY person.id
        """,
        project=project,
        id=group,
    )
    return [row["id"] for row in found]
