"""Where other services ask who a flow step runs as."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.service.asking import StepRequest
from broker.service.resolving import Resolving
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment, number_of, page_of


@dataclass(frozen=True, slots=True)
class StepsFace:
    """Resolve, and what was decided."""

    resolving: Resolving
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/resolve", self.resolve, methods=["POST"]),
            Route("/v1/decisions", self.decisions, methods=["GET"]),
            Route("/v1/decisions/{id}", self.decision, methods=["GET"]),
        ]

    async def resolve(self, request: Request) -> Response:
        caller = await self.access.require(request, "resolve")
        asked = StepRequest.parse(await body.read_json(request))
        return json((await self.resolving.resolve(caller, asked)).rendered())

    async def decision(self, request: Request) -> Response:
        caller = await self.access.require(request, "resolve")
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

    async def decisions(self, request: Request) -> Response:
        caller = await self.access.require(request, "resolve")
        cursor, limit = page_of(request, "user_id", "execution")
        found = await self.resolving.report(
            caller,
            user=request.query_params.get("user_id"),
            execution=request.query_params.get("execution"),
            before=number_of(cursor),
            limit=limit,
        )
        traced = caller.may("explain")
        items = [
            {
                "decision_id": ran.decision,
                "key": ran.key,
                "execution": ran.execution,
                "step": ran.step,
                "attempt": ran.attempt,
                **_line(asdict(ran.line), traced),
            }
            for ran in found
        ]
        more = str(found[-1].n) if len(found) == limit else None
        return json({"items": items, "next_cursor": more})


def _line(line: dict[str, Any], traced: bool) -> dict[str, Any]:
    """One look at a decision: ids and codes; `facts` only for who may have them explained."""
    line["at"] = moment(line["at"])
    if not traced:
        del line["facts"]
    return line
