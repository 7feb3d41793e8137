"""A value that must not be seen."""

from __future__ import annotations

import copy
import pickle

import orjson
import pytest

from providers.secret import Secret

CANARY = "canary-5Aep861"


def test_no_way_of_printing_shows_it() -> None:
    """R44: str, repr, format, containers and exceptions give `***`."""
    secret = Secret(CANARY)
    shown = [
        str(secret),
        repr(secret),
        f"{secret:>20}",
        "%s %r" % (secret, secret),  # noqa: UP031 - logging formats this way
        str([secret]),
        str(ValueError(secret)),
    ]
    assert all("***" in text and CANARY not in text for text in shown)
    assert not hasattr(secret, "__dict__")


def test_it_opens_where_asked() -> None:
    """The one who sends or seals it reads it; equal values are equal, and only to secrets."""
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY
    assert len({Secret(CANARY), Secret(CANARY)}) == 1
    assert not Secret("")


def test_it_leaves_in_no_envelope() -> None:
    """Pickle, copy and JSON refuse it rather than carry it along."""
    for carry in (pickle.dumps, copy.deepcopy, orjson.dumps):
        with pytest.raises(TypeError):
            carry(Secret(CANARY))
