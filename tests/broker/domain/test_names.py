"""Names people type: visible, not too long, and one key for all spellings."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import names
from broker.domain.errors import Invalid

HIDDEN = {
    "newline": "\n",
    "null": "\0",
    "delete": "\x7f",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "right-to-left override": "\u202e",
    "isolate": "\u2067",
    "line separator": "\u2028",
    "tag": "\U000e0041",
    "grapheme joiner": "\u034f",
    "hangul filler": "\u3164",
    "variation selector": "\ufe0f",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("rule", [names.user_name, names.logon, names.suffix])
@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_seen_is_refused(rule: Callable[[str], str], character: str) -> None:
    """Safety 9: no control, zero-width or bidirectional character in userName, logon, suffix."""
    with pytest.raises(Invalid, match="hidden character U\\+") as refused:
        rule(f"kim{character}lee")
    assert refused.value.reason == "hidden-character"


@pytest.mark.parametrize("text", ["ksmith", "Ünï", "a_b", "kim.lee@acme.example", "名前", "O'Neil"])
@pytest.mark.parametrize("rule", [names.user_name, names.logon, names.suffix])
def test_what_can_be_seen_is_kept_as_it_is(rule: Callable[[str], str], text: str) -> None:
    """R92: suffixes such as `a_b` and `Ünï` are kept; a logon keeps its case (R93)."""
    assert rule(text) == text


@pytest.mark.parametrize("text", ["", " ", "\u3000"])
def test_a_blank_name_is_none(text: str) -> None:
    """A name is required, and blanks are not one (R65)."""
    with pytest.raises(Invalid) as refused:
        names.named(text)
    assert refused.value.reason == "required"
    assert refused.value.problems[0].pointer == "/name"


def test_a_name_has_an_end() -> None:
    """A name of 100 characters is taken, one of 101 refused."""
    assert names.named("x" * 100).key == "x" * 100
    with pytest.raises(Invalid) as refused:
        names.named("x" * 101)
    assert refused.value.reason == "too-long"


def test_names_in_other_case_or_with_spaces_around_are_one() -> None:
    """R65: unique whatever the case and the spaces around; shown as typed, trimmed."""
    assert names.named("  Sales Force ") == names.Name("Sales Force", "sales force")
    assert names.named("SALES FORCE").key == names.named("sales force").key
    assert names.key(" sales force ") == "sales force"
    assert names.named("STRASSE").key == names.named("straße").key


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    """Folding twice folds no further, so keys can be compared with keys."""
    assert names.key(names.key(text)) == names.key(text)


@given(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20))
def test_composition_does_not_tell_names_apart(text: str) -> None:
    """`é` as one character or as two is one name (NFC)."""
    assert names.key(unicodedata.normalize("NFD", text)) == names.key(text)
