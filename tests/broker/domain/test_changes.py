"""What differs between two documents, as an administrator reads it."""

from __future__ import annotations

from typing import Any

import pytest

from broker.domain.changes import LONGEST, MOST, differences
from broker.domain.runs import Change

URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"title": "a"}, {"title": "a"}, []),
        ({"title": "a"}, {"title": "b"}, [("title", "a", "b")]),
        ({}, {"title": "b"}, [("title", None, "b")]),
        ({"title": "a"}, {}, [("title", "a", None)]),
        ({"active": True}, {"active": False}, [("active", "true", "false")]),
        (
            {"name": {"givenName": "a"}},
            {"name": {"givenName": "b"}},
            [("name.givenName", "a", "b")],
        ),
        ({"name": {"givenName": "a"}}, {}, [("name.givenName", "a", None)]),
        ({}, {URN: {"department": "x"}}, [(f"{URN}:department", None, "x")]),
        (
            {"emails": [{"value": "a", "type": "work"}]},
            {"emails": [{"value": "a", "type": "work"}, {"value": "b"}]},
            [("emails", "value=a type=work", "value=a type=work; value=b")],
        ),
    ],
)
def test_each_attribute_that_differs_is_one_line(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """A record says what changed, by path, before and after; what stayed is not in it."""
    assert differences(before, after) == tuple(Change(*each) for each in expected)


def test_a_record_stays_small() -> None:
    """At most 50 changes, each text at most 500 characters, whatever was pushed."""
    after = {f"attribute{n}": "x" * 9000 for n in range(200)}
    found = differences({}, after)
    assert len(found) == MOST
    assert {len(change.after or "") for change in found} == {LONGEST}
