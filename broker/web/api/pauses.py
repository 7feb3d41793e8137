"""Steps that wait for a person: list, claim, say how it went."""

from dataclasses import dataclass
from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.errors import Invalid, Problem
from broker.domain.pauses import State
from broker.service.pausing import Pausing, shown
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, nothing, page_of


@dataclass(frozen=True, slots=True)
class PausesFace:
    """The rows P, as far as a flow engine moves them."""

    pausing: Pausing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/pauses", self.pauses, methods=["GET"]),
            Route("/v1/pauses/{id}", self.pause, methods=["GET"]),
            Route("/v1/pauses/{id}/claim", self.claim, methods=["POST"]),
            Route("/v1/pauses/{id}/result", self.result, methods=["POST"]),
            Route("/v1/pauses/{id}/end", self.end, methods=["POST"]),
            Route("/v1/pauses/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/pauses/{id}/override", self.override, methods=["POST"]),
        ]

    async def pauses(self, request: Request) -> Response:
        caller = await self.access.require(request, "pauses:read")
        cursor, limit = page_of(request, "state", "user_id", "connector")
        found = await self.pausing.page(
            caller,
            states=_states(request.query_params.getlist("state")),
            user=request.query_params.get("user_id"),
            connector=request.query_params.get("connector"),
            after=cursor or "",
            limit=limit,
        )
        more = found[-1].id if len(found) == limit else None
        return json({"items": [shown(pause) for pause in found], "next_cursor": more})

    async def pause(self, request: Request) -> Response:
        caller = await self.access.require(request, "pauses:read")
        return json(shown(await self.pausing.get(caller, request.path_params["id"])))

    async def claim(self, request: Request) -> Response:
        caller = await self.access.require(request, "pauses:write")
        await body.nothing(request)
        return json((await self.pausing.claim(caller, request.path_params["id"])).rendered())

    async def result(self, request: Request) -> Response:
        caller = await self.access.require(request, "pauses:write")
        said = await body.read(request, "claim", "result")
        token, word = said.text("claim"), said.choice("result", ("ran", "failed"), default=None)
        said.settle()
        how = cast(Literal["ran", "failed"], word)
        await self.pausing.result(caller, request.path_params["id"], token, how)
        return nothing()

    async def end(self, request: Request) -> Response:
        caller = await self.access.require(request, "pauses:write")
        await body.nothing(request)
        return json(shown(await self.pausing.end(caller, request.path_params["id"])))

    async def cancel(self, request: Request) -> Response:
        caller = await self.access.require(request, "pauses:write")
        await body.nothing(request)
        return json(shown(await self.pausing.cancel(caller, request.path_params["id"])))

    async def override(self, request: Request) -> Response:
        caller = await self.access.administrator(request)
        said = await body.read(request, "reason")
        reason = said.text("reason")
        said.settle()
        return json(shown(await self.pausing.override(caller, request.path_params["id"], reason)))


def _states(words: list[str]) -> tuple[State, ...]:
    """The states a list is asked for; all where it names none."""
    try:
        return tuple(State(word) for word in words) or tuple(State)
    except ValueError:
        problem = Problem("", "not_a_choice", f"state is one of {', '.join(State)}.")
        raise Invalid(problem.detail, reason="unknown-state", problems=(problem,)) from None
