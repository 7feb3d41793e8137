"""What happens to a token set: the table K, leases, and the 401 rule."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.errors import Conflict
from broker.domain.token_states import (
    NEXT,
    REJECTION_WINDOW,
    UNCLASSIFIED_LIMIT,
    Event,
    Verdict,
    after,
    backoff,
    leased,
    verdict,
    why_dead,
)
from broker.domain.tokens import HOLDING, Grant, State, TokenSet

NOW = 1_800_000_000_000_000
GRANT = Grant(
    access=b"new access",
    refresh=b"new refresh",
    expires_at=NOW + HOUR,
    scopes=("api",),
    origin="https://acme.example",
    base_url="https://api.acme.example",
    account="00D/005",
    account_display="kim@acme",
)
ALL = tuple(State)
PRESENT = ALL[1:]
LOSING = (*HOLDING, State.NEEDS_REAUTH)

# row, event, from, the state after (None: unchanged), the reason after
ROWS: list[tuple[str, Event, tuple[State, ...], State | None, str | None]] = [
    ("K1", Event.LINK_ISSUED, ALL, None, "old"),
    ("K2", Event.CONNECTED, ALL, State.VALID, None),
    ("K3", Event.NOT_CONNECTED, ALL, None, "old"),
    ("K4", Event.REFRESHED, HOLDING, State.VALID, None),
    ("K5", Event.LEASE_LOST, HOLDING, None, "old"),
    ("K6", Event.GRANT_DEAD, LOSING, State.NEEDS_REAUTH, "grant_dead"),
    ("K7", Event.PERSON_NEEDED, LOSING, State.NEEDS_REAUTH, "interaction"),
    ("K8", Event.MISCONFIGURED, HOLDING, None, "old"),
    ("K9, K10", Event.TRY_LATER, HOLDING, None, "old"),
    ("unknown", Event.UNCLASSIFIED, HOLDING, None, "old"),
    ("K11", Event.REJECTED, HOLDING[:2], State.EXPIRED, "old"),
    ("K11 again", Event.REJECTED_AGAIN, HOLDING, State.NEEDS_REAUTH, "rejected_by_resource"),
    ("K12", Event.DISCONNECTED, PRESENT, State.REVOKED, "user"),
    ("K13", Event.DEPROVISIONED, PRESENT, State.REVOKED, "deprovision"),
    ("K15", Event.SCOPES_MISSING, HOLDING, None, "old"),
    ("K16", Event.UNREADABLE, HOLDING, State.UNREADABLE, "unreadable"),
    ("K16 back", Event.READABLE, (State.UNREADABLE,), State.VALID, None),
]
CASES = [(row, event, state, to, why) for row, event, states, to, why in ROWS for state in states]


def token(state: State, **fields: Any) -> TokenSet:
    """A token set that stands in this state, at NOW."""
    remaining = {State.EXPIRING: 5 * MINUTE, State.EXPIRED: 0}.get(state, HOUR)
    kept = State.VALID if state is State.EXPIRING else state
    known: dict[str, Any] = {
        "id": "tok_1",
        "project": "prj_1",
        "connector": "con_1",
        "user": "usr_1",
        "state": kept,
        "reason": "old",
        "created_at": NOW - HOUR,
        "changed_at": NOW - HOUR,
        "version": 4,
        "access": b"access",
        "refresh": b"refresh",
        "obtained_at": NOW + remaining - HOUR,
        "expires_at": NOW + remaining,
        "scopes": ("id",),
    }
    return TokenSet(**(known | fields))


def happen(before: TokenSet, event: Event, **more: Any) -> TokenSet:
    """`after`, with a grant where the event brings one."""
    grant = GRANT if event in (Event.CONNECTED, Event.REFRESHED) else None
    return after(before, event, now=NOW, grant=grant, **more)


@pytest.mark.parametrize(
    ("row", "event", "state", "to", "why"), CASES, ids=[f"{c[0]} {c[2]}" for c in CASES]
)
def test_row(row: str, event: Event, state: State, to: State | None, why: str | None) -> None:
    """Each row of the table K leads where it says and says why."""
    before = token(state)
    assert before.standing(NOW) is state, row
    result = happen(before, event)
    assert result.state is (to or before.state)
    assert (result.reason, result.changed_at) == (why, NOW)


def test_the_rows_are_the_table() -> None:
    """No pair is allowed that the rows above do not name."""
    assert {(state, event) for _, event, state, _, _ in CASES} == set(NEXT)


@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in itertools.product(State, Event) if pair not in NEXT]
)
def test_every_other_pair_is_refused(state: State, event: Event) -> None:
    """A revoked or unreadable set is not brought back by a late answer of the provider."""
    with pytest.raises(Conflict) as refused:
        happen(token(state), event)
    assert refused.value.reason == f"token-{state}"


@pytest.mark.parametrize(("event", "grant"), [(Event.REFRESHED, None), (Event.GRANT_DEAD, GRANT)])
def test_only_a_success_brings_a_grant(event: Event, grant: Grant | None) -> None:
    """Refreshing without a grant, or failing with one, is our own mistake."""
    with pytest.raises(ValueError, match="bring a grant"):
        after(token(State.EXPIRED), event, now=NOW, grant=grant)


def test_k4_a_refresh_is_a_new_version() -> None:
    """K4: everything of the grant is kept, old troubles are over, the lease is given back."""
    troubled = token(
        State.EXPIRED,
        failures=3,
        retry_at=NOW,
        unclassified=2,
        unclassified_since=NOW,
        missing_scopes=("web",),
        claims="{}",
        lease_until=NOW + 1,
        journal="hash",
    )
    result = happen(troubled, Event.REFRESHED)
    assert (result.version, result.access, result.refresh) == (5, b"new access", b"new refresh")
    assert (result.obtained_at, result.expires_at) == (NOW, NOW + HOUR)
    assert (result.scopes, result.origin, result.base_url) == (
        ("api",),
        GRANT.origin,
        GRANT.base_url,
    )
    assert (result.account, result.account_display) == ("00D/005", "kim@acme")
    assert (result.failures, result.retry_at, result.unclassified) == (0, None, 0)
    assert (result.unclassified_since, result.missing_scopes, result.claims) == (None, (), None)
    assert (result.lease_until, result.journal) == (None, None)


def test_k4_what_a_grant_does_not_say_is_kept() -> None:
    """K4, N15: no new refresh token keeps the old one; the pinned account is never replaced."""
    pinned = token(
        State.EXPIRED, account="00D/001", account_display="kim", base_url="b", origin="o"
    )
    result = after(pinned, Event.REFRESHED, now=NOW, grant=Grant(b"new", None, NOW + HOUR))
    assert (result.access, result.refresh, result.scopes) == (b"new", b"refresh", ("id",))
    assert (result.account, result.account_display) == ("00D/001", "kim")
    assert (result.base_url, result.origin) == ("b", "o")
    assert happen(pinned, Event.REFRESHED).account == "00D/001"


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [("a", "a", True), ("a", "b", False), ("a", None, False), (None, "b", False)],
)
def test_k2_a_sign_in_keeps_no_others_refresh_token(
    before: str | None, now: str | None, kept: bool
) -> None:
    """K2, safety 17: one that brings none keeps the old one where both are known to be of the same
    account, and nowhere else.
    """
    held = token(State.VALID, account=before, grant_hash="hash")
    grant = Grant(b"new", None, NOW + HOUR, account=now)
    result = after(held, Event.CONNECTED, now=NOW, grant=grant)
    assert (result.refresh, result.grant_hash) == ((b"refresh", "hash") if kept else (None, None))


@pytest.mark.parametrize(
    ("event", "brought", "expected"),
    [
        (Event.CONNECTED, "new", "new"),
        (Event.REFRESHED, "old", "old"),
        (Event.REFRESHED, "new", None),
    ],
)
def test_a_rotated_refresh_token_is_nobodys_to_bring(
    event: Event, brought: str, expected: str | None
) -> None:
    """Safety 17: the hash is that of the refresh token that was brought, until it is another."""
    grant = replace(GRANT, grant_hash=brought)
    result = after(token(State.VALID, grant_hash="old"), event, now=NOW, grant=grant)
    assert result.grant_hash == expected


@pytest.mark.parametrize("event", [Event.CONNECTED, Event.DISCONNECTED, Event.DEPROVISIONED])
def test_frozen_ends_with_the_grant(event: Event) -> None:
    """d.29: what is signed in for anew is renewed here, what is dropped by nobody."""
    result = happen(token(State.VALID, frozen=True, grant_hash="hash"), event)
    assert (result.frozen, result.grant_hash) == (False, None)


def test_k11_the_programs_word_holds_for_a_version() -> None:
    """K11: what the program itself called good is not asked about again; its successor is."""
    kept = token(State.VALID, rejected_at=NOW - MINUTE, vouched=4)
    assert verdict(kept, version=4, now=NOW) is Verdict.IGNORE
    renewed = replace(kept, version=5)
    assert verdict(renewed, version=5, now=NOW) is Verdict.ASK_PROVIDER


def test_k5_one_lease_at_a_time() -> None:
    """K5, promise 1: a lease raises the fence and leaves its trace; nobody gets a second one."""
    first = leased(token(State.EXPIRED), journal="hash", until=NOW + SECOND, now=NOW)
    assert (first.fence, first.journal, first.lease_until) == (1, "hash", NOW + SECOND)
    with pytest.raises(Conflict) as refused:
        leased(first, journal="hash", until=NOW + HOUR, now=NOW)
    assert refused.value.reason == "token-leased"
    second = leased(first, journal="hash", until=NOW + HOUR, now=NOW + SECOND)
    assert not second.accepts(fence=first.fence, version=first.version)


def test_k6_a_lost_rotation_is_told_from_a_dead_grant() -> None:
    """c.2, lost answer: an attempt without an answer before this one is `lost_rotation`."""
    fresh = token(State.EXPIRED)
    assert why_dead(fresh) == "grant_dead"
    died = leased(fresh, journal="hash", until=NOW, now=NOW)
    assert why_dead(died) == "lost_rotation"
    result = happen(died, Event.GRANT_DEAD, reason=why_dead(died))
    assert (result.reason, result.journal) == ("lost_rotation", None)


def test_k7_the_claims_go_into_the_next_link() -> None:
    """K7: interaction needed carries the provider's claims."""
    result = happen(token(State.EXPIRED), Event.PERSON_NEEDED, claims='{"acr": 1}')
    assert (result.claims, result.lease_until) == ('{"acr": 1}', None)


