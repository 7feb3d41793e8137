"""Directories: made, shown, edited, disabled, scheduled, synced, deleted, and given tokens."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.directories import Absent, Schedule
from broker.domain.errors import Unconfirmed
from broker.service.configuring import Configuring, DirectoryView, Said
from broker.service.projects import UNSAID
from broker.service.reading import Members
from broker.service.removing import Removing
from broker.service.scheduling import ScheduleView, Scheduling
from broker.service.sourcing import SourceSaid
from broker.service.starting import Starting
from broker.service.tracing import Trace, Tracing
from broker.web.access import Access, Answering
from broker.web.api import body
from broker.web.api.answers import NAME_NEEDED, condition, if_match, json, moment, nothing
from broker.web.api.mappings import previewed
from broker.web.api.runs import run_shown
from broker.web.repeating import Repeat

TOLERANCES = ("standard", "strict")
WINDOW_S = 300
HOLDING = ("percent", "least", "count", "pushes")


@dataclass(frozen=True, slots=True)
class DirectoriesFace:
    """What identity providers are set up; a change of one names the version it was made for."""

    configuring: Configuring
    scheduling: Scheduling
    starting: Starting
    removing: Removing
    tracing: Tracing
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route, of = self.access.route, self.configuring
        reads, writes = "directories:read", "directories:write"
        return [
            route("GET", "/v1/directories", reads, self.directories),
            route("POST", "/v1/directories", writes, self.add, Repeat.TOLD_ONCE),
            route("GET", "/v1/directories/{id}", reads, self.directory),
            route("PUT", "/v1/directories/{id}", writes, self.change),
            route("DELETE", "/v1/directories/{id}", writes, self.delete),
            route("POST", "/v1/directories/{id}/disable", writes, self._turned(of.disable)),
            route("POST", "/v1/directories/{id}/enable", writes, self._turned(of.enable)),
            route("GET", "/v1/directories/{id}/schedule", reads, self.schedule),
            route("PUT", "/v1/directories/{id}/schedule", writes, self.reschedule),
            route("POST", "/v1/directories/{id}/tokens", writes, self.add_token, Repeat.TOLD_ONCE),
            route("DELETE", "/v1/directories/{id}/tokens/{token}", writes, self.revoke_token),
            route("POST", "/v1/directories/{id}/syncs", writes, self.sync),
        ]

    async def directories(self, _: Request, caller: Caller) -> Response:
        found = await self.configuring.directories(caller.project)
        return json({"items": [self._shape(each) for each in found], "next_cursor": None})

    async def directory(self, request: Request, caller: Caller) -> Response:
        return self._shown(
            await self.configuring.directory(caller.project, request.path_params["id"])
        )

    async def add(self, request: Request, caller: Caller) -> Response:
        with await body.read(request, "name", "tolerance", "window_s", "source") as said:
            name = said.text("name")
            tolerance = said.choice("tolerance", TOLERANCES, default=TOLERANCES[0])
            window_s = said.number("window_s", default=WINDOW_S)
            source = _source(said)
        made, token = await self.configuring.add(
            caller.project,
            name,
            by=caller.actor,
            tolerance=tolerance or TOLERANCES[0],
            window_s=window_s,
            source=source,
        )
        view = await self.configuring.directory(caller.project, made.id)
        return self._shown(view, 201, token=token)

    async def change(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        members = ("name", "tolerance", "window_s", "source", "holding", "absent")
        with await body.read(request, *members) as said:
            told = _said(said)
        return self._shown(await self.configuring.change(caller, id, told, version=version))

    async def delete(self, request: Request, caller: Caller) -> Response:
        id, version = request.path_params["id"], condition(request)
        name = request.query_params.get("name")
        if name is None:
            raise Unconfirmed(await self.removing.affected(caller, id), next=NAME_NEEDED)
        await self.removing.delete(caller, id, name, version=version)
        return nothing()

    async def schedule(self, request: Request, caller: Caller) -> Response:
        return _scheduled(await self.scheduling.get(caller.project, request.path_params["id"]))

    async def reschedule(self, request: Request, caller: Caller) -> Response:
        """A `cron` that is null takes the schedule away."""
        id, version = request.path_params["id"], condition(request)
        with await body.read(request, "cron", "zone", "jitter_s") as said:
            cron, zone = said.text_or_none("cron"), said.text_or_none("zone") or "UTC"
            jitter_s = said.number_or_none("jitter_s", least=0) or 0
            if not said.says("cron"):
                said.wrong("cron", "required", "cron is needed; null for no schedule.")
        schedule = None if cron is None else Schedule(cron, zone, jitter_s)
        return _scheduled(await self.scheduling.change(caller, id, schedule, version=version))

    async def add_token(self, request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        id = request.path_params["id"]
        token = await self.configuring.add_token(caller.project, id, by=caller.actor)
        return json({"id": f"tok_{token.split('_')[1]}", "token": token}, 201)

    async def revoke_token(self, request: Request, caller: Caller) -> Response:
        id, token = request.path_params["id"], request.path_params["token"]
        await self.configuring.revoke_token(caller.project, id, token, by=caller.actor)
        return nothing()

    async def sync(self, request: Request, caller: Caller) -> Response:
        id = request.path_params["id"]
        with await body.read_or_empty(request, "record", "apply") as said:
            one, apply = said.inner_or_none("record"), said.yes("apply", default=False)
            names = {}
            if one is not None:
                one.close("user_id", "external_id")
                names = {
                    name: one.text(name) for name in ("user_id", "external_id") if one.has(name)
                }
                if len(names) != 1:
                    one.wrong("", "not_one_way", "Either user_id or external_id says who is meant.")
            elif apply:
                said.wrong("record", "required", "Only a record by hand is applied or not.")
        if names:
            return json(_traced(await self.tracing.trace(caller, id, **names, apply=apply)))
        run = await self.starting.sync(caller, id)
        return json(run_shown(run), 202, {"Location": f"/v1/runs/{run.id}"})

    def _turned(self, act: Callable[..., Awaitable[DirectoryView]]) -> Answering:
        """A request that says nothing but the version it was made for, and that if it likes."""

        async def answer(request: Request, caller: Caller) -> Response:
            await body.nothing(request)
            id, version = request.path_params["id"], if_match(request)
            return self._shown(await act(caller, id, version=version))

        return answer

    def _shown(self, view: DirectoryView, status: int = 200, **more: str) -> Response:
        tag = {"ETag": f'"{view.directory.version}"'}
        return json(self._shape(view) | more, status, tag)

    def _shape(self, view: DirectoryView) -> dict[str, Any]:
        directory, last, schedule = view.directory, view.last_run, view.directory.schedule
        return {
            "id": directory.id,
            "name": directory.name,
            "state": directory.state,
            "tolerance": directory.tolerance,
            "window_s": directory.window_s,
            "base_url": f"{self.access.base_url}/scim/v2/{directory.id}",
            "created_at": moment(directory.created_at),
            "source": view.source,
            "schedule": asdict(schedule) if schedule else None,
            "next_at": moment(directory.next_at) if directory.is_enabled else None,
            "holding": asdict(directory.holding),
            "absent": directory.absent,
            "mapping_version": directory.mapping_version,
            "trouble": directory.trouble,
            "version": directory.version,
            "tokens": [_token(each) for each in view.tokens],
            "last_run": run_shown(last) if last else None,
        }


def _said(said: Members) -> Said:
    """What was said of a directory; `source` null takes it away."""
    window_s, absent = said.number_or_none("window_s", least=1), None
    if said.has("absent"):
        absent = Absent(said.choice("absent", [*Absent], default=Absent.SUSPEND) or "suspend")
    return Said(
        name=said.text_or_none("name"),
        tolerance=said.choice("tolerance", TOLERANCES, default=TOLERANCES[0])
        if said.has("tolerance")
        else None,
        window_s=window_s,
        source=_source(said) if said.says("source") else UNSAID,
        holding=_holding(said),
        absent=absent,
    )


def _source(said: Members) -> SourceSaid | None:
    """What its fields may hold, its kind declares."""
    source = said.inner_or_none("source")
    if source is None:
        return None
    source.close("kind", "fields")
    return SourceSaid(source.text("kind"), source.raw("fields") or {})


def _holding(said: Members) -> dict[str, Any] | None:
    holding = said.inner_or_none("holding")
    if holding is None:
        return None
    holding.close(*HOLDING)
    told: dict[str, Any] = {
        name: holding.number_or_none(name, least=0) for name in ("percent", "least", "count")
    }
    told["pushes"] = holding.yes("pushes", default=False)
    empties = ("count",)  # null: the share counts again
    return {
        name: value
        for name, value in told.items()
        if holding.has(name) or (name in empties and holding.says(name))
    }


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": token["id"],
        "created_at": moment(token["created_at"]),
        "last_used_at": moment(token["last_used_at"]),
    }


def _scheduled(view: ScheduleView) -> Response:
    schedule = view.schedule
    shown = {
        "cron": schedule.cron if schedule else None,
        "zone": schedule.zone if schedule else None,
        "jitter_s": schedule.jitter_s if schedule else 0,
        "sentence": view.sentence,
        "next": [moment(at) for at in view.next],
    }
    return json(shown, headers={"ETag": f'"{view.version}"'})


def _traced(trace: Trace) -> dict[str, Any]:
    """A record's way through the mapping, and the run that applied it."""
    if trace.preview is None:
        read = {"step": "read", "error": trace.error}
        error = {"code": "unreadable", "detail": trace.error}
        return {"steps": [read], "error": error, "run": trace.run}
    return previewed(trace.preview) | {"run": trace.run}
