"""A program's own words, fit to be logged, kept and shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import redaction
from providers.secret import Secret


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("expired access/refresh token", "expired access/refresh token"),
        ("token 5Aep861TSESvWeug_xvFHRBTTbf_YrTWgEyjBJrfqPvcv is dead", "token *** is dead"),
        ("user kim.lee@acme.example is locked", "user *** is locked"),
        ("line\none\r\n\ttwo\x00\u202eevil", "line one two evil"),
        ("the secret hunter2 is wrong", "the secret *** is wrong"),
        (
            "AADSTS50173. Trace ID: 0f2a5d3e-11c7-4b32-9d3d-6e2b8c9a1f00 Timestamp: 2026-11-21",
            "AADSTS50173. Trace ID: 0f2a5d3e-11c7-4b32-9d3d-6e2b8c9a1f00 Timestamp: 2026-11-21",
        ),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***"),
        (None, ""),
        (["x"], ""),
    ],
)
def test_words_lose_what_nobody_should_read(said: object, kept: str) -> None:
    """Error texts keep their sense and trace ids; tokens, addresses and what we sent are gone."""
    assert redaction.text(said, [Secret("hunter2"), Secret("")]) == kept


@pytest.mark.parametrize("echo", ["p@ss w/rd!", "p%40ss+w%2Frd%21", "p%40ss%20w/rd%21"])
def test_what_was_sent_is_known_in_every_form(echo: str) -> None:
    """A program echoes the form as it was posted, or the address: the secret is in none of them."""
    sent = [Secret("p@ss w/rd!")]
    assert (
        redaction.text(f"bad request: password={echo}&x=1", sent) == "bad request: password=***&x=1"
    )
    assert redaction.code("p.1%21", [Secret("p.1!")]) == "unreadable"


@given(st.text(max_size=2000))
def test_words_are_one_short_line(said: str) -> None:
    """Whatever a program says becomes at most 300 printable characters."""
    kept = redaction.text(said)
    assert len(kept) <= redaction.LONGEST
    assert kept == "" or kept.isprintable()


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("invalid_grant", "invalid_grant"),
        ("AADSTS50173", "AADSTS50173"),
        ("x" * 65, "unreadable"),
        ("two words", "unreadable"),
        ("hunter2", "unreadable"),
        ("<b>", "unreadable"),
        ("", "unreadable"),
        (7, "unreadable"),
    ],
)
def test_a_code_is_a_word(word: object, kept: str) -> None:
    """`provider_code` is safe wherever it is shown, whatever the program sent."""
    assert redaction.code(word, [Secret("hunter2")]) == kept
