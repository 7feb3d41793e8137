"""My connections: a person sees what they connected and what used it, and ends it."""

import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller, Kind
from broker.domain.errors import Unknown
from broker.service.authorizing import Authorizing
from broker.service.connected import Connected
from broker.service.reminding import Reminding
from broker.web.access import Access
from broker.web.pages import forms
from broker.web.pages.site import Site, redirect

HERE = "/connections"
DONE = {
    "removed": "Removed. What was kept here is erased; the program is told in the background.",
    "saved": "Saved.",
}


@dataclass(frozen=True, slots=True)
class ConnectionPages:
    """For the session of a person who signed in; a connect session opens its one link alone."""

    connected: Connected
    authorizing: Authorizing
    reminding: Reminding
    access: Access
    site: Site

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/connections", self.show, methods=["GET"]),
            Route("/connections/reminders", self.remind, methods=["POST"]),
            Route("/connections/{connector}/connect", self.connect, methods=["POST"]),
            Route("/connections/{connector}/remove", self.ask, methods=["GET"]),
            Route("/connections/{connector}/remove", self.remove, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """All of them; who is not signed in as a person is led there."""
        found = await self.access.session(request)
        if found is None or not _is_person(found):
            project = request.query_params.get("project", found.project if found else "")
            to = f"/signin?project={project}" if project else "/signin"
            return self.site.page("connections_signin.html", to=to, now=found)
        return self.site.page(
            "connections.html",
            mine=await self.connected.mine(found),
            done=DONE.get(request.query_params.get("done", "")),
            goes_to=self.site.outside,
        )

    async def connect(self, request: Request) -> Response:
        """On to the program, as if a flow had asked for it."""
        caller = await self._person(request)
        await forms.nothing(request)
        browser = self.access.browser(request) or secrets.token_urlsafe(32)
        link = await self.connected.link(caller, request.path_params["connector"])
        to = await self.authorizing.begin(link.id, caller, browser)
        return self.access.marked(redirect(to), browser)

    async def ask(self, request: Request) -> Response:
        """What removing ends, before it does."""
        caller = await self._person(request)
        found = await self.connected.one(caller, request.path_params["connector"])
        return self.site.page("connection_remove.html", connection=found)

    async def remove(self, request: Request) -> Response:
        """End it (K12)."""
        caller = await self._person(request)
        await forms.nothing(request)
        await self.connected.remove(caller, request.path_params["connector"])
        return redirect(f"{HERE}?done=removed")

    async def remind(self, request: Request) -> Response:
        """Whether letters say again that a flow waits."""
        caller = await self._person(request)
        with await forms.read(request, ticks=("reminders",)) as said:
            wanted = said.yes("reminders", default=False)
        await self.reminding.opt(caller.project, caller.user_id or "", wanted)
        return redirect(f"{HERE}?done=saved")

    async def _person(self, request: Request) -> Caller:
        found = await self.access.session(request)
        if found is None or not _is_person(found):
            raise Unknown("Nobody is signed in.", reason="sign-in-needed", next="Sign in first.")
        return found


def _is_person(caller: Caller) -> bool:
    return caller.kind is Kind.PERSON and caller.link_id is None
