"""Instants on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim import times

INSTANTS = st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000)


@given(INSTANTS)
def test_written_is_read_back(instant: int) -> None:
    """An instant survives being written, to the microsecond."""
    assert times.instant(times.written(instant)) == instant


@given(INSTANTS, INSTANTS)
def test_texts_order_as_instants_do(left: int, right: int) -> None:
    """Written instants sort as texts exactly as they sort in time."""
    assert (times.written(left) < times.written(right)) == (left < right)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_an_offset_is_subtracted(moment: datetime, minutes: int) -> None:
    """The same instant under any offset is one instant (RFC 7643 section 2.3.5)."""
    if not 2 < moment.year < 9998:
        return
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    zulu = (moment - timedelta(minutes=minutes)).replace(tzinfo=UTC)
    text = moment.isoformat(timespec="microseconds")
    assert times.instant(text + offset) == times.instant(zulu.isoformat().replace("+00:00", "Z"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-01-31",
        "2026-13-01T00:00:00Z",
        "2026-01-31T25:00:00Z",
        "now",
        "12:00:00Z",
        "2026-01-31T12:00:00+99:99",
        "2026-01-31T12:00:00Zzz",
        "٢٠٢٦-01-31T12:00:00Z",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    """Anything but an xsd:dateTime is no instant."""
    assert times.instant(text) is None
