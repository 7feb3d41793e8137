"""A pretend Salesforce: its consent page and its OAuth endpoints.

Faithful where a client can notice: error codes and texts, no `expires_in`, no refresh token in a
refresh answer unless the app rotates, `instance_url` and `id` beside the tokens.
"""

import base64
import hashlib
import hmac

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.grants import ORGANIZATION, Approval
from broker.demo.oauth import NO_STORE, Program
from broker.demo.page import form
from broker.demo.refusals import Refused, Words

WORDS: Words = {
    "app": ("invalid_client_id", "client identifier invalid", 400),
    "secret": ("invalid_client", "invalid client credentials", 400),
    "redirect": ("redirect_uri_mismatch", "redirect_uri must match configuration", 400),
    "code": ("invalid_grant", "invalid authorization code", 400),
    "late code": ("invalid_grant", "expired authorization code", 400),
    "other redirect": ("redirect_uri_mismatch", "redirect_uri must match configuration", 400),
    "verifier": ("invalid_grant", "invalid code verifier", 400),
    "grant": ("invalid_grant", "expired access/refresh token", 400),
    "user": ("invalid_grant", "authentication failure", 400),
    "grant type": ("unsupported_grant_type", "grant type not supported", 400),
    "response type": ("invalid_request", "response_type must be code", 400),
    "challenge": ("invalid_request", "invalid code challenge", 400),
    "denied": ("access_denied", "end-user denied authorization", 400),
}


class Salesforce(Program):
    """The endpoints over one `State`."""

    title = "Salesforce"
    authorize_path = "/services/oauth2/authorize"
    token_path = "/services/oauth2/token"
    words = WORDS

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("/services/oauth2/introspect", self._introspect, methods=["POST"]),
            Route("/services/oauth2/revoke", self._revoke, methods=["POST"]),
        ]

    def keeps(self, scopes: tuple[str, ...]) -> bool:
        return bool({"refresh_token", "offline_access"} & set(scopes))

    def tokens(self, approval: Approval, refresh_token: str | None) -> dict[str, object]:
        issued_at = str(int(self.state.clock.now() * 1000))
        identity = f"{self.state.base_url}/id/{ORGANIZATION}/{approval.user.id}"
        mac = hmac.new(
            approval.app.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256
        )
        body = super().tokens(approval, refresh_token) | {
            "signature": base64.b64encode(mac.digest()).decode(),
            "instance_url": self.state.base_url,
            "id": identity,
            "issued_at": issued_at,
        }
        body.pop("expires_in", None)
        return body

    async def _introspect(self, request: Request) -> Response:
        sent = await form(request)
        try:
            app = self.client(request, sent)
        except Refused as error:
            return self.refusal(error)
        token = sent.get("token", "")
        approval = self.state.by_access_token(token)
        self.state.count("introspect", approval.user if approval else None)
        if trouble := await self.state.trouble("introspect", approval.user if approval else None):
            return trouble
        if approval is None or approval.app is not app:
            return JSONResponse({"active": False}, headers=NO_STORE)
        ends_at = approval.access[token]
        began_at = int(ends_at - self.state.length(app))
        return JSONResponse(
            {
                "active": True,
                "scope": " ".join(approval.scopes),
                "client_id": app.client_id,
                "username": approval.user.user_name,
                "sub": f"{self.state.base_url}/id/{ORGANIZATION}/{approval.user.id}",
                "token_type": "access_token",
                "exp": int(ends_at),
                "iat": began_at,
                "nbf": began_at,
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
