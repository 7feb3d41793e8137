"""Where other services ask who a flow step runs as."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.service.asking import StepRequest
from broker.service.rejecting import NEXT, Rejecting
from broker.service.resolving import Resolving
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment, number_of, page, page_of


@dataclass(frozen=True, slots=True)
class StepsFace:
    """Resolve, what was decided, and credentials that were refused."""

    resolving: Resolving
    rejecting: Rejecting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("POST", "/v1/resolve", "resolve", self.resolve),
            route("GET", "/v1/decisions", "resolve", self.decisions),
            route("GET", "/v1/decisions/{id}", "resolve", self.decision),
            route("POST", "/v1/decisions/{id}/rejected", "resolve", self.rejected),
        ]

    async def resolve(self, request: Request, caller: Caller) -> Response:
        asked = StepRequest.parse(await body.read_json(request))
        return json((await self.resolving.resolve(caller, asked)).rendered())

    async def decision(self, request: Request, caller: Caller) -> Response:
        found, lines = await self.resolving.decision(caller, request.path_params["id"])
        traced = caller.may("explain")  # how the rules are built is a right of its own
        return json(
            {
                "id": found.id,
                "key": found.key,
                "execution": found.execution,
                "step": found.step,
                "attempt": found.attempt,
                "version": found.version,
                "created_at": moment(found.created_at),
                "lines": [_line(asdict(line), traced) for line in lines],
            }
        )

    async def rejected(self, request: Request, caller: Caller) -> Response:
        with await body.read_or_empty(request, "version") as said:
            line = said.number_or_none("version", least=1)
        result = await self.rejecting.rejected(caller, request.path_params["id"], line)
        return json({"result": result.value, "next": NEXT[result]})

    async def decisions(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "user_id", "execution")
        found = await self.resolving.report(
            caller,
            user=request.query_params.get("user_id"),
            execution=request.query_params.get("execution"),
            before=number_of(cursor),
            limit=limit,
        )
        traced = caller.may("explain")
        return page(found, limit, lambda ran: _ran(ran, traced), lambda ran: ran.n)


def _ran(ran: Any, traced: bool) -> dict[str, Any]:
    """A line of the ran-as report, with the attempt it belongs to."""
    said = asdict(ran)
    decision, line, _ = said.pop("decision"), said.pop("line"), said.pop("n")
    return {"decision_id": decision, **said, **_line(line, traced)}


def _line(line: dict[str, Any], traced: bool) -> dict[str, Any]:
    """One look at a decision: ids and codes; `facts` only for who may have them explained."""
    line["at"] = moment(line["at"])
    if not traced:
        del line["facts"]
    return line
