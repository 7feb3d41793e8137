"""Account Administration › User provisioning › Directory sync, for an administrator."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller, Kind
from broker.domain.errors import Unknown
from broker.service.syncing import Syncing
from broker.web.access import Access
from broker.web.pages.site import Site, redirect

RUNS = 50
RECORDS = 100


@dataclass(frozen=True, slots=True)
class SyncPages:
    """The directories, the history of each, the records of each run."""

    syncing: Syncing
    access: Access
    site: Site

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/admin", self.start, methods=["GET"]),
            Route("/admin/directories", self.directories, methods=["GET"]),
            Route("/admin/directories/{id}/history", self.history, methods=["GET"]),
            Route("/admin/runs/{id}", self.run, methods=["GET"]),
        ]

    async def start(self, _: Request) -> Response:
        return redirect("/admin/directories")

    async def directories(self, request: Request) -> Response:
        caller = await _administrator(self.access, request)
        found = await self.syncing.directories(caller.project)
        return self.site.page("directories.html", administrator=True, directories=found)

    async def history(self, request: Request) -> Response:
        caller = await _administrator(self.access, request)
        view = await self.syncing.directory(caller.project, request.path_params["id"])
        runs = await self.syncing.runs(
            caller.project, view.directory.id, before=request.query_params.get("before"), limit=RUNS
        )
        older = runs[-1].id if len(runs) == RUNS else None
        return self.site.page("history.html", administrator=True, view=view, runs=runs, older=older)

    async def run(self, request: Request) -> Response:
        caller = await _administrator(self.access, request)
        view = await self.syncing.run(caller.project, request.path_params["id"])
        after = request.query_params.get("after", "")
        start = int(after) if after.isascii() and after.isdigit() else 0
        everything = request.query_params.get("show") == "all"
        records = await self.syncing.records(
            caller.project, view.run.id, after=start, limit=RECORDS, troubled=not everything
        )
        return self.site.page(
            "run.html",
            administrator=True,
            view=view,
            records=records,
            everything=everything,
            further=records[-1][0] if len(records) == RECORDS else None,
        )


async def _administrator(access: Access, request: Request) -> Caller:
    """The administrator who looks; a person who signed in for a flow is none."""
    found = await access.session(request)
    if found is None or found.kind is not Kind.ADMINISTRATOR:
        raise Unknown(
            "This page is for administrators who are signed in.",
            reason="sign-in-needed",
            next="Open a link that `broker admin link` prints.",
        )
    return found
