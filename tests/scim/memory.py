"""A host that keeps everything in memory: the whole protocol, so that tests speak real SCIM."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson

from scim.cursor import Cursor
from scim.document import Accepted, load, render, replacing, restamped, same
from scim.endpoints import Endpoints
from scim.errors import NotFound, ScimError, Unauthorized, Uniqueness
from scim.etag import IfMatch
from scim.members import MemberChange
from scim.patch import Patch
from scim.query import Query
from scim.resources import Attempt, Page, Resources, Stored
from scim.rules import unique_values
from scim.schema import Catalogue, ResourceType
from scim.tolerance import STANDARD, Tolerance

BROKER = "urn:ietf:params:scim:schemas:extension:broker:2.0:User"
CATALOGUE = Catalogue.standard()

Place: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class Row:
    """A resource as it is kept."""

    id: str
    version: int
    created: int
    changed: int
    document: bytes
    extras: dict[str, Any]
    members: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryDirectory:
    """One directory: its rows by type, and what was counted or refused."""

    base_url: str
    tolerance: Tolerance = STANDARD
    catalogue: Catalogue = CATALOGUE
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {"User": {}, "Group": {}})
    notes: list[str] = field(default_factory=list)
    refusals: list[tuple[Attempt, ScimError]] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    busy: ScimError | None = None
    clock: int = 1_700_000_000_000_000

    def now(self) -> int:
        """A clock that moves by a second each time it is read."""
        self.clock += 1_000_000
        return self.clock

    def resources(self, type: ResourceType) -> Resources:
        """The resources of one type."""
        if self.busy is not None:
            raise self.busy
        return MemoryResources(self, type, self.rows[type.name])

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """`plain` under its keyed hash: nobody changes it, or takes it elsewhere."""
        return self._hash(plain, bound) + plain

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was sealed here."""
        if not hmac.compare_digest(sealed[:32], self._hash(sealed[32:], bound)):
            raise ValueError("not sealed here")
        return sealed[32:]

    def _hash(self, plain: bytes, bound: bytes) -> bytes:
        return hmac.digest(self.base_url.encode(), bound + b"\0" + plain, "sha256")

    def note(self, what: Literal["read", "unreadable"]) -> None:
        """Count what is no record."""
        self.notes.append(what)


