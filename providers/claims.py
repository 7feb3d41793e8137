"""What a token has to say before it is believed; every claim is checked here, on a given clock."""

import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.errors import NotProven

SECOND = 1_000_000
LEEWAY = 30 * SECOND


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose token it must be and for whom.

    A `nonce` that is given has to come back. `max_age_s` bounds the time since `iat`; the person
    has to have shown who they are, not only been known, `since` then (µs).
    """

    issuer: str
    audience: str
    nonce: str | None = None
    max_age_s: int | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """A believed token: who (issuer and subject), and what else it says.

    `digest` is SHA-256 over what was signed. The text of a signature has spare bits, so one token
    can be written in several ways: "once per hash" (safety 28) counts on this instead.
    """

    issuer: str
    subject: str
    all: Mapping[str, object] = field(repr=False)
    digest: bytes


def check(claims: Mapping[str, object], expected: Expected, now: int) -> None:
    """NotProven unless the token is for us, now (OpenID Connect Core §3.1.3.7, RFC 7519 §4.1)."""
    if claims.get("iss") != expected.issuer:
        raise NotProven("issuer", "the token is of another issuer")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise NotProven("subject", "the token names nobody")
    _check_audience(claims, expected.audience)
    _check_times(claims, expected.max_age_s, now)
    if expected.since is not None and instant(claims, "auth_time") + LEEWAY < expected.since:
        raise NotProven("auth-time", "the person was not asked anew who they are")
    if expected.nonce is not None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not _same(nonce, expected.nonce):
            raise NotProven("nonce", "the token answers another request")


def _check_audience(claims: Mapping[str, object], audience: str) -> None:
    named = claims.get("aud")
    everyone = named if isinstance(named, list) else [named]
    if audience not in everyone:
        raise NotProven("audience", "the token is for somebody else")
    if ("azp" in claims or len(everyone) > 1) and claims.get("azp") != audience:
        raise NotProven("authorized-party", "the token was given to another party")


def _check_times(claims: Mapping[str, object], max_age_s: int | None, now: int) -> None:
    issued = instant(claims, "iat")
    if instant(claims, "exp") + LEEWAY <= now:
        raise NotProven("expired", "the token is over")
    if issued > now + LEEWAY:
        raise NotProven("issued-in-future", "the token is from the future")
    if "nbf" in claims and instant(claims, "nbf") > now + LEEWAY:
        raise NotProven("not-yet", "the token does not count yet")
    if max_age_s is not None and now - issued > max_age_s * SECOND:
        raise NotProven("too-old", f"the token is older than {max_age_s} seconds")


def instant(claims: Mapping[str, object], name: str) -> int:
    """A NumericDate as microseconds; a text or a boolean is none (RFC 7519 §2)."""
    said = claims.get(name)
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise NotProven(f"claim-{name}", f"the token has no {name} that is a number")
    return int(said * SECOND)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
