"""Names as HL7 v2 writes them, read back by hl7apy."""

from __future__ import annotations

import re

import pytest
from hl7apy.core import Field  # type: ignore[import-untyped]  # it declares no types
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import xpn
from broker.domain.mapping import Profile

ESCAPED = {"S": "^", "T": "&", "R": "~", "F": "|", "E": "\\"}


def test_the_components_stand_in_their_order() -> None:
    """R98: family, given, middle, suffix, prefix."""
    whole = Profile("k", "", "Kevin", "Smith", "G", prefix="Dr", suffix="Jr")
    assert xpn.written(whole) == "Smith^Kevin^G^Jr^Dr"
    assert xpn.written(Profile("k", "", "Kevin", "Smith", "G", prefix="Dr")) == "Smith^Kevin^G^^Dr"


@pytest.mark.parametrize(
    ("profile", "written"),
    [
        (Profile("k"), ""),
        (Profile("k", given_name="Kevin"), "^Kevin"),
        (Profile("k", family_name="Smith"), "Smith"),
        (Profile("k", display_name="Kevin Smith"), "Kevin Smith"),
        (Profile("k", display_name="Boss", given_name="Kevin"), "^Kevin"),
    ],
    ids=["no name", "given", "family", "in one piece", "parts before the piece"],
)
def test_empty_components_at_the_end_are_dropped(profile: Profile, written: str) -> None:
    """R99: a person without a name is an empty string, never missing."""
    assert xpn.written(profile) == written


@pytest.mark.parametrize(
    ("family", "written"),
    [
        *(("Smith^Jones", r"Smith\S\Jones"), ("A&B", r"A\T\B"), ("a~b|c\\d", r"a\R\b\F\c\E\d")),
        ("Smith\r\nPID|1", r"Smith\X0D\\X0A\PID\F\1"),
    ],
)
def test_delimiters_in_a_name_are_escaped(family: str, written: str) -> None:
    """R98: names with `^` and `&` keep them, as HL7 v2.5 section 2.7.1 says; one with the end of a
    line in it begins no segment.
    """
    assert xpn.written(Profile("k", family_name=family)) == written


LETTERS = st.characters(categories=("L", "Zs"), include_characters="^&~\\|'-")
names = st.tuples(*[st.text(LETTERS, max_size=12)] * 5)
lines = st.tuples(*[st.text(LETTERS | st.sampled_from("\r\n"), max_size=12)] * 5)
Five = tuple[str, str, str, str, str]


def written(said: Five) -> str:
    """The XPN of these five parts."""
    family, given, middle, suffix, prefix = said
    return xpn.written(Profile("k", "", given, family, middle, prefix=prefix, suffix=suffix))


@given(names)
def test_hl7apy_reads_what_was_written(said: Five) -> None:
    """R98: an HL7 parser finds the same five components, each once unescaped."""
    field = Field("PID_5", version="2.5")
    field.value = written(said)
    # hl7apy names the components of XPN; it leaves escapes as they are.
    found = [getattr(field, f"xpn_{place}").to_er7() for place in range(1, 6)]
    assert [unescaped(component) for component in found] == [part.strip() for part in said]


@given(lines)
def test_a_written_name_is_read_back(said: Five) -> None:
    """R98: what a directory sends as XPN has the parts it was written from, and is one line."""
    text = written(said)
    assert not {"\r", "\n"} & set(text)
    assert list(xpn.parts(text).values()) == [part.strip() for part in said]


def unescaped(text: str) -> str:
    """The component without its escapes, read from left to right."""
    return re.sub(r"\\([STRFE])\\", lambda found: ESCAPED[found[1]], text)


def test_names_are_compared_without_case() -> None:
    """R100: `SMITH^Kevin` and `smith^kevin` are one name."""
    assert xpn.same("SMITH^Kevin", "smith^kevin")
    assert not xpn.same("Smith^Kevin", "Smith^Kelvin")
