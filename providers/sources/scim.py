"""Any SCIM 2.0 server as a source (RFC 7644), read with a bearer token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import quote, urlsplit

from providers.definition import VISIBLE, Field, Section
from providers.definition import Kind as Holds
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    PlaceGone,
    ProviderError,
    SourceBroken,
    TryLater,
)
from providers.places import origin_of_url
from providers.secret import Secret
from providers.sources.asking import (
    NOT_THERE,
    TOO_LARGE,
    Heard,
    Unreadable,
    ask,
    broken,
    demand,
    key_of,
    listed,
    sifted,
)
from providers.sources.reading import Found, Kind, Members, Page, Problem
from providers.sources.scim_paging import ENDPOINTS, LARGEST_PAGE, Place

SCIM_JSON = "application/scim+json, application/json"
CURSOR_OVER = frozenset({"expiredCursor", "invalidCursor"})
NAMELESS = "A record that shows no id could not be read, so nobody counts as absent."
NO_GROUPS = "The source shows no groups."
TOO_LARGE_ONE = "A record is larger than all that is read at once."


@dataclass(frozen=True, slots=True)
class Scim:
    """The server below `base_url`; its page has at most 16 MiB, one of its people 256 KiB."""

    egress: Egress
    base_url: str
    token: Secret
    translated: frozenset[str] = frozenset()
    whole: bool = True

    async def page(self, place: str | None) -> Page:
        """One page; of a size that halves until it fits, and then grows again."""
        at = await self._beginning() if place is None else Place.of(place, self.base_url)
        at, heard = await self._fitting(at)
        if heard is None:
            at = at.doubting(NAMELESS)
            return _turned(at, at.past_one(), refused=[(None, TOO_LARGE_ONE)])
        if not heard.is_good:
            return self._at_the_end(at, heard)
        total = heard.body.get("totalResults")
        nothing = total == 0 and "Resources" not in heard.body
        records = [] if nothing else listed(heard, "Resources")
        found, refused = sifted(records, lambda record: _found(at.kind, record))
        at = at.counted(len(records), total if _is_count(total) else None)
        if any(key is None for key, _ in refused):
            at = at.doubting(NAMELESS)
        keys = " ".join(one.key for one in found)
        on = at.after(len(records), keys, heard.body.get("nextCursor"))
        return _turned(at, on, found, refused)

    async def one(self, kind: Kind, key: str) -> Found | None:
        """One record by its id (RFC 7644 section 3.4.1)."""
        if not key.strip("."):  # "." and ".." would climb in the path
            return None
        heard = await self._hear(f"{ENDPOINTS[kind]}/{quote(key, safe='')}")
        if heard.status in NOT_THERE:
            return None
        if not heard.is_good:
            raise self._refusal(heard)
        try:
            return _found(kind, heard.body)
        except Unreadable as unreadable:
            raise SourceBroken("unreadable-record", unreadable.refused[1]) from None

    async def _beginning(self) -> Place:
        """People's first page, paged as ServiceProviderConfig advises (RFC 9865 section 4)."""
        said = (await self._hear("/ServiceProviderConfig")).body
        paging, limits = _object(said.get("pagination")), _object(said.get("filter"))
        sizes = (LARGEST_PAGE, paging.get("maxPageSize"), limits.get("maxResults"))
        largest = min(size for size in sizes if _is_count(size) and size)
        return Place.first(self.base_url, cursors=paging.get("cursor") is True, largest=largest)

    async def _fitting(self, at: Place) -> tuple[Place, Heard | None]:
        """The page in the largest size that fits; None where it is a single record too large."""
        while True:
            try:
                heard = await self._hear(at.path)
            except TryLater as error:
                if error.provider_code != TOO_LARGE:
                    raise
                if at.count == 1 and at.cursor is None:
                    return at, None
                at = at.halved() if at.count > 1 else at.by_index()
                continue
            if at.cursor and heard.body.get("scimType") == "invalidCount":
                at = at.begun_anew()  # a cursor may be good for its own count alone
            elif at.cursor == "" and heard.status == 400:
                at = at.by_index()  # it offers cursors and takes none
            else:
                return at, heard

    def _at_the_end(self, at: Place, heard: Heard) -> Page:
        """The last page of a kind, where a refusal says no more than that it is over."""
        if at.cursor and heard.body.get("scimType") in CURSOR_OVER:
            raise PlaceGone("cursor-over", "The source no longer knows its cursor.")
        if at.kind == "Group" and at.is_first and heard.status in NOT_THERE | {403}:
            return _turned(at.doubting(NO_GROUPS), None)
        if heard.status in NOT_THERE and at.is_first:
            raise SourceBroken("not-found", "There is no /Users below the base address.")
        if at.cursor is None and at.is_complete and heard.status in (400, 404):
            return _turned(at, None)  # some refuse a startIndex beyond the last record
        raise self._refusal(heard)

    async def _hear(self, path: str) -> Heard:
        return await ask(self.egress, self.base_url + path, self.token, accept=SCIM_JSON)

    def _refusal(self, heard: Heard) -> ProviderError:
        if heard.status == 403:
            return ClientMisconfigured("http-403", "The token may not read this at the source.")
        return broken(heard, heard.body.get("detail"), self.token)


