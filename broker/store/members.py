"""Who is in which group: rows, so that a change costs what changed and not what the group holds."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from broker.db.database import Row, Transaction
from broker.domain.errors import NotFound
from broker.store import rows
from broker.store.resources import COLUMNS, Resource, of_row

NUMBERS = 10_000
"""Numbers read at a time."""
_JOINS = "type IN ('User', 'Group')"  # RFC 7643 section 4.2: no other type is a member
_ID = "(SELECT id FROM resources WHERE resources.n = members.member_n) AS id"
_OURS = "CAST(project_id AS text) = (:project)"
"""The wall (safety 2), in words that SQLite does not take for a way in: it believes a project to
hold ten resources, and would look at all of them instead of those that are named."""


class Entry(NamedTuple):
    """A member of a group, or a group of a member: what is shown of it, and its number.

    A tuple, because 100,000 of them are made for one answer.
    """

    n: int
    id: str
    type: str
    display: str

    @classmethod
    def of(cls, row: Row) -> Entry:
        """From a row with these columns."""
        return cls(row["n"], row["id"], row["type"], row["display"])


def known(tx: Transaction, project: str, directory: str, ids: Sequence[str]) -> set[str]:
    """Those of these ids that name a person or a group of this directory (safety 1)."""
    found: set[str] = set()
    for some in rows.chunks(ids):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT id FROM resources
             WHERE {_OURS} AND directory_id = :directory AND id IN ({listed})
               AND {_JOINS}
            """,
            project=project,
            directory=directory,
            **named,
        ):
            found.add(row["id"])
    return found


def add(tx: Transaction, project: str, directory: str, group: int, ids: Sequence[str]) -> set[str]:
    """Put those of these into the group whom this directory has; those who were not in it."""
    added: set[str] = set()
    for some in rows.chunks(ids):
        listed, named = rows.listed(some)
        found = tx.all(
            f"""
            INSERT INTO members (project_id, group_n, member_n)
            SELECT project_id, CAST(:group AS bigint), n FROM resources
             WHERE {_OURS} AND directory_id = :directory AND id IN ({listed})
               AND {_JOINS}
            ON CONFLICT DO NOTHING RETURNING {_ID}
            """,
            project=project,
            directory=directory,
            group=group,
            **named,
        )
        added.update(row["id"] for row in found)
    return added


def remove(tx: Transaction, project: str, group: int, ids: Sequence[str]) -> set[str]:
    """Take these out of the group; those who were in it."""
    removed: set[str] = set()
    for some in rows.chunks(ids):
        listed, named = rows.listed(some)
        found = tx.all(
            f"""
            DELETE FROM members
             WHERE project_id = :project AND group_n = :group
               AND member_n IN (SELECT n FROM resources
                                 WHERE {_OURS} AND id IN ({listed}))
            RETURNING {_ID}
            """,
            project=project,
            group=group,
            **named,
        )
        removed.update(row["id"] for row in found)
    return removed


def numbers(tx: Transaction, project: str, group: int) -> array[int]:
    """The numbers of all members of a group, in order: eight bytes each."""
    held, after = array("q"), 0
    while found := tx.all(
        """
        SELECT member_n FROM members
         WHERE project_id = :project AND group_n = :group AND member_n > :after
         ORDER BY member_n LIMIT :limit
        """,
        project=project,
        group=group,
        after=after,
        limit=NUMBERS,
    ):
        held.extend(row["member_n"] for row in found)
        after = held[-1]
    return held


def numbered(tx: Transaction, project: str, numbers: Sequence[int]) -> list[Entry]:
    """What is shown of the members of these numbers, in order, without those who are gone."""
    found: list[Entry] = []
    for some in rows.chunks(numbers):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT n, id, type, display FROM resources
             WHERE {_OURS} AND n IN ({listed})
             ORDER BY n
            """,
            project=project,
            **named,
        ):
            found.append(Entry.of(row))
    return found


def of_groups(
    tx: Transaction, project: str, groups: Sequence[int], most: int
) -> dict[int, list[Entry]] | None:
    """The members of each group, in the order in which they came to us; None where there are
    more than `most` in all: then none of them is read.
    """
    # Asked as a limit, SQLite would walk a whole group to find a condition false; and in order, so
    # that PostgreSQL takes the way in by the key.
    found: dict[int, list[Entry]] = {}
    for some in rows.chunks(groups):
        listed, named = rows.listed(some)
        held = f"members.project_id = :project AND members.group_n IN ({listed})"
        order = "ORDER BY members.group_n, members.member_n"
        beyond = f"SELECT 1 FROM members WHERE {held} {order} LIMIT 1 OFFSET :most"
        entries = tx.all(
            f"""
            SELECT members.group_n, held.n, held.id, held.type, held.display
              FROM members JOIN resources held ON held.n = members.member_n
             WHERE {held} {order}
             LIMIT CASE WHEN EXISTS ({beyond}) THEN 0 ELSE :most END
            """,
            project=project,
            most=most,
            **named,
        )
        if not entries and tx.find(beyond, project=project, most=0, **named):
            return None
        most -= len(entries)
        for row in entries:
            found.setdefault(row["group_n"], []).append(Entry.of(row))
    return found


def lock_groups(tx: Transaction, project: str, member: int) -> list[Resource]:
    """The groups somebody is directly in, locked in the order of their numbers."""
    found = tx.all(
        f"""
        SELECT {COLUMNS} FROM resources
         WHERE {_OURS}
           AND n IN (SELECT group_n FROM members
                      WHERE project_id = :project AND member_n = :member)
         ORDER BY n
        """
        + tx.for_update,
        project=project,
        member=member,
    )
    return [of_row(row) for row in found]


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
