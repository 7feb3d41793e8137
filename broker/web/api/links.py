"""Links that ask one person for one consent, and the sessions that open them."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.service.authorizing import Authorizing
from broker.service.vouching import Vouching
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment


@dataclass(frozen=True, slots=True)
class LinksFace:
    """A link authorizes nothing by itself: whoever opens it has to be its person."""

    authorizing: Authorizing
    vouching: Vouching
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/links", self.link, methods=["POST"]),
            Route("/v1/connect-sessions", self.connect_session, methods=["POST"]),
        ]

    async def link(self, request: Request) -> Response:
        caller = await self.access.require(request, "links:write")
        said = await body.read(request, "user_id", "connector", "purpose", "return_url", "scopes")
        user, connector = said.text("user_id"), said.text("connector")
        said.choice("purpose", ("connect",), default="connect")
        return_url, scopes = said.url_or_none("return_url"), said.scopes("scopes")
        said.settle()
        made = await self.authorizing.make_link(
            caller, user, connector, return_url=return_url, scopes=scopes
        )
        return json(
            {
                "id": made.id,
                "url": f"{self.access.base_url}/connect/{made.id}",
                "expires_at": moment(made.expires_at),
            },
            201,
        )

    async def connect_session(self, request: Request) -> Response:
        caller = await self.access.require(request, "sessions:write")
        said = await body.read(request, "user_id", "link")
        user, link = said.text("user_id"), said.text("link")
        said.settle()
        secret, expires_at = await self.vouching.connect_session(caller, user, link)
        url = f"{self.access.base_url}/connect/session/{secret}"
        return json({"url": url, "expires_at": moment(expires_at)}, 201)
