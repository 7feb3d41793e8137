"""People: what is asked of a record, and why one is not active."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.domain.clock import rfc3339
from broker.domain.mapping import Profile
from broker.domain.users import (
    INVITATION_LIFETIME,
    SUSPENSION_HELD,
    License,
    Status,
    SuspendedBy,
    User,
    why,
)
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
        "R5",
        person(Status.SUSPENDED, status_reason=SUSPENSION_HELD),
        "The directory says that this person is not active, as it does of so many that an"
        " administrator has to decide.",
    ),
    (
        "R5 deleted",
        person(Status.SUSPENDED, deleted_at=NOW),
        "The directory deleted this person, as it does of so many that an administrator has to"
        " decide.",
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


def test_who_waits_beside_a_free_license_waits_for_an_administrator() -> None:
    """T3: where promotion is by hand, the sentence says that one is free."""
    said = why(person(Status.QUEUED), now=NOW, place=1, is_free=True)
    assert said.endswith("at place 1 for a license; an account admin can give a free one.")


def test_an_invitation_expires() -> None:
    """D2, U18: once the days of its link are over, the sentence says to send a new one."""
    user, ends = replace(person(), invited_at=None), NOW + INVITATION_LIFETIME
    assert "has not signed in" in why(user, now=ends - 1, link_ends=ends)
    assert "has expired" in why(user, now=ends, link_ends=ends)
    assert "has not signed in" in why(user, now=ends, link_ends=None)


def test_a_letter_that_could_not_be_delivered_is_told() -> None:
    """ "Why is this person not active?": because no letter reached them, and here is why."""
    assert why(person(), now=NOW, undelivered="No address.").endswith(
        "could not be delivered: No address."
    )


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
