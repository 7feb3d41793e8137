"""Cursors: places in the order of a query, and the sealed tokens clients carry (RFC 9865)."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from scim.errors import ExpiredCursor, InvalidCursor


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the order of one query on one type, and which side of it is asked for."""

    at: tuple[Any, ...] = ()
    """What the order compares: `(n,)`, and `(*Sort.key(document), n)` where the query sorts.

    n is an integer the host gives each resource once, rising with each creation, so no two
    places are alike; ties go by rising n, descending or not. No resource need stand here (any
    n may be asked for). `()` lies before the first resource, or, backwards, behind the last.
    """

    backwards: bool = False
    """The resources just before `at`, in the order of the query; else those just behind it."""


class CanSeal(Protocol):
    """Who hides a cursor from its client and knows it again."""

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """`plain`, readable here alone, and only together with `bound`."""
        ...

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was sealed with `bound`; ValueError for anything else."""
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """The cursors of one query as its client holds them: of no use with another query."""

    host: CanSeal
    bound: bytes
    """What makes it this query and no other."""

    lifetime_s: int

    def token(self, cursor: Cursor, rank: int, count: int) -> str:
        """A cursor into the results of type number `rank`, with `count` to a page.

        Unpadded base64url, within the characters RFC 9865 section 2 allows.
        """
        plain = orjson.dumps([int(time.time()), count, rank, cursor.backwards, *cursor.at])
        return _text(self.host.seal(plain, self.bound))

    def opened(self, token: str) -> tuple[Cursor, int, int]:
        """Cursor, rank and count of a token; InvalidCursor, ExpiredCursor (section 2.1)."""
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            made, count, rank, backwards, *at = orjson.loads(self.host.open(sealed, self.bound))
        except ValueError:
            raise InvalidCursor from None
        # base64 reads more texts than it writes; only the one that was handed out is a token.
        if _text(sealed) != token:
            raise InvalidCursor
        if time.time() - made > self.lifetime_s:
            raise ExpiredCursor
        return Cursor(tuple(at), backwards), rank, count


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
