"""The people of the demo."""

from __future__ import annotations

from broker.demo.people import BADGE, ENTERPRISE, PEOPLE, USER


def test_a_hundred_and_twenty_different_people() -> None:
    """R127: 120 people, each with a name, an address and an externalId of their own."""
    assert len(PEOPLE) == 120
    assert len({person.external_id for person in PEOPLE}) == 120
    assert len({person.user_name for person in PEOPLE}) == 120
    assert all(person.user_name.endswith("@acme.example") for person in PEOPLE)
    assert len({person.department for person in PEOPLE}) == 5


def test_two_of_them_have_odd_records() -> None:
    """R120: two documents hold what no schema declares; all others hold nothing strange."""
    known = {
        "schemas",
        "externalId",
        "userName",
        "name",
        "displayName",
        "title",
        "emails",
        "active",
    }
    odd = [person for person in PEOPLE if set(person.document()) - known - {ENTERPRISE}]
    assert [sorted(set(person.document()) - known) for person in odd] == [
        ["shoeSize", ENTERPRISE],
        [BADGE, ENTERPRISE],
    ]
    assert all(USER in str(person.document()["schemas"]) for person in PEOPLE)
    assert [person.number for person in PEOPLE if person.roles] == [1]
