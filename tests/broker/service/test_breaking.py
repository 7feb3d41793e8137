"""The breaker of a place (K9): what opens it, who may ask meanwhile, what closes it."""

from __future__ import annotations

import pytest

from broker.domain.clock import SECOND
from broker.service.breaking import LIMIT, PROBE, SOON, Breakers
from providers.errors import GrantDead, ProviderError, TryLater

NOW = 1_800_000_000_000_000
PLACE, OTHER = "https://login.example", "https://login.example?tenant=b"
BUSY = TryLater("http-503")


def opened(breakers: Breakers) -> int:
    """Fail there until it opens; until when nobody asks."""
    for _ in range(LIMIT):
        assert breakers.closed_until(PLACE, "kim", NOW) is None
        breakers.heard(PLACE, BUSY, NOW)
    until = breakers.closed_until(PLACE, "amara", NOW)
    assert until is not None
    return until


def test_five_failures_in_a_row_open_it() -> None:
    """K9: the fifth holds everybody back for a second or so, at this place and no other."""
    breakers = Breakers()
    until = opened(breakers)
    assert 0.75 * SECOND <= until - NOW <= 1.25 * SECOND
    assert breakers.closed_until(OTHER, "amara", NOW) is None


@pytest.mark.parametrize("answer", [None, GrantDead("invalid_grant")], ids=["a token", "a no"])
def test_an_answer_in_between_keeps_it_closed(answer: ProviderError | None) -> None:
    """K9: whoever answers, whatever it is, is not out of order."""
    breakers = Breakers()
    for said in (*[BUSY] * (LIMIT - 1), answer, *[BUSY] * (LIMIT - 1)):
        breakers.heard(PLACE, said, NOW)
    assert breakers.closed_until(PLACE, "kim", NOW) is None


def test_one_probe_finds_out() -> None:
    """K9: after the backoff exactly one may ask; the same one twice is the same probe."""
    breakers = Breakers()
    until = opened(breakers)
    assert breakers.closed_until(PLACE, "kim", until) is None
    assert breakers.closed_until(PLACE, "kim", until) is None
    assert breakers.closed_until(PLACE, "amara", until) == until + SOON
    breakers.heard(PLACE, None, until)
    assert breakers.closed_until(PLACE, "amara", until) is None


def test_a_probe_that_fails_doubles_the_wait() -> None:
    """K9: 1, 2, 4 … at most 300 s, a quarter more or less."""
    breakers, waits = Breakers(), []
    at = opened(breakers)
    for _ in range(12):
        assert breakers.closed_until(PLACE, "kim", at) is None
        breakers.heard(PLACE, BUSY, at)
        until = breakers.closed_until(PLACE, "amara", at) or 0
        waits.append((until - at) / SECOND)
        at = until
    expected = [min(300, 2**step) for step in range(1, 13)]
    assert all(0.75 * one <= wait <= 1.25 * one for one, wait in zip(expected, waits, strict=True))


def test_a_probe_that_never_came_back_is_followed_by_another() -> None:
    """K9: a process may lose its probe; a lease's time later another asks."""
    breakers = Breakers()
    until = opened(breakers)
    assert breakers.closed_until(PLACE, "kim", until) is None
    assert breakers.closed_until(PLACE, "amara", until + PROBE) is None


def test_the_places_own_wish_is_heard() -> None:
    """K9: Retry-After is longer than our patience: it counts."""
    breakers = Breakers()
    for _ in range(LIMIT):
        breakers.heard(PLACE, TryLater("http-429", retry_after_s=90), NOW)
    assert breakers.closed_until(PLACE, "kim", NOW) == NOW + 90 * SECOND


def test_asked_too_often_opens_it_at_once() -> None:
    """providers.md: AADSTS50196, loop detected: we asked too often, so nobody asks for a while."""
    breakers = Breakers()
    said = TryLater("invalid_grant", "AADSTS50196: The server terminated an operation: a loop.")
    breakers.heard(PLACE, said, NOW)
    assert breakers.closed_until(PLACE, "kim", NOW) == NOW + 300 * SECOND
