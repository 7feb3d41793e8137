"""The project's identity provider: sign people in, believe id_tokens (OpenID Connect)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote_plus, urlsplit

from providers import jwt, oauth2
from providers.claims import Claims, Expected
from providers.egress import Answer, Egress
from providers.errors import ClientMisconfigured, HostRefused, NotProven, TryLater
from providers.jwt import KeySet, PublicKey
from providers.kept import Kept
from providers.places import origin_of_url
from providers.secret import Secret

SCOPES = ("openid", "profile", "email")
EVIDENCE_AGE_S = 300  # safety 28
ANEW = {"prompt": "login", "max_age": "0"}  # the second makes auth_time a part of the id_token

# Endpoints live on the issuer's own origin (safety 19). Who spreads them over further hosts is
# listed here, by issuer.
FURTHER_HOSTS: Mapping[str, frozenset[str]] = {
    "https://accounts.google.com": frozenset(
        {"https://oauth2.googleapis.com", "https://www.googleapis.com"}
    )
}


@dataclass(frozen=True, slots=True)
class Party:
    """Who we are at one issuer."""

    issuer: str
    client_id: str
    client_secret: Secret | None
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an issuer says of itself (OpenID Connect Discovery §3), once its hosts are its own."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_auth: Literal["client_secret_basic", "client_secret_post"]
    sends_issuer: bool


class Issuers:
    """Every issuer this process has met, with its discovery document and keys in memory.

    `now` is microseconds everywhere. Only issuers an operator pinned may be asked for (safety 5).
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._discovered: dict[str, Kept[Discovery]] = {}
        self._keys: dict[str, RemoteKeys] = {}

    async def discover(self, issuer: str, now: int) -> Discovery:
        """The issuer's document.

        ClientMisconfigured where it is another issuer's or names hosts that are not the issuer's;
        TryLater where it cannot be had.
        """
        if issuer not in self._discovered:
            if origin_of_url(issuer) is None:
                raise HostRefused("issuer-refused", "the issuer is not a web address")

            async def fetch() -> Discovery:
                url = issuer.rstrip("/") + "/.well-known/openid-configuration"
                return _discovery(issuer, _document(await self._egress.get(url)))

            self._discovered[issuer] = Kept(fetch)
        return await self._discovered[issuer].get(now)

    async def authorize_url(
        self, party: Party, *, state: str, nonce: str, challenge: str, now: int, anew: bool = False
    ) -> str:
        """Where the browser goes to sign in: code flow, PKCE S256, state and nonce; `anew` asks the
        person even where the issuer knows them (OpenID Connect Core §3.1.2.1).
        """
        found = await self.discover(party.issuer, now)
        return oauth2.authorize_url(
            found.authorization_endpoint,
            client_id=party.client_id,
            redirect_uri=party.redirect_uri,
            scopes=SCOPES,
            state=state,
            challenge=challenge,
            more={"nonce": nonce} | (ANEW if anew else {}),
        )

    async def sign_in(
        self,
        party: Party,
        *,
        answer: Mapping[str, str],
        verifier: Secret,
        nonce: str,
        now: int,
        since: int | None = None,
    ) -> Claims:
        """Redeem the callback's query and believe the id_token in it.

        The caller has matched `state` before. Denied where the query holds an error; the token
        endpoint's classes of failure; NotProven where the id_token does not prove the sign-in, or
        that the person was asked anew `since` then.
        """
        found = await self.discover(party.issuer, now)
        code = oauth2.code_of(
            answer, issuer=lambda sent: sent == party.issuer, issuer_promised=found.sends_issuer
        )
        form: dict[str, str | Secret] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": party.redirect_uri,
            "code_verifier": verifier,
        }
        headers = _authenticate(party, found, form)
        body = await oauth2.ask(self._egress, found.token_endpoint, form, headers=headers)
        token = body.get("id_token")
        if not isinstance(token, str):
            raise NotProven("no-id-token", "the answer holds no id_token: was openid asked for?")
        expected = Expected(party.issuer, party.client_id, nonce=nonce, since=since)
        return await jwt.verify(token, await self.keys(party.issuer, now), expected, now)

    async def check_evidence(
        self,
        id_token: str,
        *,
        issuer: str,
        audience: str,
        now: int,
        max_age_s: int = EVIDENCE_AGE_S,
        nonce: str | None = None,
    ) -> Claims:
        """Who an id_token proves was there within `max_age_s` (safety 28); NotProven otherwise.

        `claims.digest` is what "once per hash" counts on.
        """
        expected = Expected(issuer, audience, nonce=nonce, max_age_s=max_age_s)
        return await jwt.verify(id_token, await self.keys(issuer, now), expected, now)

    async def keys(self, issuer: str, now: int) -> RemoteKeys:
        """The issuer's keys, behind the jwks_uri its own document names."""
        uri = (await self.discover(issuer, now)).jwks_uri
        if uri not in self._keys:

            async def fetch() -> KeySet:
                return KeySet.parse(_document(await self._egress.get(uri)))

            self._keys[uri] = RemoteKeys(fetch)
        return self._keys[uri]


class RemoteKeys:
    """The keys behind a jwks_uri; an unknown `kid` asks for them anew, within `Kept`'s limits."""

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]]) -> None:
        self._kept = Kept(fetch)

    async def find(self, kid: str, alg: str, now: int) -> PublicKey:
        """The one key with this id; NotProven where there is none, TryLater where nobody knows."""
        return (await self._kept.get(now, suits=lambda keys: keys.has(kid, alg))).pick(kid, alg)


def _document(answer: Answer) -> object:
    """The JSON of a 200; everything else may be better in a while."""
    if answer.status != 200:
        raise TryLater(f"http-{answer.status}", "the issuer does not show its document")
    try:
        return answer.json()
    except ValueError:
        pass
    raise TryLater("unparsable", "the issuer's document is not JSON")


def _discovery(issuer: str, document: object) -> Discovery:
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ClientMisconfigured("issuer-mismatch", "the document is not this issuer's")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    posts = isinstance(methods, list) and "client_secret_basic" not in methods
    return Discovery(
        authorization_endpoint=_own(issuer, document, "authorization_endpoint"),
        token_endpoint=_own(issuer, document, "token_endpoint"),
        jwks_uri=_own(issuer, document, "jwks_uri"),
        token_auth="client_secret_post" if posts else "client_secret_basic",
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _own(issuer: str, document: Mapping[str, object], name: str) -> str:
    """An endpoint on the issuer's origin, or on a host that is known to be the issuer's."""
    url = document.get(name)
    where = origin_of_url(url) if isinstance(url, str) else None
    allowed = {origin_of_url(issuer), *FURTHER_HOSTS.get(issuer, ())}
    if not isinstance(url, str) or where is None or where not in allowed or urlsplit(url).fragment:
        raise HostRefused("endpoint-refused", f"{name} is not on a host of the issuer")
    return url


def _authenticate(party: Party, found: Discovery, form: dict[str, str | Secret]) -> dict[str, str]:
    """Our client id and secret, in the way the issuer takes them (RFC 6749 §2.3.1)."""
    if party.client_secret is None or found.token_auth == "client_secret_post":
        form["client_id"] = party.client_id
        if party.client_secret is not None:
            form["client_secret"] = party.client_secret
        return {}
    pair = f"{quote_plus(party.client_id)}:{quote_plus(party.client_secret.reveal())}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
