"""A pretend DocuSign: codes, refresh tokens that roll, JWT grants, accounts below one base URI."""

import hmac
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo import answers, refusals
from broker.demo.grants import App, Approval, Code, Rules, State, User, users_as
from broker.demo.oauth import NO_STORE, Handler, Program
from broker.demo.page import form
from broker.demo.proofs import NotTheirs, basic, claims_of, proven
from broker.demo.refusals import Refused, Words
from broker.demo.world import Clock, Switches

AT = "/docusign"
DAY_S = 24 * 3600
RULES = Rules(session_s=8 * 3600, idle_s=30 * DAY_S, renews=True, marks=("eyRT", "eyAT"))
JWT_S = 3600
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
HOSTS = frozenset({"account-d.docusign.com", "account.docusign.com"})
OVER = answers.DOCUSIGN["AUTHORIZATION_INVALID_TOKEN"]
ACME = "7d1f8c52-0000-4000-8000-00000000ac3e"

Accounts = list[dict[str, object]]
WORDS: Words = {
    **refusals.WORDS,
    "app": ("invalid_client", "The integration key is not known.", 401),
    "secret": ("invalid_client", "The integration key or secret is wrong.", 401),
    "grant": ("invalid_grant", "expired_client_token", 400),
    "user": ("invalid_grant", "user_not_found", 400),
    "assertion": ("invalid_grant", "no_valid_keys_or_signatures", 400),
    "issuer": ("invalid_grant", "issuer_not_found", 400),
    "consent": ("consent_required", "", 400),
}


def state(base_url: str, clock: Clock) -> State:
    """A DocuSign where everybody of Acme has an account."""
    users = users_as(lambda number: f"d0c05160-0000-4000-8000-{number:012d}")
    switches = Switches(answers=answers.DOCUSIGN)
    return State(base_url, clock, switches, users=users, rules=RULES)


class DocuSign(Program):
    """The endpoints over one `State`.

    `accounts` says for whom there are others than the one account of Acme, by user name;
    `consents` holds (client id, user id) of those whose consent a JWT grant finds.
    """

    title = "DocuSign"
    at = AT
    authorize_path = "/oauth/auth"
    words = WORDS

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.accounts: dict[str, Accounts] = {}
        self.consents: set[tuple[str, str]] = set()

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route(f"{AT}/oauth/userinfo", self._userinfo),
            Route(f"{AT}/oauth/revoke", self._revoke, methods=["POST"]),
            Route(f"{AT}/restapi/v2.1/accounts/{{id}}", self._account),
        ]

    def grants(self) -> Mapping[str, Handler]:
        return {JWT_GRANT: self._impersonate}

    def approve(self, code: Code) -> Approval:
        """Only with `extended`, asked for at first, each refresh starts 30 new days."""
        approval = super().approve(code)
        approval.rolls = "extended" in code.scopes
        if "impersonation" in code.scopes:
            self.consents.add((code.app.client_id, code.user.id))
        return approval

    def client(self, request: Request, sent: Mapping[str, str]) -> App:
        """By HTTP Basic alone; a JWT grant names its app inside."""
        if sent.get("grant_type") == JWT_GRANT:
            app = self.state.apps.get(str(claims_of(sent.get("assertion", "")).get("iss")))
            if app is None:
                raise self.refused("issuer")
            return app
        client_id, secret = basic(request) or ("", "")
        app = self.state.apps.get(client_id)
        if app is None:
            raise self.refused("app")
        if not hmac.compare_digest(app.client_secret, secret):
            raise self.refused("secret")
        return app

    def _impersonate(self, app: App, sent: Mapping[str, str]) -> Response:
        """RFC 7523 §2.1: the app speaks for a user who consented to that once."""
        host = self.state.base_url.partition("://")[2]
        audiences = HOSTS | {host, host.partition(":")[0], self.base}
        try:
            said = proven(sent["assertion"], [app.certificate], audiences, self.state.clock.now())
        except NotTheirs:
            raise self.refused("assertion") from None
        user = next((one for one in self.state.users.values() if one.id == said.get("sub")), None)
        if user is None or not user.active:
            raise self.refused("user")
        scopes = tuple(str(said.get("scope", "")).split())
        if (app.client_id, user.id) not in self.consents or "impersonation" not in scopes:
            raise self.refused("consent")
        self.state.count("jwt", user)
        approval = self.state.alone(app, scopes, user)
        body = self.tokens(approval, None) | {"expires_in": JWT_S}
        approval.access[str(body["access_token"])] = self.state.clock.now() + JWT_S
        return JSONResponse(body, headers=NO_STORE)

    async def _userinfo(self, request: Request) -> Response:
        def card(approval: Approval) -> dict[str, object]:
            user = approval.user
            given, _, family = user.name.partition(" ")
            return {
                "sub": user.id,
                "name": user.name,
                "given_name": given,
                "family_name": family,
                "email": user.user_name,
                "created": "2020-01-01T00:00:00.000",
                "accounts": self._accounts(user),
            }

        return await self.answered(request, "userinfo", card, OVER)

    def _accounts(self, user: User) -> Accounts:
        mine: Accounts = [{"account_id": ACME, "is_default": True, "account_name": "Acme"}]
        return [one | {"base_uri": self.base} for one in self.accounts.get(user.user_name, mine)]

    async def _account(self, request: Request) -> Response:
        def shown(approval: Approval) -> dict[str, object] | Response:
            for one in self._accounts(approval.user):
                if one["account_id"] == request.path_params["id"]:
                    name = one["account_name"]
                    return {"accountIdGuid": one["account_id"], "accountName": name}
            return answers.DOCUSIGN["USER_LACKS_MEMBERSHIP"].response()

        return await self.answered(request, "account", shown, OVER)

    async def _revoke(self, request: Request) -> Response:
        """Of the integration that owns the token."""
        sent = await form(request)
        self.state.count("revoke")
        try:
            app = self.client(request, {})
        except Refused as error:
            return self.refusal(error)
        if trouble := await self.state.trouble("revoke"):
            return trouble
        self.state.end(sent.get("token", ""), app)
        return JSONResponse({}, headers=NO_STORE)
