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
from broker.web.rates import Rates
from broker.web.repeating import HEADER, Repeat, Repeating
from broker.web.repeating import Answering as Answering

Recognizing = Callable[[str | None], Awaitable[Caller]]
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE_LIFETIME_S = 24 * 3600  # the session in the database ends when it ends


@dataclass(frozen=True, slots=True)
class Access:
    """Who is calling, by key or by cookie; `base_url` is the one origin this service has."""

    callers: Callers
    base_url: str
    repeating: Repeating
    rates: Rates

    @property
    def cookie(self) -> str:
        """The session cookie's name."""
        return self._named("broker")

    @property
    def browser_cookie(self) -> str:
        """The name of the cookie that marks a browser (safety 14)."""
        return self._named("broker_browser")

    def _named(self, name: str) -> str:
        """No other host, and nothing without TLS, sets a `__Host-` cookie; loopback has no TLS."""
        return f"__Host-{name}" if self._is_secure else name

    @property
    def _is_secure(self) -> bool:
        return self.base_url.startswith("https://")

    def route(
        self,
        method: str,
        path: str,
        scope: str | None,
        answer: Answering,
        repeat: Repeat = Repeat.SAME,
        *,
        looks_again: bool = False,
    ) -> Route:
        """An address of `/v1`, for whoever has the scope; None: for an administrator's session.

        `repeat` is what a post is answered that comes again under its Idempotency-Key;
        `looks_again` says that the verb reads its caller in its own transaction, so that nobody
        has to before: measured for the busiest route, and said by it alone.
        """
        repeats = method == "POST" and repeat is not Repeat.AFRESH
        service = self.callers.again if looks_again else self.callers.service

        async def guarded(request: Request) -> Response:
            caller = await self.caller(request, service)
            self.rates.take(caller, request.scope)
            if scope is None:
                caller.require_administrator()  # a key gets Forbidden (safety 27)
            else:
                caller.require(scope)
            if repeats and HEADER in request.headers:
                return await self.repeating.answer(request, caller, answer, repeat)
            return await answer(request, caller)

        return Route(path, guarded, methods=[method])

    async def caller(self, request: Request, service: Recognizing | None = None) -> Caller:
        """Who calls `/v1`: a key where there is one, else an administrator's session."""
        authorization = request.headers.get("authorization")
        found = await self.session(request) if authorization is None else None
        if found is not None and found.kind is Kind.ADMINISTRATOR:
            return found
        return await (service or self.callers.service)(authorization)

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
        return request.cookies.get(self.browser_cookie)

    def marked(self, response: Response, browser: str) -> Response:
        """The response, with the browser's word."""
        return self._with(response, self.browser_cookie, browser)

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
