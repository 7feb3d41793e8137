"""A value as a client sent it becomes the value we keep, or a sentence about what is wrong."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scim import times
from scim.errors import InvalidSyntax, InvalidValue
from scim.fold import exact, fold
from scim.schema import Attribute, ResourceType
from scim.tolerance import Tolerance

MOST_ENTRIES = 1000
"""Values one multi-valued attribute of a document may hold; members are not kept in one."""

PASSWORD = "password"
ADSCIM = "http://schemas.microsoft.com/2006/11/resourcemanagement/adscim/"


@dataclass(frozen=True, slots=True)
class Warning:
    """An attribute that came and was not used: its path, and why."""

    attribute: str
    text: str


@dataclass(slots=True)
class Intake:
    """What is learned while one body is read: warnings, and unknown attributes kept beside."""

    type: ResourceType
    tolerance: Tolerance
    extras: dict[str, Any] = field(default_factory=dict)
    """Unknown attributes by flat path (`name.foo`, `urn:x:y:foo`), as they came."""

    warned: dict[str, Warning] = field(default_factory=dict)
    unkept: set[str] = field(default_factory=set)
    """Paths of secrets that came: checked, and not kept."""

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """One warning for each attribute that was not used."""
        return tuple(self.warned.values())

    def drops(self, attribute: Attribute) -> bool:
        """Whether a value that came is not kept, because it is a secret; that it came is."""
        if attribute.is_secret:
            self.unkept.add(attribute.path)
        return attribute.is_secret

    def unknown(self, path: str, value: Any) -> None:
        """Keep an unknown attribute beside the document, with a warning; InvalidValue in strict.

        Empty values, passwords and Entra's own URN say nothing and are no warning.
        """
        lower = path.lower()
        if is_empty(value) or lower.startswith(ADSCIM):
            return
        if not self.tolerance.unknown_attributes:
            raise InvalidValue(f'"{path}" is not an attribute of {self.type.name}.')
        if PASSWORD in re.split("[.:]", lower):
            return
        self.extras[path] = _without_passwords(value)
        text = f'"{path}" is not an attribute of {self.type.name}; it was kept aside.'
        self.warned[path] = Warning(path, text)


def _without_passwords(value: Any) -> Any:
    """What is kept aside for a later mapping holds no password, wherever a client hid it."""
    if isinstance(value, dict):
        return {k: _without_passwords(v) for k, v in value.items() if k.lower() != PASSWORD}
    return [_without_passwords(each) for each in value] if isinstance(value, list) else value


def is_empty(value: Any) -> bool:
    """Whether a JSON value means unassigned (RFC 7643 section 2.5); identity providers send all."""
    return value is None or value == "" or value == [] or value == {}


def take(attribute: Attribute, raw: Any, intake: Intake) -> Any:
    """The value to keep for `raw`, None for unassigned; InvalidValue names the attribute."""
    if is_empty(raw):
        return None
    if attribute.multi_valued:
        return take_many(attribute, raw, intake) or None
    return take_one(attribute, raw, intake)


def take_many(attribute: Attribute, raw: Any, intake: Intake) -> list[Any]:
    """The values of a multi-valued attribute: nulls dropped, repeats merged, one primary."""
    if not isinstance(raw, list):
        raise _wrong(attribute, "must be a list")
    taken = [take_one(attribute, each, intake) for each in raw if not is_empty(each)]
    return merged(attribute, [], [each for each in taken if each is not None])


def take_one(attribute: Attribute, raw: Any, intake: Intake) -> Any:
    """One value of an attribute, multi-valued or not; None where nothing is left of it."""
    if attribute.is_complex:
        return take_complex(attribute, reshaped(attribute, raw, intake.tolerance), intake)
    if intake.tolerance.loose_shapes and isinstance(raw, list):
        raw = _unwrapped(raw)
    return SIMPLE[attribute.type](attribute, raw, intake.tolerance)


def reshaped(attribute: Attribute, raw: Any, tolerance: Tolerance) -> Any:
    """The object meant by a looser shape: `"id"`, `[{"value": "id"}]`, or `$ref` alone.

    Entra sends `manager` as a bare id or as a list of one (its oldest samples).
    """
    if not tolerance.loose_shapes or attribute.multi_valued or "value" not in attribute.sub:
        return raw
    if isinstance(raw, list) and len(raw) == 1:
        raw = raw[0]
    if isinstance(raw, str):
        return {"value": raw}
    return _with_value(raw) if isinstance(raw, dict) and "$ref" in attribute.sub else raw


def _with_value(raw: dict[str, Any]) -> dict[str, Any]:
    """A reference without its `value` names the resource by the end of its `$ref`."""
    reference = raw.get("$ref")
    if not isinstance(reference, str) or any(key.lower() == "value" for key in raw):
        return raw
    return {**raw, "value": id_in(reference)}


def id_in(reference: str) -> str:
    """The id of the resource a `$ref` leads to: what it ends with."""
    return reference.rstrip("/").rpartition("/")[2]


def take_complex(attribute: Attribute, raw: Any, intake: Intake) -> dict[str, Any] | None:
    """The sub-attributes worth keeping, in the schema's order; None where none is left."""
    if not isinstance(raw, dict):
        raise _wrong(attribute, "must be an object")
    taken = take_parts(attribute.sub, raw, intake, attribute.path + ".")
    if not taken or (attribute.multi_valued and is_hollow(taken)):
        return None
    for sub in attribute.sub.values():
        if sub.required and sub.name not in taken and sub.path not in intake.unkept:
            raise InvalidValue(f'"{sub.path}" is required and missing.')
    return taken


