"""Detached people, and whom a new directory may adopt (safety 12)."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.users import DETACHED_LIMIT, User
from broker.service.adopting import Adopting
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment, page, page_of

PEOPLE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class AdoptionsFace:
    """The list for whoever may read people; the ticks for an administrator's session alone."""

    adopting: Adopting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("GET", "/v1/adoptions", "users:read", self.adoptions),
            route("PUT", "/v1/adoptions", None, self.tick),
        ]

    async def adoptions(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request)
        found = await self.adopting.detached(caller, after=cursor or "", limit=limit)
        return page(request, found, limit, _shown, lambda user: user.id)

    async def tick(self, request: Request, caller: Caller) -> Response:
        """`users` null: everybody who is detached now."""
        with await body.read(request, "users", "adoptable") as said:
            adoptable = said.decided("adoptable")
            people = said.texts("users", limit=PEOPLE_LIMIT) if said.has("users") else None
            if not said.says("users"):
                said.wrong("users", "required", "users is needed; null for everybody.")
        ticked = await self.adopting.tick(caller, people, adoptable=adoptable)
        return json({"people": ticked})


def _shown(user: User) -> dict[str, Any]:
    """`suspends_at` is when nobody can sign in as them any more, unless they are adopted."""
    since = user.detached_at
    return {
        "user_id": user.id,
        "user_name": user.user_name,
        "display_name": user.display_name,
        "external_id": user.external_id,
        "status": user.status,
        "detached_at": moment(since),
        "suspends_at": moment(since + DETACHED_LIMIT) if since and not user.is_gone else None,
        "adoptable": user.adoptable,
    }
