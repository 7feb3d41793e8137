"""The employees a pretend directory holds."""

from __future__ import annotations

import tracemalloc

import pytest

from broker.demo.people import PEOPLE
from broker.demo.staff import DEPARTMENTS, Event, Staff, department_of, manager_of


def test_the_first_are_the_people_of_the_demo() -> None:
    """Who is read is who is pushed: the same 120 employees, until more are hired."""
    staff = Staff()
    assert [staff.at(number) for number in staff.numbers] == list(PEOPLE)


def test_a_hundred_thousand_have_their_own_names_and_take_no_room() -> None:
    """Each is made when asked for; no two of them share a user name or an externalId."""
    staff = Staff()
    tracemalloc.start()
    staff.hire(100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000
    people = [staff.at(number) for number in range(1, 100_001)]
    assert len({one.user_name for one in people}) == len(people)
    assert len({one.external_id for one in people}) == len(people)


def test_a_log_tells_what_came_after() -> None:
    """Whoever remembers how long it was learns who came, changed and went since."""
    staff = Staff()
    before = len(staff.log)
    staff.change(1, {"title": "Owner"})
    staff.leave([2, 3])
    staff.come([3, 500])
    assert staff.since(before) == {
        1: {Event.CHANGED},
        2: {Event.WENT},
        3: {Event.WENT, Event.CAME},
        500: {Event.CAME},
    }
    assert staff.since(len(staff.log)) == {}
    assert staff.at(500).number == 500
    with pytest.raises(KeyError):
        staff.at(2)


def test_fewer_people_are_a_leave() -> None:
    """Hiring fewer than there are lets the others go."""
    staff = Staff()
    staff.hire(3)
    assert staff.numbers == [1, 2, 3]
    assert {event for happened in staff.since(0).values() for event in happened} == {Event.WENT}


def test_everybody_has_a_department_and_a_manager_above() -> None:
    """Lines of management end at the first employee, and departments share the staff."""
    assert manager_of(1) is None
    assert all((manager_of(number) or 0) < number for number in range(2, 1000))
    assert {department_of(number) for number in range(1, 6)} == set(range(len(DEPARTMENTS)))