def _turned(
    at: Place,
    on: Place | None,
    found: Sequence[Found] = (),
    refused: Sequence[tuple[str | None, str]] = (),
) -> Page:
    """A page, and the place of the next one, of this kind or the one after it."""
    if on is None:
        at = at.end()
        on = at.following()
    next = None if on is None else str(on)
    return Page(found, next, at.expected, None, refused, at.unsure if on is None else {})


def _found(kind: Kind, record: Mapping[str, Any]) -> Found:
    """A record as it came, its members apart; Unreadable where its id or its size forbids it."""
    key = key_of(kind, record)
    body = {name: value for name, value in record.items() if name.lower() != "members"}
    return Found(kind, key, body, members=_members(record) if kind == "Group" else None)


def _members(group: Mapping[str, Any]) -> Members:
    """All members; none where the attribute is unassigned (RFC 7643 section 2.5)."""
    said = group.get("members")
    listed = said if isinstance(said, list) else []
    values = (one.get("value") for one in listed if isinstance(one, dict))
    return Members(tuple(value for value in values if isinstance(value, str)), whole=True)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True, slots=True)
class ScimKind:
    """How a SCIM source is told and opened; `simulator` is an origin that needs no https."""

    egress: Egress
    simulator: str | None = None
    kind: str = "scim"
    title: str = "SCIM 2.0"
    fields: tuple[Field, ...] = (
        Field(
            "base_url",
            "Base address",
            Section.GENERAL,
            Holds.HOST,
            required=True,
            help="What stands before /Users, such as https://hr.example.com/scim/v2.",
        ),
        Field(
            "token",
            "Token",
            Section.GENERAL,
            Holds.SECRET,
            protected=True,
            required=True,
            alphabet=VISIBLE,
        ),
    )

    def check(self, settings: Mapping[str, str]) -> tuple[Problem, ...]:
        """A base address is https, without user, query or fragment."""
        url = settings.get("base_url", "").strip()
        where = origin_of_url(url)
        if where is None or urlsplit(url).query or urlsplit(url).fragment:
            return (Problem("base_url", "This is not a web address without query and user."),)
        if not where.startswith("https://") and where != origin_of_url(self.simulator or ""):
            return (Problem("base_url", "The address has to begin with https://."),)
        return ()

    def origin(self, settings: Mapping[str, str]) -> str:
        """Where the token goes."""
        demand(self.check(settings))
        return origin_of_url(settings["base_url"].strip()) or ""

    def open(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Scim:
        """The server, which is not asked anything yet."""
        demand(self.check(settings), self.fields, secrets)
        return Scim(self.egress, settings["base_url"].strip().rstrip("/"), secrets["token"])
