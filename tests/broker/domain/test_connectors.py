"""Connectors: the table C, and the policy."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from broker.domain.connectors import (
    DRAFT_LIFETIME,
    NEXT,
    Connector,
    Event,
    Policy,
    State,
    after,
    authenticating_users,
)
from broker.domain.errors import Conflict

NOW = 1_800_000_000_000_000

ROWS = [
    ("C2", State.DRAFT, Event.CONFIGURED, State.CONFIGURED),
    ("C2 again", State.CONFIGURED, Event.CONFIGURED, State.CONFIGURED),
    ("C3", State.CONFIGURED, Event.AUTHORIZING, State.AUTHORIZING),
    ("C3 again", State.AUTHORIZING, Event.AUTHORIZING, State.AUTHORIZING),
    ("C3 back", State.AUTHORIZED, Event.AUTHORIZING, State.AUTHORIZING),
    ("C4", State.AUTHORIZING, Event.ALLOWED, State.AUTHORIZED),
    ("C5", State.AUTHORIZING, Event.REFUSED, State.CONFIGURED),
    ("C6", State.AUTHORIZED, Event.FINISHED, State.CONNECTED),
    ("C7 grant", State.CONNECTED, Event.GRANT_DEAD, State.NEEDS_REAUTH),
    ("C7 grant again", State.NEEDS_REAUTH, Event.GRANT_DEAD, State.NEEDS_REAUTH),
    ("C7 graver stays", State.NEEDS_ADMIN, Event.GRANT_DEAD, State.NEEDS_ADMIN),
    ("C7 client", State.CONNECTED, Event.MISCONFIGURED, State.NEEDS_ADMIN),
    ("C7 client, dead", State.NEEDS_REAUTH, Event.MISCONFIGURED, State.NEEDS_ADMIN),
    ("C7 client again", State.NEEDS_ADMIN, Event.MISCONFIGURED, State.NEEDS_ADMIN),
    ("C8 skip", State.CONNECTED, Event.REAUTHORIZED, State.CONNECTED),
    ("C8 dead", State.NEEDS_REAUTH, Event.REAUTHORIZED, State.CONNECTED),
    ("C8 admin", State.NEEDS_ADMIN, Event.REAUTHORIZED, State.CONNECTED),
    ("C9", State.CONNECTED, Event.ORIGIN_CHANGED, State.AUTHORIZING),
    ("C9 dead", State.NEEDS_REAUTH, Event.ORIGIN_CHANGED, State.AUTHORIZING),
    ("C9 admin", State.NEEDS_ADMIN, Event.ORIGIN_CHANGED, State.AUTHORIZING),
    ("C10 off", State.CONNECTED, Event.DISABLED, State.DISABLED),
    ("C10 off, dead", State.NEEDS_REAUTH, Event.DISABLED, State.DISABLED),
    ("C10 off, admin", State.NEEDS_ADMIN, Event.DISABLED, State.DISABLED),
    ("C10 on", State.DISABLED, Event.ENABLED, State.CONNECTED),
    ("C1 draft", State.DRAFT, Event.EXPIRED, State.DELETED),
    ("C1 configured", State.CONFIGURED, Event.EXPIRED, State.DELETED),
    ("C1 authorizing", State.AUTHORIZING, Event.EXPIRED, State.DELETED),
    ("C1 authorized", State.AUTHORIZED, Event.EXPIRED, State.DELETED),
    ("C11 configured", State.CONFIGURED, Event.DELETED, State.DELETED),
    ("C11 authorizing", State.AUTHORIZING, Event.DELETED, State.DELETED),
    ("C11 authorized", State.AUTHORIZED, Event.DELETED, State.DELETED),
    ("C11 connected", State.CONNECTED, Event.DELETED, State.DELETED),
    ("C11 dead", State.NEEDS_REAUTH, Event.DELETED, State.DELETED),
    ("C11 admin", State.NEEDS_ADMIN, Event.DELETED, State.DELETED),
    ("C11 disabled", State.DISABLED, Event.DELETED, State.DELETED),
]


def connector(state: State, expires_at: int | None = NOW + DRAFT_LIFETIME) -> Connector:
    """A connector in this state, in the wizard unless it has no end."""
    return Connector(
        id="con_1",
        project="prj_1",
        name="Salesforce",
        name_key="salesforce",
        type="salesforce",
        state=state,
        created_by="adm_1",
        created_at=NOW,
        changed_at=NOW,
        expires_at=expires_at,
    )


@pytest.mark.parametrize(("row", "state", "event", "to"), ROWS, ids=[row[0] for row in ROWS])
def test_row(row: str, state: State, event: Event, to: State) -> None:
    """Each row of the table C leads where it says, with a reason and a new version."""
    result = after(connector(state), event, now=NOW + 1, reason="denied")
    assert (result.state, result.reason) == (to, "denied"), row
    assert (result.version, result.changed_at) == (2, NOW + 1)


def test_the_rows_are_the_table() -> None:
    """No pair is allowed that the rows above do not name."""
    assert {(state, event): to for _, state, event, to in ROWS} == NEXT


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(State, Event) if pair not in NEXT],
)
def test_every_other_pair_is_refused(state: State, event: Event) -> None:
    """R75: no step of the wizard is skipped; a draft has nothing to delete (C11)."""
    with pytest.raises(Conflict) as refused:
        after(connector(state), event, now=NOW)
    assert refused.value.reason == f"connector-{state}"


@pytest.mark.parametrize("state", [State.CONNECTED, State.NEEDS_REAUTH, State.NEEDS_ADMIN])
def test_c10_enabled_again_it_is_what_it_was(state: State) -> None:
    """C10: disable ↔ enable returns to the state before."""
    off = after(connector(state, None), Event.DISABLED, now=NOW)
    assert off.disabled_from is state
    on = after(off, Event.ENABLED, now=NOW)
    assert (on.state, on.disabled_from) == (state, None)


def test_c1_a_finished_wizard_has_no_end() -> None:
    """C1, C6, R81: a draft ends after a day; connected once, it never does, not even in C9."""
    finished = after(connector(State.AUTHORIZED), Event.FINISHED, now=NOW)
    assert not connector(State.AUTHORIZED).was_connected
    assert finished.was_connected
    moved = after(finished, Event.ORIGIN_CHANGED, now=NOW)
    with pytest.raises(Conflict):
        after(moved, Event.EXPIRED, now=NOW)


def test_f1_what_steps_may_ask_for() -> None:
    """F1: half-made, disabled, deleted or waiting for an administrator is unavailable; a dead
    grant of its own is not (F18a)."""
    available = [state for state in State if connector(state).is_available]
    assert available == [State.CONNECTED, State.NEEDS_REAUTH]


def test_r3_off_and_end_with_error_by_default() -> None:
    """R3: user authentication is off; the policy never changes identity."""
    fresh = connector(State.DRAFT)
    assert (fresh.user_authentication, fresh.policy) == (False, Policy.END_WITH_ERROR)


def test_r8_the_four_policies() -> None:
    """R8: exactly the four wire values of labels.md."""
    assert list(Policy) == ["fallback", "fallback_with_warning", "pause", "end_with_error"]


def test_r33_the_policy_is_kept_while_it_is_off() -> None:
    """R32, R33: saved at once, kept while off."""
    used = connector(State.CONNECTED, None)
    on = authenticating_users(used, enabled=True, policy=Policy.PAUSE, supported=True, now=NOW + 1)
    assert (on.user_authentication, on.policy, on.version) == (True, Policy.PAUSE, 2)
    off = authenticating_users(on, enabled=False, policy=on.policy, supported=False, now=NOW + 2)
    assert off == replace(on, user_authentication=False, version=3, changed_at=NOW + 2)


def test_r20_only_where_the_connector_supports_it() -> None:
    """R20, R24: switching it on elsewhere is refused as `user-auth-not-supported`."""
    with pytest.raises(Conflict) as refused:
        authenticating_users(
            connector(State.CONNECTED),
            enabled=True,
            policy=Policy.PAUSE,
            supported=False,
            now=NOW,
        )
    assert refused.value.reason == "user-auth-not-supported"
