"""The credential in a request becomes a caller; none of the three kinds opens another's routes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller, Kind
from broker.domain.errors import Unknown
from broker.service.callers import Callers
from broker.web.errors import CrossSite

Answering = Callable[[Request, Caller], Awaitable[Response]]
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
BROWSER_COOKIE = "broker_browser"
COOKIE_LIFETIME_S = 24 * 3600  # the session in the database ends when it ends


@dataclass(frozen=True, slots=True)
class Access:
    """Who is calling, by key or by cookie; `base_url` is the one origin this service has."""

    callers: Callers
    base_url: str

    @property
    def cookie(self) -> str:
        """The session cookie's name; `__Host-` needs TLS, so loopback has the plain one."""
        return "__Host-broker" if self._is_secure else "broker"

    @property
    def _is_secure(self) -> bool:
        return self.base_url.startswith("https://")

    def route(self, method: str, path: str, scope: str | None, answer: Answering) -> Route:
        """An address of `/v1`, for whoever has the scope; None: for an administrator's session."""

        async def guarded(request: Request) -> Response:
            caller = await self.caller(request)
            if scope is None:
                caller.require_administrator()  # a key gets Forbidden (safety 27)
            else:
                caller.require(scope)
            return await answer(request, caller)

        return Route(path, guarded, methods=[method])

    async def caller(self, request: Request) -> Caller:
        """Who calls `/v1`: a key where there is one, else an administrator's session."""
        authorization = request.headers.get("authorization")
        found = await self.session(request) if authorization is None else None
        if found is not None and found.kind is Kind.ADMINISTRATOR:
            return found
        return await self.callers.service(authorization)

    async def session(self, request: Request) -> Caller | None:
        """Whom the browser's session stands for; CrossSite where another site sends a change."""
        cookie = request.cookies.get(self.cookie)
        if not cookie:
            return None
        self.same_site(request)
        return await self.callers.session(cookie)

    def same_site(self, request: Request) -> None:
        """Let a change through only from our own pages: Sec-Fetch-Site, else Origin."""
        if request.method in SAFE:
            return
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is not None:
            ours = site in ("same-origin", "none")
        else:
            ours = origin is None or origin == self.base_url  # no browser: no cookie to abuse
        if not ours:
            raise CrossSite(next="Open the page of this service itself and send it from there.")

    def signed_in(self, response: Response, cookie: str) -> Response:
        """The response, with the session's cookie."""
        return self._with(response, self.cookie, cookie)

    def signed_out(self, response: Response) -> Response:
        """The response, without the session's cookie."""
        response.delete_cookie(
            self.cookie, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )
        return response

    def browser(self, request: Request) -> str | None:
        """The random word that tells this browser from every other (safety 14)."""
        return request.cookies.get(BROWSER_COOKIE)

    def marked(self, response: Response, browser: str) -> Response:
        """The response, with the browser's word."""
        return self._with(response, BROWSER_COOKIE, browser)

    def _with(self, response: Response, name: str, value: str) -> Response:
        """Lax, because providers and sign-ins send people back here."""
        response.set_cookie(
            name,
            value,
            max_age=COOKIE_LIFETIME_S,
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )
        return response


def person(caller: Caller | None) -> Caller:
    """The person whose session this is; Unknown where nobody is signed in as one."""
    if caller is None or caller.kind is not Kind.PERSON:
        raise Unknown("Nobody is signed in.", reason="sign-in-needed", next="Sign in first.")
    return caller
