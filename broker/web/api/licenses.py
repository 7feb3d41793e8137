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
from broker.web.api.answers import json, moment, number_of, page, page_of


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
        return await self._shown(caller, await self.licensing.state(caller.project))

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
        return await self._shown(caller, changed)

    async def queue(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request)
        found = await self.licensing.queue(
            caller.project, after=number_of(cursor) or 0, limit=limit
        )
        return page(request, found, limit, _queued, lambda one: one.place)

    async def _shown(self, caller: Caller, licenses: Licenses) -> Response:
        exempt = await self.licensing.exempted(caller.project)
        return json(shown(licenses) | {"exempt": exempt})


def _queued(one: Queued) -> dict[str, Any]:
    return {
        "place": one.place,
        "user_id": one.user.id,
        "user_name": one.user.user_name,
        "since": moment(one.since),
        "why": one.why,
    }


def shown(licenses: Licenses) -> dict[str, Any]:
    """The numbers that must agree, together; `warning` is the share of WARNINGS that is taken."""
    return {
        "capacity": licenses.capacity,
        "held": licenses.held,
        "withheld": licenses.withheld,
        "free": licenses.free,
        "over_allocated": licenses.over_allocated,
        "queued": licenses.queued,
        "warning": licenses.warning or None,
        "promotion": licenses.promotion,
        "strict": licenses.strict,
    }
