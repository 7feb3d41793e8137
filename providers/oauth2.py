"""RFC 6749 with PKCE (RFC 7636) and issuer check (RFC 9207); every answer sorted into its class."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlencode

from providers import redaction
from providers.capabilities import TokenResponse
from providers.egress import TOTAL_S, Answer, Egress
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.reading import lifetime, member, retry_after
from providers.secret import Secret

TOKEN_LIMIT = 16 * 1024

PERSON_NEEDED = frozenset({"interaction_required", "consent_required", "login_required"})
PERSON_SUBERRORS = frozenset(
    {
        "basic_action",
        "additional_action",
        "message_only",
        "consent_required",
        "user_password_expired",
        "protection_policy_required",
    }
)
MISCONFIGURED = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "redirect_uri_mismatch"}
)
TRANSIENT = frozenset({"temporarily_unavailable", "server_error"})
TRANSIENT_STATUS = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Dialect:
    """The codes one program adds to those of RFC 6749, class by class.

    `transient_texts` and `misconfigured_texts` are lower-case pieces of a description that decide
    whatever the code: some programs say `invalid_grant` where they mean "not at the same time", or
    that they do not know the client.
    `error_at` is where a body has the error code, whatever its status: some programs put one into a
    200 and mean it (`{"ok": false, "error": …}`).
    """

    grant_dead: frozenset[str] = frozenset()
    person_needed: frozenset[str] = frozenset()
    misconfigured: frozenset[str] = frozenset()
    transient: frozenset[str] = frozenset()
    transient_texts: tuple[str, ...] = ()
    misconfigured_texts: tuple[str, ...] = ()
    error_at: str = "error"


PLAIN = Dialect()


@dataclass(frozen=True, slots=True)
class Pkce:
    """One proof key (RFC 7636): the verifier stays here, the S256 challenge travels."""

    verifier: Secret
    challenge: str

    @classmethod
    def new(cls) -> Pkce:
        """A fresh pair from 256 random bits."""
        verifier = secrets.token_urlsafe(32)
        return cls(Secret(verifier), challenge_of(verifier))


def challenge_of(verifier: str) -> str:
    """BASE64URL(SHA256(verifier)) without padding (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorize_url(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    state: str,
    challenge: str,
    more: Mapping[str, str] | None = None,
) -> str:
    """The authorization request (RFC 6749 §4.1.1) as the address a browser is sent to."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **(more or {}),
    }
    return endpoint + "?" + urlencode({name: value for name, value in query.items() if value})


def code_of(
    answer: Mapping[str, str], *, issuer: Callable[[str], bool], issuer_promised: bool = False
) -> Secret:
    """The code out of a callback's query; Denied where the program says no.

    RFC 9207 §2.4: an `iss` that is sent has to be the issuer we asked, before anything else of the
    answer is believed; a missing one counts where the issuer promised to send it.
    """
    sent = answer.get("iss")
    if (sent is None and issuer_promised) or (sent is not None and not issuer(sent)):
        raise NotProven("issuer-mismatch", "the answer comes from another authorization server")
    if "error" in answer:
        word = redaction.code(answer["error"])
        raise Denied(word, redaction.text(answer.get("error_description")))
    if not answer.get("code"):
        raise Denied("no-code", "the answer holds neither a code nor an error")
    return Secret(answer["code"])


Form = Mapping[str, str | Secret]


def redeeming(code: Secret, redirect_uri: str, verifier: Secret) -> Form:
    """The form that turns a code into tokens (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }


async def send(
    egress: Egress,
    endpoint: str,
    form: Form,
    *,
    headers: Mapping[str, str] | None = None,
    total_s: float = TOTAL_S,
) -> Answer:
    """POST a form with its secrets opened: here, and at no other place of an OAuth call."""
    plain = {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in form.items()
    }
    accept = {"Accept": "application/json", **(headers or {})}
    return await egress.post(endpoint, plain, headers=accept, total_s=total_s)


async def ask(
    egress: Egress,
    endpoint: str,
    form: Form,
    *,
    dialect: Dialect = PLAIN,
    headers: Mapping[str, str] | None = None,
) -> Mapping[str, object]:
    """POST to a token endpoint; the JSON object of a good answer, else its class of failure."""
    answer = await send(egress, endpoint, form, headers=headers)
    return sort(answer, dialect, secrets_of(form))


def secrets_of(form: Form) -> tuple[Secret, ...]:
    """What an error text may not repeat."""
    return tuple(value for value in form.values() if isinstance(value, Secret))


def sort(answer: Answer, dialect: Dialect, sent: tuple[Secret, ...] = ()) -> Mapping[str, object]:
    """The body of a good answer; every other answer raises its ProviderError."""
    status = answer.status
    if status >= 500 or status in TRANSIENT_STATUS:
        raise TryLater(f"http-{status}", retry_after_s=retry_after(answer))
    if 300 <= status < 400:
        raise TryLater("redirect", "the answer is a redirect, and those are not followed")
    body = _object(answer)
    if body is None:
        if answer.body.strip() or status < 300:
            raise TryLater("unparsable", f"status {status} with a body that is no JSON object")
        _refuse(status, None, {}, dialect, sent, answer)
    error = member(body, dialect.error_at)
    if status >= 300 or error:
        _refuse(status, error, body, dialect, sent, answer)
    return body


def _refuse(
    status: int,
    error: object,
    body: Mapping[str, object],
    dialect: Dialect,
    sent: tuple[Secret, ...],
    answer: Answer,
) -> NoReturn:
    """Raise the class of an error answer; the rows in the order in which they take precedence."""
    word = redaction.code(error, sent) if error else f"http-{status}"
    words = redaction.text(body.get("error_description"), sent)
    suberror, claims = body.get("suberror"), body.get("claims")
    suberror = redaction.code(suberror, sent) if suberror else None
    if word in PERSON_NEEDED | dialect.person_needed or suberror in PERSON_SUBERRORS:
        raise PersonNeeded(
            word, words, suberror=suberror, claims=claims if isinstance(claims, str) else None
        )
    said = words.lower()
    busy = any(piece in said for piece in dialect.transient_texts)
    if busy or word in TRANSIENT | dialect.transient:
        raise TryLater(word, words, retry_after_s=retry_after(answer))
    if any(piece in said for piece in dialect.misconfigured_texts):
        raise ClientMisconfigured(word, words)
    kind: type[ProviderError] = Unclassified
    if word in dialect.grant_dead or (word == "invalid_grant" and status in (200, 400, 401)):
        kind = GrantDead
    elif word in MISCONFIGURED | dialect.misconfigured:
        kind = ClientMisconfigured
    elif status == 401:
        kind = ClientMisconfigured  # 401 alone speaks of us, never of the person's grant
    raise kind(word, words)


def tokens(body: Mapping[str, object], *, asked: tuple[str, ...] = ()) -> TokenResponse:
    """A token answer (RFC 6749 §5.1), checked; TryLater where it holds no token, so none is lost.

    A missing `scope` means the scopes that were asked for. Where the program tells the life of the
    refresh token, AD FS's and Keycloak's words for it are understood.
    """
    access = body.get("access_token")
    if not isinstance(access, str) or not access.strip():
        raise TryLater("no-access-token", "the answer is a success without an access token")
    refresh = body.get("refresh_token")
    refresh = refresh if isinstance(refresh, str) and refresh else None
    if len(access) > TOKEN_LIMIT or len(refresh or "") > TOKEN_LIMIT:
        raise TryLater("token-too-long", f"a token is longer than {TOKEN_LIMIT} characters")
    kind = body.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Unclassified("token-type", "the access token is of a type we cannot use")
    scope = body.get("scope")
    return TokenResponse(
        access_token=Secret(access),
        refresh_token=Secret(refresh) if refresh else None,
        expires_in_s=lifetime(body.get("expires_in")),
        scopes=tuple(scope.split()) if isinstance(scope, str) and scope.strip() else asked,
        base_url=None,
        account=None,
        grant_expires_in_s=lifetime(
            body.get("refresh_token_expires_in", body.get("refresh_expires_in"))
        ),
    )


def _object(answer: Answer) -> Mapping[str, object] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
