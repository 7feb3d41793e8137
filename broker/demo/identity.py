"""A pretend OpenID Connect identity provider, where signing in is picking who you are.

`sub` is the person's externalId. It signs with RS256 and, for clients that want it, ES256; in front
of its keys stands one of a kind nobody here takes, as at many real issuers.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.demo.page import back, form, hidden, page, redirect
from broker.demo.people import PEOPLE, Person
from broker.demo.proofs import basic
from broker.demo.world import Clock, Switches, answer_of
from providers.jwt import Algorithm, SigningKey

CODE_S = 60
TOKEN_S = 300
NO_STORE = {"Cache-Control": "no-store"}
FOREIGN_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "ed",
    "use": "sig",
    "x": "11qYAYKxCrfVS_7TyWQHOg",
}


@dataclass
class Client:
    """A relying party; `redirect_prefix` accepts every URI that starts with it."""

    client_id: str
    client_secret: str
    redirect_uris: set[str] = field(default_factory=set)
    redirect_prefix: str | None = None
    algorithm: Algorithm = "RS256"

    def takes(self, redirect_uri: str) -> bool:
        prefix = self.redirect_prefix
        return redirect_uri in self.redirect_uris or bool(
            prefix and redirect_uri.startswith(prefix)
        )


@dataclass
class Code:
    """One authorization code and what it was given for."""

    client: Client
    person: Person
    redirect_uri: str
    challenge: str
    nonce: str | None
    ends_at: float


class Identity:
    """The endpoints, the keys and what is remembered between two requests."""

    def __init__(self, issuer: str, clock: Clock) -> None:
        self.issuer = issuer
        self.clock = clock
        self.switches = Switches()
        self.clients: dict[str, Client] = {}
        self.people: dict[str, Person] = {person.external_id: person for person in PEOPLE}
        self.keys: dict[Algorithm, SigningKey] = {}
        self.codes: dict[str, Code] = {}
        self.rotate()

    def rotate(self) -> None:
        """New keys; the old ones are no longer published."""
        self.keys = {"RS256": SigningKey.generate("RS256"), "ES256": SigningKey.generate("ES256")}

    def register(self, client: Client) -> Client:
        """A relying party, new or in place of the one with its client id."""
        self.clients[client.client_id] = client
        return client

    def mint(
        self,
        person: Person,
        audience: str,
        *,
        nonce: str | None = None,
        algorithm: Algorithm = "RS256",
        age_s: int = 0,
        more: Mapping[str, object] | None = None,
    ) -> str:
        """An id_token that this person signed in `age_s` seconds ago; `more` adds or replaces."""
        issued = int(self.clock.now()) - age_s
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": person.external_id,
            "aud": audience,
            "iat": issued,
            "exp": issued + TOKEN_S,
            "auth_time": issued,
            "name": person.display_name,
            "given_name": person.given,
            "family_name": person.family,
            "email": person.user_name,
            "email_verified": True,
            "preferred_username": person.user_name,
        }
        if nonce is not None:
            claims["nonce"] = nonce
        if person.roles:
            claims["roles"] = list(person.roles)
        return self.keys[algorithm].sign({**claims, **(more or {})})

    def decide(self, query: Mapping[str, str], external_id: str | None) -> str:
        """Where the page sends the browser once a person is picked; None is "nobody".

        ValueError where the page itself would show an error.
        """
        client = self._client_of(query)
        answer = {"error": "access_denied", "error_description": "nobody signed in"}
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            answer = {"error": "invalid_request", "error_description": "code and PKCE are needed"}
        elif "openid" not in query.get("scope", "").split():
            answer = {"error": "invalid_scope", "error_description": "openid is needed"}
        elif external_id is not None:
            text = secrets.token_urlsafe(24)
            self.codes[text] = Code(
                client,
                self.people[external_id],
                query["redirect_uri"],
                query.get("code_challenge", ""),
                query.get("nonce"),
                self.clock.now() + CODE_S,
            )
            answer = {"code": text}
        answer["iss"] = self.issuer  # RFC 9207
        if "state" in query:
            answer["state"] = query["state"]
        return back(query["redirect_uri"], answer)

    def routes(self) -> list[Route]:
        """To be mounted where the issuer says it is."""
        return [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/keys", self._jwks),
            Route("/authorize", self._page, methods=["GET"]),
            Route("/authorize", self._picked, methods=["POST"]),
            Route("/token", self._token, methods=["POST"]),
        ]

    async def _discovery(self, _: Request) -> Response:
        if (met := await self.switches.take("discovery")) and (told := answer_of(met)):
            return told
        return JSONResponse(self._document())

    def _document(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token",
            "jwks_uri": self.issuer + "/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "profile", "email"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    async def _jwks(self, _: Request) -> Response:
        if (met := await self.switches.take("keys")) and (told := answer_of(met)):
            return told
        return JSONResponse({"keys": [FOREIGN_KEY, *(key.public() for key in self.keys.values())]})

    async def _page(self, request: Request) -> Response:
        query = dict(request.query_params)
        try:
            client = self._client_of(query)
        except ValueError as error:
            return page("You cannot sign in", f"<p>{escape(str(error))}</p>", 400)
        hint = query.get("login_hint")
        people = sorted(self.people.values(), key=lambda one: one.user_name != hint)
        buttons = "".join(
            f'<li><button name="person" value="{escape(one.external_id)}">'
            f"{escape(one.display_name)}</button> {escape(one.user_name)}</li>"
            for one in people
        )
        return page(
            "Sign in to Acme",
            f"<p>{escape(client.client_id)} wants to know who you are.</p>"
            f'<form method="post">{hidden(query)}<p><button name="person" value="">Nobody</button>'
            f"</p><ul>{buttons}</ul></form>",
        )

    async def _picked(self, request: Request) -> Response:
        sent = await form(request)
        person = sent.pop("person", "") or None
        if person is not None and person not in self.people:
            return page("You cannot sign in", "<p>There is no such person.</p>", 400)
        try:
            return redirect(self.decide(sent, person))
        except ValueError as error:
            return page("You cannot sign in", f"<p>{escape(str(error))}</p>", 400)

    async def _token(self, request: Request) -> Response:
        sent = await form(request)
        client_id, secret = basic(request) or (sent.get("client_id"), sent.get("client_secret"))
        client = self.clients.get(client_id or "")
        if client is None or not hmac.compare_digest(client.client_secret, secret or ""):
            challenge = {"WWW-Authenticate": 'Basic realm="identity"', **NO_STORE}
            return JSONResponse({"error": "invalid_client"}, 401, challenge)
        if (met := await self.switches.take("token")) and (told := answer_of(met)):
            return told
        if sent.get("grant_type") != "authorization_code":
            return JSONResponse({"error": "unsupported_grant_type"}, 400, NO_STORE)
        code = self.codes.pop(sent.get("code", ""), None)
        if code is None or not self._redeems(code, client, sent):
            return JSONResponse({"error": "invalid_grant"}, 400, NO_STORE)
        body = {
            "access_token": secrets.token_urlsafe(32),
            "token_type": "Bearer",
            "expires_in": TOKEN_S,
            "id_token": self.mint(
                code.person, client.client_id, nonce=code.nonce, algorithm=client.algorithm
            ),
        }
        return JSONResponse(body, headers=NO_STORE)

    def _redeems(self, code: Code, client: Client, sent: Mapping[str, str]) -> bool:
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        return (
            code.client is client
            and code.redirect_uri == sent.get("redirect_uri")
            and code.challenge == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            and code.ends_at >= self.clock.now()
        )

    def _client_of(self, query: Mapping[str, str]) -> Client:
        client = self.clients.get(query.get("client_id", ""))
        if client is None:
            raise ValueError("There is no such client.")
        if not client.takes(query.get("redirect_uri", "")):
            raise ValueError("The redirect URI is not registered.")
        return client
