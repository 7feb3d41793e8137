"""Where the names of a filter are looked up, and how the values they name are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from scim.errors import InvalidFilter
from scim.schema import Attribute, Place, ResourceType

Reader: TypeAlias = Callable[[Any], Sequence[Any]]


class Scope(Protocol):
    """Where the names of a filter are looked up."""

    def resolve(self, name: str, *, comparing: bool) -> tuple[Attribute, Reader]:
        """The attribute a name means and how its values are read; InvalidFilter when unknown."""
        ...

    def inside(self, name: str) -> tuple[Scope, Reader]:
        """The scope between the brackets behind `name`, and the values they choose from."""
        ...


class ResourceScope:
    """The names of a whole resource."""

    def __init__(self, type: ResourceType, others: Sequence[ResourceType] = ()) -> None:
        self.type = type
        self.others = others
        self.computed: set[str] = set()
        self.varies = False
        """Whether a name was looked up whose values differ between resources of the type."""

    def place(self, name: str, *, comparing: bool = False) -> tuple[Place, Reader]:
        """Where the name points, and how what is there is read."""
        for type in (self.type, *self.others):
            place = type.find(name)
            if place is not None and place.attribute is not None:
                break
        else:
            raise InvalidFilter(f'The filter is not valid: {self.type.name} has no "{name}".')
        if place.key == "meta.location":
            raise InvalidFilter("The filter is not valid: meta.location cannot be compared.")
        if comparing:
            place = standing_for_value(place)
        if type is not self.type:
            return place, lambda _: (None,)
        self.varies = self.varies or place.key != "meta.resourcetype"
        assert place.attribute is not None
        holder = place.extension or place.attribute.name
        self.computed |= self.type.needed(holder)
        return place, reader(place)

    def resolve(self, name: str, *, comparing: bool) -> tuple[Attribute, Reader]:
        place, read = self.place(name, comparing=comparing)
        attribute = place.target
        assert attribute is not None
        return attribute, read

    def inside(self, name: str) -> tuple[Scope, Reader]:
        place, read = self.place(name)
        assert place.attribute is not None
        if place.sub or not place.attribute.multi_valued:
            raise InvalidFilter(
                f'The filter is not valid: brackets need a multi-valued attribute, not "{name}".'
            )
        return ElementScope(place.attribute), read


class ElementScope:
    """The names inside the brackets of a value path: sub-attributes of one value."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute

    def resolve(self, name: str, *, comparing: bool) -> tuple[Attribute, Reader]:
        del comparing
        if not self.attribute.is_complex and name.lower() == "value":
            return self.attribute, lambda item: (item,)
        sub = self.attribute.sub.get(name.lower())
        if sub is None:
            raise InvalidFilter(f'The filter is not valid: {self.attribute.path} has no "{name}".')
        key = sub.name
        if sub.multi_valued:
            return sub, lambda item: item.get(key) or (None,)
        return sub, lambda item: (item.get(key),)

    def inside(self, name: str) -> tuple[Scope, Reader]:
        raise InvalidFilter(f'The filter is not valid: brackets cannot be nested at "{name}".')


def standing_for_value(place: Place) -> Place:
    """A complex attribute in a comparison stands for its `value` (RFC 7644 section 3.4.2.2)."""
    target = place.target
    if place.sub is None and target is not None and "value" in target.sub:
        return Place(place.extension, place.attribute, target.sub["value"])
    return place


def reader(place: Place) -> Reader:
    """How the values at `place` are read from a document: always at least one, None if absent."""
    extension, attribute, sub = place.extension, place.attribute, place.sub
    assert attribute is not None
    name, sub_name = attribute.name, sub.name if sub else None

    def read(document: Mapping[str, Any]) -> Sequence[Any]:
        holder = document if extension is None else document.get(extension) or {}
        value = holder.get(name)
        values = (value or (None,)) if isinstance(value, list) else (value,)
        if sub_name is None:
            return values
        return [each.get(sub_name) if each else None for each in values]

    def read_all(document: Mapping[str, Any]) -> Sequence[Any]:
        return [one for many in read(document) for one in many or (None,)]

    return read_all if sub and sub.multi_valued else read
