"""Schedules: moments in a time zone, whatever the clocks do there."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain.clock import HOUR, MINUTE, SECOND, micros, rfc3339
from broker.domain.directories import Schedule
from broker.domain.errors import Invalid
from broker.domain.schedules import checked, following, sentence

BERLIN = "Europe/Berlin"
NIGHTLY = Schedule("30 2 * * *", BERLIN)
NOW = micros("2026-11-21T12:00:00Z")


def times(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next times as a face shows them, to the minute."""
    return [rfc3339(at)[:16] for at in following(schedule, "dir_1", micros(after), count)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # 29 March 2026: 02:00 becomes 03:00, and there is no 02:30.
        ("2026-03-28T12:00:00Z", ["2026-03-29T01:00", "2026-03-30T00:30", "2026-03-31T00:30"]),
        ("2026-03-29T01:00:00Z", ["2026-03-30T00:30"]),
        # 25 October 2026: 03:00 becomes 02:00, and 02:30 comes twice.
        ("2026-10-24T12:00:00Z", ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"]),
        ("2026-10-25T00:30:00Z", ["2026-10-26T01:30"]),
        ("2026-10-25T00:45:00Z", ["2026-10-26T01:30"]),
        ("2026-10-25T01:10:00Z", ["2026-10-26T01:30"]),
    ],
)
def test_half_past_two_comes_once_on_both_days_of_change(after: str, expected: list[str]) -> None:
    """c.6, daylight saving: the time left out comes when the clocks have changed, the one that
    comes twice comes once, from wherever one looks.
    """
    assert times(NIGHTLY, after, len(expected)) == expected


def test_every_hour_is_every_hour_when_the_clocks_change() -> None:
    """A schedule of hours follows the time that passes: 25 times on one day, 23 on the other."""
    hourly = Schedule("0 * * * *", BERLIN)
    for day, hours in (("2026-10-24T22:00:00Z", 25), ("2026-03-28T23:00:00Z", 23)):
        slots = following(hourly, "dir_1", micros(day) - 1, hours)
        assert [later - each for each, later in pairwise(slots)] == [HOUR] * (hours - 1)


@given(
    minutes=st.integers(0, 366 * 24 * 60),
    cron=st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 3 * * 0", "15 2,3 * * *", "0 0 1 * *"]),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_time_is_the_same_from_wherever_one_looks(minutes: int, cron: str, zone: str) -> None:
    """Each time is later than the moment asked about, and the next one from there is the second:
    so whoever goes from one to the next has each once.
    """
    schedule = Schedule(cron, zone)
    now = micros("2026-01-01T00:00:00Z") + minutes * MINUTE
    first, second, third = following(schedule, "dir_1", now, 3)
    assert now < first < second < third
    assert following(schedule, "dir_1", first, 2) == [second, third]


def test_jitter_is_of_the_time_and_the_directory() -> None:
    """Every replica computes the same, another directory another, and no time passes the next."""
    schedule = Schedule("*/10 * * * *", "UTC", 500)
    plain = following(Schedule("*/10 * * * *"), "dir_1", NOW, 50)
    spread = following(schedule, "dir_1", NOW, 50)
    assert spread == following(schedule, "dir_1", NOW, 50)
    late = [(later - at) // SECOND for at, later in zip(plain, spread, strict=True)]
    assert all(0 <= each <= 500 for each in late)
    assert len(set(late)) > 25
    assert spread != following(schedule, "dir_2", NOW, 50)
    assert spread == sorted(spread)


@pytest.mark.parametrize(
    ("schedule", "reason", "pointer"),
    [
        (Schedule("* * * *"), "invalid-schedule", "/cron"),
        (Schedule("* * * * * *"), "invalid-schedule", "/cron"),
        (Schedule("@daily"), "invalid-schedule", "/cron"),
        (Schedule("61 * * * *"), "invalid-schedule", "/cron"),
        (Schedule("0 0 30 2 *"), "invalid-schedule", "/cron"),
        (Schedule("0 0 * * *", "Berlin"), "unknown-zone", "/zone"),
        (Schedule("0 0 * * *", "Europe"), "unknown-zone", "/zone"),
        (Schedule("0 0 * * *", "../etc/passwd"), "unknown-zone", "/zone"),
        (Schedule("0 0 * * *", ""), "unknown-zone", "/zone"),
        (Schedule("0 0 * * *", "UTC", 3601), "invalid-jitter", "/jitter_s"),
        (Schedule("* * * * *", "UTC", 60), "invalid-jitter", "/jitter_s"),
    ],
)
def test_what_names_no_moment_is_refused(schedule: Schedule, reason: str, pointer: str) -> None:
    """Nothing is kept that could never be due, or whose times would run into each other."""
    with pytest.raises(Invalid) as refused:
        checked(schedule, now=NOW)
    assert refused.value.reason == reason
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "0 0 L * *", "*/15 8-18 * * MON-FRI"])
def test_what_names_moments_is_kept(cron: str) -> None:
    """Five fields as Debian's cron has them, rare as the days may be."""
    assert checked(Schedule(cron, BERLIN), now=NOW).cron == cron


def test_a_schedule_is_a_sentence() -> None:
    """admin-ui.md 3.2: an administrator reads when it is, in which zone, and how far it spreads."""
    assert sentence(NIGHTLY) == "At 02:30 every day (Europe/Berlin)"
    assert sentence(Schedule("0 * * * *", "UTC", 60)).endswith("(UTC), up to 60 s later")
