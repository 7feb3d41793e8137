"""Filters: what they match, what they refuse, and what an index may answer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import InvalidFilterException, ScimFilter

from scim.errors import InvalidFilter
from scim.filters import Filter, compiled
from scim.fold import fold
from scim.grammar import Element, Present
from scim.scopes import ElementScope
from tests.scim.oracle import ENTERPRISE, GROUP, USER, UserModel, model_of, stored, texts, users

SIMPLE = ["userName", "displayName", "title", "externalId", "name.givenName", "USERNAME", "id"]
MULTI = ["emails", "emails.value", "emails.type", "roles.value", "phoneNumbers.display"]
FAR = [f"{ENTERPRISE}:department", f"{ENTERPRISE}:manager.value", f"{USER.schema}:userName"]
OPERATORS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "Co"]


def quoted(text: str) -> str:
    return str(ScimFilter.quote(text))


compares = st.builds(
    lambda name, op, text: f"{name} {op} {quoted(text)}",
    st.sampled_from([*SIMPLE, *MULTI, *FAR]),
    st.sampled_from(OPERATORS),
    texts,
)
presences = st.sampled_from([*SIMPLE, *MULTI, *FAR, "active", "name", "addresses"]).map(
    lambda name: f"{name} pr"
)
flags = st.builds(
    lambda name, op, word: f"{name} {op} {word}",
    st.sampled_from(["active", "emails.primary"]),
    st.sampled_from(["eq", "ne"]),
    st.sampled_from(["true", "false", "null", '"True"']),
)
instants = st.builds(
    lambda name, op, text: f'meta.{name} {op} "{text}"',
    st.sampled_from(["created", "lastModified"]),
    st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
    st.sampled_from(
        ["2026-01-31T12:00:00Z", "2026-01-31T14:00:00+02:00", "2026-02-01T12:00:00.500000Z"]
    ),
)
inner = st.recursive(
    st.one_of(
        st.builds(
            lambda name, op, text: f"{name} {op} {quoted(text)}",
            st.sampled_from(["type", "value", "display"]),
            st.sampled_from(OPERATORS),
            texts,
        ),
        st.sampled_from(['type eq "work"', "primary eq true", "display pr", 'type ne "home"']),
    ),
    lambda terms: st.one_of(
        st.builds("({} and {})".format, terms, terms),
        st.builds("{} or {}".format, terms, terms),
        st.builds("not ({})".format, terms),
    ),
    max_leaves=3,
)
elements = st.builds(
    lambda name, terms, tail: f"{name}[{terms}]{tail}",
    st.sampled_from(["emails", "roles", "phoneNumbers"]),
    inner,
    st.sampled_from(["", '.value co "a"', ".display pr"]),
)
leaves = st.one_of(compares, presences, flags, instants, elements)
filters = st.recursive(
    leaves,
    lambda terms: st.one_of(
        st.builds("{} and {}".format, terms, terms),
        st.builds("{} or {}".format, terms, terms),
        st.builds("({})".format, terms),
        st.builds("not ({})".format, terms),
        st.builds("NOT({})".format, terms),
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(filters, users)
def test_a_filter_matches_what_the_oracle_matches(text: str, document: dict[str, Any]) -> None:
    """RFC 7644 section 3.4.2.2, read as scim2-models reads it, for any filter and any user."""
    mine = Filter.parse(USER, text)
    assert mine.matches(stored(document)) is ScimFilter[UserModel](text).match(model_of(document))


@given(filters, users)
def test_every_match_fulfils_the_equalities(text: str, document: dict[str, Any]) -> None:
    """What an index looks up is true of each match; where nothing is left, it is the filter."""
    mine = Filter.parse(USER, text)
    whole = stored(document)
    holds = all(key in _keys(whole, path) for path, key in mine.equals)
    if mine.matches(whole):
        assert holds
    elif not mine.rest:
        assert not holds


def _keys(document: dict[str, Any], path: str) -> list[str]:
    """The comparison keys at one of the paths the strategies above use."""
    holder: Any = document
    if path.startswith("urn:"):
        holder, path = document.get(ENTERPRISE) or {}, path.rpartition(":")[2]
    head, _, sub = path.partition(".")
    value = {name.lower(): item for name, item in holder.items()}.get(head)
    items = value if isinstance(value, list) else [value]
    found = [(each or {}).get(_spelled(sub)) if sub else each for each in items]
    exactly = path in ("externalid", "id", "manager.value")
    return [each if exactly else fold(each) for each in found if each is not None]


def _spelled(sub: str) -> str:
    return {"givenname": "givenName"}.get(sub, sub)


@settings(max_examples=300)
@given(st.one_of(filters.flatmap(lambda text: _damaged(text)), st.text(max_size=30)))
def test_a_filter_is_understood_by_both_or_by_none(text: str) -> None:
    """A damaged filter is refused exactly where the oracle refuses it; nothing else is raised.

    Half a surrogate pair and U+0000 we refuse alone: no database keeps them.
    """
    here, there = _is_understood_here(text), _is_understood_there(text)
    assert here == there or (there and re.search(r"\\u(?:d[89a-f]|0000)", text, re.IGNORECASE))


def _damaged(text: str) -> st.SearchStrategy[str]:
    cut = st.integers(0, len(text))
    return st.builds(
        lambda at, put, drop: text[:at] + put + text[at + drop :],
        cut,
        st.sampled_from(["", "(", ")", "[", "]", '"', " ", "and", ".", "x", "not ", "\x00", "\\"]),
        st.integers(0, 3),
    )


def _is_understood_here(text: str) -> bool:
    try:
        Filter.parse(USER, text)
    except InvalidFilter:
        return False
    return True


def _is_understood_there(text: str) -> bool:
    try:
        ScimFilter[UserModel](text)._validate_semantics(strict=True)
    except InvalidFilterException:
        return False
    return True


USERS = {
    "id": "u1",
    "userName": "Ada@Example.com",
    "active": False,
    "emails": [
        {"type": "work", "value": "ada@example.com", "primary": True},
        {"type": "home", "value": 'say "hi" \\ ada@home.example'},
    ],
    "name": {"familyName": "Byron"},
    ENTERPRISE: {"department": "Sales", "manager": {"value": "u2"}},
    "meta": {"created": "2026-01-31T12:00:00.000000Z"},
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('userName eq "ADA@example.COM"', True),
        ('id eq "U1"', False),
        ('id eq "u1" and manager eq "u2"', True),
        ('department eq "sales"', True),
        (f'{ENTERPRISE}:department eq "sales"', True),
        (f'{ENTERPRISE.upper()}:DEPARTMENT eq "sales"', True),
        ('emails[type eq "work"].value eq "ada@example.com"', True),
        ('emails[type eq "home"].value eq "ada@example.com"', False),
        ('emails.type eq "home" and emails.value eq "ada@example.com"', True),
        ('emails[type eq "home" and value eq "ada@example.com"]', False),
        ('emails eq "ada@example.com"', True),
        (r'emails.value eq "say \"hi\" \\ ada@home.example"', True),
        ('emails.value eq "say \\"hi\\" \\u005c ada@home.example"', True),
        ('emails[primary eq "True"]', True),
        ('active eq "False"', True),
        ("active pr", True),
        ("title eq null", True),
        ('title ne "x"', True),
        ('not(title pr) AND (active eq true or name.familyName sw "BY")', True),
        ('title pr or active eq false and userName sw "ada"', True),
        ('meta.created eq "2026-01-31T13:00:00+01:00"', True),
        ('meta.created lt "2026-01-31T12:00:00.000001Z"', True),
        ('schemas eq "urn:x"', False),
    ],
)
def test_what_a_filter_means(text: str, matches: bool) -> None:
    """R132: operators, grouping, value paths, URNs, short names, instants, escapes, booleans."""
    assert Filter.parse(USER, text).matches(USERS) is matches


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " and ",
        "userName",
        "userName eq",
        'userName xx "a"',
        'userName eq "a" and',
        '(userName eq "a"',
        'userName eq "a")',
        'userName eq "unterminated',
        'eq "a"',
        'userName "a"',
        "userName eq jyoung",
        "userName eq 5",
        "userName eq true",
        'userName eq "a" userName eq "b"',
        'nobody eq "a"',
        'name.nobody eq "a"',
        'urn:x:y:z eq "a"',
        'password eq "a"',
        "password pr",
        'password sw "a"',
        'name eq "a"',
        'addresses eq "a"',
        "active gt true",
        'active co "true"',
        'active eq "maybe"',
        'meta.created gt "yesterday"',
        'meta.created sw "2026"',
        'meta.location eq "https://broker.example"',
        "title gt null",
        'name[givenName eq "a"]',
        'emails[nobody eq "a"]',
        'emails[value eq "a"',
        'emails[urn:x:value eq "a"]',
        'emails.value[type eq "work"]',
        'emails[emails[type eq "a"]]',
        'emails[type eq "work"].nobody eq "a"',
        'emails[type eq "work"].value',
        'userName eq "\\u0000"',
        'userName eq "\\ud800"',
        'userName eq "\\x41"',
        "not userName pr",
        "userName eq 'a'",
        'userName eq "a" ; drop table users',
        "(" * 21 + "active pr" + ")" * 21,
        "not(" * 21 + "active pr" + ")" * 21,
        " and ".join(["active pr"] * 51),
        'userName eq "' + "a" * 8192 + '"',
        'userName eq "' + "é" * 4096 + '"',
    ],
)
def test_what_a_filter_cannot_mean(text: str) -> None:
    """Rule 37 and RFC 7644 section 3.12: 400 invalidFilter in a sentence, never a scan of all."""
    with pytest.raises(InvalidFilter) as refusal:
        Filter.parse(USER, text)
    assert refusal.value.detail.startswith("The filter is not valid: ")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20 + "active pr" + ")" * 20,
        " and ".join(["active pr"] * 50),
        'userName eq "' + "a" * 8100 + '"',
    ],
)
def test_the_limits_themselves_are_allowed(text: str) -> None:
    """Rule 37: 20 levels, 50 terms and 8 KiB are still answered."""
    assert Filter.parse(USER, text).matches({"active": True, "userName": "a" * 8100})


@pytest.mark.parametrize(
    ("text", "equals", "rest"),
    [
        ('userName eq "ADA@x"', (("username", "ada@x"),), False),
        ('externalId eq "Ab"', (("externalid", "Ab"),), False),
        ('(id eq "A" and userName eq "B")', (("id", "A"), ("username", "b")), False),
        ('manager eq "M"', ((f"{ENTERPRISE}:manager.value".lower(), "M"),), False),
        ('emails[type eq "work"].value eq "A"', (("emails.value", "a"),), True),
        ('userName eq "a" and active eq true', (("username", "a"),), True),
        ('userName eq "a" or id eq "b"', (), True),
        ('not (userName eq "a")', (), True),
        ('userName sw "a"', (), True),
        ("title eq null", (), True),
    ],
)
def test_what_an_index_may_answer(text: str, equals: Any, rest: bool) -> None:
    """Equalities of a conjunction are handed out as keys; anything more is named as a rest."""
    mine = Filter.parse(USER, text)
    assert (mine.equals, mine.rest) == (equals, rest)


@pytest.mark.parametrize(
    ("type", "text", "computed"),
    [
        (GROUP, 'members.value eq "u1" and displayName eq "g"', {"members", "members.display"}),
        (GROUP, 'displayName eq "members"', set()),
        (USER, "groups pr", {"groups"}),
        (USER, 'status eq "active"', None),
    ],
)
def test_a_filter_says_what_it_needs_to_see(
    type: Any, text: str, computed: set[str] | None
) -> None:
    """Members and groups are read only where a filter looks; the broker's words need a URN."""
    if computed is None:
        with pytest.raises(InvalidFilter):
            Filter.parse(type, text)
    else:
        assert Filter.parse(type, text).computed == computed


def test_brackets_inside_brackets_have_no_meaning() -> None:
    """Errata 4690 and 7322 of RFC 7644: one value holds no values to choose from."""
    emails = USER.core.attributes["emails"]
    with pytest.raises(InvalidFilter, match="nested"):
        compiled(Element("value", Present("type")), ElementScope(emails))
