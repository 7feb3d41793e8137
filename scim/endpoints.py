"""The HTTP face over any host: paths, methods, conditions, answers (RFC 7644 section 3)."""

import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from scim.bulk import bulk
from scim.discovery import ENDPOINTS, Discovery
from scim.errors import MethodNotAllowed, NotFound, ScimError, Unauthorized, Unsupported
from scim.etag import IfMatch
from scim.exchange import Answer, Gone, Receive, Request, Scope, Send, refusal
from scim.query import selected, url_parameters
from scim.resources import Host
from scim.schema import Catalogue, ResourceType
from scim.searching import posted_search, search
from scim.verbs import Verbs, Wish
from scim.wire import decoded

PREFIX = "/scim/v2/"
DIRECTORY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

Admit: TypeAlias = Callable[[str, str | None], Awaitable[Host]]


class Endpoints:
    """A plain ASGI application serving `/scim/v2/{directory}/…`."""

    def __init__(self, admit: Admit, standard: Catalogue, base_url: Callable[[str], str]) -> None:
        """`admit` turns directory and Authorization header into a host, or raises Unauthorized.

        `standard` is what discovery shows to a caller without a valid token, the same under
        any directory name (rule 4); `base_url` makes the locations in it.
        """
        self._admit = admit
        self._standard = standard
        self._base_url = base_url
        self._discoveries: WeakKeyDictionary[Catalogue, Discovery] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong is answered as a SCIM error."""
        request = Request(scope, receive)
        head = request.method == "HEAD"
        try:
            answer = await self._answer(request)
        except ScimError as problem:
            answer = refusal(problem)
        except Gone:
            return
        except Exception:
            await refusal(ScimError()).send(send, receive, head=head)
            raise
        await answer.send(send, receive, head=head)

    async def _answer(self, request: Request) -> Answer:
        directory, *path = _parts(request.path)
        if path and path[0] in ENDPOINTS:
            return await self._discover(request, directory, path)
        host = await self._admit(directory, request.header(b"authorization"))
        if not path:
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowed("GET, HEAD")
            return await search(request, host, host.catalogue.types)
        if path == [".search"]:
            return await posted_search(request, host, host.catalogue.types)
        if path == ["Bulk"]:
            return await bulk(request, host)
        if path[0] == "Me":
            raise Unsupported("/Me is not served here: a directory's token is nobody.")
        type = host.catalogue.by_endpoint.get("/" + path[0])
        if type is None or len(path) > 2:
            raise NotFound("There is no such endpoint.")
        exchange = Exchange(request, host, type)
        if len(path) == 1:
            return await exchange.collection()
        if path[1] == ".search":
            return await posted_search(request, host, [type])
        return await exchange.resource(path[1])

    async def _discover(self, request: Request, directory: str, path: list[str]) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("GET, HEAD")
        if len(path) > 2:
            raise NotFound("There is no such endpoint.")
        catalogue, base_url = await self._known(directory, request.header(b"authorization"))
        discovery = self._discoveries.get(catalogue)
        if discovery is None:
            discovery = self._discoveries[catalogue] = Discovery(catalogue)
        name = path[1] if len(path) == 2 else None
        given = url_parameters(request.query_string)
        return Answer(200, discovery.answer(path[0], name, given, base_url))

    async def _known(self, directory: str, authorization: str | None) -> tuple[Catalogue, str]:
        """What this caller may know: its directory's catalogue, or the standard one."""
        if authorization is not None:
            try:
                host = await self._admit(directory, authorization)
            except Unauthorized:
                pass
            else:
                return host.catalogue, host.base_url
        return self._standard, self._base_url(directory)


class Exchange:
    """One admitted HTTP request on resources of one type."""

    def __init__(self, request: Request, host: Host, type: ResourceType) -> None:
        self.request = request
        self.host = host
        self.type = type

    @cached_property
    def verbs(self) -> Verbs:
        """What can be done to these resources; a search has no need of it."""
        return Verbs.on(self.host, self.type)

    async def collection(self) -> Answer:
        """GET asks, POST creates."""
        match self.request.method:
            case "GET" | "HEAD":
                return await search(self.request, self.host, [self.type])
            case "POST":
                wish = self._wish()
                return await self.verbs.create(await self._body(), wish)
        raise MethodNotAllowed("GET, HEAD, POST")

    async def resource(self, id: str) -> Answer:
        """GET, PUT, PATCH and DELETE of one resource."""
        match self.request.method:
            case "GET" | "HEAD":
                self.host.note("read")
                return await self.verbs.get(id, self._wish())
            case "PUT":
                wish = self._wish()
                return await self.verbs.replace(id, await self._body(), wish)
            case "PATCH":
                wish = self._wish()
                return await self.verbs.patch(id, await self._body(), wish)
            case "DELETE":
                return await self.verbs.delete(id, self._wish())
        raise MethodNotAllowed("GET, HEAD, PUT, PATCH, DELETE")

    async def _body(self) -> dict[str, Any]:
        """The JSON object in the body; one nobody can read is counted, and is no record."""
        try:
            return decoded(await self.request.body(self.host.catalogue.limits.body_bytes))
        except ScimError:
            self.host.note("unreadable")
            raise

    def _wish(self) -> Wish:
        request = self.request
        return Wish(
            selected(self.type, url_parameters(request.query_string)),
            IfMatch.parse(request.header(b"if-match"), request.header(b"if-none-match")),
            minimal=request.wants_nothing,
        )


def _parts(path: str) -> list[str]:
    """The directory and what follows it; NotFound where the path cannot be one of ours."""
    if not path.startswith(PREFIX):
        raise NotFound("There is no such endpoint.")
    parts = path.removeprefix(PREFIX).split("/")
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    if not all(parts) or not DIRECTORY.fullmatch(parts[0]):
        raise NotFound("There is no such endpoint.")
    return parts
