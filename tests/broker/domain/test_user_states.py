"""What happens to a person: the table U, row by row, and what holds over any history."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker.domain.effects import Effect, counted
from broker.domain.errors import Conflict
from broker.domain.licenses import Licenses, Promotion
from broker.domain.user_states import TABLE, TAKES_LICENSE, after, provisioned
from broker.domain.users import (
    DELETION_HELD,
    SUSPENSION_HELD,
    Event,
    License,
    Status,
    SuspendedBy,
    User,
)
from tests.broker.domain.people import NOW, person

FREE = Licenses("prj_1", 3, 2, 0, 7)
IDLE = replace(FREE, queued=2)
FULL = Licenses("prj_1", 3, 3, 20, 7)
STRICT = replace(FREE, strict=True)
LATER = NOW + 1

INVITED = person()
RETURNING = person(accepted=True, activated_at=NOW)
QUEUED = person(Status.QUEUED)
ACTIVE = person(Status.ACTIVE)
EXEMPT = person(Status.ACTIVE, licensed=False, license=License.NONE)
LEFT = person(Status.SUSPENDED, activated_at=NOW)
NEVER = person(Status.SUSPENDED)
BARRED = person(Status.SUSPENDED, suspended_by=SuspendedBy.ADMIN, idp_active=True)
BARRED_OUT = replace(BARRED, idp_active=False)
BARRED_LATE = replace(BARRED, activated_at=NOW)
DETACHED = person(Status.ACTIVE, directory=None, detached_at=NOW)
DELETED = person(Status.DELETED)
HELD_BACK = replace(LEFT, status_reason=SUSPENSION_HELD, license=License.WITHHELD)
HELD_NEW = replace(NEVER, status_reason=SUSPENSION_HELD)
UNDECIDED = replace(HELD_BACK, status_reason=DELETION_HELD, deleted_at=NOW)
BARRED_UNDECIDED = replace(BARRED_OUT, status_reason="left", deleted_at=NOW)

A, N, Q, S, D = Status.ACTIVE, Status.INVITED, Status.QUEUED, Status.SUSPENDED, Status.DELETED

ROWS: list[tuple[str, User, Event, Licenses, Status, dict[str, Any]]] = [
    # row, who, what happens, licenses, status after, what else holds
    ("U3", INVITED, Event.LOGGED_IN, FREE, A, {"license": License.HELD, "activated_at": LATER}),
    ("U3 returning", RETURNING, Event.LOGGED_IN, FREE, A, {"license": License.HELD}),
    ("U3 exempt", replace(INVITED, licensed=False), Event.LOGGED_IN, FULL, A, {"is_held": False}),
    (
        "U3 exempt, others wait",
        replace(INVITED, licensed=False),
        Event.LOGGED_IN,
        IDLE,
        A,
        {"is_held": False},
    ),
    (
        "U4",
        INVITED,
        Event.LOGGED_IN,
        FULL,
        Q,
        {"queue_seq": 8, "accepted": True, "queued_at": LATER},
    ),
    ("U4 others wait longer", INVITED, Event.LOGGED_IN, IDLE, Q, {"queue_seq": 8}),
    ("U5", QUEUED, Event.LOGGED_IN, FREE, Q, {"queue_seq": 7, "version": 1}),
    ("U5 active", ACTIVE, Event.LOGGED_IN, FULL, A, {"version": 1}),
    (
        "U6",
        QUEUED,
        Event.PROMOTED,
        FREE,
        A,
        {"license": License.HELD, "queue_seq": None, "queued_at": None},
    ),
    ("U7", QUEUED, Event.ACTIVATED, FREE, A, {"license": License.HELD}),
    ("U7 invited", INVITED, Event.ACTIVATED, FREE, A, {"accepted": True}),
    ("U9", ACTIVE, Event.DIRECTORY_INACTIVE, FREE, S, {"license": License.NONE}),
    ("U10", INVITED, Event.DIRECTORY_INACTIVE, FREE, S, {"suspended_by": SuspendedBy.DIRECTORY}),
    ("U10 queued", QUEUED, Event.DIRECTORY_INACTIVE, FREE, S, {"queue_seq": None}),
    (
        "R5",
        ACTIVE,
        Event.SUSPENSION_HELD,
        FULL,
        S,
        {"license": License.WITHHELD, "status_reason": SUSPENSION_HELD, "idp_active": False},
    ),
    ("R5 queued", QUEUED, Event.SUSPENSION_HELD, FULL, S, {"is_withheld": False}),
    ("R5 exempt", EXEMPT, Event.SUSPENSION_HELD, FULL, S, {"is_withheld": False}),
    ("U13 held", replace(BARRED), Event.SUSPENSION_HELD, FULL, S, {"idp_active": False}),
    (
        "R5 deletion",
        ACTIVE,
        Event.DELETION_HELD,
        FULL,
        S,
        {"license": License.WITHHELD, "status_reason": DELETION_HELD, "deleted_at": LATER},
    ),
    (
        "R5 deletion of who is held",
        HELD_BACK,
        Event.DELETION_HELD,
        FULL,
        S,
        {"license": License.WITHHELD, "status_reason": DELETION_HELD, "deletion_is_held": True},
    ),
    (
        "R5 deletion of who is barred",
        BARRED,
        Event.DELETION_HELD,
        FULL,
        S,
        {"suspended_by": SuspendedBy.ADMIN, "deletion_is_held": True, "idp_active": False},
    ),
    (
        "R6 released",
        HELD_BACK,
        Event.RELEASED,
        FULL,
        S,
        {"license": License.NONE, "status_reason": "inactive-in-directory"},
    ),
    ("R6 released, back meanwhile", ACTIVE, Event.RELEASED, FULL, A, {"version": 1}),
    (
        "U12 rejected",
        HELD_BACK,
        Event.KEPT,
        FULL,
        N,
        {"license": License.NONE, "accepted": True, "idp_active": False, "directory": "dir_1"},
    ),
    ("U14 rejected", HELD_NEW, Event.KEPT, FREE, N, {"invite_epoch": 1, "idp_active": False}),
    (
        "U12 rejected deletion",
        UNDECIDED,
        Event.KEPT,
        FULL,
        N,
        {"directory": None, "detached_at": LATER, "adoptable": True, "deletion_is_held": False},
    ),
    (
        "R6 rejected deletion of who is barred",
        BARRED_UNDECIDED,
        Event.KEPT,
        FREE,
        S,
        {"suspended_by": SuspendedBy.ADMIN, "status_reason": "left", "adoptable": True},
    ),
    ("R6 rejected, back meanwhile", ACTIVE, Event.KEPT, FULL, A, {"version": 1}),
    ("U15 released", UNDECIDED, Event.DELETED, FULL, D, {"license": License.NONE}),
    (
        "U11 lifted, deletion held",
        BARRED_UNDECIDED,
        Event.REINSTATED,
        FREE,
        S,
        {"suspended_by": SuspendedBy.DIRECTORY, "status_reason": DELETION_HELD},
    ),
    ("U13 deletion held", UNDECIDED, Event.DIRECTORY_ACTIVE, FREE, S, {"is_withheld": True}),
    ("U12 held", HELD_BACK, Event.DIRECTORY_ACTIVE, FULL, N, {"license": License.NONE}),
    ("U11 held", HELD_BACK, Event.SUSPENDED, FULL, S, {"license": License.NONE}),
    ("U11", ACTIVE, Event.SUSPENDED, FREE, S, {"suspended_by": SuspendedBy.ADMIN}),
    ("U11 left", LEFT, Event.SUSPENDED, FREE, S, {"suspended_by": SuspendedBy.ADMIN}),
    ("U11 lifted", BARRED, Event.REINSTATED, FREE, N, {"invite_epoch": 1}),
    ("U11 lifted, late", BARRED_LATE, Event.REINSTATED, FREE, N, {"accepted": True}),
    (
        "U11 lifted, out",
        BARRED_OUT,
        Event.REINSTATED,
        FREE,
        S,
        {"suspended_by": SuspendedBy.DIRECTORY},
    ),
    ("U12", LEFT, Event.DIRECTORY_ACTIVE, FREE, N, {"accepted": True, "invite_epoch": 0}),
    ("U13", ACTIVE, Event.DIRECTORY_ACTIVE, FULL, A, {"version": 1}),
    ("U13 barred", BARRED_OUT, Event.DIRECTORY_ACTIVE, FREE, S, {"idp_active": True}),
    (
        "U13 barred, late",
        replace(BARRED_LATE, idp_active=False),
        Event.DIRECTORY_ACTIVE,
        FREE,
        S,
        {"idp_active": True, "suspended_by": SuspendedBy.ADMIN},
    ),
    ("U13 off", BARRED, Event.DIRECTORY_INACTIVE, FREE, S, {"idp_active": False}),
    ("U14", NEVER, Event.DIRECTORY_ACTIVE, FREE, N, {"invite_epoch": 1, "accepted": False}),
    ("U15", ACTIVE, Event.DELETED, FREE, D, {"license": License.NONE, "deleted_at": LATER}),
    ("U15 barred", BARRED, Event.DELETED, FREE, D, {"suspended_by": SuspendedBy.ADMIN}),
    ("U15 left", LEFT, Event.DELETED, FREE, D, {"suspended_by": None}),
    ("U18", INVITED, Event.INVITED_AGAIN, FREE, N, {"invite_epoch": 2, "invited_at": LATER}),
    (
        "safety 12",
        DETACHED,
        Event.DETACHED_TOO_LONG,
        FREE,
        S,
        {"suspended_by": SuspendedBy.DETACHED},
    ),
    ("D3", ACTIVE, Event.EXEMPTED, FREE, A, {"licensed": False, "license": License.NONE}),
    ("D3 queued", QUEUED, Event.EXEMPTED, FULL, A, {"licensed": False, "queue_seq": None}),
    ("D3 invited", INVITED, Event.EXEMPTED, FULL, N, {"licensed": False}),
    ("D3 back", EXEMPT, Event.LICENSED, FREE, A, {"license": License.HELD}),
    ("D3 held", ACTIVE, Event.LICENSED, FULL, A, {"version": 1}),
    ("D3 waits", replace(INVITED, licensed=False), Event.LICENSED, FULL, N, {"licensed": True}),
]


@pytest.mark.parametrize(
    ("row", "user", "event", "licenses", "status", "holds"), ROWS, ids=[row[0] for row in ROWS]
)
def test_row(
    row: str, user: User, event: Event, licenses: Licenses, status: Status, holds: dict[str, Any]
) -> None:
    """Each row of the table U changes what it says, and the answer names the row."""
    result = after(user, event, now=LATER, licenses=licenses)
    assert row.startswith(result.row)
    assert result.user.status is status
    assert {name: getattr(result.user, name) for name in holds} == holds
    assert result.user == user or result.user.version == user.version + 1


def test_the_rows_above_are_all_there_are() -> None:
    """Every row of the table, refusals apart, is in the list above."""
    refusing = {"U8"}
    tested = {row.split(" ")[0] for row, *_ in ROWS}
    assert {row.number.split(" ")[0] for row in TABLE} == tested | refusing


@pytest.mark.parametrize("event", [Event.PROMOTED, Event.ACTIVATED])
def test_u8_nobody_is_activated_beyond_the_capacity(event: Event) -> None:
    """U8: 409 `license-exhausted` with capacity, used and queue length; the person is unchanged."""
    with pytest.raises(Conflict) as refused:
        after(QUEUED, event, now=LATER, licenses=FULL)
    assert refused.value.reason == "license-exhausted"
    assert str(refused.value) == "No license is free: 3 of 3 licenses are held, 20 people wait"


def test_u8_an_exemption_is_not_taken_back_beyond_the_capacity() -> None:
    """D3, safety 10: active and licensed ⇔ held, so without a free license the person stays."""
    with pytest.raises(Conflict) as refused:
        after(EXEMPT, Event.LICENSED, now=LATER, licenses=FULL)
    assert refused.value.reason == "license-exhausted"


def test_u7_a_bypass_is_counted() -> None:
    """U7: whoever is passed is counted, and the answer says how many."""
    assert after(INVITED, Event.ACTIVATED, now=LATER, licenses=FREE, ahead=4).bypassed == 4
    assert after(INVITED, Event.LOGGED_IN, now=LATER, licenses=FREE, ahead=4).bypassed == 0


def test_u7_strictly_in_order_nobody_is_passed() -> None:
    """U7: refused where the project gives licenses strictly first come, first served."""
    with pytest.raises(Conflict) as refused:
        after(QUEUED, Event.ACTIVATED, now=LATER, licenses=STRICT, ahead=1)
    assert refused.value.reason == "queue-order"
    assert after(QUEUED, Event.ACTIVATED, now=LATER, licenses=STRICT).user.is_active


ALLOWED = {(status, row.event) for row in TABLE for status in row.origin}


@pytest.mark.parametrize(
    ("status", "event"),
    [pair for pair in itertools.product(Status, Event) if pair not in ALLOWED],
)
def test_every_other_pair_is_refused(status: Status, event: Event) -> None:
    """What no row names cannot happen, least of all to a deleted person (safety 7)."""
    with pytest.raises(Conflict) as refused:
        after(person(status), event, now=LATER, licenses=FREE)
    assert refused.value.reason == f"user-{status}"


@pytest.mark.parametrize(
    ("user", "event"),
    [(LEFT, Event.REINSTATED), (ACTIVE, Event.DETACHED_TOO_LONG)],
    ids=["the directory's suspension is not an administrator's to lift", "not detached"],
)
def test_a_guard_refuses_too(user: User, event: Event) -> None:
    """U11, safety 12: where no guard holds there is no row."""
    with pytest.raises(Conflict):
        after(user, event, now=LATER)


@pytest.mark.parametrize("event", sorted(TAKES_LICENSE))
def test_a_license_is_never_given_without_asking(event: Event) -> None:
    """Events that may take a license need the allocator's row (promise 8)."""
    with pytest.raises(ValueError, match="without the project's licenses"):
        after(QUEUED, event, now=LATER)


