"""How a caller names a person."""

from __future__ import annotations

from typing import Any

import pytest

from broker.domain.errors import Invalid
from broker.domain.subjects import Subject


@pytest.mark.parametrize(
    "said",
    [
        {"user_id": "usr_1"},
        {"user_name": "kim"},
        {"user_name": "kim", "directory": "dir_1"},
        {"external_id": "e-1", "directory": "dir_1"},
        {"logon": "KIM", "suffix": "SAP"},
    ],
)
def test_a_person_is_named_in_one_way(said: dict[str, str]) -> None:
    """api.md, Resolve: each of the five ways names one person."""
    subject = Subject.parse(said)
    assert {name: getattr(subject, name) for name in said} == said


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({}, "/subject"),
        ({"user_id": "usr_1", "user_name": "kim"}, "/subject"),
        ({"external_id": "e-1"}, "/subject"),
        ({"logon": "KIM"}, "/subject"),
        ({"directory": "dir_1"}, "/subject"),
        ({"user_name": ""}, "/subject/user_name"),
        ({"user_name": 7}, "/subject/user_name"),
        ({"mail": "kim@acme.example"}, "/subject/mail"),
    ],
)
def test_two_ways_or_none_are_refused(said: dict[str, Any], pointer: str) -> None:
    """api.md: two ways that may disagree, half a way or no way at all are 422 with a pointer."""
    with pytest.raises(Invalid) as refused:
        Subject.parse(said)
    assert refused.value.problems[0].pointer == pointer
