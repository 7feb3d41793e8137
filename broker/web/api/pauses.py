"""Steps that wait for a person: list, claim, say how it went."""

from dataclasses import dataclass
from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.pauses import State
from broker.service.pausing import Claim, Pausing, shown
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import bare, chosen, json, nothing, page, page_of


@dataclass(frozen=True, slots=True)
class PausesFace:
    """The rows P, as far as a flow engine moves them."""

    pausing: Pausing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route, of = self.access.route, self.pausing
        return [
            route("GET", "/v1/pauses", "pauses:read", self.pauses),
            route("GET", "/v1/pauses/{id}", "pauses:read", self.pause),
            route("POST", "/v1/pauses/{id}/claim", "pauses:write", bare(of.claim, Claim.rendered)),
            route("POST", "/v1/pauses/{id}/result", "pauses:write", self.result),
            route("POST", "/v1/pauses/{id}/end", "pauses:write", bare(of.end, shown)),
            route("POST", "/v1/pauses/{id}/cancel", "pauses:write", bare(of.cancel, shown)),
            route("POST", "/v1/pauses/{id}/override", None, self.override),
        ]

    async def pauses(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "state", "user_id", "connector")
        found = await self.pausing.page(
            caller,
            states=tuple(chosen(request, "state", State) or State),
            user=request.query_params.get("user_id"),
            connector=request.query_params.get("connector"),
            after=cursor or "",
            limit=limit,
        )
        return page(found, limit, shown, lambda pause: pause.id)

    async def pause(self, request: Request, caller: Caller) -> Response:
        return json(shown(await self.pausing.get(caller, request.path_params["id"])))

    async def result(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "claim", "result") as said:
            token, word = said.text("claim"), said.choice("result", ("ran", "failed"), default=None)
        how = cast(Literal["ran", "failed"], word)
        await self.pausing.result(caller, request.path_params["id"], token, how)
        return nothing()

    async def override(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "reason") as said:
            reason = said.text("reason")
        return json(shown(await self.pausing.override(caller, request.path_params["id"], reason)))
