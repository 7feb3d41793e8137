"""People: what is asked of a record, and why one is not active."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.domain.clock import rfc3339
from broker.domain.mapping import Profile
from broker.domain.users import INVITATION_LIFETIME, License, Status, SuspendedBy, User, why
from tests.broker.domain.people import NOW, person

DAY = rfc3339(NOW)[:10]

SENTENCES = [
    ("U1", person(), f"Was invited on {DAY} and has not signed in yet."),
    (
        "U12",
        person(activated_at=NOW, accepted=True),
        "Was active before and becomes active again at the next sign-in.",
    ),
    (
        "U4",
        person(Status.QUEUED),
        "Signed in and waits at place 3 for a license; an account admin can free or add one.",
    ),
    (
        "U9",
        person(Status.SUSPENDED),
        "The directory says that this person is not active.",
    ),
    (
        "U11",
        person(Status.SUSPENDED, suspended_by=SuspendedBy.ADMIN),
        "An administrator suspended this person; a sync does not lift it.",
    ),
    (
        "safety 12",
        person(Status.SUSPENDED, suspended_by=SuspendedBy.DETACHED),
        "The directory of this person was deleted, and none has adopted them within 30 days.",
    ),
    ("U15", person(Status.DELETED), "The directory deleted this person."),
    ("U3", person(Status.ACTIVE), "Is active and holds a license."),
    (
        "D3",
        person(Status.ACTIVE, licensed=False, license=License.NONE),
        "Is active, without a license by an administrator's exemption.",
    ),
]


@pytest.mark.parametrize(("row", "user", "sentence"), SENTENCES, ids=[row[0] for row in SENTENCES])
def test_why(row: str, user: User, sentence: str) -> None:
    """Each state explains itself in one sentence (promises, "why is Ann not active?")."""
    assert why(user, now=NOW, place=3) == sentence, row


def test_a_queue_nobody_counted_has_no_place() -> None:
    """R129: the answer says that the person waits, and names nobody."""
    assert "waits for a license" in why(person(Status.QUEUED), now=NOW)


def test_an_invitation_expires() -> None:
    """D2, U18: after seven days the sentence says to send a new one."""
    user = replace(person(), invited_at=None)
    assert "has not signed in" in why(user, now=NOW + INVITATION_LIFETIME - 1)
    assert "has expired" in why(user, now=NOW + INVITATION_LIFETIME)


def test_what_a_person_is() -> None:
    """The questions services ask read as sentences."""
    active, gone = person(Status.ACTIVE), person(Status.DELETED)
    assert active.is_active
    assert active.is_held
    assert active.was_active
    assert not active.is_exempt
    assert not active.is_gone
    assert gone.is_gone
    assert person(Status.SUSPENDED).is_gone
    assert not person().was_active
    assert (active.user_name, active.display_name) == ("kim", "Kim Lee")
    assert person(profile=Profile("kim")).display_name == "kim"
