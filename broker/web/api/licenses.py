"""How many may be active, how many are, and who waits."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.licenses import Licenses, Promotion
from broker.service.licensing import Licensing
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, number_of, page_of


@dataclass(frozen=True, slots=True)
class LicensesFace:
    """Capacity, and the queue for it."""

    licensing: Licensing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/licenses", self.licenses, methods=["GET"]),
            Route("/v1/licenses", self.resize, methods=["PUT"]),
            Route("/v1/licenses/queue", self.queue, methods=["GET"]),
        ]

    async def licenses(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:read")
        return json(shown(await self.licensing.state(caller.project)))

    async def resize(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:admin")
        said = await body.read(request, "capacity", "promotion", "strict")
        capacity = said.number_or_none("capacity", least=0)
        if not said.says("capacity"):
            said.wrong("capacity", "required", "A number, or null for any number.")
        promotion = None
        if said.says("promotion"):
            promotion = said.choice("promotion", tuple(Promotion), default=None)
        strict = said.decided("strict") if said.says("strict") else None
        said.settle()
        changed = await self.licensing.capacity(
            caller,
            capacity,
            promotion=Promotion(promotion) if promotion else None,
            strict=strict,
        )
        return json(shown(changed))

    async def queue(self, request: Request) -> Response:
        caller = await self.access.require(request, "users:read")
        cursor, limit = page_of(request)
        found = await self.licensing.queue(
            caller.project, after=number_of(cursor) or 0, limit=limit
        )
        items = [
            {"place": one.place, "user_id": one.user.id, "user_name": one.user.user_name}
            for one in found
        ]
        more = str(found[-1].place) if len(found) == limit else None
        return json({"items": items, "next_cursor": more})


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
