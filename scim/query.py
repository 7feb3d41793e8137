"""A query: filter, order, page and attributes, from the URL or from a /.search body alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from scim.cursor import Cursor
from scim.document import is_message, lowered
from scim.errors import InvalidCount, InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue
from scim.filters import Filter, comparison_key
from scim.projection import Selection
from scim.schema import Limits, Place, ResourceType
from scim.scopes import reader, standing_for_value

URN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
NUMBER = re.compile(r"[+-]?[0-9]{1,12}", re.ASCII)
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of resources by one attribute (RFC 7644 section 3.4.2.3)."""

    path: str
    """The Place.key of the attribute, its `value` where it is complex."""

    descending: bool
    key: Callable[[Mapping[str, Any]], tuple[bool, Any]]
    """What a complete document sorts by, ascending; a missing value comes last."""

    computed: frozenset[str] = frozenset()
    """The attributes kept outside the document that `key` needs to see."""

    kind: str = "string"
    """The type of what it compares; keys of two kinds cannot be compared."""

    @classmethod
    def parse(cls, type: ResourceType, by: str, order: str | None) -> Sort:
        """The order two parameters name; InvalidPath or InvalidValue where they make none."""
        place = type.find(by)
        if place is None or place.attribute is None or place.key == "meta.location":
            raise InvalidPath(f'Cannot sort by "{by}": {type.name} has no such attribute.')
        place = standing_for_value(place)
        target = place.target
        if (
            target is None
            or target.is_complex
            or target.is_secret
            or target.type == "binary"
            or (place.sub is not None and target.multi_valued)
        ):
            raise InvalidPath(f'Cannot sort by "{by}".')
        holder = place.extension or (place.attribute.name if place.attribute else "")
        key, entry = comparison_key(target), _first(place)

        def sorting(document: Mapping[str, Any]) -> tuple[bool, Any]:
            value = entry(document)
            return (True, "") if value is None else (False, key(value))

        descending = order is not None and order.lower() == "descending"
        return cls(place.key, descending, sorting, type.needed(holder), target.type)


def _first(place: Place) -> Callable[[Mapping[str, Any]], Any]:
    """The value of the primary entry, else of the first."""
    read, attribute = reader(place), place.attribute
    primary = attribute.sub.get("primary") if attribute and attribute.multi_valued else None
    if primary is None:
        return lambda document: read(document)[0]
    marked = reader(Place(place.extension, attribute, primary))

    def first(document: Mapping[str, Any]) -> Any:
        values, marks = read(document), marked(document)
        return next((v for v, m in zip(values, marks, strict=True) if m is True), values[0])

    return first


@dataclass(frozen=True, slots=True)
class Query:
    """What a client asks of all resources of one type."""

    type: ResourceType
    filter: Filter | None
    sort: Sort | None
    start_index: int
    """1-based."""

    count: int
    """At most this many, within the limits; 0 asks for the total alone, never with a cursor."""

    selection: Selection
    cursor: Cursor | None = None
    """Where the page begins or ends; None: it begins at `start_index`."""

    @property
    def computed(self) -> frozenset[str]:
        """What the answer shows of all that is kept outside the document."""
        return self.selection.computed

    @classmethod
    def of(
        cls,
        type: ResourceType,
        given: Mapping[str, Any],
        limits: Limits,
        others: Sequence[ResourceType] = (),
    ) -> Query:
        """The query parameters ask; unknown ones mean nothing (Entra appends a flag).

        A name that only `others` have, which are searched together with `type`, is no mistake.
        """
        text, by, order = (_text(given, name) for name in ("filter", "sortBy", "sortOrder"))
        if text is not None and not text.strip():
            raise InvalidFilter("The filter is empty.")
        if order and order.lower() not in ("ascending", "descending"):
            raise InvalidValue('"sortOrder" must be "ascending" or "descending".')
        if by and type.find(by) is None and any(other.find(by) for other in others):
            by = None
        count = _number(given, "count", limits.default_page)
        return cls(
            type,
            Filter.parse(type, text, others) if text is not None else None,
            Sort.parse(type, by, order) if by else None,
            max(1, _number(given, "startIndex", 1)),
            max(0, min(count, limits.largest_page)),
            selected(type, given),
        )


def body_parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a /.search body by lower-case name (RFC 7644 section 3.4.3)."""
    if not is_message(body, URN):
        raise InvalidSyntax(f'"schemas" of a search must name {URN}.')
    return lowered(body)


def url_parameters(query_string: bytes) -> dict[str, str]:
    """The parameters of a URL by lower-case name; InvalidSyntax for one given twice."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", separator="&"
        )
    except ValueError:
        raise InvalidSyntax("The query of the URL is not valid UTF-8.") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if given.setdefault(name.lower(), value) != value:
            raise InvalidSyntax(f'"{name}" is given twice.')
        if "\0" in value:
            raise InvalidValue(f'"{name}" holds the character U+0000.')
    return given


def selected(type: ResourceType, given: Mapping[str, Any]) -> Selection:
    """The attributes asked for, in the URL of any request or in a /.search body."""
    return Selection.of(type, _names(given, "attributes"), _names(given, "excludedAttributes"))


def _names(given: Mapping[str, Any], name: str) -> list[str] | None:
    value = given.get(name.lower())
    if isinstance(value, str):
        value = value.split(",")
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValue(f'"{name}" must be a list of attribute names.')
    named = [each for text in value for each in text.split(",") if each.strip()]
    return named or None


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise InvalidValue(f'"{name}" must be a text.')
    return value


def _number(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name.lower())
    if value is None:
        return default
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        # With a cursor it has a word of its own (RFC 9865 section 2.1).
        wrong = InvalidCount if name == "count" and "cursor" in given else InvalidValue
        raise wrong(f'"{name}" must be a whole number.')
    return max(-LARGEST, min(value, LARGEST))