@dataclass(slots=True)
class MemoryResources:
    """The resources of one type in one directory, kept in insertion order."""

    directory: MemoryDirectory
    type: ResourceType
    rows: dict[str, Row]

    def new_id(self) -> str:
        """An id nobody has."""
        return secrets.token_hex(8)

    async def create(
        self, accepted: Accepted, *, computed: frozenset[str], id: str | None = None
    ) -> Stored:
        """Keep a new resource."""
        self.directory.accepted.append(accepted)
        self._unique(accepted.document, None)
        id, now = id or self.new_id(), self.directory.now()
        document = render(self.type, accepted.document, id=id, version=1, created=now, changed=now)
        row = Row(id, 1, now, now, document, dict(accepted.extras))
        self.rows[id] = row
        row.members = self._existing(accepted.members)
        return self._stored(row, computed)

    async def find(self, id: str, *, computed: frozenset[str]) -> Stored | None:
        """The resource, or None."""
        row = self.rows.get(id)
        return self._stored(row, computed) if row else None

    async def replace(
        self, id: str, accepted: Accepted, if_match: IfMatch, *, computed: frozenset[str]
    ) -> Stored:
        """Put a document in place of another; members it does not mention are gone as well."""
        self.directory.accepted.append(accepted)
        row = self._row(id, if_match)
        self._unique(accepted.document, id)
        accepted = replacing(self.type, accepted, load(row.document))
        members = self._existing(accepted.members)
        self._write(row, accepted.document, accepted.extras, members)
        return self._stored(row, computed)

    async def patch(
        self,
        id: str,
        patch: Patch,
        if_match: IfMatch,
        *,
        computed: frozenset[str],
        at_most: int | None,
    ) -> Stored:
        """Apply a patch and its member changes."""
        row = self._row(id, if_match)
        patched = patch.apply(load(row.document), row.extras)
        self._unique(patched.document, id)
        members = dict(row.members)
        for change in patch.members:
            members = self._changed(members, change)
        self._write(row, patched.document, patched.extras, members)
        if at_most is not None and computed & self.type.apart and len(members) > at_most:
            hidden = self._stored(row, computed - self.type.apart)
            return Stored(hidden.id, hidden.version, hidden.document, hidden.computed, True)
        return self._stored(row, computed)

    async def delete(self, id: str, if_match: IfMatch) -> None:
        """Remove a resource, and its memberships with it."""
        self._row(id, if_match)
        del self.rows[id]
        for group in self.directory.rows["Group"].values():
            group.members.pop(id, None)

    async def search(self, query: Query) -> Page:
        """One page of what matches, oldest first unless sorted."""
        sort, needed = query.sort, frozenset[str]()
        needed |= query.filter.computed if query.filter else frozenset()
        needed |= sort.computed if sort else frozenset()
        whole = [(row, self._whole(row, needed)) for row in self.rows.values()]
        if query.filter:
            whole = [pair for pair in whole if query.filter.matches(pair[1])]
        if sort:
            key = sort.key
            whole.sort(key=lambda pair: key(pair[1]), reverse=sort.descending)
        placed = [
            ((*sort.key(doc), row.created) if sort else (row.created,), row) for row, doc in whole
        ]
        total, more = len(placed), False
        if query.cursor is None:
            placed = placed[query.start_index - 1 : query.start_index - 1 + query.count]
        else:
            placed, more = _beside(placed, query.cursor, query)
        items = [self._stored(row, query.computed)._replace(at=at) for at, row in placed]
        return Page(total, items, more)

    async def refused(self, attempt: Attempt, problem: ScimError) -> None:
        """Remember it."""
        self.directory.refusals.append((attempt, problem))

    def _row(self, id: str, if_match: IfMatch) -> Row:
        row = self.rows.get(id)
        if row is None:
            raise NotFound(f"There is no {self.type.name} with this id.")
        if_match.check(row.version)
        return row

    def _unique(self, document: Mapping[str, Any], id: str | None) -> None:
        """What the schema calls unique is, over all resources of the type."""
        wanted = unique_values(self.type, document)
        for row in self.rows.values() if wanted else ():
            taken = wanted & unique_values(self.type, load(row.document))
            if row.id != id and taken:
                raise Uniqueness(f"Another {self.type.name} has the {min(taken)[0]}.")

    def _write(
        self,
        row: Row,
        document: Mapping[str, Any],
        extras: Mapping[str, Any],
        members: dict[str, None],
    ) -> None:
        """Keep what changed under a new version; what did not change keeps its own."""
        version, now = row.version + 1, self.directory.now()
        fresh = render(
            self.type, document, id=row.id, version=version, created=row.created, changed=now
        )
        row.extras = dict(extras)
        if same(fresh, row.document) and members.keys() == row.members.keys():
            return
        if same(fresh, row.document):
            fresh = restamped(
                self.type, row.document, version=version, created=row.created, changed=now
            )
        row.document, row.version, row.changed, row.members = fresh, version, now, members

    def _existing(self, ids: Iterable[str]) -> dict[str, None]:
        """Members that exist; the others are accepted and kept out (a warning, in the broker)."""
        known = self.directory.rows
        return {id: None for id in ids if id in known["User"] or id in known["Group"]}

    def _changed(self, members: dict[str, None], change: MemberChange) -> dict[str, None]:
        named = dict.fromkeys(change.members)
        match change.op:
            case "add":
                return {**members, **self._existing(named)}
            case "remove":
                return {id: None for id in members if id not in named}
            case "replace":
                return self._existing(named)
            case "remove_where":
                assert change.where is not None
                where = change.where
                return {id: None for id in members if not where(self._member(id))}

    def _member(self, id: str) -> dict[str, Any]:
        type = "User" if id in self.directory.rows["User"] else "Group"
        document = load(self.directory.rows[type][id].document)
        display = document.get("displayName") or document.get("userName")
        reference = f"{self.directory.base_url}/{type}s/{id}"
        return {"value": id, "$ref": reference, "type": type, "display": display}

    def _groups(self, id: str) -> list[dict[str, Any]]:
        return [
            {**self._member(group.id), "type": "direct"}
            for group in self.directory.rows["Group"].values()
            if id in group.members
        ]

    def _stored(self, row: Row, computed: frozenset[str]) -> Stored:
        parts: dict[str, Any] = {}
        if "members" in computed and row.members:
            hidden = set() if "members.display" in computed else {"display"}
            parts["members"] = [
                {name: part for name, part in self._member(id).items() if name not in hidden}
                for id in row.members
            ]
        if "groups" in computed and (groups := self._groups(row.id)):
            parts["groups"] = groups
        if BROKER in computed:
            parts[BROKER] = {"status": "invited", "queuePosition": 1}
        return Stored(row.id, row.version, row.document, orjson.dumps(parts)[1:-1])

    def _whole(self, row: Row, computed: frozenset[str]) -> dict[str, Any]:
        computed |= frozenset({"members.display"})
        stored = self._stored(row, computed)
        return {
            **orjson.loads(stored.document),
            **orjson.loads(b"{" + stored.computed + b"}"),
        }


def _beside(
    placed: list[tuple[Place, Row]], cursor: Cursor, query: Query
) -> tuple[list[tuple[Place, Row]], bool]:
    """The page beside a cursor, and whether more lies behind it."""
    descending = query.sort is not None and query.sort.descending

    def before(one: Place, other: Place) -> bool:
        if one[:-1] != other[:-1]:
            return (one[:-1] < other[:-1]) != descending
        return bool(one[-1] < other[-1])

    if cursor.backwards:
        side = [each for each in placed if not cursor.at or before(each[0], cursor.at)]
        return side[-query.count :], len(side) > query.count
    side = [each for each in placed if not cursor.at or before(cursor.at, each[0])]
    return side[: query.count], len(side) > query.count


@dataclass(slots=True)
class MemoryService:
    """Directories by name, each with one token, behind the endpoints."""

    origin: str = "http://127.0.0.1"
    directories: dict[str, MemoryDirectory] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, tolerance: Tolerance = STANDARD) -> MemoryDirectory:
        """A new directory, its token `token-of-{name}`."""
        directory = MemoryDirectory(self.base_url(name), tolerance)
        self.directories[name] = directory
        self.tokens[name] = f"token-of-{name}"
        return directory

    def base_url(self, directory: str) -> str:
        """Where a directory's SCIM begins."""
        return f"{self.origin}/scim/v2/{directory}"

    async def admit(self, name: str, authorization: str | None) -> MemoryDirectory:
        """The directory a bearer token opens."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or token != self.tokens.get(name):
            raise Unauthorized
        return self.directories[name]

    def app(self) -> Endpoints:
        """The service as an ASGI application."""
        return Endpoints(self.admit, CATALOGUE, self.base_url)
