"""How many may be active, how many are, and who waits."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.licenses import Licenses, Promotion
from broker.service.licensing import Licensing, Queued
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, number_of, page, page_of


@dataclass(frozen=True, slots=True)
class LicensesFace:
    """Capacity, and the queue for it."""

    licensing: Licensing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("GET", "/v1/licenses", "users:read", self.licenses),
            route("PUT", "/v1/licenses", "users:admin", self.resize),
            route("GET", "/v1/licenses/queue", "users:read", self.queue),
        ]

    async def licenses(self, _: Request, caller: Caller) -> Response:
        return json(shown(await self.licensing.state(caller.project)))

    async def resize(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "capacity", "promotion", "strict") as said:
            capacity = said.number_or_none("capacity", least=0)
            if not said.says("capacity"):
                said.wrong("capacity", "required", "A number, or null for any number.")
            promotion = None
            if said.says("promotion"):
                promotion = said.choice("promotion", tuple(Promotion), default=None)
            strict = said.decided("strict") if said.says("strict") else None
        changed = await self.licensing.capacity(
            caller, capacity, promotion=Promotion(promotion) if promotion else None, strict=strict
        )
        return json(shown(changed))

    async def queue(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request)
        found = await self.licensing.queue(
            caller.project, after=number_of(cursor) or 0, limit=limit
        )
        return page(found, limit, _queued, lambda one: one.place)


def _queued(one: Queued) -> dict[str, Any]:
    return {"place": one.place, "user_id": one.user.id, "user_name": one.user.user_name}


def shown(licenses: Licenses) -> dict[str, Any]:
    """The numbers that must agree, together."""
    return {
        "capacity": licenses.capacity,
        "held": licenses.held,
        "free": licenses.free,
        "over_allocated": licenses.over_allocated,
        "queued": licenses.queued,
        "promotion": licenses.promotion,
        "strict": licenses.strict,
    }
