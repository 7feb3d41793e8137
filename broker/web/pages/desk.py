"""The desk an administrator sits at: what all their pages share."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller, Kind
from broker.domain.errors import BrokerError, Unknown
from broker.service.overseeing import Overseeing
from broker.service.reading import Members
from broker.web import errors
from broker.web.access import Access, Answering
from broker.web.pages import forms
from broker.web.pages.site import Site, redirect

DONE = {
    "started": "The sync has begun.",
    "run-running": "A sync is going on already; this is it.",
    "run-held": "The last sync waits for a decision; this is it.",
    "disabled": "Disabled. Nothing is lost, and it can be enabled again at any time.",
    "enabled": "Enabled. What your identity provider could not push meanwhile it sends again.",
    "deleted": "Deleted. Its people are still here; they have no directory any more.",
    "saved": "Saved.",
    "revoked": "Revoked. That token is refused from now on.",
    "stopping": "It ends after the record it is at.",
    "retrying": "What failed is tried again; this is the run that does it.",
    "decided": "Decided; it is being carried out.",
    "activated": "Activated.",
    "suspended": "Suspended. Access has ended.",
    "reinstated": "Reinstated. The next sign-in makes this person active.",
    "invited": "Invited again; the link of the old letter is dead.",
    "licensed": "Needs a license again.",
    "exempted": "Needs no license any more.",
    "resized": "Changed.",
}
"""What was done, said once above the page that follows it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Lets administrators in, and gives every page its frame: navigation, notices, what was done.

    A change comes as a POST from a page of ours (`Access.session`) and is answered by a redirect,
    so that reloading sends nothing twice; one that shows a secret this once is answered itself.
    """

    access: Access
    site: Site
    overseeing: Overseeing

    def route(self, method: str, path: str, answer: Answering) -> Route:
        """An address for an administrator's session and for nobody else."""

        async def guarded(request: Request) -> Response:
            caller = await self.access.session(request)
            if caller is None or caller.kind is not Kind.ADMINISTRATOR:
                raise Unknown(
                    "This page is for administrators who are signed in.",
                    reason="sign-in-needed",
                    next="Open a link that `broker admin link` prints.",
                )
            try:
                return await answer(request, caller)
            except BrokerError as error:
                return self.site.problem(request, error, **await self._frame(caller, request))

        return Route(path, guarded, methods=[method])

    async def page(
        self, request: Request, caller: Caller, template: str, status: int = 200, **values: Any
    ) -> Response:
        """A whole page of the administrator's."""
        frame = await self._frame(caller, request)
        return self.site.page(template, status, **(frame | values))

    async def _frame(self, caller: Caller, request: Request) -> dict[str, Any]:
        return {
            "administrator": True,
            "notices": await self.overseeing.notices(caller.project),
            "section": request.url.path.split("/")[2],
            "problems": (),
            "typed": {},
            "done": DONE.get(request.query_params.get("done", "")),
        }


def once_more(error: BrokerError, form: Members) -> dict[str, Any]:
    """What a page with a form shows again, so that nobody types twice: what is wrong, and what
    was typed.
    """
    problems = [forms.sentence(each) for each in error.problems] or [str(error)]
    return {"status": errors.status_of(error), "problems": problems, "typed": form.said}


def whole_number(request: Request, name: str) -> int:
    """The place a list goes on after; 0 where the address says none that could be."""
    text = request.query_params.get(name, "")
    return int(text[:18]) if text.isascii() and text.isdigit() else 0


def went_well(to: str, done: str, **query: str) -> Response:
    """On to the page that shows the change, with the sentence of `DONE` above it."""
    return redirect(f"{to}?{urlencode({'done': done} | query)}")
