"""A pushed group: its document kept, its members as rows, recorded (`Resources` for Groups)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.changes import differences
from broker.domain.directories import Directory
from broker.domain.mapping import Warning
from broker.domain.runs import Change, Record, Result
from broker.service.belonging import Belonging
from broker.service.membership import Membership
from broker.service.refusals import Attempted, when_unavailable
from broker.service.searching import Searching, stored
from broker.service.shelving import Shelving, warned
from broker.service.syncing import Syncing
from broker.store import members, resources
from broker.store.resources import Keys, Resource
from scim.document import Accepted
from scim.errors import ScimError
from scim.etag import IfMatch
from scim.fold import exact, fold
from scim.members import MemberChange
from scim.patch import Patch
from scim.query import Query
from scim.resources import Attempt, Page, Stored

Document: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one directory, as its identity provider sees them."""

    directory: Directory
    shelving: Shelving
    belonging: Belonging
    syncing: Syncing
    searching: Searching

    async def create(self, accepted: Accepted, *, computed: frozenset[str]) -> Stored:
        """Keep a new group and the members it names."""
        attempted = _attempted(None, accepted.document)
        return await self.syncing.pushed(
            self.directory, attempted, self._creating, accepted, computed
        )

    async def find(self, id: str, *, computed: frozenset[str]) -> Stored | None:
        """The group of that id, None where this directory has none (safety 1).

        With its members, who may be many, the event loop does not wait for it.
        """
        ask = self.syncing.db.read if computed else self.syncing.db.peek
        with when_unavailable():
            return await ask(self._finding, id, computed)

    async def replace(
        self, id: str, accepted: Accepted, if_match: IfMatch, *, computed: frozenset[str]
    ) -> Stored:
        """Put document and members in place of those before; without members nobody is in it."""
        everybody = (MemberChange("replace", accepted.members or ()),)
        return await self.syncing.pushed(
            self.directory,
            _attempted(id, accepted.document),
            self._changing,
            id,
            lambda _document, _extras: accepted,
            everybody,
            if_match,
            computed,
            None,
        )

    async def patch(
        self,
        id: str,
        patch: Patch,
        if_match: IfMatch,
        *,
        computed: frozenset[str],
        at_most: int | None,
    ) -> Stored:
        """Change what the patch names; one member costs the same in a group of any size."""

        return await self.syncing.pushed(
            self.directory,
            _attempted(id, {}),
            self._changing,
            id,
            patch.apply,
            patch.members,
            if_match,
            computed,
            at_most,
        )

    async def delete(self, id: str, if_match: IfMatch) -> None:
        """Remove the group; who was in it is not in it any more."""
        await self.syncing.pushed(self.directory, _attempted(id, {}), self._deleting, id, if_match)

    async def search(self, query: Query) -> Page:
        """One page of the groups the query matches."""
        return await self.searching.search(self.shelving.shelf, query, self.belonging.of_groups)

    async def refused(self, attempt: Attempt, problem: ScimError) -> None:
        """A body that makes no sense is a failed record, with what can be told of its group."""
        attempted = _attempted(attempt.id, attempt.body)
        await self.syncing.failed(self.directory, attempted, problem)

    def _finding(self, tx: Transaction, id: str, computed: frozenset[str]) -> Stored | None:
        resource = resources.find(tx, self.shelving.shelf, id)
        return self._answered(tx, resource, computed) if resource else None

    def _creating(self, tx: Transaction, accepted: Accepted, computed: frozenset[str]) -> Stored:
        document, id = accepted.document, ids.new("grp")
        resource = self.shelving.inserted(tx, id, document, _keys(document), accepted.extras)
        joined = self._membership(resource)
        joined.apply(tx, (MemberChange("add", accepted.members or ()),))
        warnings = (*warned(accepted.warnings), *joined.warnings)
        self._record(tx, Result.CREATED, id, document, warnings=warnings)
        return self._answered(tx, resource, computed)

    def _changing(
        self,
        tx: Transaction,
        id: str,
        change: Callable[[Document, Document], Accepted],
        who: Sequence[MemberChange],
        if_match: IfMatch,
        computed: frozenset[str],
        at_most: int | None,
    ) -> Stored:
        resource, before, extras = self.shelving.locked(tx, id, if_match)
        accepted = change(before, extras)
        document = accepted.document
        joined = self._membership(resource)
        joined.apply(tx, who)
        after = self.shelving.changed(
            tx,
            resource,
            document,
            _keys(document),
            accepted.extras,
            was=extras,
            also=joined.changed,
        )
        changed = after.version != resource.version
        self._record(
            tx,
            Result.UPDATED if changed else Result.UNCHANGED,
            id,
            document,
            warnings=(*warned(accepted.warnings), *joined.warnings),
            changes=(*differences(before, document), *joined.changes),
        )
        return self._answered(tx, after, computed, at_most)

    def _deleting(self, tx: Transaction, id: str, if_match: IfMatch) -> None:
        resource, document, _ = self.shelving.leaving(tx, id, if_match)
        resources.delete(tx, self.shelving.shelf, resource.n)
        self._record(tx, Result.DELETED, id, document)

    def _record(
        self,
        tx: Transaction,
        result: Result,
        id: str,
        document: Document,
        *,
        warnings: Sequence[Warning] = (),
        changes: Sequence[Change] = (),
    ) -> None:
        record = Record(
            run="",
            kind="Group",
            result=result,
            at=tx.now,
            resource_id=id,
            external_id=document.get("externalId"),
            name=document["displayName"],
            warnings=tuple(warnings),
            changes=tuple(changes),
        )
        self.syncing.recording(tx, self.directory, record)

    def _membership(self, resource: Resource) -> Membership:
        return Membership(self.directory.project, self.directory.id, resource.n, self.belonging)

    def _answered(
        self,
        tx: Transaction,
        resource: Resource,
        computed: frozenset[str],
        at_most: int | None = None,
    ) -> Stored:
        if at_most is None or "members" not in computed:
            outside = self.belonging.of_groups(tx, [resource], computed)
            return stored(resource, outside.get(resource.n, {}))
        found = members.of_groups(tx, self.directory.project, [resource.n], at_most=at_most + 1)
        entries = found.get(resource.n, [])
        if len(entries) > at_most:
            return Stored(resource.id, resource.version, resource.document, left_out=True)
        return stored(resource, {"members": self.belonging.members(entries)})


def _attempted(id: str | None, body: Document) -> Attempted:
    return Attempted.of("Group", id, body, named="displayName")


def _keys(document: Document) -> Keys:
    external_id, name = document.get("externalId"), document["displayName"]
    return Keys(fold(name), external_id and exact(external_id), name)
