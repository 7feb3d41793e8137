"""Time inside the house: whole microseconds since 1970, UTC; RFC 3339 only at its faces."""

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def rfc3339(micros: int) -> str:
    """`2026-11-21T14:07:40.123456Z`, the form every answer uses.

    What the calendar does not reach is its first or its last moment.
    """
    moment = EPOCH + timedelta(microseconds=min(max(micros, EARLIEST), LATEST))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def micros(text: str) -> int:
    """The instant an RFC 3339 text names; ValueError where it names none or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset, such as Z")
    return (moment - EPOCH) // timedelta(microseconds=1)
