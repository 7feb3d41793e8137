"""Records of a source meet the people and groups that are here: known, matched, new or gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from broker.db.database import Transaction
from broker.domain.directories import Absent, Directory
from broker.domain.mapping import Unmatched
from broker.domain.runs import Record, Result
from broker.domain.users import SuspendedBy, User
from broker.service.hosting import Hosting
from broker.service.keying import keyed
from broker.service.mapping import Compiled
from broker.service.proposing import Visit, is_active
from broker.store import licenses, seen, sourced, users
from broker.store.resources import Shelf
from broker.store.seen import Seen
from broker.store.sourced import Kept
from providers.sources.reading import Found
from scim.document import Accepted, load, replacing
from scim.errors import ScimError
from scim.members import MemberChange

MEMBER = "Member"
"""Seen in a group, and nobody here yet: groups come in any order, also before those in them."""
FOUND_BY = {"User": {"externalId": "external", "userName": "name"},
            "Group": {"externalId": "external", "displayName": "name"}}  # fmt: skip
GONE = "The source says that it was deleted."
SKIPPED = "Nobody here matches, and the mapping creates nobody."


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a page, judged as far as that goes without the database."""

    found: Found
    digest: str
    accepted: Accepted | None = None
    problem: ScimError | None = None

    @property
    def key(self) -> str:
        """Its id at the source."""
        return self.found.key


