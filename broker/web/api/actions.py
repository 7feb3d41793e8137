"""The AuthenticateUser action, as JSON."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import NotFound
from broker.service.acting import ActionAnswer, ActionRequest, topic
from broker.service.authenticating import Authenticating
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, number
from broker.web.api.holding import unless_known
from broker.web.repeating import Repeat

LOOK_S = 1.0
"""Actions have no events (R87), so another replica's are seen by looking."""


@dataclass(frozen=True, slots=True)
class ActionsFace:
    """Ask, read the answer, discover."""

    authenticating: Authenticating
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route(
                "POST",
                "/v1/actions/AuthenticateUser",
                "authenticate",
                self.perform,
                Repeat.TOLD_ONCE,
            ),
            route("GET", "/v1/actions", "authenticate", self.discovery),
            route("GET", "/v1/actions/{coupon}", "authenticate", self.action),
        ]

    async def perform(self, request: Request, caller: Caller) -> Response:
        asked = ActionRequest.parse(await body.read_json(request))
        return _answer(await self.authenticating.perform(caller, asked))

    async def action(self, request: Request, caller: Caller) -> Response:
        of, coupon = self.authenticating, coupon_of(request.path_params["coupon"])
        if (code := request.query_params.get("code")) is not None:
            return _answer(await of.get(caller, coupon, code))
        return await unless_known(
            of.holding,
            request,
            caller,
            topic(caller.project, coupon),
            lambda: of.get(caller, coupon),
            lambda answer: answer.action.version,
            _answer,
            look_s=LOOK_S,
        )

    async def discovery(self, _: Request, caller: Caller) -> Response:
        return json(await self.authenticating.discovery(caller))


def coupon_of(text: str) -> int:
    """The coupon somebody names; NotFound where no action can have it."""
    if (coupon := number(text)) is None:
        raise NotFound()
    return coupon


def _answer(answer: ActionAnswer) -> Response:
    """200 for a verdict, a Fail too; 202 while a person has to sign in."""
    version = {"ETag": f'"{answer.action.version}"'}
    return json(answer.rendered(), 202 if answer.is_pending else 200, version)
