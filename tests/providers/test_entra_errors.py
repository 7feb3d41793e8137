"""The word decides; a number advises, and speaks where the word says nothing."""

from __future__ import annotations

import pytest

from providers.entra_errors import DIALECT, NUMBERS, explained
from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)

# providers.md, SharePoint Online: every number it names, class by class.
NAMED: dict[type[ProviderError], set[int]] = {
    GrantDead: {50173, 700082, 70008, 70043, 70000, 50057, 50089, 54005},
    PersonNeeded: {
        *(50076, 50079, 50072, 50074, 50078, 50158),
        *(53000, 53003, 65001, 65004, 50105),
    },
    ClientMisconfigured: {
        *(7000215, 70002, 7000222, 700027, 700016, 700011, 70001),
        *(90002, 50011, 50194, 90009),
    },
    TryLater: {90006, 90012, 50087, 40010, 80002, 50196},
}


@pytest.mark.parametrize("kind", NAMED)
def test_every_number_that_is_known_has_its_class(kind: type[ProviderError]) -> None:
    """providers.md: the table holds each documented number, with something to do about it."""
    assert {number for number in NAMED[kind] if NUMBERS[number].kind is not kind} == set()
    assert all(NUMBERS[number].advice.endswith(".") for number in NAMED[kind])


def raised(error: ProviderError) -> ProviderError:
    with pytest.raises(ProviderError) as caught, explained():
        raise error
    return caught.value


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", [GrantDead, PersonNeeded, ClientMisconfigured, TryLater])
def test_a_number_never_overrules_the_word(number: int, kind: type[ProviderError]) -> None:
    """providers.md, "classify by the `error` field": a class that a word gave stays."""
    error = kind("word", f"AADSTS{number}: words")
    assert raised(error) is error
    assert error.advice == NUMBERS[number].advice


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_speaks_where_the_word_says_nothing(number: int) -> None:
    """semantics.md c.2: `invalid_request` for a missing tenant is the connector's fault."""
    told = raised(Unclassified("invalid_request", f"AADSTS{number}: words"))
    assert type(told) is NUMBERS[number].kind
    assert (told.provider_code, told.advice) == ("invalid_request", NUMBERS[number].advice)


@pytest.mark.parametrize("text", ["", "no number", "AADSTS1: unknown", "AADSTS99999999: x"])
def test_what_is_not_known_is_not_guessed_at(text: str) -> None:
    """semantics.md c.2, unknown: counted, with the words as they came."""
    error = Unclassified("invalid_request", text)
    assert raised(error) is error
    assert error.advice == ""


def test_what_a_refusal_carries_stays_with_it() -> None:
    """K7, K9: claims for the next link, seconds to wait."""
    needed = PersonNeeded("interaction_required", "AADSTS53003: x", claims="{}", suberror="s")
    assert raised(needed) is needed
    later = TryLater("temporarily_unavailable", "AADSTS90012: x", retry_after_s=9)
    assert raised(later) is later


def test_a_loop_is_believed_whatever_the_word() -> None:
    """providers.md, Transient: 50196 says that asking on makes it worse, under `invalid_grant`."""
    assert DIALECT.transient_texts == ("aadsts50196",)
