"""How apps and people come into the pretend Entra ID, and the sites Microsoft Graph shows them.

Codes and refresh tokens for people, client credentials for apps, by secret or by certificate. A
refresh answer brings a new refresh token, and the old one stays good; it needs a scope. Nothing
revokes one grant.
"""

import base64
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.answers import AADSTS, ENTRA, aadsts, entra_body
from broker.demo.entra import BASE, Entra
from broker.demo.grants import App, Approval
from broker.demo.oauth import NO_STORE, Handler, Program
from broker.demo.refusals import Refused, Words
from broker.demo.world import Answer

HOST = "acme.sharepoint.com"
SITES = {"": "Acme", "sites/flows": "Flows", "sites/finance": "Finance"}
TENANT_ID = "3f0c2a6e-0000-4000-8000-0000000ac3e0"
OIDC = frozenset({"openid", "profile", "email", "offline_access"})
OVER = ENTRA["InvalidAuthenticationToken"]
MISSING = ENTRA["itemNotFound"]
NO_PERSON = Answer(
    400,
    {
        "error": {
            "code": "BadRequest",
            "message": "/me request is only valid with delegated authentication flow.",
        }
    },
)
WORDS: Words = {
    "app": aadsts("700016"),
    "secret": aadsts("7000215"),
    "redirect": aadsts("50011"),
    "code": aadsts("54005"),
    "late code": aadsts("70008"),
    "other redirect": aadsts("500112"),
    "verifier": aadsts("501481"),
    "grant": aadsts("50173"),
    "user": aadsts("50057"),
    "grant type": aadsts("70003"),
    "response type": aadsts("700054"),
    "challenge": aadsts("9002325"),
    "denied": aadsts("65004"),
    "tenant": aadsts("90002"),
    "scope": aadsts("70011"),
    "resources": aadsts("28000"),
    "app scope": aadsts("1002012"),
    "no scope": aadsts("90009"),
    "assertion": aadsts("700027"),
}


class EntraSignIn(Program):
    """The endpoints over one tenant."""

    title = "Microsoft"
    words = WORDS

    def __init__(self, entra: Entra) -> None:
        super().__init__(entra.state)
        self.entra = entra
        self.at = f"{BASE}/{{tenant}}"
        self.authorize_path = "/oauth2/v2.0/authorize"
        self.token_path = "/oauth2/v2.0/token"

    def routes(self) -> list[Route]:
        graph = f"{BASE}/v1.0"
        return [
            *super().routes(),
            Route(f"{graph}/me", self._me),
            Route(f"{graph}/sites/{{site:path}}", self._site),
        ]

    def client(self, request: Request, sent: Mapping[str, str]) -> App:
        if request.path_params["tenant"] not in (self.entra.tenant, TENANT_ID):
            raise self.refused("tenant")
        app = super().client(request, sent)
        self._checked(tuple(sent.get("scope", "").split()))
        if sent.get("grant_type") == "refresh_token" and not sent.get("scope"):
            raise self.refused("no scope")
        return app

    def audiences(self) -> frozenset[str]:
        at = (f"{self.state.base_url}{BASE}/{one}" for one in (self.entra.tenant, TENANT_ID))
        return frozenset(end for one in at for end in (f"{one}{self.token_path}", f"{one}/v2.0"))

    def grants(self) -> Mapping[str, Handler]:
        return {"client_credentials": self._own}

    def keeps(self, scopes: tuple[str, ...]) -> bool:
        return "offline_access" in scopes

    def tokens(self, approval: Approval, refresh_token: str | None) -> dict[str, object]:
        body = super().tokens(approval, refresh_token)
        body["scope"] = " ".join(one for one in approval.scopes if one != "offline_access")
        return body | (
            {"id_token": self._id_token(approval)} if "openid" in approval.scopes else {}
        )

    def refusal(self, refused: Refused) -> Response:
        number = refused.description.removeprefix("AADSTS").partition(":")[0]
        body = entra_body(refused.error, refused.description)
        if number in AADSTS and (suberror := AADSTS[number][3]):
            body["suberror"] = suberror
        return JSONResponse(body, refused.status, NO_STORE)

    def _checked(self, scopes: tuple[str, ...]) -> None:
        """Refused where the scopes are not of one resource (a refresh token serves several)."""
        resources = {one.rpartition("/")[0] for one in scopes if one.startswith("http")}
        if len(resources) > 1 or (resources and self._plain(scopes)):
            raise self.refused("resources")
        if resources - {self.entra.graph, "https://graph.microsoft.com", f"https://{HOST}"}:
            raise self.refused("scope")

    def _plain(self, scopes: tuple[str, ...]) -> list[str]:
        return [one for one in scopes if not one.startswith("http") and one not in OIDC]

    def _own(self, app: App, sent: Mapping[str, str]) -> Response:
        """An app for itself: what an administrator has consented to, so `/.default` alone."""
        scope = sent.get("scope", "")
        if not scope.endswith("/.default"):
            raise self.refused("app scope")
        self.state.count("client_credentials")
        body = self.tokens(self.state.alone(app, (scope,)), None)
        body.pop("scope")
        return JSONResponse(body, headers=NO_STORE)

    def _id_token(self, approval: Approval) -> str:
        """Who signed in, told over the back channel alone, where no signature is needed (OpenID
        Connect Core 3.1.3.7): this one's is of nobody's key.
        """
        now = int(self.state.clock.now())
        claims = {
            "iss": f"{self.state.base_url}{BASE}/{self.entra.tenant}/v2.0",
            "aud": approval.app.client_id,
            "iat": now,
            "nbf": now,
            "exp": now + self.state.length(approval.app),
            "sub": f"pairwise-{approval.user.id}",
            "oid": approval.user.id,
            "tid": TENANT_ID,
            "name": approval.user.name,
            "preferred_username": approval.user.user_name,
        }
        return f"{_part({'typ': 'JWT', 'alg': 'RS256', 'kid': 'pretend'})}.{_part(claims)}.pretend"

    async def _me(self, request: Request) -> Response:
        def card(approval: Approval) -> dict[str, object] | Response:
            if approval.app_only:
                return NO_PERSON.response()
            user = approval.user
            names = {"userPrincipalName": user.user_name, "mail": user.user_name}
            return {"id": user.id, "displayName": user.name, **names}

        return await self.answered(request, "me", card, OVER)

    async def _site(self, request: Request) -> Response:
        """`root`, `{host}` or `{host}:/{path}`."""

        def shown(_: Approval) -> dict[str, object] | Response:
            host, _, path = request.path_params["site"].partition(":")
            path = path.strip("/:")
            if host not in ("root", HOST) or path not in SITES:
                return MISSING.response()
            return {
                "id": f"{HOST},{path or 'root'}",
                "name": path.rpartition("/")[2] or "root",
                "displayName": SITES[path],
                "webUrl": f"https://{HOST}/{path}",
            }

        return await self.answered(request, "site", shown, OVER)


def _part(said: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=").decode()
