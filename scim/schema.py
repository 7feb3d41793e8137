"""Schemas and resource types as data, compiled at the start into plain tables (RFC 7643)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scim.definitions import Definitions

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute and its characteristics (RFC 7643 section 2.2)."""

    name: str
    path: str
    """As an error or an index names it: `name.givenName`, `urn:…:User:department`."""

    type: str
    multi_valued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    uniqueness: str = "none"
    sub: Mapping[str, Attribute] = field(default_factory=lambda: NOTHING)
    """The sub-attributes of a complex attribute, by lower-case name, in the schema's order."""

    is_complex: bool = field(init=False)
    """Whether values are objects with sub-attributes."""

    is_secret: bool = field(init=False)
    """Whether the value is never shown, compared or kept (`password`)."""

    is_plain: bool = field(init=False)
    """Whether a text is kept as it comes: most of what comes is such a one."""

    def __post_init__(self) -> None:
        secret = self.returned == "never" or self.mutability == "writeOnly"
        plain = self.type in ("string", "reference") and not (secret or self.multi_valued)
        object.__setattr__(self, "is_complex", self.type == "complex")
        object.__setattr__(self, "is_secret", secret)
        object.__setattr__(self, "is_plain", plain and self.mutability != "readOnly")


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema: its URN and its attributes by lower-case name."""

    urn: str
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name points: an attribute or a sub-attribute, or a whole schema (no attribute)."""

    extension: str | None
    """The URN of the extension that holds it; None for the core of the resource."""

    attribute: Attribute | None = None
    sub: Attribute | None = None
    key: str = field(init=False)
    """One lower-case key for this place, as Filter.equals and Sort.path use it."""

    def __post_init__(self) -> None:
        path = self.target.path if self.target else self.extension or ""
        object.__setattr__(self, "key", path.lower())

    @property
    def target(self) -> Attribute | None:
        """The attribute whose values are meant, sub-attribute first."""
        return self.sub or self.attribute


class ResourceType:
    """One resource type: its endpoint, its schemas, and what its host keeps elsewhere."""

    def __init__(
        self,
        definition: Mapping[str, Any],
        core: Schema,
        extensions: Iterable[Schema],
    ) -> None:
        """`definition` is one entry of resource_types.json; `core` includes the common attributes.

        `apart` names what the host keeps in rows, never in the document (members of a group);
        `computed` names attributes and extensions made anew for each answer.
        """
        self.definition = definition
        self.name: str = definition["name"]
        self.endpoint: str = definition["endpoint"]
        self.schema: str = definition["schema"]
        self.core = core
        self.by_urn = {schema.urn.lower(): schema for schema in extensions}
        self.extensions = tuple(schema.urn for schema in self.by_urn.values())
        self.apart = frozenset(definition["apart"])
        self.computed = frozenset(definition["computed"])

    def __repr__(self) -> str:
        return f"ResourceType({self.name})"

    @cached_property
    def detached(self) -> frozenset[str]:
        """All that is never in the stored document: what is kept apart and what is computed."""
        return self.apart | self.computed

    def needed(self, holder: str) -> frozenset[str]:
        """What must be made to compare with anything of `holder`: itself where it is detached,
        and each part of it that is shown on request only.
        """
        if holder not in self.detached:
            return frozenset()
        attribute = self.core.attributes.get(holder.lower())
        parts = attribute.sub.values() if attribute else ()
        on_request = (f"{holder}.{part.name}" for part in parts if part.returned == "request")
        return frozenset({holder, *on_request})

    @cached_property
    def is_open(self) -> bool:
        """Whether a stored document holds nothing but what an answer shows by default."""
        schemas = [self.core, *self.by_urn.values()]
        held = [
            attribute
            for schema in schemas
            for attribute in schema.attributes.values()
            if not self.detached & {schema.urn, attribute.name} and not attribute.is_secret
        ]
        parts = [part for each in held for part in (each, *each.sub.values())]
        return all(part.returned in ("default", "always") for part in parts)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names a stored document may hold, in the order it is written in."""
        own = ("schemas", "id", "meta")
        names = (a.name for a in self.core.attributes.values())
        kept = [n for n in names if n not in own and n not in self.detached]
        return (*kept, *(urn for urn in self.extensions if urn not in self.computed))

    @cached_property
    def _places(self) -> dict[str, Place]:
        """Every place by every lower-case name it has, all but the short ones."""
        places = _within(self.core, None)
        for schema, extension in self._schemas:
            urn = schema.urn.lower()
            places[urn] = Place(extension)
            for name, place in _within(schema, extension).items():
                places[f"{urn}:{name}"] = place
        return places

    @cached_property
    def _short(self) -> dict[str, Place]:
        """Attributes only one writable extension declares, by their bare name."""
        places: dict[str, Place] = {}
        for schema, extension in self._schemas:
            if extension is not None and extension not in self.computed:
                places = _within(schema, extension) | places
        return places

    @property
    def _schemas(self) -> tuple[tuple[Schema, str | None], ...]:
        return ((self.core, None), *((schema, schema.urn) for schema in self.by_urn.values()))

    def find(self, name: str, *, short: bool = True) -> Place | None:
        """The place `name` points to, or None; names and URNs compare without case.

        `name` is an attribute, `attribute.sub`, either of them behind a schema URN and a
        colon, or a schema URN alone. The dots inside a URN are none of ours (RFC 7644
        section 3.10). With `short`, a bare name may also be an extension's.
        """
        lower = name.lower()
        found = self._places.get(lower)
        return self._short.get(lower) if found is None and short else found

    def foreign_urn(self, name: str) -> bool:
        """Whether `name` lies below a schema that is none of this type's (Entra's ADSCIM)."""
        lower = name.lower()
        if not lower.startswith(("urn:", "http://", "https://")):
            return False
        known = (self.schema.lower(), *self.by_urn)
        return not any(lower == urn or lower.startswith(urn + ":") for urn in known)


def _within(schema: Schema, extension: str | None) -> dict[str, Place]:
    """The places of one schema, by lower-case `attribute` and `attribute.sub`."""
    places: dict[str, Place] = {}
    for name, attribute in schema.attributes.items():
        places[name] = Place(extension, attribute)
        for sub, part in attribute.sub.items():
            places[f"{name}.{sub}"] = Place(extension, attribute, part)
    return places


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes this server announces and keeps: bytes, resources, members."""

    body_bytes: int = 1_048_576
    bulk_operations: int = 1000
    default_page: int = 100
    largest_page: int = 1000
    cursor_s: int = 3600
    """How long the cursors of a page are good for (RFC 9865 section 4)."""

    members_shown: int = 100
    """A PATCH of a group above this many members answers 204 unless attributes are asked for."""