def test_k8_a_wrong_client_secret_is_not_the_persons_fault() -> None:
    """K8, promise 5: only the lease is given back."""
    before = token(State.EXPIRED, lease_until=NOW + 1, journal="hash")
    result = happen(before, Event.MISCONFIGURED)
    assert result == replace(before, lease_until=None, journal=None, changed_at=NOW)


@pytest.mark.parametrize(("answered", "journal"), [(True, None), (False, "hash")])
def test_k9_a_failure_counts_and_retries(answered: bool, journal: str | None) -> None:
    """K9: the next try is later; only a call without an answer leaves the journal behind."""
    before = token(State.EXPIRING, journal="hash", lease_until=NOW + 1, failures=2)
    result = happen(before, Event.TRY_LATER, retry_at=NOW + 4 * SECOND, answered=answered)
    assert (result.failures, result.retry_at) == (3, NOW + 4 * SECOND)
    assert (result.journal, result.lease_until) == (journal, None)
    assert result.is_usable(NOW)
    assert not result.is_due(NOW)


@given(failures=st.integers(0, 100), jitter=st.floats(0, 1))
def test_k9_the_ladder(failures: int, jitter: float) -> None:
    """K9: 1, 2, 4 … 300 s, a quarter more or less."""
    base = min(300, 2**failures) * SECOND
    assert 0.75 * base - 1 <= backoff(failures, jitter=jitter) <= 1.25 * base


