"""Ids: a prefix, a time, and 80 random bits."""

from __future__ import annotations

import time

from broker.domain import ids


def test_an_id_says_what_it_names_and_when_it_was_made() -> None:
    """The first ten characters hold the milliseconds, so ids sort by their time (api.md)."""
    before = time.time_ns() // 1_000_000
    prefix, _, text = ids.new("usr").partition("_")
    after = time.time_ns() // 1_000_000
    value = 0
    for character in text:
        value = value * 32 + ids.ALPHABET.index(character)
    assert prefix == "usr"
    assert len(text) == 26
    assert before <= value >> 80 <= after


def test_ids_of_one_moment_differ_in_their_random_bits() -> None:
    """10,000 ids are 10,000 different ones (safety 2)."""
    assert len({ids.new("dec") for _ in range(10_000)}) == 10_000
