"""The words of a mapping: what each makes, and that none can do more than that."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import xpn
from broker.domain.mapping import FIELDS, Profile, Unfit, fitted, mapped
from broker.domain.rules import LONGEST, WORDS, Rule, Wrong, making

NAME = {"givenName": "Kim", "familyName": "Lee", "honorificPrefix": "Dr"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGS: dict[str, dict[str, Any]] = {
    "constant": {"value": "x"},
    "lookup": {"table": {"a": "b"}},
    "regex": {"pattern": "(a|aa)+$"},
}


def made(word: str, *sources: list[Any], **args: Any) -> str:
    """What the word makes of what these sources hold."""
    return making(Rule("custom.x", word, ("a",) * len(sources), args))(sources)


@pytest.mark.parametrize(
    ("word", "sources", "args", "value"),
    [
        ("copy", [["Kim", "Lee"]], {}, "Kim"),
        ("copy", [[]], {}, ""),
        ("copy", [[True]], {}, "true"),
        ("copy", [[7]], {}, "7"),
        ("constant", [], {"value": "EU"}, "EU"),
        ("lower", [["Kim@ACME.example"]], {}, "kim@acme.example"),
        ("upper", [["straße"]], {}, "STRASSE"),
        ("trim", [["  Kim "]], {}, "Kim"),
        ("join", [["a", "b"], [" "], ["c"]], {"separator": "-"}, "a-b-c"),
        ("join", [["a"], ["b"]], {}, "a b"),
        ("first_non_empty", [[], ["", "  "], ["c"]], {}, "c"),
        ("lookup", [[" de "]], {"table": {"DE": "Germany"}}, "Germany"),
        ("lookup", [["fr"]], {"table": {"DE": "Germany"}, "default": "EU"}, "EU"),
        ("lookup", [[]], {"table": {"DE": "Germany"}, "default": "EU"}, ""),
        ("name_format", [[NAME]], {}, "Dr Kim Lee"),
        ("name_format", [["Lee^Kim^^^Dr"]], {}, "Dr Kim Lee"),
        ("name_format", [[NAME]], {"format": "{family}, {given} {middle}"}, "Lee, Kim"),
        ("name_format", [[{"familyName": "Lee"}]], {"format": "{family}, {given}"}, "Lee"),
        ("name_format", [[]], {"format": "{family} of ACME"}, ""),
        ("regex", [["emp-0042"]], {"pattern": r"^emp-0*(\d+)$"}, "42"),
        ("regex", [["kim@acme.example"]], {"pattern": "[^@]+"}, "kim"),
        ("regex", [["a-b"]], {"pattern": "(a)-(b)(c)?", "replacement": r"\2\1\3!"}, "ba!"),
        ("regex", [[]], {"pattern": "a"}, ""),
        ("ignore", [["Kim"]], {}, ""),
    ],
)
def test_a_word_makes_what_it_says(
    word: str, sources: list[list[Any]], args: dict[str, Any], value: str
) -> None:
    """The closed list of rules: one table of what goes in and what comes out."""
    assert made(word, *sources, **args) == value


def test_every_word_of_the_list_was_tried() -> None:
    """Issue "Mapping": the list is closed, and these are all of it."""
    assert set(WORDS) == {
        *("copy", "constant", "lower", "upper", "trim", "join"),
        *("first_non_empty", "lookup", "name_format", "regex", "ignore"),
    }


@pytest.mark.parametrize(
    ("word", "args", "argument"),
    [
        ("regex", {"pattern": "("}, "pattern"),
        ("regex", {"pattern": r"(a)\1"}, "pattern"),
        ("regex", {"pattern": "a{1000}{1000}{1000}"}, "pattern"),
        ("regex", {"pattern": "(a)", "replacement": r"\2"}, "replacement"),
        ("lookup", {"table": {}}, "table"),
        ("lookup", {"table": {"DE": "1", "de": "2"}}, "table"),
        ("name_format", {"format": "{first}"}, "format"),
        ("name_format", {"format": "Kim"}, "format"),
    ],
)
def test_an_argument_without_use_is_named(word: str, args: dict[str, Any], argument: str) -> None:
    """A rule that could never work is refused before it is saved, with the argument's name."""
    with pytest.raises(Wrong) as wrong:
        making(Rule("custom.x", word, ("a",), args))
    assert wrong.value.name == argument


@pytest.mark.parametrize(
    ("word", "value", "args"),
    [
        ("copy", {"a": 1}, {}),
        ("copy", ["nested"], {}),
        ("lookup", "fr", {"table": {"de": "Germany"}}),
        ("regex", "kim", {"pattern": "^[0-9]+$"}),
        ("copy", "x" * (LONGEST + 1), {}),
        ("regex", "x" * LONGEST, {"pattern": ".*", "replacement": r"\0\0"}),
    ],
)
def test_what_is_there_to_no_avail_is_said(word: str, value: Any, args: dict[str, Any]) -> None:
    """R120: a value no rule can use is never dropped in silence, nor told in the sentence."""
    with pytest.raises(Unfit) as unfit:
        made(word, [value], **args)
    assert "kim" not in str(unfit.value)


@given(st.sampled_from(sorted(WORDS)), st.lists(JSON, max_size=3), st.sampled_from([*FIELDS, "x"]))
def test_every_word_is_total(word: str, values: list[Any], to: str) -> None:
    """Whatever JSON a directory sends, a rule makes a text of at most 4,096 or says why not."""
    args = ARGS.get(word, {})
    sources = [values] if WORDS[word].most else []
    try:
        text = fitted(to, made(word, *sources, **args))
    except Unfit:
        return
    assert len(text) <= LONGEST


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "(a|aa)+$", "(x+x+)+y"])
def test_a_regular_expression_cannot_hang(pattern: str) -> None:
    """RE2 is linear: patterns that keep a backtracking engine busy for years just answer, on the
    longest text a rule reads.
    """
    for text in ("a" * 100_000 + "!", "x" * 100_000):
        with suppress(Unfit):  # it does not match, and says so
            made("regex", [text], pattern=pattern)


@given(st.from_regex(r"[\^&~|\\ a-zé]{0,8}", fullmatch=True).map(str.strip))
def test_a_name_as_hl7_writes_it_is_read_back(family: str) -> None:
    """R98, R99: what `written` escapes, `parts` reads."""
    profile = Profile("kim", family_name=family, given_name="Kim", prefix="Dr")
    parts = xpn.parts(xpn.written(profile))
    assert (parts["family"], parts["given"], parts["prefix"]) == (family, "Kim", "Dr")


def test_what_rules_made_replaces_the_default() -> None:
    """A rule's target takes what the rule made, empty or not; every other field its default."""
    document = {"userName": "kim", "displayName": "Kim", "name": NAME}
    said = mapped(document, {"displayName": "", "custom.x": "1", "custom.y": "", "logons.E": "K"})
    assert said.profile == Profile(
        "kim", given_name="Kim", family_name="Lee", prefix="Dr", custom={"x": "1"}
    )
    assert said.logons == {"E": "K"}
