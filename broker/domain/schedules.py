"""Schedules: cron text in a time zone becomes moments, each once, whatever the clocks do."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from broker.domain.clock import EPOCH, SECOND
from broker.domain.directories import Schedule
from broker.domain.errors import Invalid, Problem

JITTER_LIMIT_S = 3600
AHEAD = 5
"""How many of the next times are shown."""
FIELDS = 5


def checked(schedule: Schedule, *, now: int) -> Schedule:
    """The schedule itself, if it names moments; Invalid says what is wrong with which member.

    Five fields as in Debian's cron. A jitter is shorter than the way from one time to the next,
    so that every time has its own.
    """
    zone = _zone(schedule.zone)
    if zone is None:
        detail = "zone is a time zone of the IANA database, such as Europe/Berlin."
        raise Problem("/zone", "not_a_choice", detail).alone(reason="unknown-zone")
    if len(schedule.cron.split()) != FIELDS:
        raise _no_cron("Five fields are needed: minute, hour, day, month, weekday.")
    try:
        first = [*islice(_slots(schedule, now), AHEAD + 1)]
    except CronSimError as error:
        raise _no_cron(f"{error}.") from None
    if not first:
        raise _no_cron("No day is ever that.")
    gap = min((later - each for each, later in pairwise(first)), default=JITTER_LIMIT_S * SECOND)
    if not 0 <= schedule.jitter_s <= JITTER_LIMIT_S or schedule.jitter_s * SECOND >= gap:
        detail = "jitter_s is from 0 to 3600, and shorter than the way from one time to the next."
        raise Problem("/jitter_s", "out_of_range", detail).alone(reason="invalid-jitter")
    return schedule


def following(schedule: Schedule, directory: str, now: int, count: int = AHEAD) -> list[int]:
    """The next times after `now`, in microseconds, each with its jitter; none before `now`.

    A time that a change of the clocks leaves out comes when they have changed; one that they
    bring twice comes once, unless the schedule speaks of every hour (Debian's cron).
    """
    return [each + _jitter(schedule, directory, each) for each in _first(schedule, now, count)]


def sentence(schedule: Schedule) -> str:
    """The schedule in words: `At 02:30 every day (Europe/Berlin)`."""
    words = CronSim(schedule.cron, EPOCH).explain()
    spread = f", up to {schedule.jitter_s} s later" if schedule.jitter_s else ""
    return f"{words} ({schedule.zone}){spread}"


def _first(schedule: Schedule, now: int, count: int) -> list[int]:
    return [*islice(_slots(schedule, now), count)]


def _slots(schedule: Schedule, now: int) -> Iterator[int]:
    """Every time of the schedule later than `now`, without jitter.

    In the hour that comes twice cronsim may name the first one when it is the second one already.
    """
    local = (EPOCH + timedelta(microseconds=now)).astimezone(_zone(schedule.zone) or UTC)
    for moment in CronSim(schedule.cron, local):
        slot = _micros(moment)
        if slot > now:
            yield slot


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _jitter(schedule: Schedule, directory: str, slot: int) -> int:
    """The same for every replica that asks, and another for each directory and time."""
    if not schedule.jitter_s:
        return 0
    digest = hashlib.sha256(f"{directory}@{slot}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (schedule.jitter_s + 1) * SECOND


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # not there, no name at all, a folder of them
        return None


def _no_cron(detail: str) -> Invalid:
    return Problem("/cron", "not_a_schedule", detail).alone(reason="invalid-schedule")
