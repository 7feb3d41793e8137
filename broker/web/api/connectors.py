"""Connectors: the wizard's steps and the life that follows, as JSON."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.service.connecting import Connecting
from broker.service.forms import Said
from broker.service.reading import Members
from broker.service.views import Authorization, ConnectorView
from broker.web.access import Access, Answering
from broker.web.api import body
from broker.web.api.answers import condition, if_match, json, nothing, page, page_of
from broker.web.api.links import shown as link_shown

GRANTS_LIMIT = 1024 * 1024
FORM = ("name", "description", "integration", "environment", "options", "fields", "keep_alive")


@dataclass(frozen=True, slots=True)
class ConnectorsFace:
    """The rows C; a change of what is configured names the version it was made for (If-Match)."""

    connecting: Connecting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route, of = self.access.route, self.connecting
        return [
            route("GET", "/v1/connector-types", "connectors:read", self.types),
            route("GET", "/v1/connectors", "connectors:read", self.connectors),
            route("POST", "/v1/connectors", "connectors:write", self.create),
            route("GET", "/v1/connectors/{id}", "connectors:read", self.connector),
            route("PATCH", "/v1/connectors/{id}", "connectors:write", self.configure),
            route("DELETE", "/v1/connectors/{id}", "connectors:write", self.delete),
            route("POST", "/v1/connectors/{id}/authorize", "connectors:write", self.authorize),
            route("POST", "/v1/connectors/{id}/connect", "connectors:write", _turned(of.connect)),
            route("POST", "/v1/connectors/{id}/disable", "connectors:write", _turned(of.disable)),
            route("POST", "/v1/connectors/{id}/enable", "connectors:write", _turned(of.enable)),
            route(
                "GET", "/v1/connectors/{id}/authorizations", "connectors:read", self.authorizations
            ),
            route("POST", "/v1/connectors/{id}/grants", "grants:write", self.grants),
            route("PUT", "/v1/connectors/{id}/user-authentication", None, self.user_authentication),
        ]

    async def types(self, _: Request, caller: Caller) -> Response:
        return json({"items": self.connecting.types(caller), "next_cursor": None})

    async def connectors(self, _: Request, caller: Caller) -> Response:
        found = await self.connecting.every(caller)
        return json({"items": [view.rendered() for view in found], "next_cursor": None})

    async def connector(self, request: Request, caller: Caller) -> Response:
        return _shown(await self.connecting.get(caller, request.path_params["id"]))

    async def create(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "type", *FORM) as said:
            type, form = said.text("type"), _form(said)
        return _shown(await self.connecting.create(caller, type, form), 201)

    async def configure(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        with await body.read(request, *FORM) as said:
            form = _form(said)
        return _shown(await self.connecting.configure(caller, id, form, version=version))

    async def authorize(self, request: Request, caller: Caller) -> Response:
        with await body.read_or_empty(request, "other_account") as said:
            other = said.yes("other_account", default=False)
        link = await self.connecting.authorize(
            caller, request.path_params["id"], other_account=other
        )
        return json(link_shown(self.access, link))

    async def delete(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        name = request.query_params.get("name", "")
        await self.connecting.delete(caller, id, name, version=version)
        return nothing()

    async def user_authentication(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        with await body.read(request, "enabled", "policy") as said:
            enabled, policy = said.decided("enabled"), said.text_or_none("policy")
        changed = await self.connecting.user_authentication(
            caller, id, enabled=enabled, policy=policy, version=version
        )
        return _shown(changed)

    async def authorizations(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request)
        id = request.path_params["id"]
        found = await self.connecting.authorizations(caller, id, after=cursor or "", limit=limit)
        return page(found, limit, Authorization.rendered, lambda one: one.token.user)

    async def grants(self, request: Request, caller: Caller) -> Response:
        said = await body.read_json(request, limit=GRANTS_LIMIT)
        found = await self.connecting.import_grants(caller, request.path_params["id"], said)
        return json([one.rendered() for one in found])


def _turned(act: Callable[..., Awaitable[ConnectorView]]) -> Answering:
    """A request that says nothing but the version it was made for, and that if it likes."""

    async def answer(request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        id, version = request.path_params["id"], if_match(request)
        return _shown(await act(caller, id, version=version))

    return answer


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
    return json(view.rendered(), status, {"ETag": f'"{view.connector.version}"'})
