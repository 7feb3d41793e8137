"""The AuthenticateUser action, as JSON."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import NotFound
from broker.service.acting import ActionAnswer, ActionRequest
from broker.service.authenticating import Authenticating
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json

LARGEST_COUPON = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ActionsFace:
    """Ask, read the answer, discover."""

    authenticating: Authenticating
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("POST", "/v1/actions/AuthenticateUser", "authenticate", self.perform),
            route("GET", "/v1/actions", "authenticate", self.discovery),
            route("GET", "/v1/actions/{coupon}", "authenticate", self.action),
        ]

    async def perform(self, request: Request, caller: Caller) -> Response:
        asked = ActionRequest.parse(await body.read_json(request))
        return _answer(await self.authenticating.perform(caller, asked))

    async def action(self, request: Request, caller: Caller) -> Response:
        coupon = request.path_params["coupon"]
        if not (coupon.isascii() and coupon.isdigit() and int(coupon[:20]) <= LARGEST_COUPON):
            raise NotFound()
        code = request.query_params.get("code")
        return _answer(await self.authenticating.get(caller, int(coupon), code))

    async def discovery(self, _: Request, caller: Caller) -> Response:
        return json(await self.authenticating.discovery(caller))


def _answer(answer: ActionAnswer) -> Response:
    """200 for a verdict, a Fail too; 202 while a person has to sign in."""
    return json(answer.rendered(), 202 if answer.is_pending else 200)
