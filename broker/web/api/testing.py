"""Test and Check of connectors, as JSON."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.service.forms import Said
from broker.service.testing import Testing
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json


@dataclass(frozen=True, slots=True)
class TestingFace:
    """A result is an answer, 200, whether it is good or bad."""

    testing: Testing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("POST", "/v1/connectors/test", "connectors:write", self.test),
            route("POST", "/v1/connectors/{id}/check", "connectors:write", self.check),
        ]

    async def test(self, request: Request, caller: Caller) -> Response:
        known = ("type", "connector", "integration", "environment", "fields")
        with await body.read(request, *known) as said:
            type, connector = said.text("type"), said.text_or_none("connector")
            form = Said(
                integration=said.text_or_none("integration"),
                environment=said.raw("environment"),
                fields=said.raw("fields"),
            )
        outcome = await self.testing.test(caller, type, form, connector=connector)
        return json(outcome.rendered())

    async def check(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        outcome = await self.testing.check(caller, request.path_params["id"])
        return json(outcome.rendered())