@pytest.mark.parametrize("user", [INVITED, QUEUED, ACTIVE, LEFT, BARRED])
def test_u11_an_administrator_may_suspend_anybody_living(user: User) -> None:
    """U11: from any state; the reason is the administrator's word, where one is given."""
    assert after(user, Event.SUSPENDED, now=LATER, reason="left").user.status_reason == "left"
    assert after(user, Event.SUSPENDED, now=LATER).user.suspended_by is SuspendedBy.ADMIN


def test_u11_the_same_suspension_again_changes_nothing() -> None:
    """A repeat is the same answer and no new version."""
    once = after(ACTIVE, Event.SUSPENDED, now=LATER).user
    assert after(once, Event.SUSPENDED, now=LATER + 1).user == once


def test_u12_no_second_letter() -> None:
    """U12, T15: back to invited without a letter; the next login takes the license."""
    back = after(LEFT, Event.DIRECTORY_ACTIVE, now=LATER)
    assert Effect.INVITE not in back.effects
    assert after(back.user, Event.LOGGED_IN, now=LATER, licenses=FREE).row == "U3"
    assert after(back.user, Event.LOGGED_IN, now=LATER, licenses=FULL).row == "U4"


def test_u14_a_new_letter() -> None:
    """U14: suspended before ever active, the person is invited by a new epoch."""
    assert Effect.INVITE in after(NEVER, Event.DIRECTORY_ACTIVE, now=LATER).effects


