"""Directories, the runs of what they pushed, and each record of a run."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.runs import Record, Run
from broker.service.syncing import DirectoryView, RunView, Syncing
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json, moment, number_of, page, page_of


@dataclass(frozen=True, slots=True)
class DirectoriesFace:
    """What identity providers are set up, and what became of what they said."""

    syncing: Syncing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("GET", "/v1/directories", "directories:read", self.directories),
            route("POST", "/v1/directories", "directories:write", self.add),
            route("GET", "/v1/directories/{id}", "directories:read", self.directory),
            route("GET", "/v1/runs", "directories:read", self.runs),
            route("GET", "/v1/runs/{id}", "directories:read", self.run),
            route("GET", "/v1/runs/{id}/records", "directories:read", self.records),
        ]

    async def directories(self, _: Request, caller: Caller) -> Response:
        found = await self.syncing.directories(caller.project)
        return json(
            {"items": [_directory(self.access, each) for each in found], "next_cursor": None}
        )

    async def directory(self, request: Request, caller: Caller) -> Response:
        found = await self.syncing.directory(caller.project, request.path_params["id"])
        return json(_directory(self.access, found))

    async def add(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "name", "tolerance", "window_s") as said:
            name = said.text("name")
            tolerance = said.choice("tolerance", ("standard", "strict"), default="standard")
            window_s = said.number("window_s", default=300)
        made, token = await self.syncing.add(
            caller.project,
            name,
            by=caller.actor,
            tolerance=tolerance or "standard",
            window_s=window_s,
        )
        view = await self.syncing.directory(caller.project, made.id)
        return json(_directory(self.access, view) | {"token": token}, 201)

    async def runs(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request, "directory")
        found = await self.syncing.runs(
            caller.project, request.query_params.get("directory"), before=cursor, limit=limit
        )
        return page(found, limit, _run, lambda run: run.id)

    async def run(self, request: Request, caller: Caller) -> Response:
        return json(_viewed(await self.syncing.run(caller.project, request.path_params["id"])))

    async def records(self, request: Request, caller: Caller) -> Response:
        cursor, limit = page_of(request)
        id = request.path_params["id"]
        found = await self.syncing.records(
            caller.project, id, after=number_of(cursor) or 0, limit=limit
        )
        return page(found, limit, lambda one: _record(one[1]), lambda one: one[0])


def _directory(access: Access, view: DirectoryView) -> dict[str, Any]:
    directory, last = view.directory, view.last_run
    return {
        "id": directory.id,
        "name": directory.name,
        "state": directory.state,
        "tolerance": directory.tolerance,
        "window_s": directory.window_s,
        "base_url": f"{access.base_url}/scim/v2/{directory.id}",
        "created_at": moment(directory.created_at),
        "tokens": [
            {
                "id": each["id"],
                "created_at": moment(each["created_at"]),
                "last_used_at": moment(each["last_used_at"]),
            }
            for each in view.tokens
        ],
        "last_run": _run(last) if last else None,
    }


def _run(run: Run) -> dict[str, Any]:
    """A run; `provisional` says that its word may still change."""
    return {
        "id": run.id,
        "directory": run.directory,
        "trigger": run.trigger,
        "state": run.state,
        "status": run.status,
        "provisional": run.is_provisional,
        "reason": run.reason,
        "started_at": moment(run.started_at),
        "last_at": moment(run.last_at),
        "ended_at": moment(run.ended_at),
        "counts": asdict(run.counts) | {"total": run.counts.total},
        "warnings": run.warnings,
        "requests": {"reads": run.reads, "refused": run.refused, "unreadable": run.unreadable},
        "progress": {"processed": run.counts.total, "expected": run.expected},
    }


def _viewed(view: RunView) -> dict[str, Any]:
    return _run(view.run) | {"issues": [asdict(issue) for issue in view.issues]}


def _record(record: Record) -> dict[str, Any]:
    """A line of a run; `user_id` only where it is a person's."""
    return {
        "kind": record.kind,
        "external_id": record.external_id,
        "user_id": record.resource_id if record.kind == "User" else None,
        "resource_id": record.resource_id,
        "name": record.name,
        "result": record.result,
        "warnings": [asdict(warning) for warning in record.warnings],
        "message": record.message,
        "next": record.next,
        "changes": [asdict(change) for change in record.changes],
        "at": moment(record.at),
    }
