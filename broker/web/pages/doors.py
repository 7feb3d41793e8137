"""Ways in and out: the set-up link, signing out, the stylesheet."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Kind
from broker.service.callers import Callers
from broker.web.access import Access
from broker.web.pages.site import STATIC, Site, files, redirect

TYPES = {"broker.css": "text/css; charset=utf-8", "broker.svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class DoorPages:
    """Every page that needs no session."""

    callers: Callers
    access: Access
    site: Site

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/", self.welcome, methods=["GET"]),
            Route("/setup/{secret}", self.setup, methods=["GET"]),
            Route("/setup/{secret}", self.use_setup, methods=["POST"]),
            Route("/signout", self.sign_out, methods=["POST"]),
            Route("/static/{name}", files(STATIC, TYPES), methods=["GET"]),
        ]

    async def welcome(self, request: Request) -> Response:
        found = await self.access.session(request)
        if found is not None and found.kind is Kind.ADMINISTRATOR:
            return redirect("/admin/directories")
        return self.site.page("welcome.html")

    async def setup(self, _: Request) -> Response:
        return self.site.page("setup.html")

    async def use_setup(self, request: Request) -> Response:
        self.access.same_site(request)
        cookie = await self.callers.use_setup_link(request.path_params["secret"])
        return self.access.signed_in(redirect("/admin/directories"), cookie)

    async def sign_out(self, request: Request) -> Response:
        found = await self.access.session(request)
        if found is not None:
            await self.callers.sign_out(found)
        return self.access.signed_out(redirect("/"))
