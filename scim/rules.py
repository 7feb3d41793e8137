"""What data asks beyond the type of one value: required, immutable, unique (RFC 7643 2.2)."""

from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from scim.errors import InvalidValue, Mutability
from scim.filters import comparison_key
from scim.schema import Attribute, Place, ResourceType
from scim.scopes import reader


@cache
def title(type: ResourceType) -> Attribute | None:
    """What a resource is called by: the first plain text that is required, else displayName."""
    plain = [a for a in type.core.attributes.values() if a.type == "string" and not a.multi_valued]
    called = [a for a in plain if a.required and not a.is_secret]
    called += [a for a in plain if a.name == "displayName"]
    return called[0] if called else None


def missing(type: ResourceType, document: Mapping[str, Any]) -> Iterator[Place]:
    """Required attributes a document lacks; those of an extension only where it is there.

    What is never kept is missed too: whoever reads a body knows whether it was given.
    """
    for place in _required(type):
        holder = document if place.extension is None else document.get(place.extension)
        if holder is not None and place.attribute and place.attribute.name not in holder:
            yield place


def kept_required(type: ResourceType, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuse a change that ends a required attribute, or makes an extension without one."""
    for place in missing(type, after):
        attribute, urn = place.attribute, place.extension
        held = before if urn is None else before.get(urn)
        if attribute is None or attribute.is_secret:
            continue
        if held is None:
            raise InvalidValue(f'"{attribute.path}" is required and missing.')
        if attribute.name in held:
            raise Mutability(f'"{attribute.path}" is required and cannot be removed.')


def kept_immutable(
    type: ResourceType,
    before: Mapping[str, Any],
    after: dict[str, Any],
    *,
    silence_keeps: bool = False,
) -> dict[str, Any]:
    """`after`, where it does not change what is immutable and has a value; else Mutability.

    With `silence_keeps` (PUT) it holds, besides, what it does not say and what may not go
    (RFC 7644 section 3.5.1). A value of a multi-valued attribute may leave as a whole.
    """
    places = _immutable(type)
    if silence_keeps and places:
        after = deepcopy(after)
    for place in places:
        target, holders = place.target, _holders(place, after)
        assert target is not None
        for entry, held in _holders(place, before).items():
            old, holder = held.get(target.name), holders.get(entry)
            if old is None or (entry is not None and holder is None):
                continue
            new = None if holder is None else holder.get(target.name)
            if new is None and silence_keeps:
                _put_back(type, place, after, holder, old)
            elif _unordered(new) != _unordered(old):
                raise Mutability(f'"{target.path}" is immutable: it was set and cannot change.')
    return after


def unique_values(
    type: ResourceType, document: Mapping[str, Any], *, but: Collection[str] = ()
) -> set[tuple[str, str]]:
    """What no other resource of the type may hold: (path, comparison key) of each value.

    Without those at the places, by key, that `but` names: the host sees to them itself.
    """
    found: set[tuple[str, str]] = set()
    for place in _unique(type):
        if place.key in but or place.target is None:
            continue
        key, path = comparison_key(place.target), place.target.path
        found |= {(path, _spelled(key(v))) for v in reader(place)(document) if v is not None}
    return found


@cache
def unique_names(type: ResourceType) -> frozenset[str]:
    """The lower-case names, as a body has them, of what `unique_values` looks at."""
    return frozenset(place.target.name.lower() for place in _unique(type) if place.target)


@cache
def _places(type: ResourceType) -> tuple[Place, ...]:
    """Every attribute and sub-attribute a client may write into a document."""
    spaces = [(None, type.core), *((each.urn, each) for each in type.by_urn.values())]
    return tuple(
        Place(urn, attribute, part)
        for urn, schema in spaces
        if urn not in type.computed
        for attribute in schema.attributes.values()
        if attribute.mutability != "readOnly"
        if urn is not None or attribute.name not in type.detached
        for part in (None, *attribute.sub.values())
    )


@cache
def _required(type: ResourceType) -> tuple[Place, ...]:
    return tuple(p for p in _places(type) if p.sub is None and p.attribute and p.attribute.required)


@cache
def _immutable(type: ResourceType) -> tuple[Place, ...]:
    return tuple(p for p in _places(type) if p.target and p.target.mutability == "immutable")


@cache
def _unique(type: ResourceType) -> tuple[Place, ...]:
    return tuple(p for p in _places(type) if p.target and p.target.uniqueness != "none")


def _holders(place: Place, document: Mapping[str, Any]) -> dict[Any, Any]:
    """The objects that hold an attribute: one under None, or the entries of a list by `value`.

    An entry whose value another has too cannot be told apart, and is none of them.
    """
    holder = document if place.extension is None else document.get(place.extension)
    if place.sub is None or place.attribute is None or holder is None:
        return {} if holder is None else {None: holder}
    held = holder.get(place.attribute.name)
    if not place.attribute.multi_valued:
        return {} if held is None else {None: held}
    values = [str(entry.get("value")) for entry in held or ()]
    return {v: e for v, e in zip(values, held or (), strict=True) if values.count(v) == 1}


def _put_back(
    type: ResourceType, place: Place, after: dict[str, Any], holder: Any, old: Any
) -> None:
    """Give `after` an immutable value it was silent about, in the schema's order."""
    attribute, target = place.attribute, place.target
    assert attribute is not None
    assert target is not None
    known: Mapping[str, Attribute] = type.core.attributes
    if holder is None:
        holder = after
        if place.extension is not None:
            holder = holder.setdefault(place.extension, {})
        if place.sub is not None:
            holder = holder.setdefault(attribute.name, {})
    if place.sub is not None:
        known = attribute.sub
    elif place.extension is not None:
        known = type.by_urn[place.extension.lower()].attributes
    whole = {**holder, target.name: old}
    holder.clear()
    holder.update({each.name: whole[each.name] for each in known.values() if each.name in whole})


def _spelled(key: Any) -> str:
    """One text for equal keys: 5 and 5.0 are one number."""
    return str(int(key) if isinstance(key, float) and key.is_integer() else key)


def _unordered(value: Any) -> Any:
    """Values of a list have no order (RFC 7643 section 2.4)."""
    return sorted(map(repr, value)) if isinstance(value, list) else value
