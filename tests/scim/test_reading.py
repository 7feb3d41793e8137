"""What a name in a mapping means: a path of SCIM, a URN, or something nobody declares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim.document import accept
from scim.errors import ScimError
from scim.reading import Unreadable, reading
from scim.schema import Catalogue
from scim.tolerance import STANDARD

USER = Catalogue.standard().by_name["User"]
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DOCUMENT = {
    "userName": "kim",
    "name": {"givenName": "Kim"},
    "emails": [{"type": "work", "value": "kim@work"}, {"type": "home", "value": "kim@home"}],
    ENTERPRISE: {"department": "ICU", "manager": {"value": "m-1"}},
}
EXTRAS = {
    "salary": {"amount": 5, "parts": [{"value": 1}, {"value": 2}]},
    "urn:acme:Person:badge": "B-7",
    "name.nick": "K",
    "Cost Center": "R-17",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("USERNAME", ["kim"]),
        ("name.givenName", ["Kim"]),
        ("name", [{"givenName": "Kim"}]),
        ("emails", ["kim@work", "kim@home"]),
        ("emails.value", ["kim@work", "kim@home"]),
        ('emails[type eq "HOME"].value', ["kim@home"]),
        ('emails[type eq "fax"]', []),
        ("department", ["ICU"]),
        (f"{ENTERPRISE}:department", ["ICU"]),
        ("manager", ["m-1"]),
        ("title", []),
        ("salary.amount", [5]),
        ("salary.parts", [1, 2]),
        ("salary.amount.deeper", []),
        ("urn:acme:person:BADGE", ["B-7"]),
        ("name.nick", ["K"]),
        ("cost center", ["R-17"]),
        ("nobody", []),
    ],
)
def test_a_name_means_these_values(name: str, values: list[Any]) -> None:
    """RFC 7644 section 3.10 paths read the document, every other name what was kept beside it;
    names compare without case.
    """
    assert reading(USER, name)(DOCUMENT, EXTRAS) == values


@pytest.mark.parametrize(
    "name",
    [
        *("password", "id", "meta.created", "groups", "schemas", ENTERPRISE),
        *('emails[type eq "work"', 'emails[colour eq "red"]', 'userName[value eq "x"]'),
        *('emails[type eq "work"].colour', 'salary[type eq "x"].amount'),
        "urn:ietf:params:scim:schemas:extension:broker:2.0:User:status",
    ],
)
def test_what_is_never_there_is_refused(name: str) -> None:
    """Computed, secret and misspelt names would make a rule that silently does nothing."""
    with pytest.raises(Unreadable, match=r"\.$"):
        reading(USER, name)


NAMES = ["name", "emails", "phoneNumbers[primary eq true].value", "a", "a.b", "urn:x:y", "manager"]


@given(st.dictionaries(st.sampled_from(["name", "emails", "a", "A", "urn:x:y", "active"]), JSON))
def test_reading_is_total(said: dict[str, Any]) -> None:
    """Whatever JSON came and was accepted, each name reads a list of values."""
    try:
        accepted = accept(USER, said | {"userName": "kim"}, STANDARD)
    except ScimError:
        return
    for name in NAMES:
        values = reading(USER, name)(accepted.document, accepted.extras)
        assert None not in values