def test_unclassified_failures_end_after_a_day() -> None:
    """c.2, class unknown: five over at least 24 h make it needs_reauth, fewer or faster do not."""
    at, step = NOW, 6 * HOUR
    before = token(State.EXPIRED)
    for _ in range(UNCLASSIFIED_LIMIT - 1):
        before = after(before, Event.UNCLASSIFIED, now=at, retry_at=at + step)
        assert before.state is State.EXPIRED
        at += step
    early = after(before, Event.UNCLASSIFIED, now=NOW + DAY - 1)
    assert early.state is State.EXPIRED
    late = after(before, Event.UNCLASSIFIED, now=NOW + DAY)
    assert (late.state, late.reason) == (State.NEEDS_REAUTH, "unclassified")


@pytest.mark.parametrize(
    ("standing", "version", "rejected_at", "answer"),
    [
        (State.VALID, 4, None, Verdict.EXPIRE),
        (State.EXPIRING, 4, None, Verdict.EXPIRE),
        (State.VALID, 3, None, Verdict.IGNORE),
        (State.EXPIRED, 4, NOW, Verdict.IGNORE),
        (State.NEEDS_REAUTH, 4, None, Verdict.IGNORE),
        (State.VALID, 4, NOW - REJECTION_WINDOW, Verdict.ASK_PROVIDER),
        (State.VALID, 4, NOW - REJECTION_WINDOW - 1, Verdict.EXPIRE),
    ],
    ids=["first", "expiring", "old version", "twice", "dead", "second", "much later"],
)
def test_k11_reports(
    standing: State, version: int, rejected_at: int | None, answer: Verdict
) -> None:
    """K11, safety 25: one report a version; the second within ten minutes asks the provider."""
    reported = token(standing, rejected_at=rejected_at)
    assert verdict(reported, version=version, now=NOW) is answer


