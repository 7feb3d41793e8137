"""Queries, from the URL and from a /.search body."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import SearchRequest

from scim.errors import InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue, ScimError
from scim.query import LARGEST, URN, Query, Sort, body_parameters, url_parameters
from scim.schema import Limits
from tests.scim.oracle import ENTERPRISE, GROUP, USER, UserModel, model_of, stored, users

LIMITS = Limits(default_page=100, largest_page=1000)


def asked(**parameters: str) -> Query:
    return Query.of(USER, url_parameters(urlencode(parameters).encode()), LIMITS)


@pytest.mark.parametrize(
    ("parameters", "start_index", "count"),
    [
        ({}, 1, 100),
        ({"startIndex": "0", "count": "2"}, 1, 2),
        ({"startIndex": "-5", "count": "-1"}, 1, 0),
        ({"startIndex": "7", "count": "0"}, 7, 0),
        ({"count": "5000"}, 1, 1000),
        ({"STARTINDEX": "3", "Count": " 4 "}, 3, 4),
        ({"startIndex": "99999999999"}, LARGEST, 100),
    ],
)
def test_which_page_is_asked(parameters: Any, start_index: int, count: int) -> None:
    """RFC 7644 section 3.4.2.4: 1-based, negatives read as the least, never more than announced."""
    query = asked(**parameters)
    assert (query.start_index, query.count) == (start_index, count)


@pytest.mark.parametrize(
    ("error", "parameters"),
    [
        (InvalidValue, {"count": "ten"}),
        (InvalidValue, {"count": ""}),
        (InvalidValue, {"count": "1.5"}),
        (InvalidValue, {"count": "9" * 5000}),
        (InvalidValue, {"startIndex": "٣"}),
        (InvalidValue, {"sortBy": "userName", "sortOrder": "up"}),
        (InvalidValue, {"attributes": "userName", "excludedAttributes": "title"}),
        (InvalidValue, {"attributes": "a\0"}),
        (InvalidPath, {"sortBy": "nobody"}),
        (InvalidPath, {"sortBy": "name"}),
        (InvalidPath, {"sortBy": "addresses"}),
        (InvalidPath, {"sortBy": "password"}),
        (InvalidPath, {"sortBy": "x509Certificates"}),
        (InvalidPath, {"sortBy": "meta.location"}),
        (InvalidFilter, {"filter": ""}),
        (InvalidFilter, {"filter": "  "}),
        (InvalidFilter, {"filter": "x y"}),
    ],
)
def test_what_is_no_query(error: type[ScimError], parameters: Any) -> None:
    """Each parameter that makes no sense is named; none is skipped in silence."""
    with pytest.raises(error):
        asked(**parameters)


@pytest.mark.parametrize("query", [b"filter=a&filter=b", b"filter=%ff", b"filter=\xff"])
def test_what_is_no_url(query: bytes) -> None:
    """A parameter given twice, and bytes that are no UTF-8, are 400 invalidSyntax."""
    with pytest.raises(InvalidSyntax):
        Query.of(USER, url_parameters(query), LIMITS)


def test_odd_encodings_of_known_clients_are_read() -> None:
    """OneLogin sends `+` and a trailing `&`; Entra's flag rides along as a parameter."""
    text = b"aadOptscim062020&filter=userName+eq+%22a%40b%22&cursor=&"
    query = Query.of(USER, url_parameters(text), LIMITS)
    assert query.filter is not None
    assert query.filter.equals == (("username", "a@b"),)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "filter": st.sampled_from(['userName eq "a"', 'title co "b" and active pr']),
            "sortBy": st.sampled_from(["userName", "emails", f"{ENTERPRISE}:department"]),
            "startIndex": st.integers(-5, 50),
            "count": st.integers(-5, 5000),
            "attributes": st.lists(st.sampled_from(["userName", "name.givenName"]), min_size=1),
        },
    )
)
def test_a_body_asks_what_a_url_asks(parts: dict[str, Any]) -> None:
    """RFC 7644 section 3.4.3: POST /.search is the same query by other means."""
    flat = {k: ",".join(v) if isinstance(v, list) else str(v) for k, v in parts.items()}
    by_url = asked(**flat)
    by_body = Query.of(USER, body_parameters({"schemas": [URN], **parts}), LIMITS)
    assert (by_url.start_index, by_url.count) == (by_body.start_index, by_body.count)
    assert by_url.selection == by_body.selection
    assert _asked(by_url) == _asked(by_body)
    assert _path(by_url) == _path(by_body)


def _asked(query: Query) -> Any:
    return query.filter and (query.filter.equals, query.filter.rest, query.filter.computed)


def _path(query: Query) -> str | None:
    return query.sort.path if query.sort else None


@pytest.mark.parametrize(
    "body",
    [
        {"schemas": ["urn:x"], "count": 1},
        {"count": "ten"},
        {"count": True},
        {"count": 1.5},
        {"filter": 5},
        {"sortBy": ["userName"]},
        {"attributes": [5]},
        {"attributes": {"a": 1}},
    ],
)
def test_what_is_no_search(body: dict[str, Any]) -> None:
    """A /.search body with a wrong type is 400."""
    with pytest.raises(ScimError) as refusal:
        Query.of(USER, body_parameters(body), LIMITS)
    assert refusal.value.status == 400


@given(
    st.lists(users, min_size=1, max_size=5),
    st.sampled_from(
        ["userName", "TITLE", "externalId", "active", "emails", "emails.type", "roles.value",
         "name.givenName", f"{ENTERPRISE}:department", "meta.created", "manager"]
    ),
    st.sampled_from(["ascending", "descending", None]),
)  # fmt: skip
def test_an_order_is_the_oracles(documents: list[Any], by: str, order: str | None) -> None:
    """RFC 7644 section 3.4.2.3: folded texts, the primary value, a missing one last."""
    sort = Sort.parse(USER, by, order)
    if by == "manager":
        by = f"{ENTERPRISE}:manager.value"
    mine = sorted(map(stored, documents), key=sort.key, reverse=sort.descending)
    request = SearchRequest[UserModel].model_validate({"sortBy": by, "sortOrder": order})
    pairs = [(model_of(document), stored(document)) for document in documents]
    theirs = request.sort([model for model, _ in pairs])
    by_model = {id(model): document for model, document in pairs}
    assert mine == [by_model[id(model)] for model in theirs]


def test_an_order_says_what_it_needs_to_see() -> None:
    """Sorting by something kept apart asks the host to read it, and nothing else does."""
    assert Sort.parse(GROUP, "members.value", None).computed == {"members", "members.display"}
    assert Sort.parse(GROUP, "displayName", None).computed == frozenset()
