"""Runs: the word is counted from the records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain.clock import DAY, SECOND
from broker.domain.errors import Conflict
from broker.domain.mapping import Warning
from broker.domain.runs import (
    CRITICAL,
    Change,
    Counts,
    Ending,
    Issue,
    Record,
    Result,
    Run,
    State,
    Status,
    Trigger,
    counted,
    ended,
    is_over,
    status,
)

RUN = Run("run_1", "prj_1", "dir_1", Trigger.PUSH, State.RUNNING, started_at=0, last_at=0)

ROWS = [
    # row, counts, warnings, why it ended early, the word
    ("R2 no record", Counts(), 0, None, Status.SUCCESS),
    ("R2 all well", Counts(created=3, unchanged=2), 0, None, Status.SUCCESS),
    ("R2 skipped is no issue", Counts(skipped=2), 0, None, Status.SUCCESS),
    ("R3 one failed", Counts(updated=1, failed=1), 0, None, Status.PARTIAL_SUCCESS),
    ("R3 one warning (R120)", Counts(created=100), 1, None, Status.PARTIAL_SUCCESS),
    ("R3 only warnings", Counts(unchanged=1), 1, None, Status.PARTIAL_SUCCESS),
    ("R4 every record failed", Counts(failed=4), 0, None, Status.FAILURE),
    ("R4 nothing applied", Counts(failed=1, skipped=1, staged=1), 0, None, Status.FAILURE),
    *[
        (f"R4 {reason}", Counts(created=9), 0, reason, Status.FAILURE)
        for reason in sorted(CRITICAL)
    ],
    ("R8 something applied", Counts(created=9), 0, Ending.DISABLED, Status.PARTIAL_SUCCESS),
    ("R8 nothing applied", Counts(), 0, Ending.DISABLED, Status.FAILURE),
    ("R9 something applied", Counts(suspended=1), 0, Ending.DELETED, Status.PARTIAL_SUCCESS),
    ("R8 stopped", Counts(deleted=1), 0, Ending.STOPPED, Status.PARTIAL_SUCCESS),
]


@pytest.mark.parametrize(
    ("row", "counts", "warnings", "reason", "word"), ROWS, ids=[row[0] for row in ROWS]
)
def test_row(row: str, counts: Counts, warnings: int, reason: Ending | None, word: Status) -> None:
    """Each row of the run table gives its word (R117 to R120)."""
    assert status(counts, warnings=warnings, reason=reason) is word, row


def test_there_are_exactly_three_words() -> None:
    """R122: an ended run is one of the owner's three words."""
    assert [word.value for word in Status] == ["Success", "Partial success", "Failure"]


@given(st.lists(st.sampled_from(Result), max_size=60))
def test_counts_add_up(results: list[Result]) -> None:
    """The total is the number of records, and each result is counted as itself (c.6)."""
    counts = counted(results)
    assert counts.total == len(results)
    assert all(getattr(counts, result.value) == results.count(result) for result in Result)


@given(
    st.lists(st.sampled_from(Result), max_size=20),
    st.integers(0, 3),
    st.sampled_from([None, *Ending]),
)
def test_success_means_that_nothing_went_wrong(
    results: list[Result], warnings: int, reason: Ending | None
) -> None:
    """Success has no issue and no early end; Partial success has applied something."""
    counts = counted(results)
    word = status(counts, warnings=warnings, reason=reason)
    clean = not counts.failed and not warnings and reason is None
    assert (word is Status.SUCCESS) is clean
    assert word is not Status.PARTIAL_SUCCESS or counts.applied


def test_an_open_run_shows_a_provisional_word() -> None:
    """The word follows the counts while the window is open (building.md)."""
    later = replace(RUN, counts=Counts(created=1, failed=1))
    assert (RUN.status, RUN.is_provisional) == (Status.SUCCESS, True)
    assert (later.status, later.is_provisional) == (Status.PARTIAL_SUCCESS, True)


def test_an_ended_run_keeps_its_reason_and_ends_once() -> None:
    """R8: the reason stands beside the word; R122: the word is final."""
    over = ended(RUN, now=7, reason=Ending.DISABLED)
    assert (over.status, over.reason, over.ended_at) == (Status.FAILURE, Ending.DISABLED, 7)
    assert not over.is_provisional
    assert ended(RUN, now=7).status is Status.SUCCESS
    with pytest.raises(Conflict) as refused:
        ended(over, now=8)
    assert refused.value.reason == "run-ended"


@pytest.mark.parametrize(
    ("last_at", "now", "over"),
    [
        (0, 300 * SECOND - 1, False),
        (0, 300 * SECOND, True),
        (DAY - SECOND, DAY - 1, False),
        (DAY - SECOND, DAY, True),
    ],
    ids=["still warm", "silence", "busy all day", "a day in all"],
)
def test_a_push_run_ends_by_silence_or_after_a_day(last_at: int, now: int, over: bool) -> None:
    """c.6: pushes are grouped until the window's silence, or 24 h."""
    assert is_over(replace(RUN, last_at=last_at), window=300 * SECOND, now=now) is over


def test_a_record_shows_what_happened_and_what_to_do() -> None:
    """R120, R121: the record names user and attribute; equal ones are one issue with a count."""
    warning = Warning("department", "There is no field for it.")
    record = Record(
        run=RUN.id,
        kind="User",
        result=Result.CREATED,
        at=3,
        external_id="e-1",
        warnings=(warning,),
        changes=(Change("displayName", None, "Kim Lee"),),
    )
    issue = Issue(warning.code, warning.attribute, count=len(record.warnings))
    assert (issue.code, issue.attribute, issue.count) == ("no-equivalent-field", "department", 1)
    assert record.changes[0].after == "Kim Lee"
