"""A search answered, on one resource type or over all of them (RFC 7644 section 3.4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from scim.cursor import Cursor, Tokens
from scim.errors import (
    InvalidCount,
    InvalidCursor,
    InvalidPath,
    InvalidValue,
    MethodNotAllowed,
    TooMany,
)
from scim.exchange import Answer, Request
from scim.query import Query, body_parameters, url_parameters
from scim.resources import Host, Page, Stored
from scim.schema import ResourceType
from scim.verbs import Verbs
from scim.wire import decoded, listing

NO_VALUE = (True, "")
"""What a resource without the attribute sorts by, as `Sort.key` has it."""
BEHIND_ALL = 2**63 - 1
DEEPEST_MERGE = 10_000


async def search(request: Request, host: Host, types: Sequence[ResourceType]) -> Answer:
    """GET asks, with the query in the URL."""
    host.note("read")
    return await Search(host, types, url_parameters(request.query_string)).answer()


async def posted_search(request: Request, host: Host, types: Sequence[ResourceType]) -> Answer:
    """POST asks, with the query in the body (section 3.4.3)."""
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    host.note("read")
    body = decoded(await request.body(host.catalogue.limits.body_bytes))
    return await Search(host, types, body_parameters(body)).answer()


class Found(NamedTuple):
    """A resource, and the rank of its type among those that are searched."""

    rank: int
    stored: Stored

    @property
    def key(self) -> tuple[Any, ...]:
        """What it sorts by among resources of all types; the same for all without an order."""
        return self.stored.at[:-1] or NO_VALUE


class Search:
    """One search: its types share the page, and what sorts alike is in the order of the types."""

    def __init__(self, host: Host, types: Sequence[ResourceType], given: Mapping[str, Any]) -> None:
        """`given` holds the parameters by lower-case name, from a URL or a body.

        Types that cannot match are not asked. What `Query.of` raises, and what `Tokens.opened`.
        """
        limits, others = host.catalogue.limits, types if len(types) > 1 else ()
        every = [Query.of(type, given, limits, others) for type in types]
        sorts = [query.sort for query in every if query.sort]
        if len({sort.kind for sort in sorts}) > 1:
            raise InvalidPath(f'Cannot sort by "{given["sortby"]}", which is not of one type.')
        self.sort = sorts[0] if sorts else None
        self.start, self.count = every[0].start_index, every[0].count
        self.queries = [
            replace(query, filter=None) if query.filter and query.filter.settled else query
            for query in every
            if query.filter is None or query.filter.settled is not False
        ]
        self.verbs = [Verbs.on(host, query.type) for query in self.queries]
        self.given, self.host, self.types = given, host, types
        self.cursor: Cursor | None = None
        self.rank = 0
        if given.get("cursor") is not None:
            self._resume(given)

    @cached_property
    def tokens(self) -> Tokens:
        """Cursors of this query alone."""
        named = [self.given.get(name) for name in ("filter", "sortby", "sortorder")]
        bound = orjson.dumps([[type.name for type in self.types], *named])
        return Tokens(self.host, bound, self.host.catalogue.limits.cursor_s)

    def _resume(self, given: Mapping[str, Any]) -> None:
        """Take up the cursor that is given; an empty one begins (RFC 9865 section 2)."""
        if self.start != 1:
            raise InvalidValue('"startIndex" and "cursor" exclude one another.')
        self.cursor, token = Cursor(), given["cursor"]
        if not isinstance(token, str):
            raise InvalidCursor
        if token:
            self.cursor, self.rank, count = self.tokens.opened(token)
            if given.get("count") is not None and count != self.count:
                raise InvalidCount
            self.count = count

    async def answer(self) -> Answer:
        """The ListResponse; without startIndex, and perhaps without a total, for a cursor."""
        if self.cursor and self.count:
            return await self._beside(self.cursor)
        mixed = self.sort and self.count and len(self.queries) > 1
        found, total = await (self._merged() if mixed else self._chained())
        start = None if self.cursor else self.start
        return self._shown(found, totalResults=total, startIndex=start)

    async def _chained(self) -> tuple[list[Found], int]:
        """The page by index where one type follows the other, and the total."""
        found: list[Found] = []
        total = 0
        for rank, query in enumerate(self.queries):
            if rank:
                start, left = max(1, self.start - total), self.count - len(found)
                query = replace(query, start_index=start, count=left)
            page = await self.verbs[rank].resources.search(query)
            found += [Found(rank, stored) for stored in page.items]
            total += page.total or 0
        return found, total

    async def _merged(self) -> tuple[list[Found], int]:
        """The page by index where the order mixes the types, and the total."""
        end = self.start - 1 + self.count
        if end > DEEPEST_MERGE:
            raise TooMany(
                f"An order over all types goes to index {DEEPEST_MERGE}; cursors go beyond."
            )
        found: list[Found] = []
        total = 0
        for rank in range(len(self.queries)):
            page, these = await self._page(rank, start_index=1, count=end)
            found += these
            total += page.total or 0
        return self._ordered(found)[self.start - 1 : end], total

    async def _beside(self, cursor: Cursor) -> Answer:
        """The page beside a cursor, and the cursors at both its ends."""
        found: list[Found] = []
        total: int | None = 0
        more = False
        ranks = range(len(self.queries))
        for rank in reversed(ranks) if cursor.backwards else ranks:
            if (begin := self._begin(rank, cursor)) is None:
                continue
            # One resource more than the page holds tells that another page follows.
            left = self.count if self.sort else max(1, self.count - len(found))
            page, these = await self._page(rank, cursor=begin, count=left)
            found = these + found if cursor.backwards else found + these
            more, total = more or page.more or len(found) > self.count, page.total
            if more and not self.sort:
                break
        found = self._ordered(found)
        found = found[-self.count :] if cursor.backwards else found[: self.count]
        before, after = self._ends(found, cursor)
        return self._shown(
            found,
            totalResults=total if len(ranks) < 2 else None,
            previousCursor=before if (more if cursor.backwards else cursor.at) else None,
            nextCursor=after if (cursor.backwards or more) else None,
        )

    def _begin(self, rank: int, cursor: Cursor) -> Cursor | None:
        """The cursor as a type sees it; None where all resources of it are on the other side."""
        if rank == self.rank or not cursor.at:
            return cursor
        key = cursor.at[:-1] or NO_VALUE
        if self.queries[rank].sort:
            n = BEHIND_ALL if rank < self.rank else -1
            return replace(cursor, at=(*key, n))
        assert self.sort or key == NO_VALUE
        behind = rank > self.rank if key == NO_VALUE else not (self.sort and self.sort.descending)
        return Cursor((), cursor.backwards) if behind != cursor.backwards else None

    def _ends(self, found: Sequence[Found], cursor: Cursor) -> tuple[str | None, str | None]:
        """The cursors before and behind a page."""
        if found:
            first, last = found[0], found[-1]
            return (
                self.tokens.token(Cursor(first.stored.at, True), first.rank, self.count),
                self.tokens.token(Cursor(last.stored.at), last.rank, self.count),
            )
        if not cursor.at:
            return None, None
        # Nothing is left on this side: the way back begins with what stands at the cursor.
        *key, n = cursor.at
        back = Cursor((*key, n - 1 if cursor.backwards else n + 1), not cursor.backwards)
        token = self.tokens.token(back, self.rank, self.count)
        return token, token

    async def _page(self, rank: int, **part: Any) -> tuple[Page, list[Found]]:
        page = await self.verbs[rank].resources.search(replace(self.queries[rank], **part))
        return page, [Found(rank, stored) for stored in page.items]

    def _ordered(self, found: list[Found]) -> list[Found]:
        if self.sort and len(self.queries) > 1:
            found.sort(key=lambda each: each.key, reverse=self.sort.descending)
        return found

    def _shown(self, found: Sequence[Found], **page: int | str | None) -> Answer:
        if len(self.queries) == 1:
            items = self.verbs[0].bodies([each.stored for each in found], self.queries[0].selection)
            return Answer(200, listing(items, **page))
        mixed = (
            self.verbs[each.rank].body(each.stored, self.queries[each.rank].selection)
            for each in found
        )
        return Answer(200, listing(mixed, **page))
