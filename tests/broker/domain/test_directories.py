"""Directories: which of them take pushes."""

from __future__ import annotations

from broker.domain.directories import Directory, State


def directory(state: State) -> Directory:
    """A directory in this state."""
    return Directory("dir_1", "prj_1", "Acme Entra", "acme entra", state, 0)


def test_only_an_enabled_directory_takes_pushes() -> None:
    """R110, R111: disabled and deleted ones do not."""
    assert [state for state in State if directory(state).is_enabled] == [State.ENABLED]
