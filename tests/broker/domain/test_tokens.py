"""Token sets: usable, due, dead."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.tokens import DEAD, SKEW, State, TokenSet, lifetime, margin

NOW = 1_800_000_000_000_000
TOKEN = TokenSet(
    id="tok_1",
    project="prj_1",
    connector="con_1",
    user="usr_1",
    state=State.VALID,
    created_at=NOW,
    changed_at=NOW,
    version=1,
    access=b"sealed",
    refresh=b"sealed",
    obtained_at=NOW,
    expires_at=NOW + HOUR,
)


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (8 * HOUR, 15 * MINUTE),
        (HOUR, 12 * MINUTE),
        (75 * MINUTE, 15 * MINUTE),
        (MINUTE, 12 * SECOND),
    ],
)
def test_the_margin(life: int, expected: int) -> None:
    """providers.md b.1: refresh when less than min(15 min, a fifth of the lifetime) remains."""
    assert margin(life) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (3600, HOUR),
        (None, 2 * HOUR),
        (0, 2 * HOUR),
        (-5, 2 * HOUR),
        (10**9, 365 * DAY),
    ],
    ids=["said", "absent", "zero", "negative", "beyond a year"],
)
def test_the_lifetime(said: int | None, expected: int) -> None:
    """c.2, edge cases: `expires_in` absent, 0, negative, over a year; complaint 13."""
    assert lifetime(said, assumed=2 * HOUR) == expected


@pytest.mark.parametrize(
    ("remaining", "standing", "usable", "due"),
    [
        (HOUR, State.VALID, True, False),
        (12 * MINUTE + 1, State.VALID, True, False),
        (12 * MINUTE, State.EXPIRING, True, True),
        (SKEW + 1, State.EXPIRING, True, True),
        (SKEW, State.EXPIRED, False, True),
        (-DAY, State.EXPIRED, False, True),
    ],
)
def test_the_clock(remaining: int, standing: State, usable: bool, due: bool) -> None:
    """c.2: valid, expiring inside the margin and still handed out, expired a minute early."""
    now = NOW + HOUR - remaining
    assert TOKEN.standing(now) is standing
    assert (TOKEN.is_usable(now), TOKEN.is_due(now)) == (usable, due)
    assert not TOKEN.is_dead(now)


@given(life=st.integers(min_value=5, max_value=365 * DAY))
def test_a_fresh_token_is_usable(life: int) -> None:
    """However short its life, a token just granted may be used: no endless refreshing."""
    assert replace(TOKEN, expires_at=NOW + life).is_usable(NOW)


@pytest.mark.parametrize("state", [state for state in State if state is not State.VALID])
def test_other_states_stand_as_they_are(state: State) -> None:
    """Only a valid one changes with the clock; nothing dead is ever usable."""
    token = replace(TOKEN, state=state)
    assert token.standing(NOW) is state
    assert token.is_usable(NOW) is (state is State.EXPIRING)
    assert token.is_dead(NOW) is (state in DEAD)


def test_without_an_end_a_token_stands() -> None:
    """A grant imported without an expiry is handed out until somebody reports a 401 (K11)."""
    assert replace(TOKEN, expires_at=None).standing(NOW + DAY) is State.VALID


def test_imported_with_an_end_in_the_past_it_is_expired() -> None:
    """c.2, edge cases: import with `expires_at` in the past."""
    imported = replace(TOKEN, obtained_at=None, expires_at=NOW - DAY)
    assert imported.standing(NOW) is State.EXPIRED


def test_what_is_not_due() -> None:
    """Frozen, without a refresh token, or before its next try: not refreshed now (K9)."""
    late = NOW + HOUR
    assert TOKEN.is_due(late)
    assert not replace(TOKEN, frozen=True).is_due(late)
    assert not replace(TOKEN, refresh=None).is_due(late)
    assert not replace(TOKEN, retry_at=late + 1).is_due(late)
    assert replace(TOKEN, retry_at=late).is_due(late)


def test_expired_without_a_refresh_token_it_is_dead() -> None:
    """There is nothing to refresh it with: only the person can."""
    assert replace(TOKEN, refresh=None).is_dead(NOW + HOUR)
    assert not replace(TOKEN, refresh=None).is_dead(NOW)


def test_a_frozen_one_that_is_over_is_dead() -> None:
    """F8, d.29: it is renewed elsewhere, so only the person or the cut-over makes it usable."""
    frozen = replace(TOKEN, frozen=True)
    assert frozen.is_dead(NOW + HOUR)
    assert not frozen.is_dead(NOW)


@pytest.mark.parametrize(("until", "leased"), [(None, False), (NOW, False), (NOW + 1, True)])
def test_a_lease_ends(until: int | None, leased: bool) -> None:
    """K5: a lease holds until its end, and no longer, whoever died."""
    assert replace(TOKEN, lease_until=until).is_leased(NOW) is leased


@pytest.mark.parametrize(
    ("fence", "version", "accepted"), [(4, 1, True), (3, 1, False), (5, 1, False), (4, 2, False)]
)
def test_k4_only_the_newest_result_is_written(fence: int, version: int, accepted: bool) -> None:
    """K4, promise 3: the fence is the newest and the version is unchanged."""
    token = replace(TOKEN, fence=4)
    assert token.accepts(fence=fence, version=version) is accepted


def test_k15_missing_scopes() -> None:
    """K15: what was wanted and not granted, in the order it was wanted."""
    token = replace(TOKEN, scopes=("api", "id"))
    assert token.lacking(("web", "api", "full")) == ("web", "full")
    assert token.lacking(()) == ()


@pytest.mark.parametrize(
    ("pinned", "account", "right"), [(None, "00D/005", True), ("a", "a", True), ("a", "b", False)]
)
def test_k3_the_first_account_is_pinned(pinned: str | None, account: str, right: bool) -> None:
    """building.md: the first provider account wins; a later other one is K3."""
    assert replace(TOKEN, account=pinned).is_right_account(account) is right
