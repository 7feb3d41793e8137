"""The values a name means in a document and in what was kept beside it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from scim.errors import ScimError
from scim.filters import compiled
from scim.grammar import ParsedPath, parse_path
from scim.schema import Place, ResourceType
from scim.scopes import ResourceScope, reader, standing_for_value

Document: TypeAlias = Mapping[str, Any]
Reading: TypeAlias = Callable[[Document, Document], list[Any]]
"""Of a document and its extras: every value there is, none where it is absent."""

ANSWERED = frozenset({"schemas", "id", "meta"})


class Unreadable(ValueError):
    """A name under which no document ever holds a value; the sentence says why."""


def reading(type: ResourceType, name: str) -> Reading:
    """How the values are read that `name` means, which compares without case; Unreadable.

    A SCIM path (`name.givenName`, `emails[type eq "work"].value`, `urn:…:User:department`) reads
    what is declared. Any other name reads what came undeclared, dots leading into it. A complex
    attribute stands for its `value`, where it has one.
    """
    try:
        path = parse_path(name)
    except ScimError as error:
        if "[" in name:
            raise Unreadable(error.detail) from None
        return _beside(name)  # such as a name with blanks, which no path has
    place = type.find(path.name)
    if place is None or (place.attribute is None and place.extension is None):
        if path.inner is not None:
            raise Unreadable(f'"{path.name}" is not declared, and brackets need what is.')
        return _beside(name)
    if place.attribute is None:
        raise Unreadable(f'"{name}" is a whole extension; name one attribute of it.')
    if _is_apart(type, place):
        raise Unreadable(f'"{name}" is never part of what is kept of a {type.name}.')
    return _declared(type, place, path)


def _is_apart(type: ResourceType, place: Place) -> bool:
    attribute = place.attribute
    assert attribute is not None
    holder = place.extension or attribute.name
    return holder in type.detached | ANSWERED or attribute.is_secret


def _declared(type: ResourceType, place: Place, path: ParsedPath) -> Reading:
    if path.inner is None:
        read = reader(standing_for_value(place))
        return lambda document, _: _present(read(document))
    assert place.attribute is not None
    parts = place.attribute.sub
    part = parts.get((path.sub or "value").lower())
    try:
        within, entries = ResourceScope(type).inside(path.name)
        chosen = compiled(path.inner, within)
    except ScimError as error:
        raise Unreadable(error.detail) from None
    if part is None:
        raise Unreadable(f'"{place.attribute.path}" has no "{path.sub or "value"}".')
    key = part.name
    return lambda document, _: _present(
        [each.get(key) for each in _present(entries(document)) if chosen(each)]
    )


def _beside(name: str) -> Reading:
    """What came undeclared under this name, or in parts under the beginning of it."""
    wanted = name.lower()

    def read(_: Document, extras: Document) -> list[Any]:
        kept = {key.lower(): value for key, value in extras.items()}
        if wanted in kept:
            return _inside(kept[wanted], "")
        for key, value in kept.items():
            if wanted.startswith(key + "."):
                return _inside(value, wanted[len(key) + 1 :])
        return []

    return read


def _inside(value: Any, path: str) -> list[Any]:
    """The values at a path of dots in something nobody declared."""
    entries = value if isinstance(value, list) else [value]
    if not path:
        return _present([_plain(each) for each in entries])
    head, _, rest = path.partition(".")
    parts = [
        part
        for each in entries
        if isinstance(each, dict)
        for key, part in each.items()
        if key.lower() == head
    ]
    return [found for part in parts for found in _inside(part, rest)]


def _plain(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _present(values: Sequence[Any]) -> list[Any]:
    return [each for each in values if each is not None]
