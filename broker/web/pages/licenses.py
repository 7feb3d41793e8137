"""Licenses: how many there are, who holds them, who waits and at which place (R129, R130)."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import Invalid
from broker.domain.licenses import Promotion
from broker.service.licensing import Licensing
from broker.web.pages import forms
from broker.web.pages.desk import Desk, once_more, went_well, whole_number

HERE = "/admin/licenses"
PLACES = 100


@dataclass(frozen=True, slots=True)
class LicensePages:
    """One page: the numbers, the queue, and the form that changes the number."""

    licensing: Licensing
    desk: Desk

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            self.desk.route("GET", HERE, self.licenses),
            self.desk.route("POST", HERE, self.change),
        ]

    async def licenses(self, request: Request, caller: Caller) -> Response:
        return await self._page(request, caller)

    async def change(self, request: Request, caller: Caller) -> Response:
        number = ("capacity",)
        form = await forms.read(
            request, "promotion", numbers=number, ticks=("strict",), needed=number
        )
        try:
            with form as said:
                capacity = said.number_or_none("capacity", least=0)
                promotion = said.choice("promotion", tuple(Promotion), default=None)
                strict = said.yes("strict", default=False)
            await self.licensing.capacity(
                caller, capacity, promotion=Promotion(promotion or ""), strict=strict
            )
        except Invalid as error:
            return await self._page(request, caller, **once_more(error, form))
        return went_well(HERE, "resized")

    async def _page(self, request: Request, caller: Caller, **values: Any) -> Response:
        after = whole_number(request, "after")
        queue = await self.licensing.queue(caller.project, after=after, limit=PLACES)
        return await self.desk.page(
            request,
            caller,
            "licenses.html",
            licenses=await self.licensing.state(caller.project),
            exempt=await self.licensing.exempted(caller.project),
            queue=queue,
            further=queue[-1].place if len(queue) == PLACES else None,
            **values,
        )
