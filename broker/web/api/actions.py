"""The AuthenticateUser action, as JSON."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

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
        """What this face serves."""
        return [
            Route("/v1/actions/AuthenticateUser", self.perform, methods=["POST"]),
            Route("/v1/actions", self.discovery, methods=["GET"]),
            Route("/v1/actions/{coupon}", self.action, methods=["GET"]),
        ]

    async def perform(self, request: Request) -> Response:
        caller = await self.access.require(request, "authenticate")
        asked = ActionRequest.parse(await body.read_json(request))
        return _answer(await self.authenticating.perform(caller, asked))

    async def action(self, request: Request) -> Response:
        caller = await self.access.require(request, "authenticate")
        coupon = request.path_params["coupon"]
        if not (coupon.isascii() and coupon.isdigit() and int(coupon[:20]) <= LARGEST_COUPON):
            raise NotFound()
        code = request.query_params.get("code")
        return _answer(await self.authenticating.get(caller, int(coupon), code))

    async def discovery(self, request: Request) -> Response:
        caller = await self.access.require(request, "authenticate")
        return json(await self.authenticating.discovery(caller))


def _answer(answer: ActionAnswer) -> Response:
    """200 for a verdict, a Fail too; 202 while a person has to sign in."""
    return json(answer.rendered(), 202 if answer.is_pending else 200)
