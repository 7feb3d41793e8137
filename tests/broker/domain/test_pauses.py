"""Pauses: the table P."""

from __future__ import annotations

import itertools

import pytest

from broker.domain.errors import Conflict
from broker.domain.pauses import CYCLES, NEXT, STATUS, Event, Identity, Pause, State, after

ROWS = [
    ("P2", State.WAITING, Event.SIGNED_IN, State.READY),
    ("P3", State.WAITING, Event.MISMATCHED, State.WAITING),
    ("P4", State.READY, Event.CLAIMED, State.CLAIMED),
    ("P5", State.CLAIMED, Event.RAN, State.RESUMED),
    ("P6", State.CLAIMED, Event.NOT_USABLE, State.WAITING),
    ("P7", State.READY, Event.UNCLAIMED, State.READY),
    ("P8", State.CLAIMED, Event.SILENT, State.READY),
    ("P9 waiting", State.WAITING, Event.TIMED_OUT, State.EXPIRED),
    ("P9 ready", State.READY, Event.TIMED_OUT, State.EXPIRED),
    ("P10 waiting", State.WAITING, Event.WITHDRAWN, State.CANCELLED),
    ("P10 ready", State.READY, Event.WITHDRAWN, State.CANCELLED),
    ("P10 claimed (safety 8)", State.CLAIMED, Event.WITHDRAWN, State.CANCELLED),
    ("P11", State.WAITING, Event.ENDED, State.FAILED),
    ("P12", State.WAITING, Event.OVERRIDDEN, State.READY),
    ("P12 ready", State.READY, Event.OVERRIDDEN, State.READY),
    ("P13", State.WAITING, Event.POLICY_CHANGED, State.WAITING),
    ("P14", State.WAITING, Event.RELEASED, State.READY),
    ("P14 ready", State.READY, Event.RELEASED, State.READY),
]


def pause(state: State) -> Pause:
    """A pause in this state (P1 makes it waiting)."""
    return Pause(
        id="pse_1",
        project="prj_1",
        key="key_1",
        decision="dec_1",
        connector="con_1",
        user="usr_1",
        execution="r-1",
        step="s4",
        state=state,
        created_at=0,
        changed_at=0,
        claim_hash="old" if state is State.CLAIMED else None,
    )


def claim(event: Event) -> str | None:
    """What a claim, and nothing else, brings."""
    return "new" if event is Event.CLAIMED else None


@pytest.mark.parametrize(("row", "state", "event", "to"), ROWS, ids=[row[0] for row in ROWS])
def test_row(row: str, state: State, event: Event, to: State) -> None:
    """Each row of the table P leads where it says, with its reason and a new version."""
    result = after(pause(state), event, now=9, reason="why", claim_hash=claim(event))
    assert (result.state, result.reason, result.version, result.changed_at) == (to, "why", 2, 9)
    assert row


def test_the_rows_are_the_table() -> None:
    """No pair is allowed that the rows above do not name."""
    assert {(state, event): to for _, state, event, to in ROWS} == NEXT


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(State, Event) if pair not in NEXT],
)
def test_every_other_pair_is_refused(state: State, event: Event) -> None:
    """R15: before the sign-in a claim is refused; an ended pause stays ended."""
    with pytest.raises(Conflict) as refused:
        after(pause(state), event, now=9, claim_hash=claim(event))
    assert refused.value.reason == f"pause-{state}"


def test_r14_the_owners_words() -> None:
    """R14: the status of a paused flow is exactly "Authentication needed"."""
    assert STATUS == "Authentication needed"


def test_safety_26_a_claim_token_lives_for_one_claim() -> None:
    """Each claim brings its own hash, and whatever happens next outdates it."""
    claimed = after(pause(State.READY), Event.CLAIMED, now=9, claim_hash="one")
    assert (claimed.claim_hash, claimed.claimed_at) == ("one", 9)
    silent = after(claimed, Event.SILENT, now=10)
    assert silent.claim_hash is None
    assert after(silent, Event.CLAIMED, now=11, claim_hash="two").claim_hash == "two"


@pytest.mark.parametrize(
    ("state", "event", "claim_hash"),
    [(State.READY, Event.CLAIMED, None), (State.WAITING, Event.SIGNED_IN, "one")],
)
def test_only_a_claim_brings_a_hash(state: State, event: Event, claim_hash: str | None) -> None:
    """A claim without a token, or a token without a claim, is our own mistake."""
    with pytest.raises(ValueError, match="hash of its token"):
        after(pause(state), event, now=9, claim_hash=claim_hash)


def test_p6_after_five_cycles_it_fails() -> None:
    """P6: a step that cannot run five times although its person signed in has other troubles."""
    waiting = pause(State.WAITING)
    for cycle in range(1, CYCLES + 1):
        assert waiting.state is State.WAITING
        ready = after(waiting, Event.SIGNED_IN, now=cycle)
        claimed = after(ready, Event.CLAIMED, now=cycle, claim_hash="one")
        waiting = after(claimed, Event.NOT_USABLE, now=cycle)
        assert waiting.cycles == cycle
    assert (waiting.state, waiting.reason) == (State.FAILED, "too-many-cycles")


@pytest.mark.parametrize("event", [Event.OVERRIDDEN, Event.RELEASED])
def test_p12_p14_the_connector_user_runs_once_an_administrator_said_so(event: Event) -> None:
    """P12, P14: released to the connector user for one go; after that the person counts again."""
    ready = after(pause(State.WAITING), event, now=9)
    assert ready.run_as is Identity.CONNECTOR
    claimed = after(ready, Event.CLAIMED, now=9, claim_hash="one")
    assert claimed.run_as is Identity.CONNECTOR
    for end in (Event.NOT_USABLE, Event.SILENT):
        assert after(claimed, end, now=9).run_as is Identity.USER


def test_a_sign_in_never_changes_the_identity() -> None:
    """P2: a pause made ready by its person runs as that person."""
    assert after(pause(State.WAITING), Event.SIGNED_IN, now=9).run_as is Identity.USER
