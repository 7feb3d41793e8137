"""The person's part: a link is opened, followed to the program, and its callback taken."""

import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unknown
from broker.domain.links import Purpose
from broker.service.authenticating import Authenticating
from broker.service.authorizing import Authorizing
from broker.service.callers import Callers
from broker.service.completing import Completed
from broker.service.proving import ActionPage
from broker.service.signing_in import SigningIn
from broker.service.vouching import Vouching
from broker.web.access import Access, person
from broker.web.pages.site import Site, redirect

WRONG_PERSON = frozenset({"wrong-person", "wrong-browser"})
SIGN_IN_FIRST = frozenset({"sign-in-again", "sign-in-needed", "not-signed-in"})


@dataclass(frozen=True, slots=True)
class ConnectPages:
    """What the pages below /connect, /oauth and /signin do."""

    authorizing: Authorizing
    authenticating: Authenticating
    callers: Callers
    signing_in: SigningIn
    vouching: Vouching
    access: Access
    site: Site

    def routes(self) -> list[Route]:
        """Every address a link leads to."""
        return [
            Route("/connect/session/{secret}", self.session, methods=["GET"]),
            Route("/connect/{link}", self.show, methods=["GET"]),
            Route("/connect/{link}", self.go_on, methods=["POST"]),
            Route("/oauth/callback/{connector}", self.callback, methods=["GET"]),
            Route("/signin", self.sign_in, methods=["GET"]),
            Route("/signin/callback/{project}", self.signed_in, methods=["GET"]),
        ]

    async def session(self, request: Request) -> Response:
        """Spend a connect session's address; a browser that only looks ahead spends nothing."""
        if request.method == "HEAD" or "prefetch" in request.headers.get("sec-purpose", ""):
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        cookie, link = await self.callers.use_connect_ticket(request.path_params["secret"])
        return self.access.signed_in(redirect(f"/connect/{link}"), cookie)

    async def show(self, request: Request) -> Response:
        """ "A flow needs you": what is asked, for the one person it is asked of."""
        link, caller = request.path_params["link"], await self.access.session(request)
        if (action := await self._action(link)) is not None:
            if caller is None or not caller.has_signed_in(action.project):
                return self._to_sign_in(link)
            return self.site.page("action.html", action=action, goes_to=self.site.outside)
        try:
            opened = await self.authorizing.page(link, caller)
        except Unknown:
            return self._to_sign_in(link)
        except Forbidden as error:
            if error.reason in WRONG_PERSON:
                return self._to_sign_in(link, error)
            raise
        return self.site.page("link.html", opened=opened, goes_to=self.site.outside)

    async def go_on(self, request: Request) -> Response:
        """On to the program, with this browser marked; or, for an action, proven to be here."""
        self.access.same_site(request)
        link, caller = request.path_params["link"], await self.access.session(request)
        if await self._action(link) is not None:
            return await self._prove(link, person(caller))
        browser = self.access.browser(request) or secrets.token_urlsafe(32)
        to = await self.authorizing.begin(link, caller, browser)
        return self.access.marked(redirect(to), browser)

    async def callback(self, request: Request) -> Response:
        """What the program answers; state, browser and person are all in it (safety 14)."""
        completed = await self.authorizing.complete(
            request.path_params["connector"],
            _once(request),
            self.access.browser(request) or "",
            await self.access.session(request),
        )
        if completed.ok and completed.return_url is not None:
            return redirect(completed.return_url)
        return self.site.page(
            "done.html",
            200 if completed.ok else 409,
            title=_title(completed),
            message=completed.message,
            ok=completed.ok,
            connections=completed.purpose is Purpose.CONNECT,
        )

    async def sign_in(self, request: Request) -> Response:
        """To the identity provider of the link's project, and from there back to the link; without
        a link to a project's, and from there to "my connections".
        """
        browser = self.access.browser(request) or secrets.token_urlsafe(32)
        if (link := request.query_params.get("link")) is not None:
            project, back = await self.vouching.project_of(link), f"/connect/{link}"
        else:
            named = request.query_params.get("project")
            project, back = await self.signing_in.project(named), "/connections"
        to = await self.signing_in.begin(project, back, browser)
        return self.access.marked(redirect(to), browser)

    async def signed_in(self, request: Request) -> Response:
        """A sign-in is a login, and begins a session."""
        browser = self.access.browser(request) or ""
        project = request.path_params["project"]
        found = await self.signing_in.complete(project, _once(request), browser)
        if (before := await self.access.session(request)) is not None:
            await self.callers.sign_out(before)  # a cookie that somebody planted ends here
        if found.login.user.is_active:
            return self.access.signed_in(redirect(found.return_to), found.cookie)
        page = self.site.page(
            "done.html", title="You are signed in", message=found.login.message, ok=False
        )
        return self.access.signed_in(page, found.cookie)

    async def _prove(self, link: str, caller: Caller) -> Response:
        try:
            proof = await self.authenticating.prove(link, caller)
        except (Conflict, Forbidden, Unknown) as error:
            if error.reason in SIGN_IN_FIRST:
                return redirect(f"/signin?link={link}")
            raise
        if proof.return_url is not None:
            return redirect(proof.return_url)
        return self.site.page(
            "done.html", title="Done", message="You can close this window.", ok=True
        )

    async def _action(self, link: str) -> ActionPage | None:
        """The action a link completes, Conflict where it is over (K3); None for another link."""
        try:
            return await self.authenticating.page(link)
        except NotFound:
            return None

    def _to_sign_in(self, link: str, refused: Forbidden | None = None) -> Response:
        status = 200 if refused is None else 403
        return self.site.page("signin.html", status, to=f"/signin?link={link}", refused=refused)


def _once(request: Request) -> dict[str, str]:
    """The query of a callback; a parameter that stands twice is an attack (RFC 6749 §3.1)."""
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) != len(pairs):
        raise Invalid("A parameter stands twice in this address.", reason="repeated-parameter")
    return dict(pairs)


def _title(completed: Completed) -> str:
    if not completed.ok:
        return "That did not work"
    return "Authorized" if completed.purpose is Purpose.WIZARD else "Done. The flow goes on."