def test_detached_people_come_back_with_their_new_directory() -> None:
    """Safety 12: adopted and active in the directory, a detached person is invited back."""
    gone = after(DETACHED, Event.DETACHED_TOO_LONG, now=LATER).user
    adopted = replace(gone, directory="dir_2", detached_at=None)
    assert after(adopted, Event.DIRECTORY_ACTIVE, now=LATER).row == "U12"


BARRED_TOMBSTONE = replace(DELETED, suspended_by=SuspendedBy.ADMIN, status_reason="left")

PUSHED: list[tuple[str, bool, list[User], Status, dict[str, Any]]] = [
    ("U1", True, [], N, {"invite_epoch": 1, "accepted": False}),
    ("U2", False, [], S, {"invite_epoch": 0, "suspended_by": SuspendedBy.DIRECTORY}),
    ("U16", True, [DELETED], N, {"invite_epoch": 1}),
    ("U16", False, [DELETED], S, {"suspended_by": SuspendedBy.DIRECTORY}),
    (
        "U16",
        True,
        [DELETED, BARRED_TOMBSTONE],
        S,
        {"suspended_by": SuspendedBy.ADMIN, "status_reason": "left", "idp_active": True},
    ),
]


@pytest.mark.parametrize(("row", "active", "tombstones", "status", "holds"), PUSHED)
def test_provisioned(
    row: str, active: bool, tombstones: list[User], status: Status, holds: dict[str, Any]
) -> None:
    """U1, U2, U16, safety 6: nobody is newly active; an administrator's word outlives deletion."""
    new = person(invite_epoch=0, invited_at=None, idp_active=active)
    result = provisioned(new, now=LATER, tombstones=tombstones)
    assert (result.row, result.user.status) == (row, status)
    assert {name: getattr(result.user, name) for name in holds} == holds
    assert result.effects == ({Effect.INVITE} if status is N else set())
    assert (result.user.license, result.user.version) == (License.NONE, 1)


