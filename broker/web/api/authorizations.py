"""What people granted a connector, as JSON: listed, brought along, ended; no token is shown."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.service.granting import Authorization, Granting
from broker.service.importing import Importing, Result
from broker.service.minting import Minting
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, nothing, page, page_of

GRANTS_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class AuthorizationsFace:
    """The grants of people at one connector."""

    granting: Granting
    importing: Importing
    minting: Minting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route, of_one = self.access.route, self.disconnect
        return [
            route("GET", "/v1/connectors/{id}/authorizations", "connectors:read", self.every),
            route(
                "DELETE", "/v1/connectors/{id}/authorizations/{user}", "connectors:write", of_one
            ),
            route(
                "POST",
                "/v1/connectors/{id}/authorizations/{user}/confirm",
                None,
                self.confirm,
            ),
            route("POST", "/v1/connectors/{id}/grants", "grants:write", self.grants),
        ]

    async def every(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request)
        id = request.path_params["id"]
        found = await self.granting.page(caller, id, after=cursor or "", limit=limit)
        return page(request, found, limit, Authorization.rendered, lambda one: one.token.user)

    async def disconnect(self, request: Request, caller: Caller) -> Response:
        id, user = request.path_params["id"], request.path_params["user"]
        await self.granting.disconnect(caller, id, user)
        return nothing()

    async def confirm(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "logon") as said:
            logon = said.text("logon")
        id, user = request.path_params["id"], request.path_params["user"]
        await self.minting.confirm(caller, id, user, logon)
        return nothing()

    async def grants(self, request: Request, caller: Caller) -> Response:
        said = await body.read_json(request, limit=GRANTS_LIMIT)
        found = await self.importing.grants(caller, request.path_params["id"], said)
        return json([Result.rendered(one) for one in found])
