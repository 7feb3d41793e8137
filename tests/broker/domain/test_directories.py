"""Directories: enabled, disabled, deleted."""

from __future__ import annotations

import itertools

import pytest

from broker.domain.clock import SECOND
from broker.domain.directories import NEXT, Directory, Event, State, after
from broker.domain.errors import Conflict

ROWS = [
    ("R111 off", State.ENABLED, Event.DISABLED, State.DISABLED),
    ("R111 on", State.DISABLED, Event.ENABLED, State.ENABLED),
    ("R113 enabled", State.ENABLED, Event.DELETED, State.DELETED),
    ("R113 disabled", State.DISABLED, Event.DELETED, State.DELETED),
]


def directory(state: State) -> Directory:
    """A directory in this state."""
    return Directory("dir_1", "prj_1", "Acme Entra", "acme entra", state, 0)


@pytest.mark.parametrize(("row", "state", "event", "to"), ROWS, ids=[row[0] for row in ROWS])
def test_row(row: str, state: State, event: Event, to: State) -> None:
    """R111 to R113: each allowed step changes the state and nothing else (R112)."""
    assert after(directory(state), event) == directory(to), row


def test_the_rows_are_the_table() -> None:
    """No pair is allowed that the rows above do not name."""
    assert {(state, event): to for _, state, event, to in ROWS} == NEXT


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(State, Event) if pair not in NEXT],
)
def test_every_other_pair_is_refused(state: State, event: Event) -> None:
    """R114: a deleted directory never comes back, and nothing happens twice."""
    with pytest.raises(Conflict) as refused:
        after(directory(state), event)
    assert refused.value.reason == f"directory-{state}"


def test_only_an_enabled_directory_takes_pushes() -> None:
    """R110, R111: disabled and deleted ones do not."""
    assert [state for state in State if directory(state).is_enabled] == [State.ENABLED]


def test_the_push_window_is_five_minutes_by_default() -> None:
    """building.md: 300 s of silence end a push run."""
    assert directory(State.ENABLED).window == 300 * SECOND
