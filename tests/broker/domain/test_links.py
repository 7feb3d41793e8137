"""Links: followed, claimed once, done, or at an end."""

from __future__ import annotations

import itertools

import pytest

from broker.domain.errors import Conflict
from broker.domain.links import NEXT, Event, Link, Purpose, State, after

ROWS = [
    ("K1", State.OPEN, Event.FOLLOWED, State.OPEN),
    ("K2 claim", State.OPEN, Event.CLAIMED, State.CLAIMED),
    ("K2 done", State.CLAIMED, Event.COMPLETED, State.DONE),
    ("K3 denied", State.OPEN, Event.REFUSED, State.FAILED),
    ("K3 wrong account", State.CLAIMED, Event.REFUSED, State.FAILED),
    ("K3 expired", State.OPEN, Event.EXPIRED, State.FAILED),
    ("K3 left behind", State.CLAIMED, Event.EXPIRED, State.FAILED),
]


def link(state: State) -> Link:
    """A link in this state, which ends at 1,000."""
    return Link(
        id="lnk_1",
        project="prj_1",
        connector="con_1",
        user="usr_1",
        purpose=Purpose.CONNECT,
        state=state,
        made_by="key_1",
        created_at=0,
        expires_at=1000,
    )


@pytest.mark.parametrize(("row", "state", "event", "to"), ROWS, ids=[row[0] for row in ROWS])
def test_row(row: str, state: State, event: Event, to: State) -> None:
    """Each row leads where it says and keeps the reason (K3)."""
    result = after(link(state), event, now=5, reason="access_denied")
    assert (result.state, result.reason) == (to, "access_denied"), row
    assert result.claimed_at == (5 if event is Event.CLAIMED else None)


def test_the_rows_are_the_table() -> None:
    """No pair is allowed that the rows above do not name."""
    assert {(state, event): to for _, state, event, to in ROWS} == NEXT


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(State, Event) if pair not in NEXT],
)
def test_every_other_pair_is_refused(state: State, event: Event) -> None:
    """Promise 19: a link is claimed once; an ended one is never used again."""
    with pytest.raises(Conflict) as refused:
        after(link(state), event, now=5)
    assert refused.value.reason == f"link-{state}"


@pytest.mark.parametrize("event", [Event.FOLLOWED, Event.CLAIMED])
def test_a_late_link_leads_nowhere(event: Event) -> None:
    """K3: past its end a link is neither followed nor claimed, and can still be closed."""
    with pytest.raises(Conflict) as refused:
        after(link(State.OPEN), event, now=1000)
    assert refused.value.reason == "link-expired"
    assert after(link(State.OPEN), Event.EXPIRED, now=1000).state is State.FAILED


def test_pending_is_an_open_link() -> None:
    """K1: pending is an overlay, true while the link is open or claimed."""
    assert [state for state in State if link(state).is_open] == [State.OPEN, State.CLAIMED]
