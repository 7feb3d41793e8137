"""A reading from its first page to its last, and sources that answer what a test wrote down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from providers.egress import Egress
from providers.secret import Secret
from providers.sources.entra import Entra
from providers.sources.reading import CanReadDirectory, Found, Page
from providers.sources.registry import Sources
from providers.sources.scim import Scim
from tests.canaries import planted

TOKEN = Secret(planted("source-token"))
MOST_PAGES = 3000


async def walk(source: CanReadDirectory, place: str | None = None) -> list[Page]:
    """Every page from a place on."""
    pages: list[Page] = []
    while len(pages) < MOST_PAGES:
        pages.append(await source.page(place))
        if (place := pages[-1].next) is None:
            return pages
    raise AssertionError("the reading comes to no end")


def found(pages: list[Page], kind: str = "User") -> list[Found]:
    """Everything of a kind on these pages, in order."""
    return [one for page in pages for one in page.found if one.kind == kind]


def keys(pages: list[Page], kind: str = "User") -> list[str]:
    """The keys of everything of a kind on these pages, in order."""
    return [one.key for one in found(pages, kind)]


@dataclass
class Far:
    """A source that answers as `answer` says; `asked` are its paths with their queries."""

    origin: str
    egress: Egress
    asked: list[str] = field(default_factory=list)

    @property
    def scim(self) -> Scim:
        """It, read as a SCIM server."""
        return Scim(self.egress, f"{self.origin}/scim/v2", TOKEN)

    @property
    def entra(self) -> Entra:
        """It, read as a tenant of Entra."""
        kind = Sources(self.egress, simulator=self.origin).find("entra")
        assert kind is not None
        settings = {"environment": "rehearsal", "tenant": "acme.example", "client_id": "app"}
        source = kind.open(settings, {"client_secret": TOKEN})
        assert isinstance(source, Entra)
        return source

    def asked_for(self, word: str) -> int:
        """How many requests named it."""
        return sum(word in path for path in self.asked)


Says = Callable[[str, Mapping[str, str]], Any]
"""Path and query in; a JSON value, bytes, a status, or a whole Response out."""


@contextlib.asynccontextmanager
async def far(says: Says) -> AsyncIterator[Far]:
    """A source on loopback that answers every GET as the test says, and every POST with a token."""

    async def answer(request: Request) -> Response:
        told.asked.append(str(request.url).removeprefix(told.origin))
        if request.method == "POST":
            said: Any = {"access_token": "t", "token_type": "Bearer", "expires_in": 3599}
        else:
            said = says(request.url.path, request.query_params)
        if isinstance(said, int):
            return Response(status_code=said)
        if isinstance(said, Response):
            return said
        return Response(said if isinstance(said, bytes) else orjson.dumps(said))

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    origin = f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    egress = Egress(origins=[origin])
    told = Far(origin, egress)
    try:
        yield told
    finally:
        await egress.aclose()
        server.should_exit = True
        await serving


def listed(*resources: Any, total: Any = None, **more: Any) -> dict[str, Any]:
    """A SCIM ListResponse."""
    schemas = ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    total = len(resources) if total is None else total
    return {"schemas": schemas, "totalResults": total, "Resources": list(resources), **more}


def person(number: int, **more: Any) -> dict[str, Any]:
    """One record of a SCIM list."""
    return {"id": f"p{number}", "userName": f"user{number}@acme.example", **more}
