"""One PATCH operation, in any dialect, read as changes (RFC 7644 section 3.5.2)."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from scim.changes import Aside, Change
from scim.errors import InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget, TooMany
from scim.filters import Matcher, compiled
from scim.grammar import All, Compare, Node, parse_path, terms
from scim.members import MemberChange, change_of
from scim.schema import Attribute, Place, ResourceType
from scim.scopes import ElementScope
from scim.tolerance import Tolerance
from scim.values import Intake, is_empty, reshaped, take, take_many, take_one

Op: TypeAlias = Literal["add", "replace", "remove"]

OPS: dict[str, Op] = {"add": "add", "replace": "replace", "remove": "remove"}

MOST_SCANS = 20
"""Filters on members in one PATCH: each reads the whole group."""


class Reading:
    """Reads operations one by one and gathers what they change."""

    def __init__(self, type: ResourceType, tolerance: Tolerance, id: str | None) -> None:
        self.type = type
        self.tolerance = tolerance
        self.id = id
        self.intake = Intake(type, tolerance)
        self.changes: list[Change] = []
        self.members: list[MemberChange] = []
        self.asides: list[Aside] = []
        self.scans = 0

    def read(self, operation: Mapping[str, Any]) -> None:
        """Understand one operation, its keys in lower case; a ScimError says why not."""
        op = self._op(operation)
        path, value = operation.get("path"), operation.get("value", ...)
        if path is not None and not isinstance(path, str):
            raise InvalidPath('"path" must be a text.')
        if path and path.strip():
            self._at_path(op, path.strip(), value)
        elif op == "remove":
            raise NoTarget('A "remove" needs a "path".')
        elif not self.tolerance.pathless_patches:
            raise InvalidPath("Every operation needs a path.")
        else:
            self._spread(op, value)
        for found, raw in self.intake.extras.items():
            self.asides.append(Aside(found, raw))
        self.intake.extras.clear()

    def _op(self, operation: Mapping[str, Any]) -> Op:
        op = operation.get("op")
        known = OPS.get(op.lower()) if isinstance(op, str) else None
        if known is None:
            raise InvalidSyntax('"op" must be "add", "replace" or "remove".')
        return known

    def _at_path(self, op: Op, path: str, value: Any) -> None:
        if self.type.foreign_urn(path.partition("[")[0]):
            if not self.tolerance.unknown_attributes:
                raise InvalidPath(f'"{path}" is not an attribute of {self.type.name}.')
            self._aside(path, None if op == "remove" else value)
            return
        parsed = parse_path(path)
        place = self.type.find(parsed.name, short=self.tolerance.short_names)
        if place is None:
            raise InvalidPath(f'"{parsed.name}" is not an attribute of {self.type.name}.')
        if place.attribute is None:
            self._whole(op, place, parsed.inner, value)
            return
        if parsed.inner is not None:
            place = _behind_brackets(place, parsed.sub)
        self._refuse_read_only(place)
        self._change(op, place, parsed.inner, value)

    def _whole(self, op: Op, place: Place, inner: Node | None, value: Any) -> None:
        """A path that names a whole schema: its attributes are those of the value."""
        urn = place.extension
        if inner is not None:
            raise InvalidPath("A schema has no values to choose from.")
        if urn in self.type.computed:
            raise Mutability(f'"{urn}" is read-only.')
        if op == "remove" or (urn is not None and op == "replace" and is_empty(value)):
            if urn is None:
                raise NoTarget('A "remove" needs a path to an attribute.')
            self.changes.append(Change("remove", place))
            self.asides.append(Aside(urn, None))
        else:
            self._spread(op, value, urn)

    def _spread(self, op: Op, value: Any, urn: str | None = None) -> None:
        """Each key of a value is an attribute of its own (Okta; Entra with dotted keys)."""
        if not isinstance(value, dict):
            raise InvalidValue('"value" must be an object where "path" names no attribute.')
        seen: set[str] = set()
        for key, item in value.items():
            name = f"{urn}:{key}" if urn else key
            if name.lower() in seen:
                raise InvalidSyntax(f'"{name}" is given twice.')
            seen.add(name.lower())
            if name.lower() != "schemas":
                self._key(op, name, item)

    def _key(self, op: Op, key: str, item: Any) -> None:
        inner, name = None, key
        if "[" in key:
            parsed = parse_path(key)
            inner, name = parsed.inner, parsed.name
        place = self.type.find(name, short=self.tolerance.short_names)
        if place is None:
            self._unknown_key(key, item)
        elif place.attribute is None:
            self._whole_key(op, place, item)
        else:
            if inner is not None:
                place = _behind_brackets(place, parsed.sub)
            if self._is_read_only(place):
                self._echo(place, item)
            elif item is not None:
                self._change(op, place, inner, item)
            elif op == "replace" or not self._is_apart(place):
                # A null among other values means unassigned, also where they are added.
                self._change("replace", place, inner, item)

    def _unknown_key(self, key: str, item: Any) -> None:
        if self.type.foreign_urn(key) and isinstance(item, dict):
            for part, each in item.items():
                self._aside(f"{key}:{part}", each)
        else:
            self._aside(key, item)

    def _whole_key(self, op: Op, place: Place, item: Any) -> None:
        if place.extension in self.type.computed:
            self._echo(place, item)
        elif is_empty(item):
            if op == "replace" and place.extension:
                self._whole("remove", place, None, ...)
        else:
            self._spread(op, item, place.extension or self.type.schema)

    def _aside(self, path: str, value: Any) -> None:
        """Unknown attributes go beside the document with a warning; empty ones are forgotten."""
        if value is ... or is_empty(value):
            self.asides.append(Aside(path, None))
        else:
            self.intake.unknown(path, value)

    def _is_apart(self, place: Place) -> bool:
        attribute = place.attribute
        return not place.extension and attribute is not None and attribute.name in self.type.apart

    def _is_read_only(self, place: Place) -> bool:
        attribute, sub = place.attribute, place.sub
        return (
            place.extension in self.type.computed
            or (attribute is not None and attribute.mutability == "readOnly")
            or (sub is not None and sub.mutability == "readOnly")
        )

    def _refuse_read_only(self, place: Place) -> None:
        if self._is_read_only(place) and place.target is not None:
            raise Mutability(f'"{place.target.path}" is read-only.')

    def _echo(self, place: Place, item: Any) -> None:
        """A read-only attribute sent back inside a value: an unchanged id is no change."""
        changes_id = place.key == "id" and self.id is not None and item != self.id
        if changes_id or not self.tolerance.read_only_echoes:
            self._refuse_read_only(place)
            raise Mutability(f'"{place.extension}" is read-only.')

    def _change(self, op: Op, place: Place, inner: Node | None, value: Any) -> None:
        attribute = place.attribute
        assert attribute is not None
        if self._is_apart(place):
            if place.sub is not None:
                raise Mutability(f'"{place.sub.path}" cannot be changed.')
            self.members.append(change_of(attribute, op, inner, value, self.intake))
            self.scans += self.members[-1].where is not None
            if self.scans > MOST_SCANS:
                raise TooMany(f"More than {MOST_SCANS} operations ask all members; send several.")
        elif op == "remove":
            self._remove(place, attribute, inner, value)
        else:
            self._write(op, place, attribute, inner, value)

    def _remove(self, place: Place, attribute: Attribute, inner: Node | None, value: Any) -> None:
        whole = place.sub is None and inner is None
        if whole and attribute.multi_valued and value is not ... and value is not None:
            if not self.tolerance.value_removes:
                raise NoTarget(f'Name the values of "{attribute.path}" to remove in the path.')
            named = take_many(attribute, value if isinstance(value, list) else [value], self.intake)
            self.changes.append(Change("remove_values", place, named, asked=len(named)))
            return
        if attribute.required and whole:
            raise Mutability(f'"{attribute.path}" is required and cannot be removed.')
        if attribute.is_secret:
            return
        where, asked = _where(attribute, inner), _asked(place, inner)
        self.changes.append(Change("remove", place, where=where, asked=asked))
        self.asides.append(Aside(place.target.path if place.target else "", None))

    def _write(
        self, op: Op, place: Place, attribute: Attribute, inner: Node | None, value: Any
    ) -> None:
        if value is ... or (value is None and op == "add"):
            raise InvalidValue(f'"{(place.target or attribute).path}" needs a value to {op}.')
        if attribute.required and place.sub is None and is_empty(value):
            raise InvalidValue(f'"{attribute.path}" is required and must not be empty.')
        taken = self._taken(place, attribute, inner, value)
        if attribute.is_secret or (place.sub and place.sub.is_secret):
            return
        whole = attribute.multi_valued and inner is None and place.sub is None
        if whole and op == "replace":
            self.asides.append(Aside(attribute.path, None))
        described = None if whole else self._described(attribute, inner)
        where, asked = _where(attribute, inner), _asked(place, inner)
        self.changes.append(Change(op, place, taken, where, described, asked))

    def _taken(self, place: Place, attribute: Attribute, inner: Node | None, value: Any) -> Any:
        """The value as Change keeps it: one value, parts of an object, or a list of entries."""
        if place.sub is not None:
            one = place.sub.multi_valued and not isinstance(value, list) and not is_empty(value)
            return take(place.sub, [value] if one else value, self.intake)
        if attribute.multi_valued and inner is None:
            values = value if isinstance(value, list) else [value]
            return take_many(attribute, values, self.intake)
        if attribute.is_complex:
            return self._parts(attribute, value)
        return None if is_empty(value) else take_one(attribute, value, self.intake)

    def _parts(self, attribute: Attribute, value: Any) -> dict[str, Any] | None:
        """The parts an object sets, None for each it clears; None where all of it is cleared."""
        if value is None or value == "" or value == []:
            return None
        if attribute.multi_valued and self.tolerance.loose_shapes:
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if isinstance(value, str) and "value" in attribute.sub:
                value = {"value": value}
        value = reshaped(attribute, value, self.tolerance)
        if not isinstance(value, dict):
            raise InvalidValue(f'"{attribute.path}" must be an object.')
        parts: dict[str, Any] = {}
        for key, item in value.items():
            sub = attribute.sub.get(key.lower())
            if sub is None:
                self._aside(f"{attribute.path}.{key}", item)
            elif sub.name in parts:
                raise InvalidSyntax(f'"{attribute.path}.{key}" is given twice.')
            elif sub.mutability != "readOnly":
                parts[sub.name] = None if sub.is_secret else take(sub, item, self.intake)
        return parts

    def _described(self, attribute: Attribute, inner: Node | None) -> dict[str, Any] | None:
        """The entry a path describes: every term `eq` on type or primary, as Entra has them."""
        if not self.tolerance.created_targets or not attribute.is_complex:
            return None
        described: dict[str, Any] = {}
        terms = inner.terms if isinstance(inner, All) else (inner,) if inner else ()
        for term in terms:
            if not isinstance(term, Compare) or term.op != "eq":
                return None
            sub = attribute.sub.get(term.name.lower())
            if sub is None or sub.name not in ("type", "primary"):
                return None
            described[sub.name] = take(sub, term.value, self.intake)
        return described


def _where(attribute: Attribute, inner: Node | None) -> Matcher | None:
    return None if inner is None else compiled(inner, ElementScope(attribute))


def _asked(place: Place, inner: Node | None) -> int:
    """What is asked of each value: the terms of a filter; a part of every value counts as one."""
    return terms(inner) if inner else int(place.sub is not None)


def _behind_brackets(place: Place, sub: str | None) -> Place:
    """The place behind `attribute[...]`, with `.sub` if there is one; InvalidPath otherwise."""
    attribute = place.attribute
    if attribute is None or place.sub is not None or not attribute.multi_valued:
        named = place.target.path if place.target else "A schema"
        raise InvalidPath(f'"{named}" has no values to choose from in brackets.')
    if sub is None:
        return place
    found = attribute.sub.get(sub.lower())
    if found is None:
        raise InvalidPath(f'"{attribute.path}" has no "{sub}".')
    return Place(place.extension, attribute, found)