def test_k11_a_rejected_token_is_refreshed_once() -> None:
    """K11: rejected, refreshed, rejected again at once: the provider is asked."""
    rejected = happen(token(State.VALID), Event.REJECTED)
    assert rejected.is_due(NOW)
    assert verdict(rejected, version=4, now=NOW) is Verdict.IGNORE
    fresh = happen(rejected, Event.REFRESHED)
    assert verdict(fresh, version=5, now=NOW) is Verdict.ASK_PROVIDER


@pytest.mark.parametrize("event", [Event.DISCONNECTED, Event.DEPROVISIONED])
def test_k12_k13_the_secret_is_erased_at_once(event: Event) -> None:
    """K12, K13: nothing is left to hand out, and no late result is written (promise 10)."""
    before = leased(token(State.VALID), journal="hash", until=NOW + HOUR, now=NOW)
    result = happen(before, event)
    assert (result.access, result.refresh, result.journal) == (None, None, None)
    assert not result.accepts(fence=before.fence, version=before.version)
    assert result.is_dead(NOW)


def test_k12_an_administrator_disconnects() -> None:
    """K12: revoked says by whom."""
    assert happen(token(State.VALID), Event.DISCONNECTED, reason="admin").reason == "admin"


def test_k15_missing_scopes_are_remembered() -> None:
    """K15: unchanged but for the missing scopes, which the next link asks for."""
    before = token(State.VALID)
    result = happen(before, Event.SCOPES_MISSING, scopes=("web",))
    assert result == replace(before, missing_scopes=("web",), changed_at=NOW)


def test_k16_it_recovers_when_the_key_is_back() -> None:
    """K16: nothing is lost while the key is missing."""
    before = token(State.VALID, reason=None)
    assert happen(happen(before, Event.UNREADABLE), Event.READABLE) == replace(
        before, changed_at=NOW
    )


@pytest.mark.parametrize(
    ("rejected_after", "to"),
    [(None, State.VALID), (-1, State.VALID), (0, State.EXPIRED), (MINUTE, State.EXPIRED)],
    ids=["never", "one before it", "at once", "later"],
)
def test_k16_a_refused_token_is_not_handed_out_again(rejected_after: int | None, to: State) -> None:
    """K11, K16: readable again, a token refused since it was obtained stands as expired; one
    whose predecessor was refused serves.
    """
    obtained_at = NOW - 2 * MINUTE
    rejected_at = None if rejected_after is None else obtained_at + rejected_after
    lost = token(State.UNREADABLE, obtained_at=obtained_at, rejected_at=rejected_at)
    back = happen(lost, Event.READABLE)
    assert (back.state, back.reason) == (to, None)
    assert back.is_usable(NOW) is (to is State.VALID)
