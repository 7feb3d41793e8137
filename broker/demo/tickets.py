"""A pretend ticket system: plain OAuth 2 as the standards have it, for programs of one's own.

Codes with `iss` (RFC 9207), client credentials, three ways to prove a client, revocation (RFC
7009), introspection (RFC 7662), user information, and one API that demands a live token.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo import answers
from broker.demo.grants import App, Approval, Rules, State, users_as
from broker.demo.oauth import NO_STORE, Handler, Program
from broker.demo.page import form
from broker.demo.refusals import Refused
from broker.demo.world import Answer, Clock, Switches

AT = "/tickets"
RULES = Rules(idle_s=60 * 24 * 3600, marks=("tick-r-", "tick-a-"))
OVER = Answer(401, {"error": "invalid_token"}, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def state(base_url: str, clock: Clock) -> State:
    """A ticket system where everybody of Acme has an account."""
    users = users_as(lambda number: f"u-{number}")
    switches = Switches(answers=answers.TICKETS)
    return State(base_url, clock, switches, users=users, rules=RULES)


class Tickets(Program):
    """The endpoints over one `State`."""

    title = "Tickets"
    at = AT

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.issuer = self.base

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route(f"{AT}/oauth/revoke", self._revoke, methods=["POST"]),
            Route(f"{AT}/oauth/introspect", self._introspect, methods=["POST"]),
            Route(f"{AT}/oauth/userinfo", self._userinfo),
            Route(f"{AT}/api/tickets", self._tickets),
        ]

    def grants(self) -> Mapping[str, Handler]:
        return {"client_credentials": self._own}

    def _own(self, app: App, sent: Mapping[str, str]) -> Response:
        """RFC 6749 §4.4."""
        self.state.count("client_credentials")
        approval = self.state.alone(app, tuple(sent.get("scope", "").split()))
        return JSONResponse(self.tokens(approval, None), headers=NO_STORE)

    async def _revoke(self, request: Request) -> Response:
        sent = await form(request)
        self.state.count("revoke")
        try:
            app = self.client(request, sent)
        except Refused as error:
            return self.refusal(error)
        if trouble := await self.state.trouble("revoke"):
            return trouble
        self.state.end(sent.get("token", ""), app)
        return Response()

    async def _introspect(self, request: Request) -> Response:
        sent = await form(request)
        self.state.count("introspect")
        try:
            app = self.client(request, sent)
        except Refused as error:
            return self.refusal(error)
        if trouble := await self.state.trouble("introspect"):
            return trouble
        approval = self.state.by_access_token(sent.get("token", ""))
        if approval is None or approval.app is not app:
            return JSONResponse({"active": False}, headers=NO_STORE)
        said = {"active": True, "sub": approval.user.id, "scope": " ".join(approval.scopes)}
        ends_at = int(approval.access[sent["token"]])
        return JSONResponse(said | {"exp": ends_at, "client_id": app.client_id}, headers=NO_STORE)

    async def _userinfo(self, request: Request) -> Response:
        return await self.answered(request, "userinfo", _card, OVER)

    async def _tickets(self, request: Request) -> Response:
        """Whatever is asked, the answer tells whose token asked."""

        def one(approval: Approval) -> dict[str, object]:
            return {"tickets": [{"id": 1, "title": "Hello", "seen_by": approval.user.user_name}]}

        return await self.answered(request, "tickets", one, OVER)


def _card(approval: Approval) -> dict[str, object]:
    user = approval.user
    return {"sub": user.id, "name": user.name, "email": user.user_name}
