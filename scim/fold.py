"""The one comparison key of the house: what makes two texts the same."""

from unicodedata import is_normalized, normalize


def fold(text: str) -> str:
    """The key under which texts compare when case does not count: NFC, lower case, NFC.

    Uniqueness, filters and sorting all use this key, and so does every key column, so they
    can never disagree. Lower-casing may break the normal form, hence the second NFC. `ß` and
    `ss` stay different (RFC 8265 section 3.3, UsernameCaseMapped without width mapping).
    """
    return text.lower() if text.isascii() else exact(exact(text).lower())


def exact(text: str) -> str:
    """The key under which texts compare when case counts (`caseExact`): NFC."""
    return text if is_normalized("NFC", text) else normalize("NFC", text)
