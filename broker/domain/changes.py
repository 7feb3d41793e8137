"""What differs between two versions of a document, as an administrator reads it."""

from collections.abc import Iterator, Mapping
from typing import Any

from broker.domain.runs import Change

MOST = 50
LONGEST = 500


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every attribute that differs, sub-attributes apart, by path; at most 50, of 500 characters.

    Several values of one attribute are one text, `name=part` each, separated by semicolons.
    """
    found: list[Change] = []
    for path, old, new in _differing(before, after, ""):
        if len(found) == MOST:
            break
        found.append(Change(path, _text(old), _text(new)))
    return tuple(found)


def _differing(
    before: Mapping[str, Any], after: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old or new, Mapping):
            separator = ":" if name.startswith("urn:") else "."
            yield from _differing(old or {}, new or {}, f"{prefix}{name}{separator}")
        else:
            yield f"{prefix}{name}", old, new


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = _readable(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _readable(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "; ".join(_readable(each) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_readable(part)}" for name, part in value.items())
    return str(value)
