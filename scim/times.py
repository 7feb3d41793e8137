"""Instants: RFC 3339 text on the wire, microseconds UTC inside."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)


@lru_cache(maxsize=64)  # a new resource was made and changed at one time
def written(instant: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC, always with six decimals.

    One fixed width, so that texts of instants order as the instants do.
    """
    moment = EPOCH + timedelta(microseconds=instant)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def instant(text: str) -> int | None:
    """The microseconds since 1970 an xsd:dateTime means (RFC 7643 section 2.3.5), or None.

    Without an offset it is taken as UTC; decimals beyond the sixth are cut.
    """
    if (parts := DATE_TIME.fullmatch(text)) is None:
        return None
    year, month, day, hour, minute, second, decimals, offset = parts.groups()
    micros = int((decimals or "0")[:6].ljust(6, "0"))
    try:
        date = datetime(int(year), int(month), int(day), tzinfo=_zone(offset))
        moment = date.replace(
            hour=int(hour), minute=int(minute), second=int(second), microsecond=micros
        )
    except (ValueError, OverflowError):
        return None
    return (moment - EPOCH) // timedelta(microseconds=1)


def _zone(offset: str | None) -> timezone:
    if offset is None or offset in "Zz":
        return UTC
    span = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6]))
    return timezone(-span if offset[0] == "-" else span)
