"""A pretend SharePoint Server: one farm that takes minted tokens, AD FS sign-ins and passwords.

High-trust tokens (server to server) are checked as a farm checks them: the inner actor token's
signature against the certificate its issuer is trusted by, then who speaks, for whom, to whom.
"""

import base64
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo import answers, refusals
from broker.demo.grants import Approval, Rules, State, User, users_as
from broker.demo.oauth import Program
from broker.demo.proofs import NotTheirs, claims_of, proven
from broker.demo.refusals import Words
from broker.demo.world import Answer, Clock, Switches

AT = "/sharepoint"
REALM = "5e1b0fa2-0000-4000-8000-00000000ac3e"
PRINCIPAL = "00000003-0000-0ff1-ce00-000000000000"
ACTIVE_DIRECTORY = "urn:office:idp:activedirectory"
RULES = Rules(idle_s=7 * 24 * 3600, marks=("adfs-rt-", "adfs-at-"))
TITLES = {"": "Acme", "sites/flows": "Flows"}

Card = Callable[[User], dict[str, object]]
WORDS: Words = {
    **refusals.WORDS,
    "app": ("invalid_client", "MSIS9605: The client is not allowed to access.", 401),
    "secret": ("invalid_client", "MSIS9622: Client authentication failed.", 401),
    "code": ("invalid_grant", "MSIS9612: The authorization code is invalid.", 400),
    "grant": ("invalid_grant", "MSIS9615: The refresh token has expired.", 400),
    "user": ("invalid_grant", "MSIS9615: The account is disabled.", 400),
}


def sid(number: int) -> str:
    """The security identifier of an employee; farms know people by it."""
    return f"s-1-5-21-1004336348-1177238915-682003330-{1000 + number}"


def state(base_url: str, clock: Clock) -> State:
    """A farm where everybody of Acme has an account, known by their SID."""
    switches = Switches(answers=answers.SHAREPOINT)
    return State(base_url, clock, switches, users=users_as(sid), rules=RULES)


class Farm(Program):
    """The endpoints over one `State`.

    `trusted` are issuers by id (`New-SPTrustedSecurityTokenIssuer`), each with its certificate in
    PEM; `passwords` are of those who may come in with one; tokens have to be made for `host`.
    """

    title = "AD FS"
    at = AT
    authorize_path = "/adfs/oauth2/authorize"
    token_path = "/adfs/oauth2/token"
    words = WORDS

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.realm = REALM
        self.trusted: dict[str, str] = {}
        self.passwords: dict[str, str] = {}

    @property
    def host(self) -> str:
        return self.state.base_url.partition("://")[2]

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route(f"{AT}/adfs/.well-known/openid-configuration", self._discovery),
            Route(f"{AT}/adfs/userinfo", self._userinfo),
            *(
                Route(f"{AT}{site}/_vti_bin/client.svc", self._challenged, methods=["GET", "POST"])
                for site in ("", "/{site:path}")
            ),
            *(
                Route(f"{AT}{site}/_api/web{what}", act)
                for site in ("", "/{site:path}")
                for what, act in (("/currentuser", self._who), ("", self._web))
            ),
        ]

    def tokens(self, approval: Approval, refresh_token: str | None) -> dict[str, object]:
        life = RULES.idle_s
        return super().tokens(approval, refresh_token) | (
            {"refresh_token_expires_in": life} if refresh_token else {}
        )

    async def _discovery(self, _: Request) -> Response:
        adfs = f"{self.base}/adfs"
        return JSONResponse(
            {
                "issuer": adfs,
                "authorization_endpoint": f"{adfs}/oauth2/authorize",
                "token_endpoint": f"{adfs}/oauth2/token",
                "userinfo_endpoint": f"{adfs}/userinfo",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _userinfo(self, request: Request) -> Response:
        def card(approval: Approval) -> dict[str, object]:
            return {"sub": approval.user.id, "upn": approval.user.user_name}

        return await self.answered(request, "userinfo", card, self._over())

    async def _challenged(self, _: Request) -> Response:
        """Where clients learn the realm."""
        self.state.count("challenge")
        return self._over().response()

    async def _who(self, request: Request) -> Response:
        def card(user: User) -> dict[str, object]:
            robot = user.id == self.realm
            login = "i:0i.t|ms.sp.ext|app" if robot else f"i:0#.w|acme\\{user.user_name}"
            return {"Id": 7, "LoginName": login, "Title": user.name, "Email": user.user_name}

        return await self._api(request, "currentuser", card)

    async def _web(self, request: Request) -> Response:
        site = request.path_params.get("site", "")
        return await self._api(request, "web", lambda _: {"Title": TITLES[site], "Url": f"/{site}"})

    async def _api(self, request: Request, endpoint: str, card: Card) -> Response:
        user = self.whose(request)
        self.state.count(endpoint, user)
        if trouble := await self.state.trouble(endpoint, user):
            return trouble
        if user is None:
            return self._over().response()
        if request.path_params.get("site", "") not in TITLES:
            return Response("404 NOT FOUND", 404)
        return JSONResponse(card(user))

    def whose(self, request: Request) -> User | None:
        """Who calls, by whichever of the three ways."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            return self._known(value)
        if scheme != "Bearer":
            return None
        if approval := self.state.by_access_token(value):
            return approval.user
        return self.spoken_for(value)

    def spoken_for(self, token: str) -> User | None:
        """Whom a high-trust token lets act, a person or the app alone; None where it is refused."""
        outer = claims_of(token)
        actor = self._actor(str(outer.get("actortoken", token)))
        if actor is None:
            return None
        if "actortoken" not in outer:
            return User(self.realm, str(actor["nameid"]), "SharePoint App")
        now = self.state.clock.now()
        begins, ends = float(str(outer.get("nbf", now))), float(str(outer.get("exp", 0)))
        known = {user.id: user for user in self.state.users.values() if user.active}
        if (
            outer.get("aud") != actor["aud"]
            or outer.get("iss") != actor["nameid"]
            or outer.get("nii") != ACTIVE_DIRECTORY
            or not begins - 300 <= now < ends
        ):
            return None
        return known.get(str(outer.get("nameid")))

    def _actor(self, token: str) -> Mapping[str, object] | None:
        said = claims_of(token)
        issuer, _, realm = str(said.get("iss")).partition("@")
        client, _, own = str(said.get("nameid")).partition("@")
        audience = f"{PRINCIPAL}/{self.host}@{self.realm}"
        if issuer not in self.trusted or {realm, own} != {self.realm} or not client:
            return None
        try:
            return proven(token, [self.trusted[issuer]], [audience], self.state.clock.now())
        except NotTheirs:
            return None

    def _known(self, pair: str) -> User | None:
        try:
            name, _, password = base64.b64decode(pair, validate=True).decode().partition(":")
        except ValueError:
            return None
        user = self.state.users.get(name.rpartition("\\")[2])
        fits = user is not None and user.active and self.passwords.get(name) == password
        return user if fits else None

    def _over(self) -> Answer:
        bearer = f'Bearer realm="{self.realm}",client_id="{PRINCIPAL}"'
        issuers = ",".join(f"{one}@{self.realm}" for one in self.trusted)
        headers = {"WWW-Authenticate": f'{bearer},trusted_issuers="{issuers}", Basic realm="acme"'}
        return Answer(401, {"error": "401 UNAUTHORIZED"}, headers)
