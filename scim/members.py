"""Members of a group: kept by the host in rows, changed by what a request names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scim.errors import InvalidSyntax, InvalidValue, Mutability, NoTarget
from scim.filters import compiled
from scim.grammar import Compare, Node, Some
from scim.schema import Attribute
from scim.scopes import ElementScope
from scim.values import Intake, id_in, is_empty


@dataclass(frozen=True, slots=True)
class MemberChange:
    """One step of a PATCH on members; steps apply in order."""

    op: Literal["add", "remove", "replace", "remove_where"]
    members: tuple[str, ...] = ()
    """The ids of whom to add, to remove, or the whole new set; each value once."""

    where: Callable[[Mapping[str, Any]], bool] | None = None
    """With `remove_where`: whether a member as answered (value, type, display, $ref) goes."""


def take_members(attribute: Attribute, raw: Any, intake: Intake) -> tuple[str, ...]:
    """The ids a value names, each once, in order; InvalidValue names what is missing.

    Null and display are ignored (Entra sends `"$ref": null`, Okta `"display": null`); a bare
    id is a member where shapes are loose.
    """
    if is_empty(raw):
        return ()
    if intake.tolerance.loose_shapes and isinstance(raw, str | dict):
        raw = [raw]
    if not isinstance(raw, list):
        raise InvalidValue(f'"{attribute.path}" must be a list of objects.')
    members: dict[str, None] = {}
    for each in raw:
        if not is_empty(each):
            members[_member(attribute, each, intake)] = None
    return tuple(members)


def _member(attribute: Attribute, raw: Any, intake: Intake) -> str:
    if isinstance(raw, str) and intake.tolerance.loose_shapes:
        return raw
    if not isinstance(raw, dict):
        raise InvalidValue(f'"{attribute.path}" must be a list of objects with a value.')
    parts: dict[str, Any] = {}
    for key, item in raw.items():
        if (sub := attribute.sub.get(key.lower())) is None:
            intake.unknown(f"{attribute.path}.{key}", item)
        elif sub.name in parts:
            raise InvalidSyntax(f'"{attribute.path}.{key}" is given twice.')
        else:
            parts[sub.name] = item
    value, kind, reference = parts.get("value"), parts.get("type"), parts.get("$ref")
    if is_empty(value) and isinstance(reference, str):
        value = id_in(reference)
    if not isinstance(value, str) or not value:
        raise InvalidValue(f'"{attribute.path}.value" must be the id of a resource.')
    if not is_empty(kind) and not isinstance(kind, str):
        raise InvalidValue(f'"{attribute.path}.type" must be a text.')
    return value


def change_of(
    attribute: Attribute, op: str, inner: Node | None, value: Any, intake: Intake
) -> MemberChange:
    """One PATCH operation on members as a change; what it cannot mean is an error, never a guess.

    `value` is the raw value, `...` where the operation has none.
    """
    if op == "remove":
        return _removal(attribute, inner, value, intake)
    if inner is not None:
        # A member is its id (immutable, RFC 7643 section 4.2): nothing inside it can change.
        raise Mutability(f'A value of "{attribute.path}" cannot be changed; remove and add it.')
    if value is ... or (value is None and op == "add"):
        raise InvalidValue(f'"{attribute.path}" needs a value to {op}.')
    return MemberChange("add" if op == "add" else "replace", take_members(attribute, value, intake))


def _removal(attribute: Attribute, inner: Node | None, value: Any, intake: Intake) -> MemberChange:
    if inner is not None:
        named = _named(inner)
        if named is not None:
            return MemberChange("remove", tuple(dict.fromkeys(named)))
        return MemberChange("remove_where", where=compiled(inner, ElementScope(attribute)))
    if value is ... or value is None:
        return MemberChange("replace", ())
    if not intake.tolerance.value_removes:
        raise NoTarget(f'Name the values of "{attribute.path}" to remove in the path.')
    # RFC 7644 would remove everybody here; Entra means those in the value, and none for [].
    return MemberChange("remove", take_members(attribute, value, intake))


def _named(inner: Node) -> list[str] | None:
    """The ids of `value eq "a"` or of several joined by `or`; None for any other filter."""
    terms = inner.terms if isinstance(inner, Some) else (inner,)
    ids = [
        term.value
        for term in terms
        if isinstance(term, Compare) and term.op == "eq" and term.name.lower() == "value"
        if isinstance(term.value, str)
    ]
    return ids if len(ids) == len(terms) else None
