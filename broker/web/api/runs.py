"""Runs of what directories said, and each record of a run."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import Problem
from broker.domain.runs import Record, Result, Run
from broker.service.deciding import Deciding
from broker.service.reapplying import Reapplying
from broker.service.syncing import RunView, Syncing
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import chosen, json, moment, number_of, page, page_of

DECISIONS = ("all", "none")
MOST_DECIDED = 1000


@dataclass(frozen=True, slots=True)
class RunsFace:
    """What became of what identity providers said, and what is done about it."""

    syncing: Syncing
    reapplying: Reapplying
    deciding: Deciding
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("GET", "/v1/runs", "directories:read", self.runs),
            route("GET", "/v1/runs/{id}", "directories:read", self.run),
            route("GET", "/v1/runs/{id}/records", "directories:read", self.records),
            route("POST", "/v1/runs/{id}/retry", "directories:write", self.retry),
            route("POST", "/v1/runs/{id}/stop", "directories:write", self.stop),
            route("POST", "/v1/runs/{id}/release", None, self.release),
        ]

    async def runs(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "directory")
        found = await self.syncing.runs(
            caller.project, request.query_params.get("directory"), before=cursor, limit=limit
        )
        return page(request, found, limit, run_shown, lambda run: run.id)

    async def run(self, request: Request, caller: Caller) -> Response:
        return json(viewed(await self.syncing.run(caller.project, request.path_params["id"])))

    async def records(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "result", "troubled")
        troubled = request.query_params.get("troubled", "0")
        if troubled not in ("0", "1"):
            raise Problem("", "not_a_choice", "troubled is 0 or 1.").alone()
        found = await self.syncing.records(
            caller.project,
            request.path_params["id"],
            after=number_of(cursor) or 0,
            limit=limit,
            troubled=troubled == "1",
            result=next(iter(chosen(request, "result", Result)), None),
        )
        return page(request, found, limit, lambda one: _record(*one), lambda one: one[0])

    async def retry(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        into = await self.reapplying.retry(caller, request.path_params["id"])
        return json(viewed(await self.syncing.run(caller.project, into)), 202)

    async def stop(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        return json(viewed(await self.syncing.stop(caller, request.path_params["id"])))

    async def release(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "release", "records", "reject") as said:
            rest = said.choice("release", DECISIONS, default="") if said.has("release") else None
            release: list[int] | None = said.numbers("records", limit=MOST_DECIDED)
            reject: list[int] | None = said.numbers("reject", limit=MOST_DECIDED)
            if rest is None and not release and not reject:
                said.wrong("release", "required", "all or none, or records or reject by number.")
            if release and rest == "all":
                said.wrong("records", "not_one_way", "All are released already.")
            if reject and rest == "none":
                said.wrong("reject", "not_one_way", "All are rejected already.")
        release, reject = None if rest == "all" else release, None if rest == "none" else reject
        id = request.path_params["id"]
        left = await self.deciding.decide(caller, id, release=release, reject=reject)
        view = await self.syncing.run(caller.project, id)
        return json(viewed(view) | {"undecided": left}, 202)


def run_shown(run: Run) -> dict[str, Any]:
    """A run; `provisional` says that its word may still change."""
    return {
        "id": run.id,
        "directory": run.directory,
        "kind": run.kind,
        "trigger": run.trigger,
        "started_by": run.started_by,
        "state": run.state,
        "status": run.status,
        "provisional": run.is_provisional,
        "reason": run.reason,
        "message": run.message,
        "mapping_version": run.mapping_version,
        "started_at": moment(run.started_at),
        "last_at": moment(run.last_at),
        "held_at": moment(run.held_at),
        "decided_by": run.decided_by,
        "ended_at": moment(run.ended_at),
        "stopping": run.stopping,
        "counts": asdict(run.counts) | {"total": run.counts.total},
        "warnings": run.warnings,
        "requests": {"reads": run.reads, "refused": run.refused, "unreadable": run.unreadable},
        "progress": {"processed": run.counts.total, "expected": run.of_about},
    }


def viewed(view: RunView) -> dict[str, Any]:
    """A run on its own: how fast it is, the record it is at, and what went wrong in it."""
    run, last = view.run, view.last
    shown = run_shown(run)
    shown["progress"] |= {
        "rate_per_s": run.rate_per_s(view.now),
        "last": {"kind": last.kind, "name": last.name, "at": moment(last.at)} if last else None,
    }
    issues = [asdict(issue) for issue in view.issues]
    return shown | {"retriable": view.retriable, "issues": issues}


def _record(n: int, record: Record) -> dict[str, Any]:
    """A line of a run; `user_id` only where it is a person's, `n` for what decides about it."""
    return {
        "n": n,
        "kind": record.kind,
        "external_id": record.external_id,
        "user_id": record.resource_id if record.kind == "User" else None,
        "resource_id": record.resource_id,
        "name": record.name,
        "result": record.result,
        "held": record.held,
        "decision": record.decision,
        "decided_by": record.decided_by,
        "decided_at": moment(record.decided_at),
        "warnings": [asdict(warning) for warning in record.warnings],
        "message": record.message,
        "next": record.next,
        "changes": [asdict(change) for change in record.changes],
        "steps": record.steps,
        "at": moment(record.at),
        "retried_at": moment(record.retried_at),
    }
