"""The comparison key."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import default_comparison_key

from scim.fold import exact, fold
from tests.scim.oracle import texts

ANY = st.one_of(texts, st.text(max_size=20))


@given(ANY)
def test_the_key_is_the_oracles(text: str) -> None:
    """Folding and the exact key are scim2-models' default_comparison_key, for any text."""
    assert fold(text) == default_comparison_key(SimpleNamespace(case_exact=False), text)
    assert exact(text) == default_comparison_key(SimpleNamespace(case_exact=True), text)


@given(ANY)
def test_folding_twice_changes_nothing(text: str) -> None:
    """A key may be stored and folded again: it stays the key."""
    assert fold(fold(text)) == fold(text)
    assert exact(exact(text)) == exact(text)


@pytest.mark.parametrize(
    ("left", "right", "are_same"),
    [
        ("Ada@Example.COM", "ada@example.com", True),
        ("É", "e\u0301", True),
        ("\u212b", "å", True),
        ("straße", "STRASSE", False),
        ("a", "b", False),
        ("İ", "i\u0307", True),
    ],
)
def test_what_folds_together(left: str, right: str, are_same: bool) -> None:
    """Case and normal form do not count; ß and SS stay two (scim-libraries.md, finding 7)."""
    assert (fold(left) == fold(right)) is are_same
