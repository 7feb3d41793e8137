"""Letters: what may stand in one, and when the next try is due."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis.strategies import text

from broker.domain.clock import DAY, HOUR, MINUTE
from broker.domain.letters import TRIES, Letter, Template, salutation


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Kim Lee", "Kim Lee"),
        ("J.R. Tolkien", "J.R. Tolkien"),
        ("Łukasz Żółć", "Łukasz Żółć"),
        (" Kim\r\n\tLee ", "Kim Lee"),
        ("Kim\u202eLee", "Kim Lee"),
        ("x" * 70, "x" * 64),
        ("Win at https://evil.example", ""),
        ("www.evil.example", ""),
        ("evil.example", ""),
        ("evil。example", ""),
        ("evil．example", ""),
        ("kim.lee@acme.example", ""),
        ("mailto:x", ""),
        ("", ""),
    ],
)
def test_a_name_is_only_a_name(name: str, said: str) -> None:
    """Safety 13: 64 characters, one line, and nothing a mail program makes a link of."""
    assert salutation(name) == said


@given(text())
def test_no_name_writes_a_letter(name: str) -> None:
    """Safety 13: whatever a directory says, it is short, on one line, and no address."""
    said = salutation(name)
    assert len(said) <= 64
    assert "\n" not in said
    assert "\r" not in said
    assert not re.search(r"://|www\.|@", said)


def letter(attempt: int) -> Letter:
    return Letter("ltr_1", "prj_1", "usr_1", Template.ACTIVE, {}, attempt, 1)


def test_the_ladder_ends_after_days() -> None:
    """RFC 5321, 4.5.4.1: soon at first, then every few hours, and after four to five days no
    more.
    """
    waits = [due for n in range(TRIES) if (due := letter(n).next_try(0)) is not None]
    assert waits[:5] == [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR]
    assert waits == sorted(waits)
    assert 4 * DAY < sum(waits) < 5 * DAY
    assert letter(TRIES - 1).next_try(0) is None
