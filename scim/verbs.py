"""What a client can do to resources of one type: create, get, replace, patch, delete."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from scim.document import accept
from scim.errors import NotFound, ScimError
from scim.etag import IfMatch, is_known, tag
from scim.exchange import Answer
from scim.patch import Patch
from scim.projection import Selection, project
from scim.resources import Attempt, Host, Resources, Stored
from scim.schema import ResourceType
from scim.wire import spliced

LONGEST_ID = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client says beside the body: which version it means, what it wants to see."""

    selection: Selection
    if_match: IfMatch = field(default_factory=IfMatch)
    if_none_match: str | None = None
    minimal: bool = False
    """Whether an empty answer is preferred (RFC 7240 section 4.2)."""


@dataclass(frozen=True, slots=True)
class Verbs:
    """The five verbs on resources of one type in one directory (RFC 7644 section 3)."""

    host: Host
    type: ResourceType
    resources: Resources

    @classmethod
    def on(cls, host: Host, type: ResourceType) -> "Verbs":
        """The verbs on the resources of `type` that `host` has."""
        return cls(host, type, host.resources(type))

    async def create(self, body: Mapping[str, Any], wish: Wish) -> Answer:
        """POST."""
        reading = partial(accept, self.type, body, self.host.tolerance)
        accepted = await self._understood(reading, Attempt("create", None, body))
        stored = await self.resources.create(accepted, computed=wish.selection.computed)
        location = (b"location", self.location(stored.id).encode())
        return Answer(201, self.shown(stored, wish.selection), [location, *_tagged(stored)])

    async def get(self, id: str, wish: Wish) -> Answer:
        """GET; 304 for a version the client knows."""
        self._check(id)
        stored = await self.resources.find(id, computed=wish.selection.computed)
        if stored is None:
            raise self._missing()
        if is_known(wish.if_none_match, stored.version):
            return Answer(304, None, _tagged(stored))
        return Answer(200, self.shown(stored, wish.selection), _tagged(stored))

    async def replace(self, id: str, body: Mapping[str, Any], wish: Wish) -> Answer:
        """PUT."""
        self._check(id)
        reading = partial(accept, self.type, body, self.host.tolerance)
        accepted = await self._understood(reading, Attempt("replace", id, body))
        computed = wish.selection.computed
        stored = await self.resources.replace(id, accepted, wish.if_match, computed=computed)
        return Answer(200, self.shown(stored, wish.selection), _tagged(stored))

    async def patch(self, id: str, body: Mapping[str, Any], wish: Wish) -> Answer:
        """PATCH; 204 where nothing is asked for, or too much would have to be shown."""
        self._check(id)
        reading = partial(Patch.parse, self.type, body, self.host.tolerance, id=id)
        patch = await self._understood(reading, Attempt("patch", id, body))
        asked = wish.selection.asked
        minimal = wish.minimal and not asked
        stored = await self.resources.patch(
            id,
            patch,
            wish.if_match,
            computed=frozenset() if minimal else wish.selection.computed,
            at_most=None if asked else self.host.catalogue.limits.members_shown,
        )
        if minimal or stored.left_out:
            return Answer(204, None, _tagged(stored))
        return Answer(200, self.shown(stored, wish.selection), _tagged(stored))

    async def delete(self, id: str, wish: Wish) -> Answer:
        """DELETE."""
        self._check(id)
        await self.resources.delete(id, wish.if_match)
        return Answer(204)

    def location(self, id: str) -> str:
        """Where a resource is found."""
        return f"{self.host.base_url}{self.type.endpoint}/{id}"

    def shown(self, stored: Stored, selection: Selection) -> bytes:
        """The resource as answered; decoded only where a part of it is asked for."""
        location = orjson.dumps(self.location(stored.id))[1:-1]
        whole = spliced(stored.document, stored.computed, location)
        if selection.is_whole:
            return whole
        return orjson.dumps(project(selection, orjson.loads(whole)))

    async def _understood(self, reading: Callable[[], Any], attempt: Attempt) -> Any:
        """What the body means; a body that means nothing is a record of its own."""
        try:
            return reading()
        except ScimError as problem:
            await self.resources.refused(attempt, problem)
            raise

    def _check(self, id: str) -> None:
        if "\0" in id or len(id) > LONGEST_ID:
            raise self._missing()

    def _missing(self) -> NotFound:
        return NotFound(f"There is no {self.type.name} with this id.")


def _tagged(stored: Stored) -> list[tuple[bytes, bytes]]:
    return [(b"etag", tag(stored.version).encode())]
