"""Sync history, one run, one record: what happened, why, and what an administrator decides."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.errors import NotFound
from broker.domain.runs import Result, Run, State
from broker.service.configuring import Configuring
from broker.service.deciding import Deciding
from broker.service.reapplying import Reapplying
from broker.service.removing import Removing
from broker.service.syncing import Syncing
from broker.web.pages import forms
from broker.web.pages.desk import Desk, went_well, whole_number

HERE = "/admin/runs"
RUNS = 50
RECORDS = 100
REFRESH_S = 3
TROUBLED, ALL = "troubled", "all"


@dataclass(frozen=True, slots=True)
class RunPages:
    """The history of each directory, each run of it, each record of a run."""

    configuring: Configuring
    syncing: Syncing
    reapplying: Reapplying
    deciding: Deciding
    removing: Removing
    desk: Desk

    def routes(self) -> list[Route]:
        """What this face serves."""
        route, one = self.desk.route, HERE + "/{id}"
        return [
            route("GET", "/admin/directories/{id}/history", self.history),
            route("GET", one, self.run),
            route("GET", one + "/records/{number:int}", self.record),
            route("POST", one + "/stop", self.stop),
            route("POST", one + "/retry", self.retry),
            route("POST", one + "/release", self.release),
        ]

    async def history(self, request: Request, caller: Caller) -> Response:
        view = await self.configuring.directory(caller.project, request.path_params["id"])
        runs = await self.syncing.runs(
            caller.project, view.directory.id, before=request.query_params.get("before"), limit=RUNS
        )
        older = runs[-1].id if len(runs) == RUNS else None
        return await self.desk.page(
            request, caller, "history.html", view=view, runs=runs, older=older
        )

    async def run(self, request: Request, caller: Caller) -> Response:
        """The run, told again every few seconds while it goes on (R105): by a header, no script."""
        view = await self.syncing.run(caller.project, request.path_params["id"])
        run, show = view.run, request.query_params.get("show", TROUBLED)
        result = Result(show) if show in list(Result) else None
        records = await self.syncing.records(
            caller.project,
            run.id,
            after=whole_number(request, "after"),
            limit=RECORDS,
            troubled=result is None and show != ALL,
            result=result,
        )
        held = await self._held(request, caller, run) if run.state is State.HELD else {}
        still = "still" in request.query_params
        goes_on = run.state is State.RUNNING or held.get("is_decided", False)
        response = await self.desk.page(
            request,
            caller,
            "run.html",
            view=view,
            directory=await self._directory(caller, run),
            records=records,
            show=show if result or show == ALL else TROUBLED,
            results=list(Result),
            goes_on=goes_on,
            still=still,
            refresh=REFRESH_S,
            further=records[-1][0] if len(records) == RECORDS else None,
            **held,
        )
        if goes_on and not still:
            response.headers["Refresh"] = f"{REFRESH_S}; url={HERE}/{run.id}?{_same(request)}"
        return response

    async def record(self, request: Request, caller: Caller) -> Response:
        """One record: what happened to somebody, step by step where it is known, and why."""
        number = request.path_params["number"]
        view = await self.syncing.run(caller.project, request.path_params["id"])
        found = await self.syncing.records(caller.project, view.run.id, after=number - 1, limit=1)
        if [each for each, _ in found] != [number]:
            raise NotFound()
        ((_, record),) = found
        return await self.desk.page(
            request,
            caller,
            "record.html",
            view=view,
            directory=await self._directory(caller, view.run),
            record=record,
            raw=_indented(record.raw) if record.raw else None,
        )

    async def stop(self, request: Request, caller: Caller) -> Response:
        await forms.nothing(request)
        view = await self.syncing.stop(caller, request.path_params["id"])
        return went_well(f"{HERE}/{view.run.id}", "stopping")

    async def retry(self, request: Request, caller: Caller) -> Response:
        """Try what failed once more; on to the run that does."""
        await forms.nothing(request)
        run = await self.reapplying.retry(caller, request.path_params["id"])
        return went_well(f"{HERE}/{run}", "retrying")

    async def release(self, request: Request, caller: Caller) -> Response:
        """All, some or none of what the run holds (R6); the rest waits on."""
        with await forms.read(request, "release", lists=("records",)) as said:
            how = said.choice("release", ("all", "none", "ticked", "reject"), default=None)
            ticked = [int(n) for n in said.texts("records", limit=RECORDS) if n.isdecimal()]
            if how in ("ticked", "reject") and not ticked:
                said.wrong("records", "required", "Tick the changes that are meant.")
        release = {"all": None, "ticked": ticked}.get(how or "", ())
        reject = {"none": None, "reject": ticked}.get(how or "", ())
        id = request.path_params["id"]
        await self.deciding.decide(caller, id, release=release, reject=reject)
        return went_well(f"{HERE}/{id}", "decided")

    async def _held(self, request: Request, caller: Caller, run: Run) -> dict[str, Any]:
        """What the run holds, from the record on that the address names; and the numbers."""
        found = await self.syncing.records(
            caller.project,
            run.id,
            after=whole_number(request, "held"),
            limit=RECORDS,
            result=Result.STAGED,
        )
        return {
            "held": found,
            "is_decided": all(record.decision for _, record in found),
            "held_further": found[-1][0] if len(found) == RECORDS else None,
            "people": (await self.removing.affected(caller, run.directory))["people"],
        }

    async def _directory(self, caller: Caller, run: Run) -> Directory | None:
        """The directory of a run; None where it was deleted since, and its history stayed."""
        try:
            return (await self.configuring.directory(caller.project, run.directory)).directory
        except NotFound:
            return None


def _same(request: Request) -> str:
    """The query of this page, without what was said once."""
    pairs = request.query_params.multi_items()
    return urlencode([(name, value) for name, value in pairs if name != "done"])


def _indented(raw: bytes) -> str:
    return orjson.dumps(orjson.loads(raw), option=orjson.OPT_INDENT_2).decode()
