"""Names people type: which characters they may hold, and the key that keeps them unique."""

import unicodedata
from dataclasses import dataclass

from broker.domain.errors import Problem

# Control, format (zero-width, bidirectional, tags), surrogates, line and paragraph separators.
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters and marks that print as nothing: joiners, fillers, Khmer inherent vowels.
HIDDEN_CHARACTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))

LOGON_LIMIT = 256
NAME_LIMIT = 100
SUFFIX_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is shown, and the key by which it is unique."""

    text: str
    key: str


def key(text: str) -> str:
    """What two spellings of one name have in common: NFC, trimmed, without case."""
    folded = unicodedata.normalize("NFC", text).strip().casefold()
    return unicodedata.normalize("NFC", folded)


def is_plain(text: str) -> bool:
    """Whether nothing can be hidden in a text, as in nearly every one there is."""
    return text.isascii() and text.isprintable()


def is_hidden(character: str) -> bool:
    """Whether this character prints as nothing or turns the text around it (safety 9)."""
    return (
        unicodedata.category(character) in HIDDEN_CATEGORIES
        or character in HIDDEN_CHARACTERS
        or any(ord(character) in selectors for selectors in VARIATION_SELECTORS)
    )


def visible(text: str, *, what: str, limit: int, pointer: str = "") -> str:
    """`text` itself, unchanged; Invalid where it is blank, too long or hides something.

    The rule for userName, logon and suffix (safety 9). `what` opens the sentence the caller
    reads, `pointer` is where the value stood in the request (RFC 6901).
    """
    if not text.strip():
        raise Problem(pointer, "required", f"{what} must not be empty").alone()
    if len(text) > limit:
        raise Problem(pointer, "too_long", f"{what} is longer than {limit} characters").alone()
    for place, character in enumerate(() if is_plain(text) else text):
        if is_hidden(character):
            code_point = f"U+{ord(character):04X}"
            detail = f"{what} holds the hidden character {code_point} at position {place + 1}"
            raise Problem(pointer, "hidden_character", detail).alone()
    return text


def named(text: str) -> Name:
    """The name of a connector or directory: trimmed, visible, up to 100 characters (R65)."""
    trimmed = unicodedata.normalize("NFC", text).strip()
    shown = visible(trimmed, what="The name", limit=NAME_LIMIT, pointer="/name")
    return Name(shown, key(trimmed))


def user_name(text: str) -> str:
    """A userName that can be read as it is compared; Invalid otherwise (safety 9)."""
    return visible(text, what="userName", limit=LOGON_LIMIT, pointer="/userName")


def logon(text: str, *, pointer: str = "") -> str:
    """The name a person has in one application, exact in case; Invalid otherwise (safety 9)."""
    return visible(text, what="The logon", limit=LOGON_LIMIT, pointer=pointer)


def suffix(text: str, *, pointer: str = "") -> str:
    """The word that names an application in an item name; Invalid otherwise (safety 9)."""
    return visible(text, what="The suffix", limit=SUFFIX_LIMIT, pointer=pointer)
