"""A whole resource: what a client may send, the document kept, and the bytes answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from scim import times
from scim.errors import InvalidSyntax, InvalidValue
from scim.members import take_members
from scim.rules import kept_immutable, missing
from scim.schema import Attribute, Place, ResourceType
from scim.tolerance import Tolerance
from scim.values import Intake, Warning, is_empty, take, take_parts

META = b'"meta":{"resourceType":'


@dataclass(frozen=True, slots=True)
class Accepted:
    """A body worth storing."""

    document: dict[str, Any]
    """Canonical names, only what was assigned; without schemas, id, meta, password, members."""

    extras: dict[str, Any] = field(default_factory=dict)
    """Unknown attributes by flat path, as they came: never returned, kept for a later mapping."""

    warnings: tuple[Warning, ...] = ()
    members: tuple[str, ...] = ()
    """What the body names of the attribute kept apart."""


def accept(type: ResourceType, body: Mapping[str, Any], tolerance: Tolerance) -> Accepted:
    """The document a POST or PUT body means; a ScimError names the attribute that is wrong.

    Read-only attributes are ignored (RFC 7644 sections 3.3 and 3.5.1), null and empty values
    mean unassigned, password is accepted and not kept, `schemas` follows from what is there.
    """
    intake = Intake(type, tolerance)
    check_schemas(type, body, tolerance)
    document: dict[str, Any] = {}
    members: tuple[str, ...] = ()
    seen: set[str] = set()
    for key, raw in body.items():
        place = type.find(key, short=tolerance.short_names)
        if place is not None and place.sub is not None:
            place = None  # a dotted name is a path, and no path stands in a document
        lower = (place.key if place else "") or key.lower()
        if lower in seen:
            raise InvalidSyntax(f'"{key}" is given twice.')
        seen.add(lower)
        if place is None or (place.attribute is None and place.extension is None):
            _aside(intake, key, raw)
        elif place.attribute is None:
            _take_extension(type, place, raw, intake, document)
        elif place.attribute.name in type.apart:
            members = take_members(place.attribute, raw, intake)
        else:
            _take_attribute(place, place.attribute, raw, intake, document)
    for lacking in missing(type, document):
        assert lacking.attribute is not None
        if lacking.attribute.path not in intake.unkept:
            raise InvalidValue(f'"{lacking.attribute.path}" is required and must not be empty.')
    return Accepted(document, intake.extras, intake.warnings, members)


def _take_attribute(
    place: Place, attribute: Attribute, raw: Any, intake: Intake, document: dict[str, Any]
) -> None:
    if attribute.mutability == "readOnly" or place.extension in intake.type.computed:
        return
    plain = attribute.is_plain and raw.__class__ is str
    value = (raw or None) if plain else take(attribute, raw, intake)
    if value is None or intake.drops(attribute):
        return
    if place.extension is None:
        document[attribute.name] = value
    else:
        # A bare name of an extension's attribute; what its own URN holds is the truer word.
        held = document.get(place.extension, {})
        document[place.extension] = {attribute.name: value, **held}


def _take_extension(
    type: ResourceType, place: Place, raw: Any, intake: Intake, document: dict[str, Any]
) -> None:
    urn = place.extension
    if urn is None or urn in type.computed or is_empty(raw):
        return
    if not isinstance(raw, dict):
        raise InvalidValue(f'"{urn}" must be an object.')
    parts = take_parts(type.by_urn[urn.lower()].attributes, raw, intake, urn + ":")
    if parts:
        document[urn] = {**document.get(urn, {}), **parts}


def _aside(intake: Intake, key: str, raw: Any) -> None:
    """An attribute nobody declares; a foreign extension is kept part by part, as PATCH names it."""
    if intake.type.foreign_urn(key) and isinstance(raw, dict):
        for part, item in raw.items():
            intake.unknown(f"{key}:{part}", item)
    else:
        intake.unknown(key, raw)


def replacing(type: ResourceType, accepted: Accepted, before: Mapping[str, Any]) -> Accepted:
    """What a PUT makes of the document before it: what is immutable stays, or Mutability."""
    document = kept_immutable(type, before, accepted.document, silence_keeps=True)
    return replace(accepted, document=document)


def check_schemas(type: ResourceType, body: Mapping[str, Any], tolerance: Tolerance) -> None:
    """Refuse a body that says it is something else, or, in strict, does not say what it is."""
    named = next((item for key, item in body.items() if key.lower() == "schemas"), None)
    if isinstance(named, str) and tolerance.loose_schemas:
        named = [named]
    if is_empty(named):
        named = []
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise InvalidSyntax('"schemas" must be a list of URNs.')
    known = {type.schema.lower(), *type.by_urn}
    stray = [each for each in named if each.lower() not in known]
    messages = [each for each in stray if each.lower().startswith("urn:ietf:params:scim:api:")]
    if messages:
        raise InvalidSyntax(f'"schemas" names {messages[0]}, which is not a {type.name}.')
    if tolerance.loose_schemas:
        return
    if type.schema.lower() not in (each.lower() for each in named):
        raise InvalidSyntax(f'"schemas" must name {type.schema}.')
    if stray:
        raise InvalidSyntax(f'"schemas" names {stray[0]}, which {type.name} does not have.')


def is_message(body: Mapping[str, Any], urn: str) -> bool:
    """Whether `schemas` of a message names `urn`, or nothing at all (clients forget it)."""
    named = next((item for key, item in body.items() if key.lower() == "schemas"), None)
    if is_empty(named):
        return True
    return isinstance(named, list) and urn.lower() in (str(each).lower() for each in named)


def lowered(message: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a message by lower-case name; InvalidSyntax for a name given twice."""
    parts: dict[str, Any] = {}
    for key, item in message.items():
        if key.lower() in parts:
            raise InvalidSyntax(f'"{key}" is given twice.')
        parts[key.lower()] = item
    return parts


def render(
    type: ResourceType,
    document: Mapping[str, Any],
    *,
    id: str,
    version: int,
    created: int,
    changed: int,
) -> bytes:
    """The canonical bytes of a resource, to be stored and answered as they are.

    Attributes in the schema's order, `meta` last and without its location, which belongs to
    the request. The same document gives the same bytes up to `meta`. Times in microseconds.
    """
    kept = {name: document[name] for name in type.order if name in document}
    schemas = [type.schema, *(urn for urn in type.extensions if urn in kept)]
    body = orjson.dumps({"schemas": schemas, "id": id, **kept})
    return body[:-1] + b"," + _meta(type, version, created, changed) + b"}"


def restamped(
    type: ResourceType, stored: bytes, *, version: int, created: int, changed: int
) -> bytes:
    """The same stored bytes under a new version, without decoding them (a membership changed)."""
    return stored[: stored.rindex(META)] + _meta(type, version, created, changed) + b"}"


def _meta(type: ResourceType, version: int, created: int, changed: int) -> bytes:
    return (
        META
        + orjson.dumps(type.name)
        + (
            f',"created":"{times.written(created)}","lastModified":"{times.written(changed)}"'
            f',"version":"W/\\"{version}\\""}}'
        ).encode()
    )


def load(stored: bytes) -> dict[str, Any]:
    """The document inside stored bytes, as `accept` and `Patch.apply` speak of it."""
    document: dict[str, Any] = orjson.loads(stored)
    for name in ("schemas", "id", "meta"):
        document.pop(name, None)
    return document


def same(left: bytes, right: bytes) -> bool:
    """Whether two stored forms of one resource differ in `meta` at most: a write of nothing."""
    return left[: left.rindex(META)] == right[: right.rindex(META)]
