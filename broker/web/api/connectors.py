"""Connectors: the wizard's steps and the life that follows, as JSON."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import Unconfirmed
from broker.service.connecting import Connecting
from broker.service.forms import Said
from broker.service.reading import Members
from broker.service.views import ConnectorView
from broker.web.access import Access, Answering
from broker.web.api import body
from broker.web.api.answers import NAME_NEEDED, condition, if_match, json, nothing
from broker.web.api.links import shown as link_shown

FORM = ("name", "description", "integration", "environment", "options", "fields", "keep_alive")
COUNT = re.compile(r"\d{1,9}", re.ASCII)


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
        changed = await self.connecting.configure(
            caller, id, form, version=version, confirmed=request.query_params.get("confirm")
        )
        return _shown(changed)

    async def authorize(self, request: Request, caller: Caller) -> Response:
        with await body.read_or_empty(request, "other_account") as said:
            other = said.yes("other_account", default=False)
        id = request.path_params["id"]
        sent = await self.connecting.authorize(caller, id, other_account=other)
        if isinstance(sent, ConnectorView):  # nobody has to sign in
            done = {"id": None, "url": None, "expires_at": None}
            return json(done | {"state": sent.connector.state.value})
        return json(link_shown(self.access, sent) | {"state": None})

    async def delete(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        name = request.query_params.get("name")
        if name is None:
            raise Unconfirmed(await self.connecting.affected(caller, id), next=NAME_NEEDED)
        await self.connecting.delete(caller, id, name, version=version)
        return nothing()

    async def user_authentication(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        with await body.read(request, "enabled", "policy") as said:
            enabled, policy = said.decided("enabled"), said.text_or_none("policy")
        changed = await self.connecting.user_authentication(
            caller,
            id,
            enabled=enabled,
            policy=policy,
            version=version,
            confirmed=_count(request.query_params.get("confirm", "")),
        )
        return _shown(changed)


def _turned(act: Callable[..., Awaitable[ConnectorView]]) -> Answering:
    """A request that says nothing but the version it was made for, and that if it likes."""

    async def answer(request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        id, version = request.path_params["id"], if_match(request)
        return _shown(await act(caller, id, version=version))

    return answer


def _count(confirmed: str) -> int | None:
    """How many steps the caller has seen waiting; None where it names no number."""
    return int(confirmed) if COUNT.fullmatch(confirmed) else None


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
