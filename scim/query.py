"""A query: filter, order, page and attributes, from the URL or from a /.search body alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from scim.document import is_message
from scim.errors import InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue
from scim.filters import Filter, comparison_key, reader, standing_for_value
from scim.projection import Selection
from scim.schema import Limits, ResourceType

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

    @classmethod
    def parse(cls, type: ResourceType, by: str, order: str | None) -> Sort:
        """The order two parameters name; InvalidPath or InvalidValue where they make none."""
        place = type.find(by)
        if place is None or place.attribute is None or place.key == "meta.location":
            raise InvalidPath(f'Cannot sort by "{by}": {type.name} has no such attribute.')
        place = standing_for_value(place)
        target = place.target
        if target is None or target.is_complex or target.is_secret or target.type == "binary":
            raise InvalidPath(f'Cannot sort by "{by}".')
        if order is not None and order.lower() not in ("ascending", "descending"):
            raise InvalidValue('"sortOrder" must be "ascending" or "descending".')
        holder = place.extension or (place.attribute.name if place.attribute else "")
        key, entry = comparison_key(target), _first(place.attribute, reader(place))

        def sorting(document: Mapping[str, Any]) -> tuple[bool, Any]:
            value = entry(document)
            return (True, "") if value is None else (False, key(value))

        descending = order is not None and order.lower() == "descending"
        return cls(place.key, descending, sorting, type.detached & {holder})


def _first(attribute: Any, read: Any) -> Callable[[Mapping[str, Any]], Any]:
    """The value of the primary entry, else of the first."""
    name = attribute.name

    def first(document: Mapping[str, Any]) -> Any:
        values = read(document)
        entries = document.get(name)
        if isinstance(entries, list):
            for entry, value in zip(entries, values, strict=True):
                if isinstance(entry, dict) and entry.get("primary") is True:
                    return value
        return values[0]

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
    """At most this many, already within the limits; 0 asks for the total alone."""

    selection: Selection

    @property
    def computed(self) -> frozenset[str]:
        """What the answer shows of all that is kept outside the document."""
        return self.selection.computed

    @classmethod
    def from_url(cls, type: ResourceType, query_string: bytes, limits: Limits) -> Query:
        """The query a URL asks; unknown parameters mean nothing (Entra appends a flag)."""
        return cls._made(type, url_parameters(query_string), limits)

    @classmethod
    def from_body(cls, type: ResourceType, body: Mapping[str, Any], limits: Limits) -> Query:
        """The query a /.search body asks (RFC 7644 section 3.4.3)."""
        if not is_message(body, URN):
            raise InvalidSyntax(f'"schemas" of a search must name {URN}.')
        return cls._made(type, {key.lower(): item for key, item in body.items()}, limits)

    @classmethod
    def _made(cls, type: ResourceType, given: Mapping[str, Any], limits: Limits) -> Query:
        text, by, order = (_text(given, name) for name in ("filter", "sortBy", "sortOrder"))
        if text is not None and not text.strip():
            raise InvalidFilter("The filter is empty.")
        count = _number(given, "count", limits.default_page)
        return cls(
            type,
            Filter.parse(type, text) if text is not None else None,
            Sort.parse(type, by, order) if by else None,
            max(1, _number(given, "startIndex", 1)),
            max(0, min(count, limits.largest_page)),
            selected(type, given),
        )


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
        raise InvalidValue(f'"{name}" must be a whole number.')
    return max(-LARGEST, min(value, LARGEST))
