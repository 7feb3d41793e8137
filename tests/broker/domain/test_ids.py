"""Ids: a prefix, a time, and 80 random bits."""

from __future__ import annotations

import pytest

from broker.domain import ids


def test_an_id_says_what_it_names_and_sorts_by_when_it_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first ten characters hold the milliseconds, so ids sort by their time (api.md)."""
    monkeypatch.setattr("time.time_ns", lambda: 1_795_270_000_123_456_789)
    prefix, _, text = ids.new("usr").partition("_")
    value = 0
    for character in text:
        value = value * 32 + ids.ALPHABET.index(character)
    assert prefix == "usr"
    assert len(text) == 26
    assert value >> 80 == 1_795_270_000_123


def test_ids_of_one_moment_differ_in_their_random_bits() -> None:
    """10,000 ids are 10,000 different ones (safety 2)."""
    assert len({ids.new("dec") for _ in range(10_000)}) == 10_000
