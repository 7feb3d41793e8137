"""A pretend Salesforce: its consent page and its OAuth endpoints.

Faithful where a client can notice: error codes and texts, no `expires_in`, no refresh token in a
refresh answer unless the app rotates, `instance_url` and `id` beside the tokens.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.grants import CODE_S, ORGANIZATION, App, Approval, Code, State, rotate
from broker.demo.page import back, form, hidden, page, redirect
from broker.demo.world import Trouble, answer_of

NO_STORE = {"Cache-Control": "no-store"}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class Refused(Exception):
    """A request this program answers with an OAuth error."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error, description)
        self.error, self.description = error, description

    def body(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.description}


class Salesforce:
    """The endpoints over one `State`."""

    def __init__(self, state: State) -> None:
        self.state = state

    def routes(self) -> list[Route]:
        return [
            Route("/services/oauth2/authorize", self._page, methods=["GET"]),
            Route("/services/oauth2/authorize", self._decision, methods=["POST"]),
            Route("/services/oauth2/token", self._token, methods=["POST"]),
            Route("/services/oauth2/introspect", self._introspect, methods=["POST"]),
            Route("/services/oauth2/revoke", self._revoke, methods=["POST"]),
        ]

    def decide(self, query: Mapping[str, str], user_name: str, *, allow: bool = True) -> str:
        """Where the consent page sends the browser once this user has pressed Allow or Deny.

        Refused where the page itself would show an error: nothing is sent to an unknown address.
        """
        app = self._app(query)
        answer: dict[str, str]
        try:
            challenge = _challenge(query)
            if not allow:
                raise Refused("access_denied", "end-user denied authorization")
            scopes = tuple(query.get("scope", "").split())
            ends_at = self.state.clock.now() + CODE_S
            user = self.state.users[user_name]
            code = Code(app, user, query["redirect_uri"], challenge, scopes, ends_at)
            answer = {"code": self.state.issue(code)}
        except Refused as error:
            answer = error.body()
        if "state" in query:
            answer["state"] = query["state"]
        return back(query["redirect_uri"], answer)

    async def _page(self, request: Request) -> Response:
        query = dict(request.query_params)
        try:
            app = self._app(query)
            _challenge(query)
        except Refused as error:
            if error.error == "invalid_request":
                return redirect(back(query["redirect_uri"], error.body()))
            return page("Salesforce cannot continue", f"<p>{escape(str(error))}</p>", 400)
        self.state.count("authorize")
        hint = query.get("login_hint")
        people = "".join(
            f'<option value="{escape(user.user_name)}"{" selected" * (user.user_name == hint)}>'
            f"{escape(user.name)} ({escape(user.user_name)})</option>"
            for user in self.state.users.values()
        )
        return page(
            "Allow Access?",
            f"<p>{escape(app.client_id)} is asking to: {escape(query.get('scope', 'api'))}</p>"
            f'<form method="post">{hidden(query)}<p><label>Signed in as '
            f'<select name="signed_in_as">{people}</select></label></p>'
            '<p><button name="decision" value="deny">Deny</button> '
            '<button name="decision" value="allow">Allow</button></p></form>',
        )

    async def _decision(self, request: Request) -> Response:
        sent = await form(request)
        user_name, decision = sent.pop("signed_in_as", ""), sent.pop("decision", "")
        if user_name not in self.state.users:
            return page("Salesforce cannot continue", "<p>There is no such user.</p>", 400)
        try:
            return redirect(self.decide(sent, user_name, allow=decision == "allow"))
        except Refused as error:
            return page("Salesforce cannot continue", f"<p>{escape(str(error))}</p>", 400)

    async def _token(self, request: Request) -> Response:
        sent = await form(request)
        self.state.count("token")
        try:
            app = self._client(sent)
            if sent.get("grant_type") == "refresh_token":
                return await self._refresh(app, sent)
            if sent.get("grant_type") == "authorization_code":
                return await self._exchange(app, sent)
            raise Refused("unsupported_grant_type", "grant type not supported")
        except Refused as error:
            return JSONResponse(error.body(), 400, NO_STORE)

    async def _exchange(self, app: App, sent: Mapping[str, str]) -> Response:
        code = self.state.codes.pop(sent.get("code", ""), None)
        if code is None or code.app is not app:
            raise Refused("invalid_grant", "invalid authorization code")
        if code.ends_at < self.state.clock.now():
            raise Refused("invalid_grant", "expired authorization code")
        if code.redirect_uri != sent.get("redirect_uri"):
            raise Refused("redirect_uri_mismatch", "redirect_uri must match configuration")
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            raise Refused("invalid_grant", "invalid code verifier")
        self.state.count("exchange", code.user)
        if trouble := await self.state.trouble("token", code.user):
            return trouble
        approval = self.state.approve(code)
        keeps = {"refresh_token", "offline_access"} & set(code.scopes)
        return self._tokens(approval, approval.refresh_token if keeps else None)

    async def _refresh(self, app: App, sent: Mapping[str, str]) -> Response:
        approval = self.state.by_refresh_token(sent.get("refresh_token", ""))
        user = approval.user if approval else None
        self.state.count("refresh", user)
        met = await self.state.switches.take("token", user.user_name if user else None)
        told = answer_of(met) if met else None
        if told is not None and met is not Trouble.LOST:
            return told
        if approval is None or approval.app is not app or not approval.refresh_token:
            raise Refused("invalid_grant", "expired access/refresh token")
        if not approval.user.active:
            raise Refused("invalid_grant", "authentication failure")
        renewed = rotate(approval) if app.rotation else None
        answer = self._tokens(approval, renewed)
        return told or answer

    def _tokens(self, approval: Approval, refresh_token: str | None) -> Response:
        issued_at = str(int(self.state.clock.now() * 1000))
        identity = f"{self.state.base_url}/id/{ORGANIZATION}/{approval.user.id}"
        mac = hmac.new(
            approval.app.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256
        )
        body = {
            "access_token": self.state.session(approval),
            "signature": base64.b64encode(mac.digest()).decode(),
            "scope": " ".join(approval.scopes),
            "instance_url": self.state.base_url,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }
        if refresh_token:
            body["refresh_token"] = refresh_token
        return JSONResponse(body, headers=NO_STORE)

    async def _introspect(self, request: Request) -> Response:
        sent = await form(request)
        try:
            app = self._client(sent)
        except Refused as error:
            return JSONResponse(error.body(), 400, NO_STORE)
        token = sent.get("token", "")
        approval = self.state.by_access_token(token)
        self.state.count("introspect", approval.user if approval else None)
        if trouble := await self.state.trouble("introspect", approval.user if approval else None):
            return trouble
        if approval is None or approval.app is not app:
            return JSONResponse({"active": False}, headers=NO_STORE)
        ends_at = approval.access[token]
        return JSONResponse(
            {
                "active": True,
                "scope": " ".join(approval.scopes),
                "client_id": app.client_id,
                "username": approval.user.user_name,
                "sub": f"{self.state.base_url}/id/{ORGANIZATION}/{approval.user.id}",
                "token_type": "access_token",
                "exp": int(ends_at),
                "iat": int(ends_at - app.session_s),
                "nbf": int(ends_at - app.session_s),
            },
            headers=NO_STORE,
        )

    async def _revoke(self, request: Request) -> Response:
        token = (await form(request)).get("token", "")
        self.state.count("revoke")
        if trouble := await self.state.trouble("revoke"):
            return trouble
        for approval in self.state.living():
            if token and approval.refresh_token == token:
                approval.end()
                return Response()
            if approval.access.pop(token, None):
                return Response()
        body = Refused("unsupported_token_type", "this token type is not supported").body()
        return JSONResponse(body, 400, NO_STORE)

    def _app(self, query: Mapping[str, str]) -> App:
        """The app an authorization request is for; Refused before anything may be redirected."""
        app = self.state.apps.get(query.get("client_id", ""))
        if app is None:
            raise Refused("invalid_client_id", "client identifier invalid")
        if not app.takes(query.get("redirect_uri", "")):
            raise Refused("redirect_uri_mismatch", "redirect_uri must match configuration")
        return app

    def _client(self, sent: Mapping[str, str]) -> App:
        app = self.state.apps.get(sent.get("client_id", ""))
        if app is None:
            raise Refused("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(app.client_secret, sent.get("client_secret", "")):
            raise Refused("invalid_client", "invalid client credentials")
        return app


def _challenge(query: Mapping[str, str]) -> str:
    """The S256 challenge of a request this program takes."""
    if query.get("response_type") != "code":
        raise Refused("invalid_request", "response_type must be code")
    challenge = query.get("code_challenge", "")
    if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Refused("invalid_request", "invalid code challenge")
    return challenge
