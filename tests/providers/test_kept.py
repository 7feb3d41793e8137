"""A document of somebody else's, fetched when needed and kept for a while."""

from __future__ import annotations

import asyncio

import pytest

from providers.claims import SECOND
from providers.errors import HostRefused, TryLater
from providers.kept import FRESH, PATIENCE, STALE, Kept

START = 1_000 * STALE


class Source:
    """Gives one value after the other; an exception among them is raised."""

    def __init__(self, *values: int | Exception) -> None:
        self.values = list(values)
        self.fetched = 0

    async def __call__(self) -> int:
        self.fetched += 1
        await asyncio.sleep(0)
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value


async def test_one_fetch_serves_everyone_for_an_hour() -> None:
    """Many who ask at once cause one fetch; a second one comes with the next hour."""
    source = Source(1, 2)
    kept = Kept(source)
    assert await asyncio.gather(*(kept.get(START) for _ in range(20))) == [1] * 20
    assert await kept.get(START + FRESH - SECOND) == 1
    assert await kept.get(START + FRESH) == 2
    assert source.fetched == 2


async def test_what_does_not_suit_is_fetched_anew_but_not_at_will() -> None:
    """Rule 2: a stranger's unknown key id costs one fetch in fifteen seconds, not one a token."""
    source = Source(1, 2, 3)
    kept = Kept(source)
    await kept.get(START)
    later = START + PATIENCE
    answers = [await kept.get(later + n, suits=lambda value: value == 3) for n in range(50)]
    assert (set(answers), source.fetched) == ({2}, 2)
    assert await kept.get(later + PATIENCE, suits=lambda value: value == 3) == 3


async def test_an_old_value_counts_while_its_source_is_away() -> None:
    """For a day; afterwards, and for what it does not suit, the failure is the answer."""
    source = Source(1, TryLater("timeout"), TryLater("timeout"), TryLater("timeout"))
    kept = Kept(source)
    await kept.get(START)
    assert await kept.get(START + FRESH) == 1
    with pytest.raises(TryLater):
        await kept.get(START + FRESH + PATIENCE, suits=lambda value: value == 2)
    with pytest.raises(TryLater):
        await kept.get(START + STALE)


async def test_a_failure_is_told_again_without_another_call() -> None:
    """Who asks within the patience hears the failure of the last call, of its own class."""
    source = Source(HostRefused("address-refused", "no"), 1)
    kept = Kept(source)
    for _ in range(3):
        with pytest.raises(HostRefused, match="address-refused"):
            await kept.get(START)
    assert source.fetched == 1
    assert await kept.get(START + PATIENCE) == 1


async def test_a_clock_set_back_fetches_again() -> None:
    """A value from the future of a corrected clock is not fresh."""
    source = Source(1, 2)
    kept = Kept(source)
    await kept.get(START)
    assert await kept.get(START - SECOND) == 2
