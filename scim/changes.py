"""One change of a document, applied without touching the document it starts from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scim.errors import InvalidValue, Mutability, NoTarget
from scim.filters import Matcher
from scim.schema import Attribute, Place
from scim.values import alike, is_empty, is_hollow, merged, only_primary, part_key


@dataclass(frozen=True, slots=True)
class Change:
    """One PATCH operation on one attribute, its value already what we keep (or None: clear)."""

    op: Literal["add", "replace", "remove", "remove_values"]
    place: Place
    value: Any = None
    """An entry list for a multi-valued attribute, a mapping of parts (None clears a part) for a
    complex one or for chosen entries, else one value."""

    where: Matcher | None = None
    """Which entries of a multi-valued attribute are meant; None means all of them."""

    described: Mapping[str, Any] | None = None
    """The entry to create where no entry is meant; None where that is an error."""

    asked: int = 0
    """How many questions each entry is asked to find those that are meant."""

    def effort(self, document: Mapping[str, Any]) -> int:
        """How many questions that makes for this document."""
        urn, attribute = self.place.extension, self.place.attribute
        holder = document if urn is None else document.get(urn) or {}
        entries = holder.get(attribute.name) if attribute else None
        return self.asked * len(entries) if isinstance(entries, list) else 0


@dataclass(frozen=True, slots=True)
class Aside:
    """What a patch does to the unknown attributes kept beside the document."""

    path: str
    value: Any
    """None forgets the path and everything below it."""

    def apply(self, extras: dict[str, Any]) -> None:
        """Change `extras` in place."""
        if self.value is not None:
            extras[self.path] = self.value
            return
        below = (self.path + ".", self.path + ":")
        for key in [key for key in extras if key == self.path or key.startswith(below)]:
            del extras[key]


def applied(document: dict[str, Any], change: Change) -> dict[str, Any]:
    """The document after `change`; NoTarget or InvalidValue where it cannot be."""
    urn = change.place.extension
    if urn is None:
        return _holding(document, change)
    held = _holding(document.get(urn) or {}, change) if change.place.attribute else {}
    return _with(document, urn, held)


def _holding(holder: dict[str, Any], change: Change) -> dict[str, Any]:
    attribute = change.place.attribute
    assert attribute is not None
    before = holder.get(attribute.name)
    after: Any
    if attribute.multi_valued:
        after = _many(attribute, before or [], change)
    elif attribute.is_complex:
        after = _complex(attribute, before or {}, change)
    else:
        after = change.value
    return _with(holder, attribute.name, after)


def _with(holder: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """A copy of `holder` with `name` set, or without it where nothing is left of the value."""
    if value is None or value in ([], {}):
        return {key: item for key, item in holder.items() if key != name}
    return {**holder, name: value}


def _parts(change: Change) -> dict[str, Any]:
    """The sub-attributes a change sets; None clears one."""
    if change.place.sub is not None:
        return {change.place.sub.name: change.value}
    return dict(change.value or {})


def _complex(attribute: Attribute, before: dict[str, Any], change: Change) -> dict[str, Any] | None:
    if change.value is None and change.place.sub is None:
        return None
    return _completed(attribute, before, _updated(attribute, before, change))


def _completed(
    attribute: Attribute, before: Mapping[str, Any], after: dict[str, Any]
) -> dict[str, Any] | None:
    """`after`; None where it lost a part it requires, InvalidValue where it never had that."""
    for sub in attribute.sub.values():
        if after and sub.required and not sub.is_secret and sub.name not in after:
            if sub.name in before:
                return None
            raise InvalidValue(f'"{sub.path}" is required and missing.')
    return after


def _updated(attribute: Attribute, before: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """What is there with the parts set; what a part does not name stays (RFC 7644 3.5.2.3).

    Mutability where a part is immutable and has another value already (RFC 7643 section 7).
    """
    both = {**before, **_parts(change)}
    for sub in attribute.sub.values():
        old, new = before.get(sub.name), both.get(sub.name)
        if sub.mutability == "immutable" and old not in (None, new):
            raise Mutability(f'"{sub.path}" is immutable: it was set and cannot change.')
        if sub.multi_valued and change.op == "add" and old and new:
            both[sub.name] = merged(sub, old, new)
    return {
        sub.name: both[sub.name] for sub in attribute.sub.values() if both.get(sub.name) is not None
    }


def _many(attribute: Attribute, entries: list[Any], change: Change) -> list[Any]:
    whole = change.where is None and change.place.sub is None
    if change.op == "remove_values":
        gone = change.value
        return [each for each in entries if not any(_covers(attribute, each, e) for e in gone)]
    if change.op == "remove" and whole:
        return []
    if whole:
        added = change.value or []
        return merged(attribute, entries if change.op == "add" else [], added)
    chosen = dict.fromkeys(
        index for index, each in enumerate(entries) if change.where is None or change.where(each)
    )
    if change.op == "remove" and change.place.sub is None:
        return [each for index, each in enumerate(entries) if index not in chosen]
    if not chosen:
        return _created(attribute, entries, change)
    return _rewritten(attribute, entries, chosen, change)


def _covers(attribute: Attribute, entry: Any, wanted: Any) -> bool:
    """Whether an entry holds all that `wanted` says of it, as its parts compare."""
    if not isinstance(entry, dict) or not isinstance(wanted, dict):
        return bool(part_key(attribute, entry) == part_key(attribute, wanted))
    return all(alike(attribute, name, entry.get(name), part) for name, part in wanted.items())


def _created(attribute: Attribute, entries: list[Any], change: Change) -> list[Any]:
    """Nothing was meant: removing nothing is done, describing an entry makes it."""
    if change.op == "remove":
        return entries
    if change.described is None:
        raise NoTarget(f'No value of "{attribute.path}" matches the path.')
    fresh = _updated(attribute, change.described, change)
    if is_hollow(fresh):
        return entries
    return merged(attribute, entries, [_completed(attribute, {}, fresh)])


def _rewritten(
    attribute: Attribute, entries: list[Any], chosen: Collection[int], change: Change
) -> list[Any]:
    if not attribute.is_complex:
        taken = dict.fromkeys(chosen, change.value)
        values = [taken.get(i, each) for i, each in enumerate(entries)]
        return merged(attribute, [], [each for each in values if not is_empty(each)])
    parts = _parts(change)
    after = list(entries)
    for index in chosen:
        updated = _updated(attribute, entries[index], change)
        after[index] = _completed(attribute, entries[index], updated) or {}
    if parts.get("primary") is True:
        after = only_primary(after, min(chosen))
    # An entry that lost its value says nothing more: {"type": "work"} alone is no address.
    left = [each for index, each in enumerate(after) if index not in chosen or not is_hollow(each)]
    return merged(attribute, [], left)
