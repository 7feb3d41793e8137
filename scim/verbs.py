"""What a client can do to resources of one type: create, get, replace, patch, delete."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from scim.document import accept
from scim.errors import NotFound, ScimError
from scim.etag import IfMatch, is_known, tag
from scim.exchange import Answer
from scim.patch import Patch
from scim.projection import Selection, project, projected
from scim.resources import Attempt, Batches, Host, Resources, Stored
from scim.schema import ResourceType
from scim.wire import Body, opened, spliced

LONGEST_ID = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client says beside the body: which version it means, what it wants to see."""

    selection: Selection | None = None
    """None: nothing at all, as in a bulk; what nobody sees is not made either."""

    if_match: IfMatch = field(default_factory=IfMatch)
    minimal: bool = False
    """Whether an empty answer is preferred (RFC 7240 section 4.2)."""

    @property
    def computed(self) -> frozenset[str]:
        """What of all that is kept outside the document the answer shows."""
        return self.selection.computed if self.selection else frozenset()


@dataclass(frozen=True, slots=True)
class Verbs:
    """The five verbs on resources of one type in one directory (RFC 7644 section 3)."""

    host: Host
    type: ResourceType
    resources: Resources
    here: bytes
    """Where the resources are, as it stands in JSON without quotes, up to the last slash."""

    @classmethod
    def on(cls, host: Host, type: ResourceType) -> "Verbs":
        """The verbs on the resources of `type` that `host` has."""
        here = orjson.dumps(f"{host.base_url}{type.endpoint}/")[1:-1]
        return cls(host, type, host.resources(type), here)

    async def create(
        self,
        body: Mapping[str, Any],
        wish: Wish,
        *,
        id: str | None = None,
        absent: Collection[str] = (),
    ) -> Answer:
        """POST; in a bulk under an id made before, without the members who are not there yet."""
        reading = partial(accept, self.type, body, self.host.tolerance)
        accepted = await self._understood(reading, Attempt("create", None, body))
        if absent and accepted.members:
            there = tuple(each for each in accepted.members if each not in absent)
            accepted = replace(accepted, members=there)
        stored = await self.resources.create(accepted, computed=wish.computed, id=id)
        location = (b"location", self.location(stored.id).encode())
        return Answer(201, self._body(stored, wish), [location, *_tagged(stored)])

    async def get(self, id: str, wish: Wish) -> Answer:
        """GET; 304 for a version the client knows, whatever else it would show not even read."""
        self._check(id)
        if (known := wish.if_match.unless) is not None:
            bare = await self.resources.find(id, computed=frozenset())
            if bare is not None and is_known(known, bare.version):
                return Answer(304, None, _tagged(bare))
        stored = await self.resources.find(id, computed=wish.computed)
        if stored is None:
            raise self._missing()
        return Answer(200, self._body(stored, wish), _tagged(stored))

    async def replace(self, id: str, body: Mapping[str, Any], wish: Wish) -> Answer:
        """PUT."""
        self._check(id)
        reading = partial(accept, self.type, body, self.host.tolerance)
        accepted = await self._understood(reading, Attempt("replace", id, body))
        stored = await self.resources.replace(id, accepted, wish.if_match, computed=wish.computed)
        return Answer(200, self._body(stored, wish), _tagged(stored))

    async def patch(self, id: str, body: Mapping[str, Any], wish: Wish) -> Answer:
        """PATCH; 204 where nothing is asked for, or too much would have to be shown."""
        self._check(id)
        reading = partial(Patch.parse, self.type, body, self.host.tolerance, id=id)
        patch = await self._understood(reading, Attempt("patch", id, body))
        asked = wish.selection is not None and wish.selection.asked
        minimal = wish.minimal and not asked
        stored = await self.resources.patch(
            id,
            patch,
            wish.if_match,
            computed=frozenset() if minimal else wish.computed,
            at_most=None if asked else self.host.catalogue.limits.members_shown,
        )
        if minimal or stored.left_out:
            return Answer(204, None, _tagged(stored))
        return Answer(200, self._body(stored, wish), _tagged(stored))

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
        whole = spliced(stored.document, stored.computed, self.here + stored.id.encode())
        if selection.is_whole:
            return whole
        return orjson.dumps(project(selection, orjson.loads(whole)))

    def body(self, stored: Stored, selection: Selection) -> Body:
        """The resource as answered, in pieces where its members are too many to be held."""
        whole = self.shown(stored, selection)
        if stored.members is None:
            return whole
        return opened(whole, "members", _projected(selection, stored.members))

    def bodies(self, found: Sequence[Stored], selection: Selection) -> list[Body]:
        """Each of a page; whole ones in one go, as a page is full of them."""
        if selection.is_whole and not any(each.members for each in found):
            here = self.here
            return [
                spliced(each.document, each.computed, here + each.id.encode()) for each in found
            ]
        return [self.body(each, selection) for each in found]

    def _body(self, stored: Stored, wish: Wish) -> Body | None:
        return self.body(stored, wish.selection) if wish.selection else None

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


async def _projected(selection: Selection, batches: Batches) -> Batches:
    async for batch in batches:
        yield batch if selection.is_whole else projected(selection, "members", batch)


def _tagged(stored: Stored) -> list[tuple[bytes, bytes]]:
    return [(b"etag", tag(stored.version).encode())]
