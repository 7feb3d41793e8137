"""Licenses: free, over-allocated, promotable."""

from __future__ import annotations

import pytest

from broker.domain.licenses import Licenses, Promotion

NUMBERS = [
    #  capacity held  free  has_free over
    (None, 500, None, True, 0),
    (0, 0, 0, False, 0),
    (3, 2, 1, True, 0),
    (3, 3, 0, False, 0),
    (3, 5, 0, False, 2),
]


@pytest.mark.parametrize(("capacity", "held", "free", "has_free", "over"), NUMBERS)
def test_what_is_free(
    capacity: int | None, held: int, free: int | None, has_free: bool, over: int
) -> None:
    """U17: below use nobody is evicted, nothing is free, and the excess is shown."""
    licenses = Licenses("prj_1", capacity, held)
    assert (licenses.free, licenses.has_free, licenses.over_allocated) == (free, has_free, over)


@pytest.mark.parametrize(
    ("promotion", "held", "may"),
    [(Promotion.AUTO, 2, True), (Promotion.AUTO, 3, False), (Promotion.MANUAL, 2, False)],
)
def test_the_head_of_the_queue_is_promoted_where_that_is_the_setting(
    promotion: Promotion, held: int, may: bool
) -> None:
    """U6, T3: automatic by default, by an administrator where the setting is manual."""
    assert Licenses("prj_1", 3, held, promotion=promotion).may_promote is may


def test_the_next_place_follows_the_last_one_given() -> None:
    """U4: the order is by sequence."""
    assert Licenses("prj_1", 3, queue_last=41).next_seq == 42


@pytest.mark.parametrize(
    ("queued", "words"), [(0, "0 people wait"), (1, "1 person waits"), (2, "2 people wait")]
)
def test_a_refusal_shows_both_numbers(queued: int, words: str) -> None:
    """U8: capacity, used and the length of the queue."""
    assert Licenses("prj_1", 3, 3, queued).sentence == f"3 of 3 licenses are held, {words}"


def test_what_is_withheld_is_nobody_s() -> None:
    """R5: a withheld license is neither held nor free, and a refusal says how many there are."""
    licenses = Licenses("prj_1", 3, held=1, queued=2, withheld=2)
    assert (licenses.free, licenses.has_free, licenses.may_promote) == (0, False, False)
    assert licenses.over_allocated == 0
    assert (
        licenses.sentence == "1 of 3 licenses are held, 2 withheld until a decision, 2 people wait"
    )


@pytest.mark.parametrize(
    ("capacity", "held", "withheld", "warning"),
    [
        (None, 500, 0, 0),
        (100, 79, 0, 0),
        (100, 80, 0, 80),
        (100, 90, 5, 95),
        (100, 99, 0, 95),
        (100, 100, 0, 100),
        (100, 120, 0, 100),
        (3, 2, 0, 0),
        (0, 0, 0, 100),
    ],
)
def test_the_share_that_is_warned_of(
    capacity: int | None, held: int, withheld: int, warning: int
) -> None:
    """80, 95 and 100 % of what may be held, withheld ones counted; none without a limit."""
    licenses = Licenses("prj_1", capacity, held, withheld=withheld)
    assert licenses.warning == licenses.announced.warned == warning
