"""A pushed group: its document kept, its members as rows, recorded (`Resources` for Groups)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.db.database import Transaction
from broker.service.belonging import Belonging, Crowded
from broker.service.documents import Beside, Documents
from broker.service.membership import Membership
from broker.service.refusals import when_unavailable
from broker.service.searching import Outside, stored
from broker.store import members, rows
from broker.store.resources import Resource
from scim.members import MemberChange
from scim.query import Query
from scim.resources import Page, Stored

AT_ONCE = rows.LARGEST
"""Members of one group held and answered at once; one statement reads as many."""


@dataclass(frozen=True, slots=True)
class Groups(Documents):
    """The groups of one directory: a member more costs the same in a group of any size."""

    belonging: Belonging

    async def find(self, id: str, *, computed: frozenset[str]) -> Stored | None:
        """The group of that id, None where this directory has none (safety 1).

        With its members, who may be many, the event loop does not wait for it.
        """
        ask = self.syncing.db.read if computed else self.syncing.db.peek
        with when_unavailable():
            return await ask(self._finding, id, computed)

    async def search(self, query: Query) -> Page:
        """One page of the groups the query matches.

        Members too many to be held at once come batch by batch when their group's turn comes:
        they are then as new as the version beside them, or newer, never older.
        """
        try:
            return await Documents.search(self, query)
        except Crowded:
            selection = replace(query.selection, computed=frozenset())
            page = await Documents.search(self, replace(query, selection=selection))
        items = [
            each._replace(members=self._batches(each.at[-1], query.computed)) for each in page.items
        ]
        return replace(page, items=items)

    def _beside(
        self, tx: Transaction, resource: Resource, members: Sequence[MemberChange]
    ) -> Beside:
        of = self.directory
        joined = Membership(of.project, of.id, resource.n, self.belonging)
        joined.apply(tx, members)
        return Beside(joined.changed, joined.warnings, joined.changes)

    def _outside(
        self, tx: Transaction, found: Mapping[int, str], names: frozenset[str]
    ) -> dict[int, Outside]:
        return self.belonging.of_groups(tx, found, names)

    def _answered(
        self,
        tx: Transaction,
        resource: Resource,
        computed: frozenset[str],
        at_most: int | None = None,
    ) -> Stored:
        """In one piece, or with all numbers of a version and what they stand for later."""
        if "members" not in computed:
            return stored(resource, {})
        project = self.directory.project
        most = AT_ONCE if at_most is None else at_most
        found = members.of_groups(tx, project, [resource.n], most)
        if found is not None:
            entries = self.belonging.members(found.get(resource.n, []), computed)
            return stored(resource, {"members": entries})
        bare = stored(resource, {})
        if at_most is not None:
            return bare._replace(left_out=True)
        numbers = members.numbers(tx, project, resource.n)
        return bare._replace(members=self._batches(resource.n, computed, numbers))

    async def _batches(
        self, group: int, names: frozenset[str], numbers: Sequence[int] | None = None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """The members as answered, batch by batch, each read when it is asked for."""
        db = self.syncing.db
        if numbers is None:
            numbers = await db.read(members.numbers, self.directory.project, group)
        for start in range(0, len(numbers), AT_ONCE):
            yield await db.read(self.belonging.numbered, numbers[start : start + AT_ONCE], names)
