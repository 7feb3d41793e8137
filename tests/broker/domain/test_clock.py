"""Time: whole microseconds inside, RFC 3339 at the faces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import clock

YEAR_2200 = 7_258_118_400_000_000


@given(st.integers(min_value=0, max_value=YEAR_2200))
def test_every_instant_survives_its_text(instant: int) -> None:
    """An instant read from its own RFC 3339 text is the same microsecond."""
    assert clock.micros(clock.rfc3339(instant)) == instant


def test_the_text_names_microseconds_and_utc() -> None:
    """Answers always carry six digits and a Z (api.md, conventions)."""
    assert clock.rfc3339(1_500_000) == "1970-01-01T00:00:01.500000Z"


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_whatever_is_stored_has_a_text(instant: int) -> None:
    """An answer never fails for a time it holds: beyond the calendar it is the calendar's end."""
    assert clock.micros(clock.rfc3339(instant)) == min(max(instant, clock.EARLIEST), clock.LATEST)


def test_an_offset_is_understood() -> None:
    """Another offset names the same instant."""
    assert clock.micros("1970-01-01T02:00:01+02:00") == clock.SECOND


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00", "yesterday"])
def test_a_time_without_offset_or_sense_is_refused(text: str) -> None:
    """A local time names no instant, and a word none either."""
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        clock.micros(text)
