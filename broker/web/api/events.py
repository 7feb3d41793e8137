"""What happened, in the order of its numbers: for whoever stores one number and asks again."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain import events
from broker.domain.callers import Caller
from broker.domain.errors import Invalid
from broker.service.holding import FEED
from broker.service.publishing import Page, Publishing, shown
from broker.web.access import Access
from broker.web.api.answers import json, number, page_of
from broker.web.api.holding import applied, news


@dataclass(frozen=True, slots=True)
class EventsFace:
    """The feed: no public address is needed to follow it."""

    publishing: Publishing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope it needs."""
        route = self.access.route
        return [route("GET", "/v1/events", "events:read", self.events)]

    async def events(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "after", "types")
        if cursor is not None:
            raise Invalid("The feed is read by number: send after.", reason="invalid-cursor")
        types = _types(request)
        last = _after(request)

        async def read() -> Page:
            nonlocal last  # what a held request has looked at, it does not look at again
            page = await self.publishing.feed(caller, last, types=types, limit=limit)
            last = page.last
            return page

        topic = (caller.project, FEED)
        holding = self.publishing.holding
        page = await news(holding, request, caller, topic, read, lambda page: page.is_news)
        found = {"items": [shown(event) for event in page.items], "last": page.last}
        return json(found, headers=applied(request))


def _types(request: Request) -> frozenset[str]:
    """The types that are asked for, `pause.*,user.activated`; none where all are."""
    said = ",".join(request.query_params.getlist("types"))
    return events.chosen([word.strip() for word in said.split(",") if word.strip()], "")


def _after(request: Request) -> int:
    if (found := number(request.query_params.get("after", "0"))) is None:
        raise Invalid("after is the number of an event, or 0.", reason="invalid-after")
    return found
