"""What is read out of a program's answers beside tokens: who, whether alive, whether over."""

import asyncio
from collections.abc import Mapping

from providers import oauth2
from providers.capabilities import Introspection
from providers.egress import Answer
from providers.errors import ProviderError, TryLater
from providers.reading import remaining, retry_after
from providers.secret import Secret

FEWEST_S = 0.5  # with less time left, a further call is not worth starting


def within(seconds: float) -> float:
    """The moment that is so far away, by the clock of `left`."""
    return asyncio.get_running_loop().time() + seconds


def left(until: float) -> float:
    """Seconds until a moment."""
    return until - asyncio.get_running_loop().time()


def bearer(token: Secret) -> dict[str, str]:
    """The headers of a call with an access token (RFC 6750 §2.1) that wants JSON."""
    return {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json"}


def told(answer: Answer, token: Secret) -> Mapping[str, object] | None:
    """What a call with a token was told; None where the token is not accepted.

    TryLater and the other classes for every other answer that is no JSON object.
    """
    if answer.status in (401, 403):
        return None
    return oauth2.sort(answer, oauth2.PLAIN, (token,))


def accepted(answer: Answer) -> bool:
    """Whether a call with a token was let in; TryLater where the answer says nothing of that."""
    if answer.status >= 500 or 300 <= answer.status < 400 or answer.status in (408, 425, 429):
        raise TryLater(f"http-{answer.status}", retry_after_s=retry_after(answer))
    return answer.status < 300


def revoked(answer: Answer, dialect: oauth2.Dialect, sent: tuple[Secret, ...]) -> None:
    """Nothing where the token is dead there now, else the class of the failure."""
    if 200 <= answer.status < 300:
        return
    try:
        oauth2.sort(answer, dialect, sent)
    except ProviderError as error:
        # RFC 7009 §2.2: a token that is dead already counts as revoked; some say so with an
        # error instead of a 200.
        if error.provider_code not in ("invalid_token", "unsupported_token_type"):
            raise


def introspected(
    answer: Answer, dialect: oauth2.Dialect, sent: tuple[Secret, ...]
) -> Introspection:
    """What an introspection (RFC 7662 §2.2) says of the token."""
    body = oauth2.sort(answer, dialect, sent)
    if body.get("active") is not True:
        return Introspection(False, None)
    return Introspection(True, remaining(answer, body.get("exp")))
