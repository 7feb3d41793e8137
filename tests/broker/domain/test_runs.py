"""Runs: the word is counted from the records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain.clock import DAY, SECOND
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
    is_over,
    status,
)

COUNTS = st.dictionaries(
    st.sampled_from([result.value for result in Result]), st.integers(0, 9)
).map(lambda numbers: Counts(**numbers))

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


@given(COUNTS)
def test_the_total_adds_up(counts: Counts) -> None:
    """The total is the number of records, whatever became of each (c.6)."""
    assert counts.total == sum(getattr(counts, result.value) for result in Result)


@given(
    COUNTS,
    st.integers(0, 3),
    st.sampled_from([None, *Ending]),
)
def test_success_means_that_nothing_went_wrong(
    counts: Counts, warnings: int, reason: Ending | None
) -> None:
    """Success has no issue and no early end; Partial success has applied something."""
    word = status(counts, warnings=warnings, reason=reason)
    clean = not counts.failed and not warnings and reason is None
    assert (word is Status.SUCCESS) is clean
    assert word is not Status.PARTIAL_SUCCESS or counts.applied


@pytest.mark.parametrize(
    ("expected", "shown"), [(None, None), (0, None), (4, None), (5, 5), (9, 9)]
)
def test_no_more_is_processed_than_is_expected(expected: int | None, shown: int | None) -> None:
    """R105: a total that more records came than is none, and is not shown."""
    assert replace(RUN, counts=Counts(created=5), expected=expected).of_about == shown


def test_an_open_run_shows_a_provisional_word() -> None:
    """The word follows the counts while the window is open (building.md)."""
    later = replace(RUN, counts=Counts(created=1, failed=1))
    assert (RUN.status, RUN.is_provisional) == (Status.SUCCESS, True)
    assert (later.status, later.is_provisional) == (Status.PARTIAL_SUCCESS, True)


def test_the_word_of_an_ended_run_is_final() -> None:
    """R8, R122: with the reason it ended for, or without one."""
    over = replace(RUN, state=State.ENDED, ended_at=7)
    assert (over.status, over.is_provisional) == (Status.SUCCESS, False)
    early = replace(over, reason=Ending.DISABLED)
    assert (early.status, early.is_provisional) == (Status.FAILURE, False)


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
