"""Steps that wait for a person: list, claim, say how it went."""

from dataclasses import dataclass
from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.pauses import Pause, State
from broker.service.holding import Holding
from broker.service.pausing import Pausing, Result, shown
from broker.service.releasing import Chosen, Releasing
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import bare, chosen, json, nothing, page, page_of, yes
from broker.web.api.holding import unless_known
from broker.web.repeating import Repeat

MOST = 200
"""How many pauses may be named one by one: a page of the list."""


@dataclass(frozen=True, slots=True)
class PausesFace:
    """The rows P, as far as a flow engine or an administrator moves them."""

    pausing: Pausing
    releasing: Releasing
    holding: Holding
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route, of = self.access.route, self.pausing
        return [
            route("GET", "/v1/pauses", "pauses:read", self.pauses),
            route("POST", "/v1/pauses/end", None, self.end_many),
            route("POST", "/v1/pauses/override", None, self.override_many),
            route("GET", "/v1/pauses/{id}", "pauses:read", self.pause),
            route("POST", "/v1/pauses/{id}/claim", "pauses:write", self.claim, Repeat.TOLD_ONCE),
            route("POST", "/v1/pauses/{id}/result", "pauses:write", self.result),
            route("POST", "/v1/pauses/{id}/end", "pauses:write", bare(of.end, shown)),
            route("POST", "/v1/pauses/{id}/cancel", "pauses:write", bare(of.cancel, shown)),
            route("POST", "/v1/pauses/{id}/override", None, self.override),
        ]

    async def pauses(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "state", "user_id", "connector", "policy_changed")
        found = await self.pausing.page(
            caller,
            states=tuple(chosen(request, "state", State) or State),
            user=request.query_params.get("user_id"),
            connector=request.query_params.get("connector"),
            policy_changed=yes(request, "policy_changed"),
            after=cursor or "",
            limit=limit,
        )
        return page(request, found, limit, shown, lambda pause: pause.id)

    async def pause(self, request: Request, caller: Caller) -> Response:
        id = request.path_params["id"]

        async def read() -> Pause:
            return await self.pausing.get(caller, id)

        return await unless_known(
            self.holding,
            request,
            caller,
            (caller.project, id),
            read,
            lambda pause: pause.version,
            lambda pause: json(shown(pause)),
        )

    async def claim(self, request: Request, caller: Caller) -> Response:
        with await body.read_or_empty(request, "credential") as said:
            wanted = said.yes("credential", default=True)
        id = request.path_params["id"]
        return json((await self.pausing.claim(caller, id, credential=wanted)).rendered())

    async def result(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "claim", "result") as said:
            token, word = said.text("claim"), said.choice("result", get_args(Result), default=None)
        await self.pausing.result(caller, request.path_params["id"], token, cast(Result, word))
        return nothing()

    async def override(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "reason") as said:
            reason = said.text("reason")
        return json(shown(await self.pausing.override(caller, request.path_params["id"], reason)))

    async def end_many(self, request: Request, caller: Caller) -> Response:
        those, reason = await _many(request)
        return json({"changed": await self.releasing.end(caller, those, reason)})

    async def override_many(self, request: Request, caller: Caller) -> Response:
        those, reason = await _many(request)
        return json({"changed": await self.releasing.override(caller, those, reason)})


async def _many(request: Request) -> tuple[Chosen, str]:
    with await body.read(request, "connector", "pauses", "count", "reason") as said:
        connector, ids = said.text_or_none("connector"), said.texts("pauses", limit=MOST)
        if (connector is None) is (not ids):
            said.wrong("pauses", "required", "Name either a connector or some pauses.")
        count, reason = said.number_or_none("count", least=0), said.text("reason")
    return Chosen(connector, ids, count), reason
