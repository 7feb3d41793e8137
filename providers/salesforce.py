"""Salesforce: only what it does differently from RFC 6749."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

from providers import oauth2
from providers import salesforce_permissions as permissions
from providers.capabilities import (
    Account,
    Finding,
    Introspection,
    Registration,
    Report,
    TokenResponse,
)
from providers.definition import Definition
from providers.egress import TOTAL_S, Answer, Egress
from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    HostRefused,
    NotProven,
    ProviderError,
    TryLater,
)
from providers.salesforce_definition import DEFINITION
from providers.secret import Secret

SCOPES = ("api", "id", "refresh_token")
FEWEST_S = 0.5  # with less time left, a further call is not worth starting

# Salesforce's own flow errors [L3][L6]. Two refreshes of one token at the same time: the loser is
# told "invalid_grant" with one of these texts (release notes Summer '24), and its grant is fine.
DIALECT = oauth2.Dialect(
    grant_dead=frozenset({"inactive_user"}),
    misconfigured=frozenset({"invalid_client_id", "invalid_client_credentials", "inactive_org"}),
    transient=frozenset({"rate_limit_exceeded"}),
)
REFRESH = replace(
    DIALECT,
    transient_texts=("token request is already being processed", "expired authorization code"),
)

_IDENTITY = re.compile(r"/id/(00D[A-Za-z0-9]{12,15})/(005[A-Za-z0-9]{12,15})")


class Salesforce:
    """Authorize, exchange, refresh, revoke, introspect and test against one Salesforce host."""

    def __init__(self, egress: Egress, *, simulator: str | None = None) -> None:
        self._egress = egress
        self._definition = DEFINITION.with_rehearsal(simulator) if simulator else DEFINITION

    @property
    def definition(self) -> Definition:
        return self._definition

    def authorize_url(
        self,
        registration: Registration,
        *,
        state: str,
        challenge: str,
        scopes: tuple[str, ...] = (),
        claims: str | None = None,
    ) -> str:
        return oauth2.authorize_url(
            registration.origin + "/services/oauth2/authorize",
            client_id=registration.client_id,
            redirect_uri=registration.redirect_uri,
            scopes=_wanted(scopes),
            state=state,
            challenge=challenge,
            more={"claims": claims} if claims else None,
        )

    async def exchange(
        self, registration: Registration, *, answer: Mapping[str, str], verifier: Secret
    ) -> TokenResponse:
        """Redeem the code; then ask who it is for, and how long the access token lives."""
        code = oauth2.code_of(answer, issuer=lambda sent: _ours(registration, sent))
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": registration.redirect_uri,
            "code_verifier": verifier,
            **_client(registration),
        }
        until = _now() + TOTAL_S
        body = await oauth2.ask(self._egress, _token_url(registration), form, dialect=DIALECT)
        given = _believed(registration, body)
        account = await self._account(registration, body.get("id"), given.access_token, until)
        return replace(await self._timed(registration, given, until), account=account)

    async def refresh(
        self, registration: Registration, refresh_token: Secret, *, scopes: tuple[str, ...] = ()
    ) -> TokenResponse:
        """A new access token; `scopes` are those of the grant, which Salesforce does not take."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            **_client(registration),
        }
        until = _now() + TOTAL_S
        body = await oauth2.ask(self._egress, _token_url(registration), form, dialect=REFRESH)
        return await self._timed(registration, _believed(registration, body, scopes), until)

    async def revoke(self, registration: Registration, token: Secret) -> None:
        url = registration.origin + "/services/oauth2/revoke"
        answer = await oauth2.send(self._egress, url, {"token": token})
        if answer.status == 200:
            return
        try:
            oauth2.sort(answer, DIALECT, (token,))
        except ProviderError as error:
            # RFC 7009 §2.2: a token that is dead already counts as revoked; Salesforce says so with
            # an error instead of a 200.
            if error.provider_code not in ("invalid_token", "unsupported_token_type"):
                raise

    async def introspect(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Introspection:
        return await self._introspect(registration, access_token, base_url, TOTAL_S)

    async def test(self, registration: Registration) -> Report:
        """Redeem a code that was never given: whoever is told so is known here.

        Salesforce looks at the client before it looks at the code°.
        """
        form = {
            "grant_type": "authorization_code",
            "code": Secret("test-of-the-connector"),
            "redirect_uri": registration.redirect_uri,
            **_client(registration),
        }
        try:
            await oauth2.ask(self._egress, _token_url(registration), form, dialect=DIALECT)
        except GrantDead:
            return Report((Finding("ok", "Salesforce knows this consumer key and secret."),))
        raise ClientMisconfigured("test-refused", "the host redeemed a code that does not exist")

    async def check(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Report:
        """The saved identity: who it is, whether the API answers, which permissions it has."""
        base = registration.environment.trusted(base_url)
        version = registration.fields.get("api_version") or "62.0"
        bearer = _bearer(access_token)
        answer = await self._egress.get(base + "/services/oauth2/userinfo", headers=bearer)
        who = _json(answer)
        if answer.status in (401, 403) or not isinstance(who.get("user_id"), str):
            return Report((Finding("failure", "Salesforce does not accept the access token."),))
        found = [Finding("ok", f"Connected as {who.get('preferred_username') or who['user_id']}.")]
        data = f"{base}/services/data/v{version}"
        limits = await self._egress.get(data + "/limits", headers=bearer, limit=256 * 1024)
        if limits.status != 200:
            found.append(Finding("failure", "The API does not answer: is API Enabled set?"))
            return Report(tuple(found))
        found.append(Finding("ok", "The API answers."))
        query = urlencode({"q": permissions.query(str(who["user_id"]))})
        rows = _json(await self._egress.get(f"{data}/query?{query}", headers=bearer))
        emails = registration.fields.get("send_email") == "yes"
        return Report((*found, *permissions.findings(rows.get("records"), emails=emails)))

    async def _account(
        self, registration: Registration, identity: object, token: Secret, until: float
    ) -> Account:
        """The organization and user of the identity URL, and the name people know them by."""
        url = registration.environment.trusted(identity)
        named = _IDENTITY.fullmatch(urlsplit(url).path)
        if named is None or "?" in url or "#" in url:
            raise NotProven("identity", "the answer names no organization and user")
        account = Account(":".join(named.groups()), named[2])
        if _left(until) < FEWEST_S:
            return account
        try:
            answer = await self._egress.get(url, headers=_bearer(token), total_s=_left(until))
        except TryLater:
            return account  # the code is spent, the key is known: only the name has to wait
        if answer.status >= 500:
            return account
        who = _json(answer)
        if (who.get("organization_id"), who.get("user_id")) != named.groups():
            raise NotProven("identity", "the identity URL answers for somebody else")
        return replace(account, display=str(who.get("username") or named[2]))

    async def _timed(
        self, registration: Registration, given: TokenResponse, until: float
    ) -> TokenResponse:
        """The same answer with the life Salesforce's introspection knows.

        Only a courtesy: whatever goes wrong here, the tokens are good and must not be lost. An
        inactive answer for a token of this second means that this app may not introspect.
        """
        if given.expires_in_s is not None or given.base_url is None or _left(until) < FEWEST_S:
            return given
        try:
            alive = await self._introspect(
                registration, given.access_token, given.base_url, _left(until)
            )
        except ProviderError:
            return given
        return replace(given, expires_in_s=alive.expires_in_s) if alive.active else given

    async def _introspect(
        self, registration: Registration, token: Secret, base_url: str, total_s: float
    ) -> Introspection:
        form = {"token": token, "token_type_hint": "access_token", **_client(registration)}
        url = registration.environment.trusted(base_url) + "/services/oauth2/introspect"
        answer = await oauth2.send(self._egress, url, form, total_s=total_s)
        body = oauth2.sort(answer, DIALECT, oauth2.secrets_of(form))
        if body.get("active") is not True:
            return Introspection(False, None)
        return Introspection(True, _remaining(answer, body.get("exp")))


def _wanted(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Ours and the step's, each once: without `refresh_token` there would be none [L3]."""
    return tuple(dict.fromkeys((*SCOPES, *scopes)))


def _ours(registration: Registration, issuer: str) -> bool:
    """RFC 9207: the host we asked, or the My Domain it stands for."""
    try:
        registration.environment.trusted(issuer)
    except HostRefused:
        return False
    return True


def _token_url(registration: Registration) -> str:
    return registration.origin + "/services/oauth2/token"


def _client(registration: Registration) -> dict[str, str | Secret]:
    named: dict[str, str | Secret] = {"client_id": registration.client_id}
    if registration.client_secret is not None:
        named["client_secret"] = registration.client_secret
    return named


def _believed(
    registration: Registration, body: Mapping[str, object], asked: tuple[str, ...] = ()
) -> TokenResponse:
    """The tokens; an `instance_url` beside them has to be Salesforce's (safety 19)."""
    given = oauth2.tokens(body, asked=_wanted(asked))
    if "instance_url" not in body:
        return given
    base = registration.environment.trusted(body["instance_url"])
    return replace(given, base_url=base.rstrip("/"))


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json"}


def _json(answer: Answer) -> dict[str, object]:
    """The JSON object of a 200; an empty one for everything else."""
    try:
        body = answer.json() if answer.status == 200 else None
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _remaining(answer: Answer, exp: object) -> int | None:
    """Seconds until `exp` by Salesforce's clock, which its Date header tells: ours may differ."""
    if isinstance(exp, bool) or not isinstance(exp, int | float):
        return None
    try:
        there = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return oauth2.lifetime(exp - there.timestamp())


def _now() -> float:
    return asyncio.get_running_loop().time()


def _left(until: float) -> float:
    return until - _now()
