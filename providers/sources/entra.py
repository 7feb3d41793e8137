"""Microsoft Entra ID as a source, through Microsoft Graph's delta queries.

What Graph does stands in Microsoft's pages "Use delta query to track changes in Microsoft Graph
data", "Get incremental changes for users" and "… for groups", "user: delta", "group: delta",
"Microsoft Graph throttling guidance" and "Get access without a user".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from providers import oauth2
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    PersonNeeded,
    PlaceGone,
    ProviderError,
    SourceBroken,
    Unclassified,
)
from providers.places import origin_of_url
from providers.secret import Secret
from providers.sources.asking import Heard, Trail, Unreadable, ask, broken, listed, place_of, sifted
from providers.sources.entra_fields import SELECTED, TRANSLATED, found
from providers.sources.reading import Found, Kind, Page

RESYNC = frozenset({"resyncRequired", "syncStateNotFound", "syncStateInvalid"})
AT_ONCE = 8
NAMELESS = "A record that shows no id could not be read, so nobody counts as absent."
FORBIDDEN = (
    "The app may not read this. Give it the application permissions User.Read.All and "
    "GroupMember.Read.All, with an administrator's consent."
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reading of the source named so stands: the link of the next page.

    `since` holds the delta links the reading began from, by kind; none on a reading of everything.
    `until` holds those it came to, from which the next one begins.
    """

    source: str
    kind: Kind
    link: str
    since: Mapping[Kind, str] = field(default_factory=dict)
    until: Mapping[Kind, str] = field(default_factory=dict)
    trail: Trail = field(default_factory=Trail)
    unsure: Mapping[Kind, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, source: str) -> Place:
        """The place a page told; PlaceGone where it is none of this source's."""
        return place_of(cls, text, source)

    def __str__(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @property
    def is_whole(self) -> bool:
        """Whether everything is read, and not only what changed."""
        return not self.since


@dataclass(frozen=True, slots=True)
class App:
    """An app registration: its tenant, and where its token comes from and what it opens."""

    token_url: str
    graph: str
    client_id: str
    client_secret: Secret

    async def token(self, egress: Egress) -> Secret:
        """A new access token by client credentials; ClientMisconfigured where they are refused."""
        form: oauth2.Form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": f"{self.graph}/.default",
        }
        refusal: ProviderError
        try:
            return oauth2.tokens(await oauth2.ask(egress, self.token_url, form)).access_token
        except (GrantDead, PersonNeeded, Unclassified) as error:
            refusal = error  # whatever the word: no person is in this, only our registration
        raise ClientMisconfigured(refusal.provider_code, refusal.provider_text)


