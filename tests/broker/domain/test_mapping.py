"""The default mapping: a SCIM user in, a profile and warnings out."""

from __future__ import annotations

from typing import Any

import pytest

from broker.domain.errors import Invalid
from broker.domain.mapping import ADDRESS_LIMIT, Profile, Warning, mapped

WORK = {"type": "Work", "value": "kim@work.example"}
HOME = {"type": "home", "value": "kim@home.example"}


def test_declared_attributes_become_the_profile() -> None:
    """The default mapping is the identity for declared attributes (building.md)."""
    document = {
        "userName": "kim.lee@acme.example",
        "displayName": "Kim Lee",
        "name": {
            "givenName": "Kim",
            "familyName": "Lee",
            "middleName": "G",
            "honorificPrefix": "Dr",
            "honorificSuffix": "Jr",
        },
        "emails": [{"value": "kim@acme.example", "primary": True}],
    }
    result = mapped(document)
    assert result.warnings == ()
    assert result.profile == Profile(
        user_name="kim.lee@acme.example",
        display_name="Kim Lee",
        given_name="Kim",
        family_name="Lee",
        middle_name="G",
        prefix="Dr",
        suffix="Jr",
        email="kim@acme.example",
    )


def test_a_user_name_is_enough() -> None:
    """T7: what the directory does not say is empty, and no warning."""
    result = mapped({"userName": "kim"})
    assert (result.profile, result.warnings) == (Profile("kim"), ())
    assert result.profile.label == "kim"


@pytest.mark.parametrize(
    ("document", "label"),
    [
        ({"displayName": "K. Lee", "name": {"formatted": "Kim Lee"}}, "K. Lee"),
        ({"name": {"formatted": "Dr Kim\nLee", "givenName": "K"}}, "Dr Kim Lee"),
        ({"name": {"givenName": "Kim", "familyName": "Lee"}}, "Kim Lee"),
        ({"name": {"familyName": "Lee"}}, "Lee"),
        ({"name": {}}, "kim"),
    ],
    ids=["display name", "formatted, on one line", "parts", "one part", "user name"],
)
def test_a_person_is_called_by_the_best_name_there_is(document: dict[str, Any], label: str) -> None:
    """Display name, else the formatted one, else given and family name, else the userName."""
    assert mapped({"userName": "kim", **document}).profile.label == label


@pytest.mark.parametrize(
    ("emails", "address"),
    [
        ([HOME, WORK, {"value": "kim@acme.example", "primary": True}], "kim@acme.example"),
        ([HOME, WORK], "kim@work.example"),
        ([HOME, {"value": "kim@other.example"}], "kim@home.example"),
        ([{"value": "nobody", "primary": True}, HOME], "kim@home.example"),
    ],
    ids=["primary", "first for work", "first", "first that is one"],
)
def test_letters_go_to_the_best_address(emails: list[dict[str, Any]], address: str) -> None:
    """The primary address, else the first for work, else the first, if it is an address."""
    assert mapped({"userName": "kim", "emails": emails}).profile.email == address


@pytest.mark.parametrize(
    "value",
    [None, "kim", "@acme.example", "kim@", "kim lee@acme.example", "kim\u200b@acme.example"],
)
def test_an_address_no_letter_reaches_is_a_warning(value: str | None) -> None:
    """R120, R121: the person is provisioned without it, and the record says so."""
    result = mapped({"userName": "kim", "emails": [{"value": value}]})
    assert result.profile == Profile("kim")
    assert result.warnings == (
        Warning("emails", "No address here is one a letter could reach.", "no-address"),
    )


def test_an_address_has_an_end() -> None:
    """RFC 5321 allows 254 characters and no more."""
    longest = "k" * (ADDRESS_LIMIT - len("@acme.example")) + "@acme.example"
    assert mapped({"userName": "k", "emails": [{"value": longest}]}).profile.email == longest
    assert mapped({"userName": "k", "emails": [{"value": "k" + longest}]}).profile.email == ""


@pytest.mark.parametrize("user_name", [None, "", " ", "kim\u202elee"])
def test_without_a_visible_user_name_the_record_fails(user_name: str | None) -> None:
    """T7, safety 9: a missing or disguised required attribute fails that record only."""
    with pytest.raises(Invalid) as refused:
        mapped({"userName": user_name})
    assert refused.value.problems[0].pointer == "/userName"
