"""What a change of one person asks of others."""

from __future__ import annotations

import pytest

from broker.domain.effects import Effect, between, counted
from broker.domain.licenses import Licenses
from broker.domain.users import License, Status, User
from tests.broker.domain.people import person

ENDED = {Effect.DROP_TOKENS, Effect.CANCEL_PAUSES, Effect.END_SESSIONS}
FREED = {Effect.FREE_LICENSE, Effect.PROMOTE}

INVITED = person()
QUEUED = person(Status.QUEUED)
ACTIVE = person(Status.ACTIVE)
EXEMPT = person(Status.ACTIVE, licensed=False, license=License.NONE)
SUSPENDED = person(Status.SUSPENDED)
WITHHELD = person(Status.SUSPENDED, license=License.WITHHELD)
BACK = {Effect.HAND_BACK, Effect.PROMOTE}
DELETED = person(Status.DELETED)

CHANGES = [
    ("nothing", ACTIVE, ACTIVE, set()),
    ("U3", INVITED, ACTIVE, {Effect.TAKE_LICENSE, Effect.VOID_INVITATION}),
    ("U3 exempt", INVITED, EXEMPT, {Effect.VOID_INVITATION}),
    ("U4", INVITED, QUEUED, {Effect.QUEUE, Effect.VOID_INVITATION}),
    ("U6", QUEUED, ACTIVE, {Effect.LEAVE_QUEUE, Effect.TAKE_LICENSE}),
    ("U9", ACTIVE, SUSPENDED, FREED | ENDED),
    ("R5", ACTIVE, WITHHELD, {Effect.FREE_LICENSE, Effect.WITHHOLD} | ENDED),
    ("R6", WITHHELD, SUSPENDED, BACK),
    ("R6 rejected", WITHHELD, person(invite_epoch=0, activated_at=1), BACK),
    ("U15 held before", WITHHELD, DELETED, BACK | ENDED | {Effect.ERASE}),
    ("U10 invited", INVITED, SUSPENDED, {Effect.VOID_INVITATION} | ENDED),
    ("U10 queued", QUEUED, SUSPENDED, {Effect.LEAVE_QUEUE} | ENDED),
    ("U15", ACTIVE, DELETED, FREED | ENDED | {Effect.ERASE}),
    ("U15 suspended", SUSPENDED, DELETED, ENDED | {Effect.ERASE}),
    (
        "U18",
        INVITED,
        person(invite_epoch=2),
        {Effect.INVITE, Effect.VOID_INVITATION},
    ),
    ("U14", SUSPENDED, person(invite_epoch=1), {Effect.INVITE}),
    ("D3", ACTIVE, EXEMPT, FREED),
]


@pytest.mark.parametrize(
    ("row", "before", "after", "asked"), CHANGES, ids=[row[0] for row in CHANGES]
)
def test_between(row: str, before: User, after: User, asked: set[Effect]) -> None:
    """Safety 7, 8: what a change asks of others follows from the change itself."""
    assert between(before, after) == asked, row


@pytest.mark.parametrize(
    ("effects", "held", "withheld", "queued", "last"),
    [
        ({Effect.TAKE_LICENSE}, 6, 1, 2, 9),
        ({Effect.TAKE_LICENSE, Effect.LEAVE_QUEUE}, 6, 1, 1, 9),
        ({Effect.FREE_LICENSE}, 4, 1, 2, 9),
        ({Effect.FREE_LICENSE, Effect.WITHHOLD}, 4, 2, 2, 9),
        ({Effect.HAND_BACK}, 5, 0, 2, 9),
        ({Effect.QUEUE}, 5, 1, 3, 10),
        (set(), 5, 1, 2, 9),
    ],
)
def test_counted(effects: set[Effect], held: int, withheld: int, queued: int, last: int) -> None:
    """The allocator's row follows the effects; the last place only grows (c.1)."""
    row = Licenses("prj_1", 9, held=5, withheld=1, queued=2, queue_last=9)
    counts = counted(row, frozenset(effects))
    assert (counts.held, counts.withheld) == (held, withheld)
    assert (counts.queued, counts.queue_last) == (queued, last)
