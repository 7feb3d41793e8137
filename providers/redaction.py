"""A program's own words, fit to be logged, kept and shown."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from providers.secret import Secret

LONGEST = 300
LOOKED_AT = 2000  # characters; error texts are short, and patterns over long ones are slow

_RUN = re.compile(r"[A-Za-z0-9+/=_.!~-]{20,}")
_TRACE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.?", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def text(words: object, sent: Iterable[Secret] = ()) -> str:
    """One line of at most 300 characters without what we sent, token-like runs and addresses."""
    if not isinstance(words, str):
        return ""
    for secret in sent:
        for form in _forms(secret):
            words = words.replace(form, "***")
    words = "".join(c if c.isprintable() else " " for c in words[:LOOKED_AT])
    line = _RUN.sub(_hidden, _ADDRESS.sub("***", " ".join(words.split())))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def code(word: object, sent: Iterable[Secret] = ()) -> str:
    """The program's error code where it looks like one, else `unreadable`."""
    if not isinstance(word, str) or not _CODE.fullmatch(word):
        return "unreadable"
    said = any(form in word for secret in sent for form in _forms(secret))
    return "unreadable" if said else word


def _forms(secret: Secret) -> tuple[str, ...]:
    """A secret as it is, as part of an address, and as it stood in the form that was posted."""
    plain = secret.reveal()
    return (plain, quote(plain, safe=""), quote(plain), quote_plus(plain)) if plain else ()


def _hidden(run: re.Match[str]) -> str:
    """A long run with a digit may be a token; a trace id is what the program's support asks for."""
    if _TRACE_ID.fullmatch(run[0]) or not any(c.isdigit() for c in run[0]):
        return run[0]
    return "***"
