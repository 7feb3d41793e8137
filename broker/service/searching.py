"""A SCIM query answered: by an index where one can, else by looking at everything there is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from heapq import nlargest, nsmallest
from itertools import islice
from typing import Any

import orjson

from broker.db.database import Database, Transaction
from broker.service.keying import KEY_LIMIT, indexed
from broker.service.refusals import when_unavailable
from broker.store import pages
from broker.store.pages import Order, Place, Where
from broker.store.resources import Resource, Shelf
from scim.errors import Busy, TooMany
from scim.query import Query
from scim.resources import Page, Stored
from scim.rules import title

LOOKED_AT_LIMIT = 200_000
BATCH = 500
FEW = 50
"""Resources looked at together with what is kept outside them: members of groups may be many."""
STRETCH = 25
"""Documents looked at between two rests."""
LINE_LIMIT = 8
QUICK = 100
"""Resources of a page that is found before a thread would have been woken."""

Outside = dict[str, Any]
"""What is kept outside a document, by attribute or extension, as it would be answered."""
Computing = Callable[[Transaction, Mapping[int, str], frozenset[str]], dict[int, Outside]]
"""The named attributes that are kept outside the documents, for resources by number and id."""


@dataclass(frozen=True, slots=True)
class Searching:
    """One search of a directory looks at everything at a time; a few more stand in line, the
    others hear 429 (safety 37). Directories take turns: two who look are no faster than one.
    """

    db: Database
    lines: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def search(self, shelf: Shelf, query: Query, computing: Computing) -> Page:
        """One page of what the query matches, oldest first where it names no order.

        TooMany where 200,000 resources were looked at and there are more; Busy (429).
        """
        if not query.count:  # the total alone, which has no order
            query = replace(query, sort=None, cursor=None)
        where, exact = _indexed(query)
        with when_unavailable():
            if exact and _by_index(query):
                ask = self.db.peek if _is_quick(query, where) else self.db.read
                return await ask(_page, shelf, query, where, computing)
            if where.sql:
                with suppress(TooMany):  # what an index leaves may be no less than everything
                    return await self.db.read(_scan, shelf, query, where, computing, BATCH)
            async with self._line(shelf.directory):
                return await self.db.read(_scan, shelf, query, where, computing, LOOKED_AT_LIMIT)

    @asynccontextmanager
    async def _line(self, directory: str) -> AsyncIterator[None]:
        if self.waiting.get(directory, 0) >= LINE_LIMIT:
            raise Busy(throttled=True)
        line = self.lines.setdefault(directory, asyncio.Semaphore(1))
        self.waiting[directory] = self.waiting.get(directory, 0) + 1
        try:
            async with line, self.turn:
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
    columns = indexed(query.type)
    exact = not query.filter.rest
    for name, value in query.filter.equals:
        column, key = columns.get(name), value[:KEY_LIMIT]
        if column is None or asked.setdefault(column, key) != key or len(value) >= KEY_LIMIT:
            exact = False
    return Where(**asked), exact


def _by_index(query: Query) -> bool:
    """Whether the order asked for is one the database keeps, of what every resource has."""
    named = title(query.type)
    return query.sort is None or bool(
        named and named.required and query.sort.path == named.path.lower()
    )


def _is_quick(query: Query, where: Where) -> bool:
    """Whether a page asks for so little that the event loop may look itself."""
    steps = query.start_index if where.sql or query.sort else 1
    few = query.count <= QUICK and steps <= QUICK and "member" not in where.named
    return few and query.computed <= {"groups"}


def _page(tx: Transaction, shelf: Shelf, query: Query, where: Where, computing: Computing) -> Page:
    """The page an index finds: what is read is what is answered, and the total."""
    order = Order(query.sort is not None, query.sort is not None and query.sort.descending)
    if query.cursor:
        found, more = _beside(tx, shelf, query, where, order)
        return _shown(tx, found, pages.count(tx, shelf, where), query, computing, more=more)
    total, at, offset = None, Place(), query.start_index - 1
    if offset and not where.sql and not order.by_name:
        total, at, offset = pages.extent(tx, shelf, offset)
    found = []
    if query.count:
        found = pages.page(tx, shelf, where, order, at, limit=query.count, offset=offset)
    if total is None:
        # A page that is not full is the last one, so the total is known.
        last = 0 < len(found) < query.count or (not found and query.count and not offset)
        total = offset + len(found) if last else pages.count(tx, shelf, where)
    return _shown(tx, found, total, query, computing)


def _beside(
    tx: Transaction, shelf: Shelf, query: Query, where: Where, order: Order
) -> tuple[list[Stored], bool]:
    """The page beside the cursor in the order of an index, and whether more lie beyond it."""
    assert query.cursor is not None
    at, backwards = query.cursor.at, query.cursor.backwards
    if order.by_name and at and at[0]:  # among those without a name, of whom there are none here
        if order.descending == backwards:
            return [], False
        at = ()
    limit = query.count + 1
    found = pages.page(tx, shelf, where, order, at, backwards=backwards, limit=limit)
    return _cut(found, query)


def _cut(found: list[Any], query: Query) -> tuple[list[Any], bool]:
    """The page of what was found from the cursor on, nearest first, and whether it was all."""
    page = found[: query.count]
    if query.cursor and query.cursor.backwards:
        page.reverse()
    return page, len(found) > query.count


def _scan(
    tx: Transaction, shelf: Shelf, query: Query, where: Where, computing: Computing, most: int
) -> Page:
    """The page found by looking at every document the index leaves, at `most` so many."""
    cursor = query.cursor
    at, backwards = Place(), False
    if cursor and not query.sort:
        at, backwards = cursor.at, cursor.backwards
    matching = _matching(tx, shelf, query, where, computing, most, at, backwards=backwards)
    if query.sort:
        return _sorted(tx, shelf, query, matching, computing)
    if cursor:
        found, more = _cut([each for each, _ in islice(matching, query.count + 1)], query)
        return _shown(tx, found, None, query, computing, more=more)
    start, end = query.start_index - 1, query.start_index - 1 + query.count
    total, found = 0, []
    for each, _ in matching:
        if start <= total < end:
            found.append(each)
        total += 1
    return _shown(tx, found, total, query, computing)


def _sorted(
    tx: Transaction,
    shelf: Shelf,
    query: Query,
    matching: Iterator[tuple[Stored, dict[str, Any]]],
    computing: Computing,
) -> Page:
    """The page in an order no index keeps: of all that match only the best are remembered."""
    order, total = query.sort, 0
    assert order is not None

    def ranked() -> Iterator[tuple[Place, Place]]:
        nonlocal total
        for each, document in matching:
            total += 1
            at = (*order.key(document), each.at[-1])
            yield _rank(at, order.descending), at

    cursor = query.cursor
    rising = order.descending == (cursor is not None and cursor.backwards)
    nearest = nsmallest if rising else nlargest
    start = query.start_index - 1
    if cursor is None:
        places, more = [at for _, at in nearest(start + query.count, ranked())][start:], False
    else:
        edge = _rank(cursor.at, order.descending) if cursor.at else ()
        beyond = (
            each for each in ranked() if not edge or (each[0] > edge if rising else each[0] < edge)
        )
        places, more = _cut([at for _, at in nearest(query.count + 1, beyond)], query)
    held = pages.numbered(tx, shelf, [at[-1] for at in places])
    found = [held[at[-1]]._replace(at=at) for at in places]
    return _shown(tx, found, None if cursor else total, query, computing, more=more)


def _rank(at: Place, descending: bool) -> Place:
    """A place as it compares, whatever it holds: of equal ones that which came first is first."""
    missing, value, n = at
    return missing, isinstance(value, str), 0 if value is None else value, -n if descending else n


def _matching(
    tx: Transaction,
    shelf: Shelf,
    query: Query,
    where: Where,
    computing: Computing,
    most: int,
    at: Place,
    *,
    backwards: bool,
) -> Iterator[tuple[Stored, dict[str, Any]]]:
    """What matches and its document, from the place on; TooMany beyond `most` looked at."""
    matches = query.filter.matches if query.filter else None
    needed = query.filter.computed if query.filter else frozenset()
    needed |= query.sort.computed if query.sort else frozenset()
    looked_at, size = 0, FEW if needed else BATCH
    while batch := pages.page(tx, shelf, where, Order(), at, backwards=backwards, limit=size):
        at, looked_at = batch[-1].at, looked_at + len(batch)
        if looked_at > most:
            raise TooMany
        outside = computing(tx, _ids(batch), needed) if needed else {}
        for each in _gently(batch):
            document = orjson.loads(each.document) | outside.get(each.at[-1], {})
            if matches is None or matches(document):
                yield each, document
        if len(batch) < size:
            return


def _gently(batch: Sequence[Stored]) -> Iterator[Stored]:
    """These, with rests in between as long as the work: so the event loop, which needs the
    interpreter's lock as much, waits for a stretch and not for its turn (5 ms, several a request).
    """
    for start in range(0, len(batch), STRETCH):
        began = time.perf_counter()
        yield from batch[start : start + STRETCH]
        if len(batch) - start > STRETCH:
            time.sleep(time.perf_counter() - began)


def _shown(
    tx: Transaction,
    found: list[Stored],
    total: int | None,
    query: Query,
    computing: Computing,
    *,
    more: bool = False,
) -> Page:
    if found and query.computed:
        outside = computing(tx, _ids(found), query.computed)
        if outside:
            found = [_with(each, outside.get(each.at[-1])) for each in found]
    return Page(total, found, more)


def _ids(found: Sequence[Stored]) -> dict[int, str]:
    return {each.at[-1]: each.id for each in found}


def _with(each: Stored, outside: Outside | None) -> Stored:
    return each._replace(computed=spelled(outside)) if outside else each
