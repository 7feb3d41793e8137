"""Account Administration › User provisioning › Directory sync: the directories themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.directories import Absent, Schedule
from broker.domain.errors import BrokerError
from broker.domain.runs import Issue, Run
from broker.service.configuring import TOLERANCES, Configuring, Said
from broker.service.drafting import Drafting
from broker.service.occupied import Occupied
from broker.service.reading import Members
from broker.service.removing import Removing
from broker.service.scheduling import Scheduling
from broker.service.starting import Starting
from broker.service.syncing import Syncing
from broker.web.pages import forms
from broker.web.pages.desk import Desk, once_more, went_well
from broker.web.pages.site import redirect

HERE = "/admin/directories"
HOLDING = ("percent", "least", "count")


@dataclass(frozen=True, slots=True)
class DirectoryPages:
    """Each directory: how it is, what is set, and what an administrator may do to it (R108)."""

    configuring: Configuring
    scheduling: Scheduling
    starting: Starting
    removing: Removing
    drafting: Drafting
    syncing: Syncing
    desk: Desk

    def routes(self) -> list[Route]:
        """What this face serves."""
        route, one = self.desk.route, HERE + "/{id}"
        return [
            route("GET", "/admin", self.start),
            route("GET", HERE, self.directories),
            route("POST", HERE, self.add),
            route("GET", one, self.directory),
            route("POST", one + "/syncs", self.sync),
            route("GET", one + "/edit", self.edit),
            route("POST", one + "/edit", self.change),
            route("POST", one + "/schedule", self.reschedule),
            route("GET", one + "/disable", self.ask_to_disable),
            route("POST", one + "/disable", self.disable),
            route("POST", one + "/enable", self.enable),
            route("GET", one + "/delete", self.ask_to_delete),
            route("POST", one + "/delete", self.delete),
            route("POST", one + "/tokens", self.make_token),
            route("POST", one + "/tokens/{token}/revoke", self.revoke_token),
        ]

    async def start(self, _: Request, caller: Caller) -> Response:
        del caller
        return redirect(HERE)

    async def directories(self, request: Request, caller: Caller) -> Response:
        found = await self.configuring.directories(caller.project)
        return await self.desk.page(request, caller, "directories.html", directories=found)

    async def add(self, request: Request, caller: Caller) -> Response:
        with await forms.read(request, "name") as said:
            name = said.text("name")
        made, token = await self.configuring.add(caller.project, name, by=caller.actor)
        return await self._token(request, caller, made.id, token)

    async def directory(self, request: Request, caller: Caller) -> Response:
        id = request.path_params["id"]
        view = await self.configuring.directory(caller.project, id)
        mapping = await self.drafting.get(caller.project, id)
        return await self.desk.page(
            request,
            caller,
            "directory.html",
            view=view,
            base_url=self._base_url(id),
            mapping=mapping.compiled.rendered(),
            issues=await self._unmapped(caller, view.last_run),
            schedule=await self.scheduling.get(caller.project, id),
        )

    async def sync(self, request: Request, caller: Caller) -> Response:
        """Sync now (R110): on to its run, or to the one that is going on already (R7)."""
        await forms.nothing(request)
        try:
            run = await self.starting.sync(caller, request.path_params["id"])
        except Occupied as error:
            return went_well(f"/admin/runs/{error.more['run']}", error.reason)
        return went_well(f"/admin/runs/{run.id}", "started")

    async def edit(self, request: Request, caller: Caller) -> Response:
        return await self._edited(request, caller)

    async def change(self, request: Request, caller: Caller) -> Response:
        numbers = ("window_s", "version", *HOLDING)
        form = await forms.read(
            request, "name", "tolerance", "absent", numbers=numbers, ticks=("pushes",)
        )
        id = request.path_params["id"]
        try:
            with form:
                said, version = _said(form), form.number("version", default=1)
            await self.configuring.change(caller, id, said, version=version)
        except BrokerError as error:
            return await self._edited(request, caller, **once_more(error, form))
        return went_well(f"{HERE}/{id}", "saved")

    async def reschedule(self, request: Request, caller: Caller) -> Response:
        form = await forms.read(request, "cron", "zone", numbers=("jitter_s", "version"))
        id, schedule = request.path_params["id"], None
        try:
            with form:
                version = form.number("version", default=1)
                if cron := form.text_or_none("cron"):
                    jitter_s = form.number_or_none("jitter_s", least=0) or 0
                    schedule = Schedule(cron, form.text("zone"), jitter_s)
            await self.scheduling.change(caller, id, schedule, version=version)
        except BrokerError as error:
            return await self._edited(request, caller, **once_more(error, form))
        return went_well(f"{HERE}/{id}", "saved")

    async def ask_to_disable(self, request: Request, caller: Caller) -> Response:
        return await self._asked(request, caller, "directory_disable.html")

    async def disable(self, request: Request, caller: Caller) -> Response:
        await forms.nothing(request)
        id = request.path_params["id"]
        await self.configuring.disable(caller, id)
        return went_well(f"{HERE}/{id}", "disabled")

    async def enable(self, request: Request, caller: Caller) -> Response:
        await forms.nothing(request)
        id = request.path_params["id"]
        await self.configuring.enable(caller, id)
        return went_well(f"{HERE}/{id}", "enabled")

    async def ask_to_delete(self, request: Request, caller: Caller) -> Response:
        return await self._asked(request, caller, "directory_delete.html")

    async def delete(self, request: Request, caller: Caller) -> Response:
        form = await forms.read(request, "name")
        try:
            with form:
                name = form.text("name")
            await self.removing.delete(caller, request.path_params["id"], name)
        except BrokerError as error:
            again = once_more(error, form)
            return await self._asked(request, caller, "directory_delete.html", **again)
        return went_well(HERE, "deleted")

    async def make_token(self, request: Request, caller: Caller) -> Response:
        """Shown this once, so the answer is the page itself; two may live, whatever is reloaded."""
        await forms.nothing(request)
        id = request.path_params["id"]
        token = await self.configuring.add_token(caller.project, id, by=caller.actor)
        return await self._token(request, caller, id, token)

    async def revoke_token(self, request: Request, caller: Caller) -> Response:
        await forms.nothing(request)
        id, token = request.path_params["id"], request.path_params["token"]
        await self.configuring.revoke_token(caller.project, id, token, by=caller.actor)
        return went_well(f"{HERE}/{id}", "revoked")

    async def _asked(
        self, request: Request, caller: Caller, template: str, **values: Any
    ) -> Response:
        """A page of its own before what is dangerous, with what will happen in numbers."""
        id = request.path_params["id"]
        view = await self.configuring.directory(caller.project, id)
        affected = await self.removing.affected(caller, id)
        return await self.desk.page(request, caller, template, view=view, **affected, **values)

    async def _edited(self, request: Request, caller: Caller, **values: Any) -> Response:
        view = await self.configuring.directory(caller.project, request.path_params["id"])
        return await self.desk.page(
            request, caller, "directory_edit.html", directory=view.directory, **values
        )

    async def _token(self, request: Request, caller: Caller, id: str, token: str) -> Response:
        view = await self.configuring.directory(caller.project, id)
        return await self.desk.page(
            request,
            caller,
            "token.html",
            directory=view.directory,
            token=token,
            base_url=self._base_url(id),
        )

    async def _unmapped(self, caller: Caller, last: Run | None) -> Sequence[Issue]:
        """What had no equivalent here in the last run, each attribute once."""
        if last is None:
            return ()
        issues = (await self.syncing.run(caller.project, last.id)).issues
        return [each for each in issues if each.attribute]

    def _base_url(self, id: str) -> str:
        return f"{self.desk.access.base_url}/scim/v2/{id}"


def _said(form: Members) -> Said:
    """What the form of settings says; its fields left empty are none, not what they were."""
    holding = {name: form.number_or_none(name, least=0) for name in HOLDING}
    for name in ("percent", "least"):
        if holding[name] is None:
            del holding[name]
    absent = form.choice("absent", tuple(Absent), default=None)
    return Said(
        name=form.text("name"),
        tolerance=form.choice("tolerance", TOLERANCES, default=None),
        window_s=form.number("window_s", default=300),
        holding=holding | {"pushes": form.yes("pushes", default=False)},
        absent=Absent(absent) if absent else None,
    )