def take_parts(
    known: Mapping[str, Attribute], raw: Mapping[str, Any], intake: Intake, prefix: str
) -> dict[str, Any]:
    """The known parts of an object, by canonical name, read-only ones left out."""
    taken: dict[str, Any] = {}
    came: dict[str, None] = {}
    for key, item in raw.items():
        lower = key.lower()
        if lower in came:
            raise InvalidSyntax(f'"{prefix}{key}" is given twice.')
        came[lower] = None
        part = known.get(lower)
        if part is None:
            intake.unknown(prefix + key, item)
        elif part.is_plain and item.__class__ is str:
            if item:
                taken[part.name] = item
        elif part.mutability != "readOnly":
            value = take(part, item, intake)
            if value is not None and not intake.drops(part):
                taken[part.name] = value
    return {part.name: taken[part.name] for part in known.values() if part.name in taken}


def is_hollow(element: Mapping[str, Any]) -> bool:
    """Whether one of several says nothing by itself: empty, or only a type and a primary mark."""
    return not element.keys() - {"type", "primary"}


def merged(attribute: Attribute, present: list[Any], added: Sequence[Any]) -> list[Any]:
    """`present` with `added`: entries with the same type and value become one, one is primary.

    A primary value that is added wins over one that is present (RFC 7644 section 3.5.2);
    of several that are added the first wins (RFC 7643 section 2.4 allows one).
    """
    if not present and len(added) == 1:
        return list(added)
    entries = list(present)
    places = {_identity(attribute, each): index for index, each in enumerate(entries)}
    primary: int | None = None
    for each in added:
        index = places.setdefault(_identity(attribute, each), len(entries))
        if index < len(entries):
            before = entries[index]
            entries[index] = _told(attribute, before, each) if isinstance(before, dict) else before
        else:
            entries.append(each)
            if len(entries) > MOST_ENTRIES:
                raise _wrong(attribute, f"holds more than {MOST_ENTRIES} values")
        if primary is None and isinstance(each, dict) and each.get("primary") is True:
            primary = index
    return entries if primary is None else only_primary(entries, primary)


def only_primary(entries: list[Any], index: int) -> list[Any]:
    """The entries with the one at `index` as the only primary one."""
    return [
        {**each, "primary": False} if each.get("primary") is True and place != index else each
        for place, each in enumerate(entries)
    ]


def _identity(attribute: Attribute, entry: Any) -> Any:
    """What makes two entries the same: type and value, else everything they hold."""
    if not isinstance(entry, dict):
        return entry
    if isinstance(entry.get("value"), str):
        said = ((name, entry[name]) for name in ("type", "value") if name in entry)
        return tuple((name, part_key(attribute.sub[name], part)) for name, part in said)
    return tuple(sorted((name, repr(part)) for name, part in entry.items()))


def _told(attribute: Attribute, before: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    """An entry that came again, with what is new of it: another spelling of the same is not."""
    return before | {n: p for n, p in each.items() if not alike(attribute, n, p, before.get(n))}


def alike(attribute: Attribute, name: str, one: Any, other: Any) -> bool:
    """Whether two values of a part, by its canonical name, compare as the same."""
    part = attribute.sub[name.lower()]
    return bool(part_key(part, one) == part_key(part, other))


def part_key(attribute: Attribute, value: Any) -> Any:
    """What a part compares by."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    return exact(value) if attribute.case_exact else fold(value)


def _unwrapped(raw: list[Any]) -> Any:
    """Old Entra sends `displayName` as `[{"value": "x"}]`."""
    if len(raw) == 1 and isinstance(raw[0], dict) and set(raw[0]) == {"value"}:
        return raw[0]["value"]
    return raw


def _text(attribute: Attribute, raw: Any, _: Tolerance) -> str:
    if not isinstance(raw, str):
        raise _wrong(attribute, "must be a text")
    return raw


def _boolean(attribute: Attribute, raw: Any, tolerance: Tolerance) -> bool:
    if isinstance(raw, str) and tolerance.string_booleans:
        raw = {"true": True, "false": False}.get(raw.lower(), raw)
    if not isinstance(raw, bool):
        raise _wrong(attribute, "must be true or false")
    return raw


def _integer(attribute: Attribute, raw: Any, _: Tolerance) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise _wrong(attribute, "must be a whole number")
    return raw


def _decimal(attribute: Attribute, raw: Any, _: Tolerance) -> int | float:
    if not isinstance(raw, int | float) or isinstance(raw, bool):
        raise _wrong(attribute, "must be a number")
    return raw


def _date_time(attribute: Attribute, raw: Any, _: Tolerance) -> str:
    if not isinstance(raw, str) or times.instant(raw) is None:
        raise _wrong(attribute, "must be a date and time such as 2026-01-31T12:00:00Z")
    return raw


def _binary(attribute: Attribute, raw: Any, _: Tolerance) -> str:
    try:
        # The padding may be left out (RFC 7643 section 2.3.6).
        base64.b64decode(raw.encode("ascii") + b"=" * (-len(raw) % 4), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise _wrong(attribute, "must be base64") from None
    return str(raw)


SIMPLE = {
    "string": _text,
    "reference": _text,
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "dateTime": _date_time,
    "binary": _binary,
}


def _wrong(attribute: Attribute, what: str) -> InvalidValue:
    return InvalidValue(f'"{attribute.path}" {what}.')