def test_safety_6_a_barred_person_comes_back_through_an_administrator_alone() -> None:
    """Deleted, pushed again, active in the directory: still suspended until it is lifted."""
    tombstone = after(BARRED, Event.DELETED, now=LATER).user
    new = person(id="usr_2", invite_epoch=0, invited_at=None)
    back = provisioned(new, now=LATER, tombstones=[tombstone]).user
    back = after(back, Event.DIRECTORY_ACTIVE, now=LATER).user
    assert back.status is Status.SUSPENDED
    assert after(back, Event.REINSTATED, now=LATER).user.status is Status.INVITED


@given(
    events=st.lists(
        st.tuples(st.sampled_from(Event), st.booleans(), st.sampled_from([FREE, FULL, STRICT])),
        max_size=30,
    )
)
def test_safety_10_active_and_licensed_is_holding(
    events: list[tuple[Event, bool, Licenses]],
) -> None:
    """Over any history: active and licensed ⇔ held; queued ⇔ a place; suspended ⇒ by somebody."""
    user = provisioned(person(invite_epoch=0), now=NOW).user
    for event, detached, licenses in events:
        user = replace(user, detached_at=NOW if detached else None)
        try:
            result = after(user, event, now=LATER, licenses=licenses, ahead=1)
        except Conflict:
            continue
        before, user = user, result.user
        assert (user.is_active and user.licensed) is user.is_held
        assert (user.queue_seq is not None) is (user.status is Status.QUEUED)
        assert (user.suspended_by is not None) or user.status is not Status.SUSPENDED
        assert user.invite_epoch - before.invite_epoch == (Effect.INVITE in result.effects)
        assert before.status is not Status.DELETED