@dataclass(slots=True)
class Meeting:
    """Records of one kind in one unit of work, with all that is here of them, read at once."""

    hosting: Hosting
    directory: Directory
    run: str
    kind: str
    mapping: Compiled
    visit: Visit
    known: dict[str, Kept] = field(default_factory=dict)
    """By key at the source; matched ones too, whose key is another yet."""

    people: dict[str, User] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    """The ids of those who are named as members, by key."""

    marks: list[tuple[Item, str | None]] = field(default_factory=list)
    waiting: list[Seen] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        tx: Transaction,
        hosting: Hosting,
        directory: Directory,
        run: str,
        kind: str,
        items: Sequence[Item],
    ) -> Meeting:
        """A few statements for all of them."""
        mapping = hosting.mappings.of(tx, directory)
        meeting = cls(hosting, directory, run, kind, mapping, Visit.of(hosting, directory))
        meeting.known = sourced.by_keys(tx, meeting.shelf, [each.key for each in items])
        meeting._match(tx, [each for each in items if each.key not in meeting.known])
        if kind == "User":
            meeting._people(tx, meeting.known.values())
            if any(map(meeting._moves, items)):
                licenses.lock(tx, directory.project)  # before any person, as everywhere
        else:
            keys = [key for each in items for key in _named(each.found)]
            meeting.members = sourced.members(tx, directory.project, directory.id, keys)
        return meeting

    @property
    def shelf(self) -> Shelf:
        """Where resources of this kind are."""
        return Shelf(self.directory.project, self.directory.id, self.kind)

    def take(self, tx: Transaction, item: Item, *, first: bool) -> bool:
        """Take one record; whether it is as it was, so that there is no line about it.

        `first`: what it says of members replaces what was known of them.
        """
        if item.found.gone:
            self._gone(tx, item)
            return False
        one = self._person if self.kind == "User" else self._group
        id = one(tx, item, first)
        self.marks.append((item, id))
        if id is not None and self._unknown(item, id):
            self._tell(tx)
            return False  # its members' turn comes later, and a line with it
        return not self._tell(tx) and id is not None

    def remember(self, tx: Transaction) -> None:
        """Keep what was seen, and give everybody their key at the source."""
        ids = [id for _, id in self.marks if id is not None]
        numbers = sourced.numbers(tx, self.shelf, ids)
        found = [
            Seen(self.kind, item.key, item.digest, numbers.get(id or "")) for item, id in self.marks
        ]
        seen.keep(tx, self.directory.project, self.run, [*found, *self.waiting])
        linked = {key: kept.resource.n for key, kept in self.known.items() if kept.key == key}
        fresh = {
            each.resource: each.key
            for each in found
            if each.resource is not None and each.key not in linked
        }
        sourced.link(tx, self.shelf, fresh)

    def _person(self, tx: Transaction, item: Item, _first: bool) -> str | None:
        accepted, kept = item.accepted, self.known.get(item.key)
        assert accepted is not None
        if kept is None and self.mapping.unmatched is Unmatched.SKIP:
            self._line(tx, item, Result.SKIPPED, SKIPPED)
            return None
        if kept is None:
            return self.visit.people.came(tx, accepted)
        id = kept.resource.id
        if not self._is_same(kept, self.people[id], accepted):
            self.visit.people.said(tx, id, accepted)
        return id

    def _group(self, tx: Transaction, item: Item, first: bool) -> str | None:
        accepted, kept = item.accepted, self.known.get(item.key)
        assert accepted is not None
        if kept is None:
            added = _named(item.found)
            ids = tuple(self.members[key] for key in added if key in self.members)
            return self.visit.groups.came(tx, replace(accepted, members=ids))
        self.visit.groups.said(tx, kept.resource.id, accepted, self._steps(item.found, first))
        return kept.resource.id

    def _gone(self, tx: Transaction, item: Item) -> None:
        kept = self.known.get(item.key)
        how = ends(self.directory, self.kind, restorable=item.found.restorable)
        if kept is None or how is None:
            return
        person = self.people.get(kept.resource.id)
        if person is None or person.idp_active or how is Result.DELETED:
            self._line(tx, item, Result.STAGED, GONE, how)
        self.marks.append((item, kept.resource.id))

    def _is_same(self, kept: Kept, user: User, accepted: Accepted) -> bool:
        """Whether nothing would change, and nothing is to be told."""
        before = load(kept.resource.document)
        accepted = replacing(self.visit.people.shelving.type, accepted, before)
        if accepted.document != before or accepted.extras != orjson.loads(kept.extras):
            return False
        mapped = self.mapping.mapped(accepted.document, accepted.extras)
        return (
            is_active(before) is user.idp_active
            and mapped.profile == user.profile
            and not mapped.warnings
            and not mapped.logons
            and not self.mapping.warned(accepted.warnings)
        )

    def _steps(self, found: Found, first: bool) -> Sequence[MemberChange]:
        said = found.members
        if said is None:
            return ()
        added, removed = (
            tuple(self.members[key] for key in keys if key in self.members)
            for keys in (said.added, said.removed)
        )
        if said.whole or first:
            return (MemberChange("replace", added),)
        return (MemberChange("add", added), MemberChange("remove", removed))

    def _unknown(self, item: Item, id: str) -> bool:
        """Whether it names members whom nobody knows yet; they wait for the end of the pages."""
        added = item.found.members.added if item.found.members else ()
        waiting = [Seen(MEMBER, f"{id}/{k}", "", None) for k in added if k not in self.members]
        self.waiting += waiting
        return bool(waiting)

    def _match(self, tx: Transaction, strangers: Sequence[Item]) -> None:
        """Find those whom the directory knows by another way than their key, each once."""
        type = self.hosting.catalogue.by_name[self.kind]
        match = self.mapping.match if self.kind == "User" else tuple(FOUND_BY["Group"])
        taken: set[str] = set()
        for attribute in match:
            by = FOUND_BY[self.kind].get(attribute)
            if by is None:
                continue
            wanted: dict[str, str] = {}
            for item in strangers:
                if item.accepted is None or item.key in self.known:
                    continue
                try:
                    key = getattr(keyed(type, item.accepted.document, ""), by)
                except ScimError:  # it fails when it is taken, with its reason
                    continue
                if key is not None:
                    wanted.setdefault(key, item.key)
            found = sourced.matching(tx, self.shelf, by, list(wanted))
            self._people(tx, [kept for some in found.values() for kept in some])
            for key, candidates in found.items():
                free = [each for each in candidates if self._is_free(each)]
                if len(free) == len(candidates) == 1 and free[0].resource.id not in taken:
                    taken.add(free[0].resource.id)
                    self.known[wanted[key]] = free[0]

    def _is_free(self, kept: Kept) -> bool:
        """Whether nobody else at the source is this one: never read from it, or gone from it."""
        if kept.key is None:
            return True
        user = self.people.get(kept.resource.id)
        return (
            user is not None
            and user.suspended_by is SuspendedBy.DIRECTORY
            and not user.idp_active
            and is_active(load(kept.resource.document))
        )

    def _people(self, tx: Transaction, kept: Iterable[Kept]) -> None:
        if self.kind == "User":
            ids = [each.resource.id for each in kept]
            self.people |= users.some(tx, self.directory.project, ids)

    def _moves(self, item: Item) -> bool:
        """Whether what is said may ask for a change of somebody's status."""
        kept = self.known.get(item.key)
        if kept is None or item.accepted is None:
            return False
        user, document = self.people[kept.resource.id], item.accepted.document
        renamed = document.get("externalId") != user.external_id
        return renamed or is_active(document) is not user.idp_active

    def _line(
        self,
        tx: Transaction,
        item: Item,
        result: Result,
        message: str,
        held: Result | None = None,
    ) -> None:
        kept = self.known.get(item.key)
        said = load(kept.resource.document) if kept else item.found.body
        name = said.get("userName" if self.kind == "User" else "displayName")
        record = Record(
            run="",
            kind=self.kind,
            result=result,
            at=tx.now,
            resource_id=kept.resource.id if kept else None,
            external_id=said.get("externalId"),
            name=str(name or ""),
            message=message,
            held=held,
        )
        self.visit.noting.lines.append(record)
        self._tell(tx)

    def _tell(self, tx: Transaction) -> bool:
        return self.visit.tell(tx, self.hosting.syncing, self.directory)


def ends(directory: Directory, kind: str, *, restorable: bool = False) -> Result | None:
    """What becomes of somebody the source has no more (`Directory.absent`); None: nothing.

    A group cannot be suspended.
    """
    if directory.absent is Absent.NOTHING:
        return None
    deletes = kind == "Group" or directory.absent is Absent.DELETE
    return Result.DELETED if deletes and not restorable else Result.SUSPENDED


def _named(found: Found) -> tuple[str, ...]:
    return (*found.members.added, *found.members.removed) if found.members else ()
