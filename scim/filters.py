"""A filter bound to a resource type: which documents it matches, and what an index can answer."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from scim import times
from scim.errors import InvalidFilter
from scim.fold import exact, fold
from scim.grammar import All, Compare, Element, Node, Not, Present, Some, parse_filter
from scim.schema import Attribute, Place, ResourceType
from scim.scopes import ResourceScope, Scope, standing_for_value

Matcher: TypeAlias = Callable[[Mapping[str, Any]], bool]

TEXTUAL = frozenset({"string", "reference", "binary"})
UNORDERED = frozenset({"boolean", "binary"})
SUBSTRING = frozenset({"co", "sw", "ew"})

HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter every name of which is known and every comparison of which makes sense."""

    matches: Matcher
    """Whether a complete document (with id, meta and what `computed` names) fulfils it."""

    equals: tuple[tuple[str, str], ...]
    """What must be equal in every match: (Place.key, comparison key), text attributes only."""

    rest: bool
    """Whether `matches` still has to be asked where all of `equals` hold."""

    computed: frozenset[str]
    """The attributes kept outside the document that `matches` needs to see."""

    settled: bool | None = None
    """What it says of each resource of the type alike, as far as that was asked; else None."""

    @classmethod
    def parse(cls, type: ResourceType, text: str, others: Sequence[ResourceType] = ()) -> Filter:
        """The filter `text` on resources of `type`; InvalidFilter names what is wrong.

        Names compare without case, a bare name may be an extension's (Entra asks
        `manager eq "…"`), a complex attribute stands for its `value`. A name that only `others`
        have, which are searched together with `type`, has no value here.
        """
        node = parse_filter(text)
        scope = ResourceScope(type, others)
        matches = compiled(node, scope)
        equals, rest = _equalities(node, type)
        settled = _settled(node, type, others) if others else None
        return cls(matches, tuple(equals), rest, frozenset(scope.computed), settled)


def compiled(node: Node, scope: Scope) -> Matcher:
    """The node as one function of a document (or of one value, inside brackets)."""
    match node:
        case Compare():
            return _comparison(node, scope)
        case Present(name):
            attribute, read = scope.resolve(name, comparing=False)
            _refuse_secret(attribute)
            return lambda document: any(each not in (None, "", [], {}) for each in read(document))
        case Not(inner):
            positive = compiled(inner, scope)
            return lambda document: not positive(document)
        case All(terms):
            every = [compiled(term, scope) for term in terms]
            return lambda document: all(holds(document) for holds in every)
        case Some(terms):
            either = [compiled(term, scope) for term in terms]
            return lambda document: any(holds(document) for holds in either)
        case Element(name, inner):
            within, read = scope.inside(name)
            chosen = compiled(inner, within)
            return lambda document: any(chosen(each) for each in read(document) if each is not None)


def _comparison(node: Compare, scope: Scope) -> Matcher:
    attribute, read = scope.resolve(node.name, comparing=True)
    expected = operand(attribute, node)
    key = comparison_key(attribute)
    if node.op == "ne":
        # On several values: none of them equals. An absent value differs from every other.
        return lambda document: all(
            (key(each) if each is not None else None) != expected for each in read(document)
        )
    if expected is None:
        return lambda document: any(each is None for each in read(document))
    holds = HOLDS[node.op]
    return lambda document: any(
        holds(key(each), expected) for each in read(document) if each is not None
    )


def comparison_key(attribute: Attribute) -> Callable[[Any], Any]:
    """What comparisons use in place of a stored value of this attribute."""
    if attribute.type in TEXTUAL:
        return exact if attribute.case_exact else fold
    return times.instant if attribute.type == "dateTime" else _itself


def _itself(value: Any) -> Any:
    return value


def operand(attribute: Attribute, node: Compare) -> Any:
    """The compared value as a comparison key; InvalidFilter where the comparison has no sense."""
    _refuse_secret(attribute)
    value, kind = node.value, attribute.type
    if attribute.is_complex:
        raise _wrong(attribute, "is complex; compare one of its sub-attributes")
    if node.op in SUBSTRING and kind not in ("string", "reference"):
        raise _wrong(attribute, f'is not a text and cannot be compared by "{node.op}"')
    if node.op not in ("eq", "ne") and kind in UNORDERED:
        raise _wrong(attribute, f'has no order and cannot be compared by "{node.op}"')
    if value is None:
        if node.op in ("eq", "ne"):
            return None
        raise _wrong(attribute, f'cannot be compared to null by "{node.op}"')
    if kind == "boolean" and isinstance(value, str):
        # Entra compares roles[primary eq "True"].
        value = {"true": True, "false": False}.get(value.lower(), value)
    fits = {
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int | float) and not isinstance(value, bool),
        "decimal": isinstance(value, int | float) and not isinstance(value, bool),
    }.get(kind, isinstance(value, str))
    expected = comparison_key(attribute)(value) if fits else None
    if expected is None:
        raise _wrong(attribute, f"is a {kind} and cannot be compared to {value!r}")
    return expected


def _refuse_secret(attribute: Attribute) -> None:
    # RFC 7643 section 7 would allow equality on password; it is an oracle all the same.
    if attribute.is_secret:
        raise _wrong(attribute, "cannot be used in a filter")


def _wrong(attribute: Attribute, why: str) -> InvalidFilter:
    return InvalidFilter(f'The filter is not valid: "{attribute.path}" {why}.')


def _settled(node: Node, type: ResourceType, others: Sequence[ResourceType]) -> bool | None:
    """What the node says of any resource of the type, where its type alone decides that.

    So a search over all types leaves those out that cannot match (RFC 7644 section 3.4.2.1).
    """
    said: list[bool | None] = []
    for term in node.terms if isinstance(node, All) else (node,):
        scope = ResourceScope(type, others)
        holds = compiled(term, scope)({"meta": {"resourceType": type.name}})
        said.append(None if scope.varies else holds)
    return False if False in said else None if None in said else True


def _equalities(node: Node, type: ResourceType) -> tuple[list[tuple[str, str]], bool]:
    """The equalities every match fulfils, and whether they say less than the whole filter."""
    found: list[tuple[str, str]] = []
    rest = False
    for term in node.terms if isinstance(node, All) else (node,):
        match term:
            case Compare(name, "eq", str()) if (place := type.find(name)) and place.attribute:
                pair = _equality(standing_for_value(place), term)
            case Element(name, inner) if (place := type.find(name)) and place.attribute:
                found += _element_equalities(place, inner)
                pair = None
            case _:
                pair = None
        found += [pair] if pair else []
        rest = rest or pair is None
    return found, rest


def _equality(place: Place, term: Compare) -> tuple[str, str] | None:
    attribute = place.target
    if attribute is None or attribute.type not in TEXTUAL:
        return None
    return place.key, operand(attribute, term)


def _element_equalities(place: Place, inner: Node) -> list[tuple[str, str]]:
    assert place.attribute is not None
    value = place.attribute.sub.get("value")
    if value is None:
        return []
    pairs = [
        _equality(Place(place.extension, place.attribute, value), term)
        for term in (inner.terms if isinstance(inner, All) else (inner,))
        if isinstance(term, Compare) and term.op == "eq" and term.name.lower() == "value"
        if isinstance(term.value, str)
    ]
    return [pair for pair in pairs if pair]
