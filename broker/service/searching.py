"""A SCIM query answered: by an index where one can, else by looking at everything there is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from broker.db.database import Database, Transaction
from broker.service.refusals import when_unavailable
from broker.store import resources
from broker.store.resources import Resource, Shelf, Where
from scim.errors import Busy, TooMany
from scim.query import Query
from scim.resources import Page, Stored
from scim.schema import ResourceType

LOOKED_AT_LIMIT = 200_000
BATCH = 500
LINE_LIMIT = 8

Outside = dict[str, Any]
"""What is kept outside a document, by attribute or extension, as it would be answered."""
Computing = Callable[[Transaction, Sequence[Resource], frozenset[str]], dict[int, Outside]]
"""The named attributes that are kept outside the documents, for each of these resources."""

UNIQUE = frozenset({"id", "username"})
NAME = {"User": "username", "Group": "displayname"}


@dataclass(frozen=True, slots=True)
class Searching:
    """One search of a directory looks at everything at a time; a few more stand in line, the
    others hear 429 (safety 37).
    """

    db: Database
    lines: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)

    async def search(self, shelf: Shelf, query: Query, computing: Computing) -> Page:
        """One page of what the query matches, oldest first where it names no order.

        TooMany where 200,000 resources were looked at and there are more; Busy (429).
        """
        where, exact = _indexed(query)
        with when_unavailable():
            if not exact or not _by_index(query):
                async with self._line(shelf.directory):
                    return await self.db.read(_scan, shelf, query, where, computing)
            return await self._indexed_page(shelf, query, where, computing)

    async def _indexed_page(
        self, shelf: Shelf, query: Query, where: Where, computing: Computing
    ) -> Page:
        asked = query.filter and {name for name, _ in query.filter.equals}
        ask = self.db.peek if asked and asked & UNIQUE else self.db.read
        return await ask(_page, shelf, query, where, computing)

    @asynccontextmanager
    async def _line(self, directory: str) -> AsyncIterator[None]:
        if self.waiting.get(directory, 0) >= LINE_LIMIT:
            raise Busy(throttled=True)
        line = self.lines.setdefault(directory, asyncio.Semaphore(1))
        self.waiting[directory] = self.waiting.get(directory, 0) + 1
        try:
            async with line:
                yield
        finally:
            self.waiting[directory] -= 1
            if not self.waiting[directory]:
                del self.waiting[directory], self.lines[directory]


def stored(resource: Resource, outside: Outside) -> Stored:
    """A row as an answer."""
    return Stored(
        resource.id, resource.version, resource.document, spelled(outside) if outside else b""
    )


def spelled(outside: Outside) -> bytes:
    """JSON members without their braces; empty values are left out (RFC 7643 section 2.5)."""
    return orjson.dumps({name: value for name, value in outside.items() if value})[1:-1]


def _indexed(query: Query) -> tuple[Where, bool]:
    """What an index can answer of the filter, and whether that is all of it."""
    if query.filter is None:
        return Where(), True
    asked: dict[str, str] = {}
    columns = _columns(query.type)
    exact = not query.filter.rest
    for name, value in query.filter.equals:
        column = columns.get(name)
        if column is None or asked.setdefault(column, value) != value:
            exact = False
    return Where(**asked), exact


def _columns(type: ResourceType) -> dict[str, str]:
    """Which parameter of `Where` answers an equality on which attribute."""
    columns = {"id": "id", "externalid": "external", NAME[type.name]: "name"}
    if "members" in type.apart:
        columns["members.value"] = "member"
    return columns


def _by_index(query: Query) -> bool:
    """Whether the order asked for is one the database keeps."""
    return query.sort is None or query.sort.path == NAME[query.type.name]


def _page(tx: Transaction, shelf: Shelf, query: Query, where: Where, computing: Computing) -> Page:
    """The page an index finds: what is read is what is answered, and the total."""
    offset = query.start_index - 1
    found: list[Resource] = []
    if query.count:
        found = resources.page(
            tx,
            shelf,
            where,
            offset=offset,
            limit=query.count,
            by_name=query.sort is not None,
            descending=query.sort is not None and query.sort.descending,
        )
    # A page that is not full is the last one, so the total is known.
    if 0 < len(found) < query.count or (not found and query.count and not offset):
        total = offset + len(found)
    else:
        total = resources.count(tx, shelf, where)
    return _shown(tx, found, total, query, computing)


def _scan(tx: Transaction, shelf: Shelf, query: Query, where: Where, computing: Computing) -> Page:
    """The page found by looking at every document the index leaves, batch by batch."""
    start, end = query.start_index - 1, query.start_index - 1 + query.count
    if query.sort is None:
        total, found = 0, []
        for resource, _ in _matching(tx, shelf, query, where, computing):
            if start <= total < end:
                found.append(resource)
            total += 1
        return _shown(tx, found, total, query, computing)
    order = query.sort
    keys = [
        (order.key(document), resource.n)
        for resource, document in _matching(tx, shelf, query, where, computing)
    ]
    keys.sort(key=lambda pair: pair[0], reverse=order.descending)
    numbers = [n for _, n in keys[start:end]]
    by_number = resources.numbered(tx, shelf, numbers)
    return _shown(tx, [by_number[n] for n in numbers], len(keys), query, computing)


def _matching(
    tx: Transaction, shelf: Shelf, query: Query, where: Where, computing: Computing
) -> Iterator[tuple[Resource, dict[str, Any]]]:
    matches = query.filter.matches if query.filter else None
    needed = query.filter.computed if query.filter else frozenset()
    needed |= query.sort.computed if query.sort else frozenset()
    after, looked_at = 0, 0
    while batch := resources.batch(tx, shelf, where, after=after, limit=BATCH):
        after, looked_at = batch[-1].n, looked_at + len(batch)
        if looked_at > LOOKED_AT_LIMIT:
            raise TooMany
        outside = computing(tx, batch, needed) if needed else {}
        for resource in batch:
            document = orjson.loads(resource.document) | outside.get(resource.n, {})
            if matches is None or matches(document):
                yield resource, document
        if len(batch) < BATCH:
            return


def _shown(
    tx: Transaction, found: Sequence[Resource], total: int, query: Query, computing: Computing
) -> Page:
    outside = computing(tx, found, query.computed) if found and query.computed else {}
    return Page(total, [stored(each, outside.get(each.n, {})) for each in found])
