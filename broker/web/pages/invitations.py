"""An invitation's link: a page that says who invites, and a button that accepts."""

import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.errors import Conflict
from broker.service.inviting import Inviting
from broker.service.signing_in import SigningIn
from broker.web.access import Access, person
from broker.web.pages.site import Site, redirect


@dataclass(frozen=True, slots=True)
class InvitationPages:
    """All that an invitation reaches (safety 13)."""

    inviting: Inviting
    signing_in: SigningIn
    access: Access
    site: Site

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/invitations/{secret}", self.show, methods=["GET"]),
            Route("/invitations/{secret}", self.accept, methods=["POST"]),
            Route("/invitations/{id}/accepted", self.accepted, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """Who invites, and a button; looking changes nothing, for mail scanners look too."""
        caller = await self.access.session(request)
        try:
            opened = await self.inviting.page(request.path_params["secret"], caller)
        except Conflict as error:
            return self._over(error)
        return self.site.page("invitation.html", opened=opened, goes_to=self.site.outside)

    async def accept(self, request: Request) -> Response:
        """Come in; by way of the identity provider, where the project has one.

        There a sign-in is the login that accepts (U3, U4), so it is sent on with the invitation's
        id alone: the secret is written down nowhere.
        """
        self.access.same_site(request)
        secret, caller = request.path_params["secret"], await self.access.session(request)
        try:
            opened = await self.inviting.page(secret, caller)
            if opened.must_sign_in:
                browser = self.access.browser(request) or secrets.token_urlsafe(32)
                back = f"/invitations/{opened.id}/accepted"
                to = await self.signing_in.begin(opened.project, back, browser)
                return self.access.marked(redirect(to), browser)
            login = await self.inviting.accept(secret, caller)
        except Conflict as error:
            if not (error.reason or "").startswith("invitation-"):
                raise
            return self._over(error)
        title = "You are in" if login.user.is_active else "You are in the queue"
        return self.site.page(
            "done.html", title=title, message=login.message, ok=login.user.is_active
        )

    async def accepted(self, request: Request) -> Response:
        """Back from the identity provider, active; somebody else is told so."""
        caller = person(await self.access.session(request))
        await self.inviting.came(request.path_params["id"], caller)
        return self.site.page(
            "done.html", title="You are in", message="You are active now.", ok=True
        )

    def _over(self, error: Conflict) -> Response:
        """A link that lets nobody in, in words (U18)."""
        return self.site.page(
            "done.html", 410, title=str(error), message=error.next or "", ok=False
        )