class Project(RuleBasedStateMachine):
    """Everybody of one project, over any interleaving of events and capacities, held ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.licenses = Licenses("prj_1", 2)
        self.people: dict[str, User] = {}
        self.lowered = False
        self.letters: set[tuple[str, int]] = set()

    @rule(active=st.booleans())
    def push(self, active: bool) -> None:
        """A directory pushes somebody new."""
        new = person(id=f"usr_{len(self.people)}", invite_epoch=0, idp_active=active)
        result = provisioned(new, now=NOW)
        self.keep(result.user, result.effects)
        assert not result.user.is_active  # R123

    @precondition(lambda self: self.people)
    @rule(pick=st.integers(0, 99), event=st.sampled_from(Event))
    def happen(self, pick: int, event: Event) -> None:
        """Something happens to somebody; promotion is `promote`'s alone."""
        user = list(self.people.values())[pick % len(self.people)]
        if event is Event.PROMOTED:
            return
        ahead = sum(1 for one in self.queue() if one.id != user.id)
        try:
            result = after(user, event, now=NOW, licenses=self.licenses, ahead=ahead)
        except Conflict:
            return
        self.keep(result.user, result.effects)
        if Effect.PROMOTE in result.effects:
            self.promote()

    @rule(capacity=st.one_of(st.none(), st.integers(0, 4)))
    def resize(self, capacity: int | None) -> None:
        """An administrator changes the capacity; nobody loses anything (U17)."""
        taken = self.licenses.taken
        self.licenses = replace(self.licenses, capacity=capacity)
        assert self.licenses.taken == taken
        self.lowered = capacity is not None and taken > capacity
        self.promote()

    @rule(promotion=st.sampled_from(Promotion))
    def by_hand(self, promotion: Promotion) -> None:
        """An administrator changes who promotes (T3)."""
        self.licenses = replace(self.licenses, promotion=promotion)
        self.promote()

    def promote(self) -> None:
        """U6: whoever waits longest, as long as there is a license and somebody."""
        while self.licenses.may_promote and self.queue():
            head = self.queue()[0]
            result = after(head, Event.PROMOTED, now=NOW, licenses=self.licenses)
            self.keep(result.user, result.effects)

    def queue(self) -> list[User]:
        """Those who wait, in the order of their places."""
        waiting = [user for user in self.people.values() if user.queue_seq is not None]
        return sorted(waiting, key=lambda user: user.queue_seq or 0)

    def keep(self, user: User, effects: frozenset[Effect]) -> None:
        """Write the change and what it asks."""
        self.people[user.id] = user
        self.licenses = counted(self.licenses, effects)
        if Effect.INVITE in effects:
            letter = (user.id, user.invite_epoch)
            assert letter not in self.letters  # one invitation for each user and epoch
            self.letters.add(letter)

    @invariant()
    def the_numbers_agree(self) -> None:
        """Held, withheld and queued are what the people say (R131)."""
        held = sum(user.is_held for user in self.people.values())
        withheld = sum(user.is_withheld for user in self.people.values())
        assert (self.licenses.held, self.licenses.withheld) == (held, withheld)
        assert self.licenses.queued == len(self.queue())

    @invariant()
    def capacity_is_kept(self) -> None:
        """held + withheld ≤ capacity unless the capacity was lowered (promise 8, R5)."""
        within = self.licenses.capacity is None or self.licenses.taken <= self.licenses.capacity
        self.lowered = self.lowered and not within
        assert self.lowered or within

    @invariant()
    def nobody_waits_beside_a_free_license(self) -> None:
        """Automatic promotion leaves nobody waiting while a license is free (U6)."""
        assert self.licenses.promotion is Promotion.MANUAL or not self.licenses.is_idle

    @invariant()
    def a_withheld_license_is_of_somebody_suspended(self) -> None:
        """R5: nobody's until it is decided, and known by whose it was."""
        for user in self.people.values():
            assert not user.is_withheld or user.status is Status.SUSPENDED
            assert user.is_gone or not user.deletion_is_held

    @invariant()
    def places_are_given_once(self) -> None:
        """The order is by sequence, and a place is never given twice."""
        places = [user.queue_seq for user in self.queue()]
        assert len(places) == len(set(places))
        assert all(place is not None and place <= self.licenses.queue_last for place in places)


def test_everybody_of_a_project() -> None:
    """c.1: the invariants of people and licenses hold over any interleaving."""
    run_state_machine_as_test(Project, settings=settings(deadline=None, max_examples=60))


def test_the_seed_example() -> None:
    """R127 to R130: 120 synced, 100 licenses, 120 activate: 100 active, 20 queued 1..20; one
    suspension gives the first in line a license."""
    licenses = Licenses("prj_1", 100)
    people = [person(id=f"usr_{n}") for n in range(120)]
    for place, user in enumerate(people):
        result = after(user, Event.LOGGED_IN, now=NOW, licenses=licenses)
        people[place], licenses = result.user, counted(licenses, result.effects)
    assert [user.is_active for user in people] == [True] * 100 + [False] * 20
    assert [user.queue_seq for user in people[100:]] == list(range(1, 21))
    left = after(people[3], Event.DIRECTORY_INACTIVE, now=NOW)
    assert Effect.PROMOTE in left.effects
    licenses = counted(licenses, left.effects)
    promoted = after(people[100], Event.PROMOTED, now=NOW, licenses=licenses)
    assert (promoted.row, counted(licenses, promoted.effects).held) == ("U6", 100)
