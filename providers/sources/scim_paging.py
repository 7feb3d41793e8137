"""How a SCIM list is walked: by cursor (RFC 9865) where the server offers that, else by index.

An index is a place in a list that changes while it is read (RFC 7644 section 3.4.2.4). So the end
is an empty page, whatever `totalResults` says; and where records left the list meanwhile, or fewer
came than were announced, the reading says that it is unsure who is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from urllib.parse import urlencode

import orjson

from providers.errors import SourceBroken
from providers.sources.asking import Trail, place_of
from providers.sources.reading import Kind

LARGEST_PAGE = 500
ENDPOINTS: Mapping[Kind, str] = {"User": "/Users", "Group": "/Groups"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reading of the source at `source` stands.

    `cursor` is None where it goes by index, "" before the first page; `cursors` says whether the
    server offers them. `count` is the page size that fits at present, `largest` the one it grows
    back to. `total` is what was announced for this kind, `before` for the kinds that are through;
    `read` counts the records of this kind.
    """

    source: str
    kind: Kind = "User"
    cursors: bool = False
    cursor: str | None = None
    start: int = 1
    count: int = LARGEST_PAGE
    largest: int = LARGEST_PAGE
    total: int | None = None
    before: int | None = 0
    read: int = 0
    trail: Trail = field(default_factory=Trail)
    unsure: Mapping[Kind, str] = field(default_factory=dict)

    @classmethod
    def first(cls, source: str, *, cursors: bool, largest: int) -> Place:
        """The first page of people."""
        begun = "" if cursors else None
        return cls(source, cursors=cursors, cursor=begun, count=largest, largest=largest)

    @classmethod
    def of(cls, text: str, source: str) -> Place:
        """The place a page told; PlaceGone where it is none of this source's."""
        return place_of(cls, text, source)

    def __str__(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @property
    def path(self) -> str:
        """What is asked for here."""
        at = {"startIndex": self.start} if self.cursor is None else {"cursor": self.cursor}
        return f"{ENDPOINTS[self.kind]}?{urlencode({**at, 'count': self.count})}"

    @property
    def is_first(self) -> bool:
        """Whether nothing of this kind has been read."""
        return self.cursor == "" or (self.cursor is None and self.start == 1)

    @property
    def is_complete(self) -> bool:
        """Whether as many were read as were announced."""
        return self.total is not None and self.read >= self.total

    @property
    def expected(self) -> int | None:
        """All that was announced so far."""
        return None if self.total is None or self.before is None else self.before + self.total

    def doubting(self, why: str) -> Place:
        """The same, but unsure who of this kind is absent; the first reason stays."""
        return replace(self, unsure={self.kind: why, **self.unsure})

    def halved(self) -> Place:
        """The same with half the page."""
        return replace(self, count=self.count // 2)

    def begun_anew(self) -> Place:
        """The kind's first page in the size that fits now."""
        return replace(self, cursor="", read=0, trail=Trail())

    def by_index(self) -> Place:
        """The kind's first page without cursors."""
        fresh = Place.first(self.source, cursors=False, largest=self.largest)
        return replace(fresh, kind=self.kind, before=self.before, unsure=self.unsure)

    def past_one(self) -> Place:
        """Beyond a single record that cannot be read; a larger page is tried again."""
        return replace(self, start=self.start + 1, read=self.read + 1, count=min(2, self.largest))

    def counted(self, records: int, total: int | None) -> Place:
        """The same after this many records, with what their page announces."""
        on = replace(self, read=self.read + records, total=self.total if total is None else total)
        # A total below what was read is no total of anything, and hides nobody.
        if self.cursor is None and on.read <= (on.total or 0) < (self.total or 0):
            return on.doubting("Records left the source while it was read, so some were passed by.")
        return on

    def after(self, records: int, keys: str, cursor: object) -> Place | None:
        """The place after a page of these records, whose answer told this `nextCursor`.

        None at the end of the kind; SourceBroken where the walk goes in a circle.
        """
        if self.cursor is None:
            return self._after_index(records, keys)
        if isinstance(cursor, str) and cursor:
            if cursor == self.cursor:
                raise SourceBroken("in-a-circle", "The source gives the same cursor for ever.")
            trail = self.trail.on(keys or cursor, found=records > 0)
            return replace(self, cursor=cursor, trail=trail)
        if self.is_first and not self.is_complete and records:
            return self.by_index()  # it offers cursors and tells none
        return None

    def _after_index(self, records: int, keys: str) -> Place | None:
        if not records:
            return None
        try:
            trail = self.trail.on(keys or f"{self.start}", found=True)
        except SourceBroken:
            if self.total is not None and self.read - records >= self.total:
                return None  # it ignores startIndex, and gave everything at once
            raise
        count = min(self.count * 2, self.largest)
        return replace(self, start=self.start + records, count=count, trail=trail)

    def end(self) -> Place:
        """The same once its kind is through, with a doubt where records are missing."""
        if self.total is None or self.is_complete:
            return self
        return self.doubting(f"The source announced {self.total} and gave {self.read}.")

    def following(self) -> Place | None:
        """The first page of the next kind; None after groups."""
        if self.kind == "Group":
            return None
        fresh = Place.first(self.source, cursors=self.cursors, largest=self.largest)
        return replace(fresh, kind="Group", before=self.expected, unsure=self.unsure)