class Catalogue:
    """All resource types of one service, by name and by endpoint, and their definitions."""

    def __init__(
        self,
        types: Iterable[ResourceType],
        schemas: Iterable[Mapping[str, Any]],
        limits: Limits | None = None,
    ) -> None:
        """`schemas` are the definitions as announced by /Schemas, in that order."""
        self.types = tuple(types)
        self.schemas = tuple(schemas)
        self.limits = limits or Limits()
        self.by_name = {type.name: type for type in self.types}
        self.by_endpoint = {type.endpoint: type for type in self.types}

    @classmethod
    def standard(cls) -> Catalogue:
        """Users and Groups with the enterprise and the broker extension."""
        return cls.of(Definitions.standard())

    @classmethod
    def load(cls, folder: Path | Traversable) -> Catalogue:
        """The catalogue a folder of JSON describes: resource_types.json, common.json, schemas."""
        return cls.of(Definitions.load(folder))

    @classmethod
    def of(cls, definitions: Definitions) -> Catalogue:
        """The catalogue these definitions make."""
        types, schemas = definitions.types, definitions.schemas
        shared = compiled(definitions.common).attributes
        named = [name for type in types for name in schemas_of(type)]
        ordered = dict.fromkeys([*named, *schemas])
        return cls(
            (_assembled(type, schemas, shared) for type in types),
            (schemas[urn] for urn in ordered),
        )


def schemas_of(type: Mapping[str, Any]) -> list[str]:
    """The URNs a definition of a resource type names, its own first."""
    return [type["schema"], *(each["schema"] for each in type["schemaExtensions"])]


def _assembled(
    definition: Mapping[str, Any],
    schemas: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Attribute],
) -> ResourceType:
    own = compiled(schemas[definition["schema"]]).attributes
    core = Schema(definition["schema"], {**shared, **own})
    extensions = [
        compiled(schemas[each["schema"]], each["schema"] + ":")
        for each in definition["schemaExtensions"]
    ]
    return ResourceType(definition, core, extensions)


def compiled(definition: Mapping[str, Any], prefix: str = "") -> Schema:
    """A schema as tables; `prefix` begins the paths of its attributes."""
    attributes = (_attribute(each, prefix) for each in definition["attributes"])
    return Schema(definition["id"], {each.name.lower(): each for each in attributes})


def _attribute(definition: Mapping[str, Any], prefix: str) -> Attribute:
    path = prefix + definition["name"]
    subs = (_attribute(each, path + ".") for each in definition.get("subAttributes", ()))
    return Attribute(
        name=definition["name"],
        path=path,
        type=definition["type"],
        multi_valued=definition["multiValued"],
        required=definition["required"],
        case_exact=definition.get("caseExact", False),
        mutability=definition["mutability"],
        returned=definition["returned"],
        uniqueness=definition.get("uniqueness", "none"),
        sub={each.name.lower(): each for each in subs},
    )
