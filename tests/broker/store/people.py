"""People for the tests of stores, in no directory that exists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.mapping import Profile
from broker.domain.users import Status, User
from broker.store import users

PROJECT = "prj_1"
DIRECTORY = "dir_1"


def person(user_name: str, **more: Any) -> User:
    """An invited person of the project."""
    return replace(
        User(
            id=ids.new("usr"),
            project=PROJECT,
            directory=DIRECTORY,
            external_id=None,
            profile=Profile(user_name),
            status=Status.INVITED,
            created_at=1,
            changed_at=1,
        ),
        **more,
    )


def kept(tx: Transaction, *people: User) -> None:
    """Keep all of them."""
    for each in people:
        users.insert(tx, each)


def deleted(user_name: str, at: int, **more: Any) -> User:
    """A tombstone."""
    return person(user_name, status=Status.DELETED, deleted_at=at, **more)


def waiting(user_name: str, number: int) -> User:
    """Somebody in the queue."""
    return person(user_name, status=Status.QUEUED, queue_seq=number)