class Entra:
    """The people and groups of a tenant; `more` are fields of people to be read beside ours."""

    whole = True

    def __init__(self, egress: Egress, app: App, more: Sequence[str] = ()) -> None:
        self.translated = TRANSLATED
        self._egress = egress
        self.app = app
        self._token: Secret | None = None
        self._selected = ",".join(dict.fromkeys((*SELECTED, *more)))
        # A delta link keeps the tenant and the fields it was made for, whatever is set now.
        self._source = f"{app.token_url} {app.graph} {self._selected}"

    async def page(self, place: str | None) -> Page:
        """One page of a delta query: of everything from None, else of what changed."""
        begin = Place(self._source, "User", self._first("User"))
        at = begin if place is None else Place.of(place, self._source)
        heard = await self._hear(self._own(at.link))
        if heard.status == 410 or _code(heard) in RESYNC:
            raise PlaceGone("resync-required", "The source wants to be read from the beginning.")
        self._demand(heard)
        records = listed(heard, "value")
        good, refused = sifted(records, lambda one: found(at.kind, one, whole=at.is_whole))
        if any(key is None for key, _ in refused):
            at = replace(at, unsure={at.kind: NAMELESS, **at.unsure})
        if not at.is_whole:
            good = await self._completed(good)
        return self._turned(at, heard, Page(good, refused=refused))

    async def one(self, kind: Kind, key: str) -> Found | None:
        """A person with their manager; a group without its members."""
        if not key.strip("."):  # "." and ".." would climb in the path
            return None
        more = {"$select": self._selected, "$expand": "manager($select=id)"}
        query = urlencode(more if kind == "User" else {"$select": "id,displayName"}, safe="$,()=")
        path = "users" if kind == "User" else "groups"
        heard = await self._hear(f"{self.app.graph}/v1.0/{path}/{quote(key, safe='')}?{query}")
        if heard.status == 404:
            return None
        self._demand(heard)
        try:
            return found(kind, heard.body, whole=False)
        except Unreadable as unreadable:
            raise SourceBroken("unreadable-record", unreadable.refused[1]) from None

    async def _completed(self, changed: Sequence[Found]) -> list[Found]:
        """The same, people read anew: a change may name less than all, a manager only a new one.

        "Updated instances are represented by their id with at least the properties that have been
        updated." Whoever is gone by now is left to the next reading, which will say so.
        """
        now: list[Found] = []
        for first in range(0, len(changed), AT_ONCE):
            some = changed[first : first + AT_ONCE]
            now += filter(None, await asyncio.gather(*map(self._anew, some)))
        return now

    async def _anew(self, one: Found) -> Found | None:
        if one.gone or (one.kind == "Group" and "displayName" in one.body):
            return one
        fresh = await self.one(one.kind, one.key)
        return fresh and replace(fresh, members=one.members)

    def _turned(self, at: Place, heard: Heard, page: Page) -> Page:
        """The page with what comes after it: its next link, the next kind, or the delta place."""
        if (link := heard.body.get("@odata.nextLink")) is not None:
            trail = at.trail.on(self._own(link), found=bool(page.found))
            return replace(page, next=str(replace(at, link=link, trail=trail)))
        until = {**at.until, at.kind: self._own(heard.body.get("@odata.deltaLink"))}
        if at.kind == "User":
            link = at.since.get("Group") or self._first("Group")
            on = Place(at.source, "Group", link, at.since, until, unsure=at.unsure)
            return replace(page, next=str(on))
        delta = str(Place(at.source, "User", until["User"], since=until))
        return replace(page, delta=delta, unsure=at.unsure)

    def _first(self, kind: Kind) -> str:
        """Where a reading of everything begins; managers and members come along as changes."""
        path, fields = "users", f"{self._selected},manager"
        if kind == "Group":
            path, fields = "groups", "id,displayName,members"
        return f"{self.app.graph}/v1.0/{path}/delta?{urlencode({'$select': fields}, safe='$,')}"

    def _is_own(self, link: object) -> bool:
        return isinstance(link, str) and origin_of_url(link) == origin_of_url(self.app.graph)

    def _own(self, link: object) -> str:
        """A link out of an answer, once it is known to stay with the source (safety 19)."""
        if link is None:
            raise SourceBroken("no-link", "The page tells neither a next link nor a delta link.")
        if not self._is_own(link):
            raise SourceBroken("foreign-link", "The page leads to a host that is not the source's.")
        return str(link)

    async def _hear(self, url: str) -> Heard:
        """The answer to a GET; a token that is over is replaced once."""
        if (token := self._token) is not None:
            try:
                return await ask(self._egress, url, token)
            except ClientMisconfigured as error:
                if error.provider_code != "http-401":
                    raise
        if self._token is token:  # nobody else has fetched another meanwhile
            self._token = await self.app.token(self._egress)
        return await ask(self._egress, url, self._token or Secret(""))

    def _demand(self, heard: Heard) -> None:
        if heard.status == 403:
            raise ClientMisconfigured(_code(heard) or "http-403", FORBIDDEN)
        if not heard.is_good:
            error = heard.body.get("error")
            words = error.get("message") if isinstance(error, dict) else None
            raise broken(heard, words, self._token or Secret(""))


def _code(heard: Heard) -> str:
    """Graph's error code ("Microsoft Graph error responses and resource types")."""
    error: Any = heard.body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""
