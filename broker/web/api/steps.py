"""Where other services ask who a flow step runs as."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain import clock
from broker.domain.callers import Caller
from broker.domain.errors import Problem
from broker.service import explaining, reporting
from broker.service.answering import Answer
from broker.service.asking import StepRequest
from broker.service.batching import Batch, Batching, Found, worst
from broker.service.explaining import Explaining
from broker.service.rejecting import NEXT, Rejecting
from broker.service.reporting import By, Reporting
from broker.service.resolving import Resolving
from broker.web import errors
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import choice, json, number_of, page, page_of, yes
from broker.web.repeating import Repeat

BATCH_LIMIT = 1024 * 1024
NOBODY = "-"
"""The cursor behind the lines of nobody, before every id."""


@dataclass(frozen=True, slots=True)
class StepsFace:
    """Resolve, one step or many; why, and if; what was decided; credentials that were refused."""

    resolving: Resolving
    batching: Batching
    explaining: Explaining
    reporting: Reporting
    rejecting: Rejecting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("POST", "/v1/resolve", "resolve", self.resolve, Repeat.AFRESH, looks_again=True),
            route("POST", "/v1/resolve/batch", "resolve", self.batch, Repeat.AFRESH),
            route("POST", "/v1/resolve/explain", "explain", self.explain, Repeat.AFRESH),
            route("GET", "/v1/decisions", "resolve", self.decisions),
            route("GET", "/v1/decisions/report", "resolve", self.report),
            route("GET", "/v1/decisions/{id}", "resolve", self.decision),
            route("POST", "/v1/decisions/{id}/rejected", "resolve", self.rejected),
        ]

    async def resolve(self, request: Request, caller: Caller) -> Response:
        asked = StepRequest.parse(await body.read_json(request))
        return json((await self.resolving.resolve(caller, asked)).rendered())

    async def batch(self, request: Request, caller: Caller) -> Response:
        batch = Batch.parse(await body.read_json(request, limit=BATCH_LIMIT))
        found = await self.batching.resolve(caller, batch)
        id = errors.request_id(request)
        items = [_item(place, one, id) for place, one in enumerate(found)]
        return json({"items": items, "worst": worst(found)})

    async def explain(self, request: Request, caller: Caller) -> Response:
        asked, assumed = explaining.parse(await body.read_json(request))
        return json((await self.explaining.explain(caller, asked, assumed)).rendered())

    async def decision(self, request: Request, caller: Caller) -> Response:
        found, lines = await self.reporting.decision(caller, request.path_params["id"])
        traced = caller.may("explain")  # how the rules are built is a right of its own
        tag = {"ETag": f'"{found.version}"'}
        return json(reporting.decision_shown(found, lines, traced), headers=tag)

    async def rejected(self, request: Request, caller: Caller) -> Response:
        with await body.read_or_empty(request, "version") as said:
            line = said.number_or_none("version", least=1)
        result = await self.rejecting.rejected(caller, request.path_params["id"], line)
        return json({"result": result.value, "next": NEXT[result]})

    async def decisions(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "user_id", "execution", "warning")
        found = await self.reporting.lines(
            caller,
            user=request.query_params.get("user_id"),
            execution=request.query_params.get("execution"),
            warned=yes(request, "warning"),
            before=number_of(cursor),
            limit=limit,
        )
        traced = caller.may("explain")
        return page(
            request, found, limit, lambda ran: reporting.shown(ran, traced), lambda ran: ran.n
        )

    async def report(self, request: Request, caller: Caller) -> Response:
        after, limit = page_of(request, "by", "from", "to")
        by = choice(request, "by", By.USER)
        found = await self.reporting.counts(
            caller,
            by,
            since=_instant(request, "from"),
            until=_instant(request, "to"),
            after=after,
            limit=limit,
        )
        return page(
            request,
            found,
            limit,
            lambda one: reporting.count_shown(one, by),
            lambda one: one.who or NOBODY,
        )


def _item(place: int, found: Found, request_id: str) -> dict[str, Any]:
    """The answer to one item of a batch; of a wrong one its problem, pointing into the batch."""
    if found is None:
        return {"outcome": "not_evaluated"}
    if isinstance(found, Answer):
        return found.rendered()
    problem = errors.document(found, request_id)
    for one in problem.get("errors", ()):
        one["pointer"] = f"/items/{place}{one['pointer']}"
    return {"problem": problem}


def _instant(request: Request, name: str) -> int | None:
    """The instant a list is limited by; Invalid where it is none (RFC 3339)."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return clock.micros(text)
    except ValueError:
        detail = f"{name} is a time such as 2026-11-21T14:07:40Z."
        raise Problem("", "not_a_time", detail).alone() from None
