"""Small readings of what programs send: members of a body, lives of a token, times to wait."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from providers.egress import Answer

YEAR_S = 365 * 24 * 3600
LONGEST_WAIT_S = 3600


def member(body: Mapping[str, object], path: str) -> object:
    """The member that `a.b` names: `b` of the object `a`; None where there is none."""
    found: object = body
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def lifetime(said: object) -> int | None:
    """`expires_in` as whole seconds, a year at most; None for what is no life at all.

    Programs send it as text, leave it out, or send 0 and less for "never": then nobody knows, the
    definition's assumption counts, and the caller's 401 report (K11) puts a wrong guess right.
    """
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        seconds = float(said)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(seconds) or seconds < 1:
        return None
    return min(int(seconds), YEAR_S)


def retry_after(answer: Answer) -> int | None:
    """`Retry-After` in seconds, an hour at most, from seconds or a date (RFC 9110 §10.2.3)."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(int(said[:9]), LONGEST_WAIT_S)
    try:
        then = parsedate_to_datetime(said)
        here = parsedate_to_datetime(answer.headers["date"])
    except (ValueError, KeyError):
        return None
    wait = (_aware(then) - _aware(here)).total_seconds()
    return min(max(int(wait), 0), LONGEST_WAIT_S)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def remaining(answer: Answer, exp: object) -> int | None:
    """Seconds until `exp` by the program's clock, which its Date header tells: ours may differ."""
    if isinstance(exp, bool) or not isinstance(exp, int | float):
        return None
    try:
        there = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return lifetime(exp - there.timestamp())
