"""Links that ask one person for one consent, and the sessions that open them."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.links import Link
from broker.service.authorizing import Authorizing
from broker.service.vouching import Vouching
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment
from broker.web.repeating import Repeat


@dataclass(frozen=True, slots=True)
class LinksFace:
    """A link authorizes nothing by itself: whoever opens it has to be its person."""

    authorizing: Authorizing
    vouching: Vouching
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("POST", "/v1/links", "links:write", self.link),
            route(
                "POST",
                "/v1/connect-sessions",
                "sessions:write",
                self.connect_session,
                Repeat.TOLD_ONCE,
            ),
        ]

    async def link(self, request: Request, caller: Caller) -> Response:
        with await body.read(
            request, "user_id", "connector", "purpose", "return_url", "scopes"
        ) as said:
            user, connector = said.text("user_id"), said.text("connector")
            said.choice("purpose", ("connect",), default="connect")
            return_url, scopes = said.url_or_none("return_url"), said.scopes("scopes")
        made = await self.authorizing.make_link(
            caller, user, connector, return_url=return_url, scopes=scopes
        )
        return json(shown(self.access, made), 201)

    async def connect_session(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "user_id", "link") as said:
            user, link = said.text("user_id"), said.text("link")
        secret, expires_at = await self.vouching.connect_session(caller, user, link)
        url = f"{self.access.base_url}/connect/session/{secret}"
        return json({"url": url, "expires_at": moment(expires_at)}, 201)


def shown(access: Access, link: Link) -> dict[str, Any]:
    """A link for whoever hands it to its person."""
    url = f"{access.base_url}/connect/{link.id}"
    return {"id": link.id, "url": url, "expires_at": moment(link.expires_at)}
