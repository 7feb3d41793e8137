"""A document on its shelf: kept, compared, given a version, let go; the same for every type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from broker.db.database import Transaction
from broker.domain.directories import Directory
from broker.domain.mapping import Warning
from broker.service.keying import keyed
from broker.service.mapping import UNKNOWN_ATTRIBUTE
from broker.store import members, resources, uniques
from broker.store.resources import Resource, Shelf
from scim.document import Accepted, load, render, restamped, same
from scim.errors import NotFound, Uniqueness
from scim.etag import IfMatch
from scim.rules import unique_values
from scim.schema import Catalogue, ResourceType
from scim.values import Warning as Unused

HELD = {"User": frozenset({"username"})}
"""What is unique beyond this directory: the table of people sees to userName."""


@dataclass(frozen=True, slots=True)
class Shelving:
    """Keeps documents of one type of one directory; units for the cases that use it."""

    shelf: Shelf
    type: ResourceType
    catalogue: Catalogue

    @classmethod
    def of(cls, directory: Directory, type: ResourceType, catalogue: Catalogue) -> Shelving:
        """The shelf of one type in a directory."""
        return cls(Shelf(directory.project, directory.id, type.name), type, catalogue)

    def inserted(self, tx: Transaction, id: str, accepted: Accepted, called: str) -> Resource:
        """A new document, of version 1; `called` is what members and groups of it are called.

        Late in its unit, as `resources.insert` says.
        """
        document, extras = accepted.document, orjson.dumps(accepted.extras)
        content = render(self.type, document, id=id, version=1, created=tx.now, changed=tx.now)
        keys = keyed(self.type, document, called)
        n = resources.insert(tx, self.shelf, id, keys, content, extras)
        self._hold(tx, n, document, {})
        return Resource(n, id, content, 1, tx.now, tx.now)

    def locked(
        self, tx: Transaction, id: str, if_match: IfMatch
    ) -> tuple[Resource, dict[str, Any], dict[str, Any]]:
        """The resource, its document and its extras, nobody else's to change until the end;
        NotFound, PreconditionFailed.
        """
        found = resources.lock(tx, self.shelf, id)
        if found is None:
            raise NotFound(f"There is no {self.type.name} with this id.")
        resource, extras = found
        if_match.check(resource.version)
        return resource, load(resource.document), orjson.loads(extras)

    def changed(
        self,
        tx: Transaction,
        resource: Resource,
        accepted: Accepted,
        called: str,
        *,
        was: Mapping[str, Any],
        extras: Mapping[str, Any],
        also: bool = False,
    ) -> Resource:
        """The locked resource with this document in place of what it `was`: of the next version if
        it differs, or if something changed that is kept outside of it (`also`); else as it was.

        What no schema declares (before that `extras`) is kept and is no version.
        """
        if accepted.document == was and accepted.extras == extras:
            if also:  # members came or left, and nothing else: the bytes stay but for their stamp
                resource = _stamped(self.type, resource, resource.document, tx.now)
                resources.stamp(tx, self.shelf.project, resource)
            return resource
        content = render(
            self.type,
            accepted.document,
            id=resource.id,
            version=resource.version,
            created=resource.created_at,
            changed=resource.changed_at,
        )
        after = resource
        if also or not same(content, resource.document):
            after = _stamped(self.type, resource, content, tx.now)
        if after is not resource or accepted.extras != extras:
            keys, before = (keyed(self.type, each, called) for each in (accepted.document, was))
            kept = orjson.dumps(accepted.extras)
            resources.change(tx, self.shelf, after, keys, kept, was=before)
            self._hold(tx, resource.n, accepted.document, was)
        return after

    def _hold(
        self, tx: Transaction, n: int, document: Mapping[str, Any], was: Mapping[str, Any]
    ) -> None:
        """Take the values nobody else may have, where they are others than before; Uniqueness."""
        held = HELD.get(self.type.name, frozenset())
        values = unique_values(self.type, document, but=held)
        if values == unique_values(self.type, was, but=held):
            return
        if taken := uniques.hold(tx, self.shelf, n, values):
            raise Uniqueness(f'"{taken}" is taken by another {self.type.name}.')

    def leaving(
        self, tx: Transaction, id: str, if_match: IfMatch
    ) -> tuple[Resource, dict[str, Any]]:
        """The resource and its document, locked to be deleted; the groups it is in get their next
        versions.

        Groups are locked before it, as a change of their members does it, and again after it,
        for those it came into meanwhile.
        """
        found = resources.find(tx, self.shelf, id)
        if found is not None:
            members.lock_groups(tx, self.shelf.project, found.n)
        resource, document, _ = self.locked(tx, id, if_match)
        group = self.catalogue.by_name["Group"]
        for each in members.lock_groups(tx, self.shelf.project, resource.n):
            resources.stamp(tx, self.shelf.project, _stamped(group, each, each.document, tx.now))
        return resource, document


def warned(unused: Iterable[Unused]) -> list[Warning]:
    """What the protocol could not use, as warnings of a record (R120)."""
    return [Warning(each.attribute, each.text, UNKNOWN_ATTRIBUTE) for each in unused]


def _stamped(type: ResourceType, resource: Resource, content: bytes, now: int) -> Resource:
    version = resource.version + 1
    document = restamped(type, content, version=version, created=resource.created_at, changed=now)
    return Resource(resource.n, resource.id, document, version, resource.created_at, now)
