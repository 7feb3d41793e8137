"""Connectors: the wizard's steps and the life that follows, as JSON."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.service.connecting import Connecting
from broker.service.forms import Said
from broker.service.reading import Members
from broker.service.views import ConnectorView
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import condition, if_match, json, moment, nothing, page_of

GRANTS_LIMIT = 1024 * 1024
FORM = (
    *("name", "description", "integration", "environment"),
    *("options", "fields", "keep_alive"),
)


@dataclass(frozen=True, slots=True)
class ConnectorsFace:
    """The rows C; a change of what is configured names the version it was made for (If-Match)."""

    connecting: Connecting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/connector-types", self.types, methods=["GET"]),
            Route("/v1/connectors", self.connectors, methods=["GET"]),
            Route("/v1/connectors", self.create, methods=["POST"]),
            Route("/v1/connectors/{id}", self.connector, methods=["GET"]),
            Route("/v1/connectors/{id}", self.configure, methods=["PATCH"]),
            Route("/v1/connectors/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/connectors/{id}/authorize", self.authorize, methods=["POST"]),
            Route("/v1/connectors/{id}/connect", self.connect, methods=["POST"]),
            Route("/v1/connectors/{id}/disable", self.disable, methods=["POST"]),
            Route("/v1/connectors/{id}/enable", self.enable, methods=["POST"]),
            Route("/v1/connectors/{id}/authorizations", self.authorizations, methods=["GET"]),
            Route("/v1/connectors/{id}/grants", self.grants, methods=["POST"]),
            Route(
                "/v1/connectors/{id}/user-authentication", self.user_authentication, methods=["PUT"]
            ),
        ]

    async def types(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:read")
        return json({"items": self.connecting.types(caller), "next_cursor": None})

    async def connectors(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:read")
        found = await self.connecting.every(caller)
        return json({"items": [view.rendered() for view in found], "next_cursor": None})

    async def connector(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:read")
        return _shown(await self.connecting.get(caller, request.path_params["id"]))

    async def create(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        said = await body.read(request, "type", *FORM)
        type, form = said.text("type"), _form(said)
        said.settle()
        return _shown(await self.connecting.create(caller, type, form), 201)

    async def configure(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        id, version = request.path_params["id"], condition(request)
        said = await body.read(request, *FORM)
        form = _form(said)
        said.settle()
        return _shown(await self.connecting.configure(caller, id, form, version=version))

    async def authorize(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        said = await body.read_or_empty(request, "other_account")
        other = said.yes("other_account", default=False)
        said.settle()
        link = await self.connecting.authorize(
            caller, request.path_params["id"], other_account=other
        )
        return json(
            {
                "id": link.id,
                "url": f"{self.access.base_url}/connect/{link.id}",
                "expires_at": moment(link.expires_at),
            }
        )

    async def connect(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        await body.nothing(request)
        id, version = request.path_params["id"], if_match(request)
        return _shown(await self.connecting.connect(caller, id, version=version))

    async def disable(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        await body.nothing(request)
        id, version = request.path_params["id"], if_match(request)
        return _shown(await self.connecting.disable(caller, id, version=version))

    async def enable(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        await body.nothing(request)
        id, version = request.path_params["id"], if_match(request)
        return _shown(await self.connecting.enable(caller, id, version=version))

    async def delete(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:write")
        id, version = request.path_params["id"], condition(request)
        name = request.query_params.get("name", "")
        await self.connecting.delete(caller, id, name, version=version)
        return nothing()

    async def user_authentication(self, request: Request) -> Response:
        caller = await self.access.administrator(request)
        id, version = request.path_params["id"], condition(request)
        said = await body.read(request, "enabled", "policy")
        enabled, policy = said.decided("enabled"), said.text_or_none("policy")
        said.settle()
        changed = await self.connecting.user_authentication(
            caller, id, enabled=enabled, policy=policy, version=version
        )
        return _shown(changed)

    async def authorizations(self, request: Request) -> Response:
        caller = await self.access.require(request, "connectors:read")
        cursor, limit = page_of(request)
        id = request.path_params["id"]
        found = await self.connecting.authorizations(caller, id, after=cursor or "", limit=limit)
        more = found[-1].token.user if len(found) == limit else None
        return json({"items": [one.rendered() for one in found], "next_cursor": more})

    async def grants(self, request: Request) -> Response:
        caller = await self.access.require(request, "grants:write")
        said = await body.read_json(request, limit=GRANTS_LIMIT)
        found = await self.connecting.import_grants(caller, request.path_params["id"], said)
        return json([one.rendered() for one in found])


def _form(said: Members) -> Said:
    """The parts of the form; what they may hold, the connector's definition says."""
    return Said(
        name=said.text_or_none("name"),
        description=said.long_text_or_none("description"),
        integration=said.text_or_none("integration"),
        environment=said.raw("environment"),
        options=said.raw("options"),
        fields=said.raw("fields"),
        keep_alive=said.decided("keep_alive") if said.says("keep_alive") else None,
    )


def _shown(view: ConnectorView, status: int = 200) -> Response:
    shown: dict[str, Any] = view.rendered()
    return json(shown, status, {"ETag": f'"{view.connector.version}"'})
