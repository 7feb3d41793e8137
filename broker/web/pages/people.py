"""Users: everybody directories told us about, each with why they are (not) active."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import NotFound
from broker.domain.users import DETACHED_LIMIT, Status, User
from broker.service.adopting import Adopting
from broker.service.configuring import Configuring
from broker.service.inviting import Inviting
from broker.service.licensing import Licensing
from broker.service.managing import Managing
from broker.web.access import Answering
from broker.web.pages import forms
from broker.web.pages.desk import Desk, went_well

HERE = "/admin/people"
PEOPLE = 50


@dataclass(frozen=True, slots=True)
class PeoplePages:
    """The list, one person, and what an administrator does to them."""

    managing: Managing
    licensing: Licensing
    inviting: Inviting
    adopting: Adopting
    configuring: Configuring
    desk: Desk

    def routes(self) -> list[Route]:
        """What this face serves."""
        route, one, of = self.desk.route, HERE + "/{id}", self.licensing
        return [
            route("GET", HERE, self.people),
            route("GET", HERE + "/detached", self.detached),
            route("POST", HERE + "/detached", self.tick),
            route("GET", one, self.person),
            route("POST", one + "/activate", _acting(of.activate, "activated")),
            route("GET", one + "/suspend", self.ask_to_suspend),
            route("POST", one + "/suspend", self.suspend),
            route("POST", one + "/reinstate", _acting(of.reinstate, "reinstated")),
            route("POST", one + "/invite", _acting(of.invite, "invited")),
            route("POST", one + "/link", self.link),
            route("POST", one + "/license", self.license),
        ]

    async def people(self, request: Request, caller: Caller) -> Response:
        said = {name: request.query_params.get(name, "") for name in ("status", "directory")}
        found = await self.managing.page(
            caller,
            status=Status(said["status"]) if said["status"] in list(Status) else None,
            directory=said["directory"] or None,
            after=request.query_params.get("after", ""),
            limit=PEOPLE,
        )
        directories = await self.configuring.directories(caller.project)
        named = {view.directory.id: view.directory.name for view in directories}
        further = urlencode(said | {"after": found[-1].id}) if len(found) == PEOPLE else None
        return await self.desk.page(
            request,
            caller,
            "people.html",
            people=found,
            named=named,
            directories=list(named.items()),
            further=further,
            said=said,
        )

    async def person(self, request: Request, caller: Caller) -> Response:
        found = await self.managing.get(caller, request.path_params["id"])
        try:
            directory = found.user.directory or ""
            view = await self.configuring.directory(caller.project, directory)
        except NotFound:  # it was deleted, and a tombstone stays its own
            view = None
        return await self.desk.page(request, caller, "person.html", person=found, view=view)

    async def detached(self, request: Request, caller: Caller) -> Response:
        """Those whose directory was deleted, to be ticked for adoption (safety 12)."""
        after = request.query_params.get("after", "")
        found = await self.adopting.detached(caller, after=after, limit=PEOPLE)
        further = found[-1].id if len(found) == PEOPLE else None
        return await self.desk.page(
            request,
            caller,
            "detached.html",
            people=found,
            further=further,
            limit=DETACHED_LIMIT,
        )

    async def tick(self, request: Request, caller: Caller) -> Response:
        """What was ticked anew, and what not any more; or everybody, on this page or not."""
        with await forms.read(request, "everybody", lists=("was", "adoptable")) as said:
            everybody = said.text_or_none("everybody")
            was, ticked = set(said.texts("was")), set(said.texts("adoptable"))
        if everybody:
            await self.adopting.tick(caller, None)
        for people, adoptable in ((ticked - was, True), (was - ticked, False)):
            if people and not everybody:
                await self.adopting.tick(caller, sorted(people), adoptable=adoptable)
        return went_well(f"{HERE}/detached", "saved")

    async def ask_to_suspend(self, request: Request, caller: Caller) -> Response:
        found = await self.managing.get(caller, request.path_params["id"])
        return await self.desk.page(request, caller, "person_suspend.html", person=found)

    async def suspend(self, request: Request, caller: Caller) -> Response:
        with await forms.read(request, "reason") as said:
            reason = said.text_or_none("reason")
        user = await self.licensing.suspend(caller, request.path_params["id"], reason)
        return went_well(f"{HERE}/{user.id}", "suspended")

    async def link(self, request: Request, caller: Caller) -> Response:
        """The invitation's link, for an administrator to hand over; in no address and no list."""
        await forms.nothing(request)
        id = request.path_params["id"]
        link = await self.inviting.link(caller, id)
        found = await self.managing.get(caller, id)
        return await self.desk.page(request, caller, "person_link.html", person=found, link=link)

    async def license(self, request: Request, caller: Caller) -> Response:
        """Whether the person needs one (D3, safety 10)."""
        with await forms.read(request, "licensed") as said:
            licensed = said.choice("licensed", ("yes", "no"), default=None) == "yes"
        user = await self.licensing.exempt(caller, request.path_params["id"], licensed=licensed)
        return went_well(f"{HERE}/{user.id}", "licensed" if licensed else "exempted")


def _acting(act: Callable[[Caller, str], Awaitable[User]], done: str) -> Answering:
    """The answer to a button alone, which does `act` to the person its address names."""

    async def answer(request: Request, caller: Caller) -> Response:
        await forms.nothing(request)
        user = await act(caller, request.path_params["id"])
        return went_well(f"{HERE}/{user.id}", done)

    return answer
