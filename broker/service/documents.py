"""A pushed document: kept and recorded in one transaction (`Resources` for any type)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import orjson

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.changes import differences
from broker.domain.directories import Directory
from broker.domain.mapping import Warning
from broker.domain.runs import Change, Record, Result
from broker.service.refusals import Attempted, when_unavailable
from broker.service.searching import Outside, Searching, stored
from broker.service.shelving import Shelving, warned
from broker.service.syncing import Syncing
from broker.store import resources
from broker.store.resources import Resource
from scim.document import Accepted, load, replacing
from scim.errors import ScimError
from scim.etag import IfMatch
from scim.members import MemberChange
from scim.patch import Patch
from scim.query import Query
from scim.resources import Attempt, Page, Stored
from scim.rules import title

Document: TypeAlias = Mapping[str, Any]
PREFIXES = {"User": "usr", "Group": "grp"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a PUT or PATCH asks of one resource, and what the answer shows."""

    id: str
    change: Callable[[Document, Document], Accepted]
    """What the directory says now, given its document and extras so far."""

    members: Sequence[MemberChange]
    if_match: IfMatch
    computed: frozenset[str]
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What a change did outside the document: whether anything, and what the record says."""

    changed: bool = False
    warnings: Sequence[Warning] = ()
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Documents:
    """The resources of one type of one directory, as its identity provider sees them.

    Whole for a type without a meaning of its own here; people and groups build upon it.
    """

    directory: Directory
    shelving: Shelving
    syncing: Syncing
    searching: Searching

    async def create(
        self, accepted: Accepted, *, computed: frozenset[str], id: str | None = None
    ) -> Stored:
        """Keep a new resource, under an id that was given out before or a fresh one."""
        attempted = replace(self._attempted(None, accepted.document), meant=lambda _: accepted)
        id = id or self.new_id()
        return await self.syncing.pushed(
            self.directory, attempted, self._creating, id, accepted, computed
        )

    def new_id(self) -> str:
        """An id nobody has, for a resource to be created."""
        return ids.new(PREFIXES.get(self.shelving.type.name, "res"))

    async def find(self, id: str, *, computed: frozenset[str]) -> Stored | None:
        """The resource of that id, None where this directory has none (safety 1)."""
        with when_unavailable():
            return await self.syncing.db.peek(self._finding, id, computed)

    async def replace(
        self, id: str, accepted: Accepted, if_match: IfMatch, *, computed: frozenset[str]
    ) -> Stored:
        """Put document and members in place of those before."""
        type = self.shelving.type
        asked = Asked(
            id,
            lambda before, _: replacing(type, accepted, before),
            (MemberChange("replace", accepted.members),),
            if_match,
            computed,
        )
        return await self._pushed(asked, accepted.document)

    async def patch(
        self,
        id: str,
        patch: Patch,
        if_match: IfMatch,
        *,
        computed: frozenset[str],
        at_most: int | None,
    ) -> Stored:
        """Change what the patch names."""
        return await self._pushed(
            Asked(id, patch.apply, patch.members, if_match, computed, at_most), {}
        )

    async def delete(self, id: str, if_match: IfMatch) -> None:
        """Remove the resource, and every membership it has or holds."""
        attempted = self._attempted(id, {})
        await self.syncing.pushed(self.directory, attempted, self._deleting, id, if_match)

    async def search(self, query: Query) -> Page:
        """One page of what the query matches."""
        return await self.searching.search(self.shelving.shelf, query, self._outside)

    async def refused(self, attempt: Attempt, problem: ScimError) -> None:
        """A body that makes no sense is a failed record, with what can be told of it."""
        attempted = self._attempted(attempt.id, attempt.body)
        await self.syncing.failed(self.directory, attempted, problem)

    async def _pushed(self, asked: Asked, said: Document) -> Stored:
        attempted = replace(
            self._attempted(asked.id, said), meant=lambda tx: self._meant(tx, asked)
        )
        return await self.syncing.pushed(self.directory, attempted, self._changing, asked)

    def _meant(self, tx: Transaction, asked: Asked) -> Accepted | None:
        """What a change makes of the resource that is there; None where it is gone, or no more."""
        found = resources.lock(tx, self.shelving.shelf, asked.id)
        try:
            return found and asked.change(load(found[0].document), orjson.loads(found[1]))
        except ScimError:
            return None

    def _finding(self, tx: Transaction, id: str, computed: frozenset[str]) -> Stored | None:
        resource = resources.find(tx, self.shelving.shelf, id)
        return self._answered(tx, resource, computed) if resource else None

    def _creating(
        self, tx: Transaction, id: str, accepted: Accepted, computed: frozenset[str]
    ) -> Stored:
        document = accepted.document
        resource = self.shelving.inserted(tx, id, accepted, self._called(document))
        everybody = (MemberChange("add", accepted.members),)
        beside = self._beside(tx, resource, everybody)
        warnings = (*warned(accepted.warnings), *beside.warnings)
        self._record(tx, Result.CREATED, id, document, warnings=warnings)
        return self._answered(tx, resource, computed)

    def _changing(self, tx: Transaction, asked: Asked) -> Stored:
        resource, before, extras = self.shelving.locked(tx, asked.id, asked.if_match)
        accepted = asked.change(before, extras)
        document = accepted.document
        beside = self._beside(tx, resource, asked.members)
        after = self.shelving.changed(
            tx,
            resource,
            accepted,
            self._called(document),
            was=before,
            extras=extras,
            also=beside.changed,
        )
        self._record(
            tx,
            Result.UPDATED if after.version != resource.version else Result.UNCHANGED,
            asked.id,
            document,
            warnings=(*warned(accepted.warnings), *beside.warnings),
            changes=(*differences(before, document), *beside.changes),
        )
        return self._answered(tx, after, asked.computed, asked.at_most)

    def _deleting(self, tx: Transaction, id: str, if_match: IfMatch) -> None:
        resource, document = self.shelving.leaving(tx, id, if_match)
        resources.delete(tx, self.shelving.shelf, resource.n)
        self._record(tx, Result.DELETED, id, document)

    def _beside(
        self, tx: Transaction, resource: Resource, members: Sequence[MemberChange]
    ) -> Beside:
        """What happens outside the document: nothing, where there is no outside."""
        del tx, resource, members
        return Beside()

    def _outside(
        self, tx: Transaction, found: Mapping[int, str], names: frozenset[str]
    ) -> dict[int, Outside]:
        """What is kept outside the documents, by number and name."""
        del tx, found, names
        return {}

    def _answered(
        self,
        tx: Transaction,
        resource: Resource,
        computed: frozenset[str],
        at_most: int | None = None,
    ) -> Stored:
        del at_most
        return stored(
            resource, self._outside(tx, {resource.n: resource.id}, computed).get(resource.n, {})
        )

    def _called(self, document: Document) -> str:
        named = title(self.shelving.type)
        return str(document.get(named.name, "")) if named else ""

    def _attempted(self, id: str | None, body: Document) -> Attempted:
        type = self.shelving.type
        named = title(type)
        return Attempted.of(type.name, id, body, named=named.name if named else "")

    def _record(
        self,
        tx: Transaction,
        result: Result,
        id: str,
        document: Document,
        *,
        warnings: Sequence[Warning] = (),
        changes: Sequence[Change] = (),
        held: Result | None = None,
    ) -> None:
        record = Record(
            run="",
            kind=self.shelving.type.name,
            result=result,
            at=tx.now,
            resource_id=id,
            external_id=document.get("externalId"),
            name=self._called(document),
            warnings=tuple(warnings),
            changes=tuple(changes),
            held=held,
        )
        self.syncing.recording(tx, self.directory, record)
