"""What all pretend authorization servers do: a consent page, codes, tokens and client secrets.

Strict where a client can notice: registered redirect URIs, PKCE S256, codes that work once. Each
program overrides how it words its answers and what it adds to them.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.grants import CODE_S, App, Approval, Code, State
from broker.demo.page import back, form, hidden, page, redirect
from broker.demo.proofs import NotTheirs, basic, claims_of, proven
from broker.demo.refusals import WORDS, Refused, Words
from broker.demo.world import Answer

NO_STORE = {"Cache-Control": "no-store"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")

Handler = Callable[[App, Mapping[str, str]], Response]


class Program:
    """One pretend program over one `State`; `at` is the path below which it lives."""

    title = "the program"
    at = ""
    authorize_path = "/oauth/authorize"
    token_path = "/oauth/token"
    words: Words = WORDS
    issuer: str | None = None
    """Told with each answer of the consent page, where the program knows RFC 9207."""

    def __init__(self, state: State) -> None:
        self.state = state

    @property
    def base(self) -> str:
        """The address of everything here."""
        return self.state.base_url + self.at

    def routes(self) -> list[Route]:
        return [
            Route(self.at + self.authorize_path, self._page, methods=["GET"]),
            Route(self.at + self.authorize_path, self._decision, methods=["POST"]),
            Route(self.at + self.token_path, self._token, methods=["POST"]),
        ]

    # what a program may say differently

    def tokens(self, approval: Approval, refresh_token: str | None) -> dict[str, object]:
        """The body of a token answer."""
        body: dict[str, object] = {
            "access_token": self.state.session(approval),
            "token_type": "Bearer",
            "scope": " ".join(approval.scopes),
        }
        if approval.app.lifetime:
            body["expires_in"] = self.state.length(approval.app)
        if refresh_token:
            body["refresh_token"] = refresh_token
        return body

    def refusal(self, refused: Refused) -> Response:
        """How an error goes out."""
        return JSONResponse(refused.body(), refused.status, NO_STORE)

    def keeps(self, scopes: tuple[str, ...]) -> bool:
        """Whether a consent to these scopes comes with a refresh token."""
        return bool(scopes)

    def approve(self, code: Code) -> Approval:
        return self.state.approve(code)

    def grants(self) -> Mapping[str, Handler]:
        """Grants beside codes and refresh tokens, by grant type."""
        return {}

    def audiences(self) -> frozenset[str]:
        """What a client's assertion may be addressed to."""
        return frozenset({self.base, self.base + self.token_path})

    def refused(self, why: str) -> Refused:
        return Refused(*self.words[why])

    # the consent page

    def decide(self, query: Mapping[str, str], user_name: str, *, allow: bool = True) -> str:
        """Where the consent page sends the browser once this user has pressed Allow or Deny.

        Refused where the page itself would show an error: nothing is sent to an unknown address.
        """
        app = self._app(query)
        answer: dict[str, str]
        try:
            challenge = self._challenge(query)
            if not allow:
                raise self.refused("denied")
            scopes = tuple(query.get("scope", "").split())
            ends_at = self.state.clock.now() + CODE_S
            user = self.state.users[user_name]
            code = Code(app, user, query["redirect_uri"], challenge, scopes, ends_at)
            answer = {"code": self.state.issue(code)}
        except Refused as error:
            answer = error.body()
        if met := self.state.switches.pick("authorize", user_name):
            answer = self._told(met.trouble) or answer
        return self._back(query, answer)

    async def _page(self, request: Request) -> Response:
        query = dict(request.query_params)
        try:
            app = self._app(query)
            self._challenge(query)
        except Refused as error:
            if error.description in [self.words[why][1] for why in ("response type", "challenge")]:
                return redirect(self._back(query, error.body()))
            return page(f"{self.title} cannot continue", f"<p>{escape(str(error))}</p>", 400)
        self.state.count("authorize")
        hint = query.get("login_hint")
        people = "".join(
            f'<option value="{escape(user.user_name)}"{" selected" * (user.user_name == hint)}>'
            f"{escape(user.name)} ({escape(user.user_name)})</option>"
            for user in self.state.users.values()
        )
        return page(
            "Allow Access?",
            f"<p>{escape(app.client_id)} is asking {escape(self.title)} to: "
            f"{escape(query.get('scope', 'api'))}</p>"
            f'<form method="post">{hidden(query)}<p><label>Signed in as '
            f'<select name="signed_in_as">{people}</select></label></p>'
            '<p><button name="decision" value="deny">Deny</button> '
            '<button name="decision" value="allow">Allow</button></p></form>',
        )

    async def _decision(self, request: Request) -> Response:
        sent = await form(request)
        user_name, decision = sent.pop("signed_in_as", ""), sent.pop("decision", "")
        stopped = f"{self.title} cannot continue"
        if user_name not in self.state.users:
            return page(stopped, "<p>There is no such user.</p>", 400)
        try:
            return redirect(self.decide(sent, user_name, allow=decision == "allow"))
        except Refused as error:
            return page(stopped, f"<p>{escape(str(error))}</p>", 400)

    def _back(self, query: Mapping[str, str], answer: Mapping[str, str]) -> str:
        more = {"iss": self.issuer} if self.issuer else {}
        more |= {"state": query["state"]} if "state" in query else {}
        return back(query["redirect_uri"], {**answer, **more})

    def _told(self, name: str) -> dict[str, str]:
        """An error of the program's own, as the consent page sends it back."""
        body = getattr(self.state.switches.answers.get(name), "body", None)
        names = ("error", "error_description", "error_subcode")
        return {key: str(body[key]) for key in names if key in body} if body else {}

    # the token endpoint

    async def _token(self, request: Request) -> Response:
        sent = await form(request)
        self.state.count("token")
        handlers = {"authorization_code": self._exchange, "refresh_token": self._refresh}
        try:
            app = self.client(request, sent)
            kind = sent.get("grant_type", "")
            if handler := handlers.get(kind):
                return await handler(app, sent)
            if other := self.grants().get(kind):
                return await self.state.switches.around("token", None, lambda: other(app, sent))
            raise self.refused("grant type")
        except Refused as error:
            return self.refusal(error)

    async def _exchange(self, app: App, sent: Mapping[str, str]) -> Response:
        code = self.state.codes.pop(sent.get("code", ""), None)
        if code is None or code.app is not app:
            raise self.refused("code")
        if code.ends_at < self.state.clock.now():
            raise self.refused("late code")
        if code.redirect_uri != sent.get("redirect_uri"):
            raise self.refused("other redirect")
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            raise self.refused("verifier")
        self.state.count("exchange", code.user)

        def work() -> Response:
            approval = self.approve(code)
            token = approval.refresh_token if self.keeps(code.scopes) else None
            return JSONResponse(self.tokens(approval, token), headers=NO_STORE)

        return await self.state.switches.around("token", code.user.user_name, work)

    async def _refresh(self, app: App, sent: Mapping[str, str]) -> Response:
        approval = self.state.by_refresh_token(sent.get("refresh_token", ""))
        user = approval.user if approval else None
        self.state.count("refresh", user)

        def work() -> Response:
            if approval is None or approval.app is not app or not approval.refresh_token:
                raise self.refused("grant")
            if not approval.user.active:
                raise self.refused("user")
            body = self.tokens(approval, self.state.renewed(approval))
            return JSONResponse(body, headers=NO_STORE)

        with self.state.refreshing(approval):
            name = user.user_name if user else None
            return await self.state.switches.around("token", name, work)

    # who calls

    def client(self, request: Request, sent: Mapping[str, str]) -> App:
        """The app that calls: by its secret, in the body or by HTTP Basic, or by an assertion."""
        if "client_assertion" in sent:
            return self._asserted(sent)
        client_id, secret = basic(request) or (
            sent.get("client_id", ""),
            sent.get("client_secret", ""),
        )
        app = self.state.apps.get(client_id)
        if app is None:
            raise self.refused("app")
        if not secret or not hmac.compare_digest(app.client_secret, secret):
            raise self.refused("secret")
        return app

    def _asserted(self, sent: Mapping[str, str]) -> App:
        """The app whose key signed the assertion (RFC 7523 §2.2)."""
        said = claims_of(sent["client_assertion"])
        app = self.state.apps.get(str(said.get("sub")))
        if app is None:
            raise self.refused("app")
        if sent.get("client_assertion_type") != ASSERTION_TYPE or said.get("iss") != said["sub"]:
            raise self.refused("secret")
        try:
            now = self.state.clock.now()
            proven(sent["client_assertion"], [app.certificate], self.audiences(), now)
        except NotTheirs:
            raise self.refused("secret") from None
        return app

    def caller(self, request: Request) -> Approval | None:
        """The approval whose living access token came along."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.state.by_access_token(token) if scheme in ("Bearer", "OAuth") else None

    async def answered(
        self,
        request: Request,
        endpoint: str,
        shown: Callable[[Approval], dict[str, object] | Response],
        over: Answer,
    ) -> Response:
        """What an API that demands a living token says to it, counted by whose token it is."""
        approval = self.caller(request)
        user = approval.user if approval else None
        self.state.count(endpoint, user)
        if trouble := await self.state.trouble(endpoint, user):
            return trouble
        told = shown(approval) if approval else over.response()
        return told if isinstance(told, Response) else JSONResponse(told, headers=NO_STORE)

    def _app(self, query: Mapping[str, str]) -> App:
        """The app an authorization request is for; Refused before anything may be redirected."""
        app = self.state.apps.get(query.get("client_id", ""))
        if app is None:
            raise self.refused("app")
        if not app.takes(query.get("redirect_uri", "")):
            raise self.refused("redirect")
        return app

    def _challenge(self, query: Mapping[str, str]) -> str:
        """The S256 challenge of a request this program takes."""
        if query.get("response_type") != "code":
            raise self.refused("response type")
        challenge = query.get("code_challenge", "")
        if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise self.refused("challenge")
        return challenge
