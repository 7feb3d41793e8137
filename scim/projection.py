"""Which attributes an answer shows: attributes, excludedAttributes, `returned` (RFC 7644 3.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from scim.errors import InvalidValue
from scim.schema import Attribute, Place, ResourceType, Schema

ALL: None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What one answer shows of resources of one type."""

    type: ResourceType
    names: frozenset[str] | None = ALL
    """Lower-case keys of the places asked for; None asks for the default set."""

    excluded: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()
    """Attributes and extensions kept outside the document that the answer shows, by name; also
    `members.display`, which is shown on request only."""

    @property
    def asked(self) -> bool:
        """Whether the client said anything about attributes."""
        return self.names is not ALL or bool(self.excluded)

    is_whole: bool = field(init=False)
    """Whether the stored bytes are the answer as they are: nothing inside them is left out."""

    def __post_init__(self) -> None:
        outside = {name.lower() for name in self.type.detached}
        whole = self.names is ALL and self.type.is_open and self.excluded <= outside
        object.__setattr__(self, "is_whole", whole)

    @classmethod
    def of(
        cls, type: ResourceType, attributes: Iterable[str] | None, excluded: Iterable[str] | None
    ) -> Selection:
        """The selection two lists of names ask for; names nobody declares choose nothing.

        InvalidValue when both are given: they exclude one another.
        """
        if attributes is None and excluded is None:
            return _everything(type)
        if attributes is not None and excluded is not None:
            raise InvalidValue('"attributes" and "excludedAttributes" exclude one another.')
        chosen = ALL if attributes is None else frozenset(_keys(type, attributes))
        shown = cls(type, chosen, frozenset(_keys(type, excluded or ())))
        return replace(shown, computed=frozenset(shown.outside()))

    def outside(self) -> Iterable[str]:
        """The names of `computed`, worked out."""
        for name in self.type.detached:
            if (schema := self.type.by_urn.get(name.lower())) is not None:
                if any(self.shows(a, schema) for a in schema.attributes.values()):
                    yield name
            else:
                yield from self._named(self.type.core.attributes[name.lower()])

    def _named(self, attribute: Attribute) -> Iterable[str]:
        """An attribute outside the document, and each part of it that is shown on request only."""
        core = self.type.core
        if self.shows(attribute, core):
            yield attribute.name
            for part in attribute.sub.values():
                if part.returned == "request" and self.shows_part(part, attribute, core):
                    yield f"{attribute.name}.{part.name}"

    def shows(self, attribute: Attribute, schema: Schema) -> bool:
        """Whether any of an attribute of the resource, or of an extension, is shown."""
        if attribute.returned in ("always", "never"):
            return attribute.returned == "always"
        keys = (attribute.path.lower(), schema.urn.lower())
        if self.names is ALL:
            return attribute.returned == "default" and not self.excluded.intersection(keys)
        below = attribute.path.lower() + "."
        return not self.names.isdisjoint(keys) or any(n.startswith(below) for n in self.names)

    def shows_part(self, part: Attribute, whole: Attribute, schema: Schema) -> bool:
        """Whether a sub-attribute of a shown attribute is shown."""
        if part.returned in ("always", "never"):
            return part.returned == "always"
        if self.names is ALL:
            return part.returned == "default" and part.path.lower() not in self.excluded
        named = part.path.lower() in self.names
        around = not self.names.isdisjoint((whole.path.lower(), schema.urn.lower()))
        return named or (part.returned == "default" and (around or whole.returned == "always"))


def project(selection: Selection, document: Mapping[str, Any]) -> dict[str, Any]:
    """What the selection shows of a complete document (id, meta, computed attributes included).

    `schemas` names the schemas of what is shown, no others (RFC 7643 section 3).
    """
    type = selection.type
    shown = _shown(selection, type.core, document)
    for schema in type.by_urn.values():
        held = document.get(schema.urn)
        if isinstance(held, dict) and (parts := _shown(selection, schema, held)):
            shown[schema.urn] = parts
    shown["schemas"] = [type.schema, *(urn for urn in type.extensions if urn in shown)]
    return shown


def projected(
    selection: Selection, name: str, values: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What the selection shows of some values of a shown attribute, as `project` would."""
    core = selection.type.core
    shown: list[dict[str, Any]] = _value(
        selection, core, core.attributes[name.lower()], list(values)
    )
    return shown


def _shown(selection: Selection, schema: Schema, holder: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in holder.items():
        attribute = schema.attributes.get(name.lower())
        if attribute is None or not selection.shows(attribute, schema):
            continue
        kept = _value(selection, schema, attribute, value)
        if kept not in (None, {}, []):
            shown[name] = kept
    return shown


def _value(selection: Selection, schema: Schema, attribute: Attribute, value: Any) -> Any:
    if not attribute.is_complex:
        return value
    parts = {
        part.name
        for part in attribute.sub.values()
        if selection.shows_part(part, attribute, schema)
    }
    if isinstance(value, list):
        entries = [{k: v for k, v in each.items() if k in parts} for each in value]
        return [each for each in entries if each]
    return {k: v for k, v in value.items() if k in parts}


@lru_cache(maxsize=64)
def _everything(type: ResourceType) -> Selection:
    """The default set, which nearly every request asks for."""
    shown = Selection(type)
    return replace(shown, computed=frozenset(shown.outside()))


def _keys(type: ResourceType, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        place: Place | None = type.find(name.strip())
        if place is not None:
            yield place.key or type.schema.lower()
