"""What a deployment adds to the standard catalogue: schemas and resource types of its own.

The files hold what a server announces at /Schemas and /ResourceTypes, a document each or a
ListResponse of them. Importing this costs scim2-models, so only who has such files does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scim2_models import ResourceType, Schema, ScimProvider, ScimProviderError

from scim.definitions import Definitions
from scim.discovery import ENDPOINTS, Discovery
from scim.judging import NAME, Found, completed, documents
from scim.schema import Catalogue, compiled, schemas_of

ENDPOINT = re.compile(r"/[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
RESERVED = frozenset(each.lower() for each in ENDPOINTS | {"Me", "Bulk"})


class Unusable(ValueError):
    """The files cannot be used; one sentence a problem: where, what, and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def catalogue(folder: Path) -> Catalogue:
    """The standard catalogue with what the files of `folder` add to it; Unusable.

    A ResourceType of User or Group adds the extensions it lists; any other is a type of its own.
    """
    adding = Adding(Definitions.standard())
    found: list[Found] = []
    for each in documents(folder):
        faults = [each] if isinstance(each, str) else list(each.faults())
        adding.problems += faults
        if isinstance(each, Found) and not faults:
            found.append(each)
    for kind, take in (("schema", adding.schema), ("resourcetype", adding.type)):
        if not adding.problems:  # or the others would be consequences of the first
            for each in (one for one in found if one.kind == kind):
                take(each.where, each.body)
    adding.look_for_unused()
    made = Catalogue.of(adding.definitions)
    if not adding.problems:
        adding.problems += _unreadable(made)
    if adding.problems:
        raise Unusable(adding.problems)
    return made


@dataclass(slots=True)
class Adding:
    """Puts sound documents into the definitions, and gathers what does not go with the rest."""

    definitions: Definitions
    problems: list[str] = field(default_factory=list)
    added: dict[str, str] = field(default_factory=dict)
    """Where each schema and each type was found that is not built in, by URN or name."""

    def schema(self, where: str, body: Mapping[str, Any]) -> None:
        """Add a schema; one of the built-in ones may be repeated, not redefined."""
        urn: str = body["id"]
        schema = {
            "id": urn,
            "name": body.get("name") or urn,
            "description": body.get("description") or "",
            "attributes": [completed(each) for each in body.get("attributes") or ()],
        }
        known = self._known(urn)
        if known in self.added:
            self._wrong(where, f"{urn} is in {self.added[known]} too", "keep one of them")
        elif known is not None:
            self._repeated(where, known, schema)
        elif (other := self._around(urn)) is not None:
            self._wrong(where, f"{urn} and {other} contain one another", "choose another URN")
        else:
            self.definitions.schemas[urn] = schema
            self.added[urn] = where

    def type(self, where: str, body: Mapping[str, Any]) -> None:
        """Add a resource type, or to a built-in one the extensions listed for it."""
        name, endpoint = str(body.get("name")), str(body.get("endpoint"))
        types = self.definitions.types
        there = next((each for each in types if _same(each["name"], name)), None)
        if there is not None and there["name"] in self.added:
            self._wrong(where, f"{name} is in {self.added[there['name']]} too", "keep one of them")
        elif there is not None:
            self._extend(where, there, body)
        elif not NAME.fullmatch(name):
            self._wrong(where, f'"name" is {name}', "give it one plain word such as Device")
        elif not ENDPOINT.fullmatch(endpoint) or endpoint[1:].lower() in RESERVED:
            does = "choose a slash and one plain word such as /Devices"
            self._wrong(where, f"the endpoint {endpoint} cannot be had", does)
        elif any(_same(each["endpoint"], endpoint) for each in types):
            self._wrong(where, f"the endpoint {endpoint} is taken", "choose another")
        else:
            self._own(where, name, body)

    def look_for_unused(self) -> None:
        """A schema that no type uses would silently do nothing."""
        used = {urn for each in self.definitions.types for urn in schemas_of(each)}
        for urn in self.added.keys() & self.definitions.schemas:
            if urn not in used and not self.problems:
                does = "list it in schemaExtensions of a ResourceType, or as the schema of one"
                self._wrong(self.added[urn], f"no resource type uses {urn}", does)

    def _repeated(self, where: str, urn: str, theirs: Mapping[str, Any]) -> None:
        ours = compiled(self.definitions.schemas[urn]).attributes
        for name, attribute in compiled(theirs).attributes.items():
            if ours.get(name) != attribute:
                does = "take it out; attributes of your own belong into an extension of your own"
                self._wrong(f"{where}, {attribute.name}", f"{urn} is built in and differs", does)

    def _extend(self, where: str, there: dict[str, Any], body: Mapping[str, Any]) -> None:
        for name in ("endpoint", "schema"):
            if not _same(str(body.get(name)), there[name]):
                does = "keep that, or give a type of your own another name"
                self._wrong(where, f'"{name}" of {there["name"]} is {there[name]}', does)
        there["schemaExtensions"] += self._extensions(where, there, body)

    def _own(self, where: str, name: str, body: Mapping[str, Any]) -> None:
        urn = self._known(str(body.get("schema")))
        if urn is None or urn not in self.added:
            does = "add its Schema, under a URN of its own"
            self._wrong(where, f'no file has "schema", {body.get("schema")}', does)
            return
        common = {each["name"].lower() for each in self.definitions.common["attributes"]}
        for each in self.definitions.schemas[urn]["attributes"]:
            if each["name"].lower() in common:
                place = f"{self.added[urn]}, {each['name']}"
                self._wrong(place, "every resource has that attribute already", "take it out")
        definition: dict[str, Any] = {
            "name": name,
            "endpoint": body["endpoint"],
            "description": body.get("description") or name,
            "schema": urn,
            "schemaExtensions": [],
            "apart": [],
            "computed": [],
        }
        definition["schemaExtensions"] = self._extensions(where, definition, body)
        self.definitions.types.append(definition)
        self.added[name] = where

    def _extensions(
        self, where: str, definition: Mapping[str, Any], body: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """The extensions a document lists that the type does not have yet."""
        found: dict[str, dict[str, Any]] = {}
        for each in body.get("schemaExtensions") or ():
            urn = self._known(str(each.get("schema")))
            if urn is None:
                self._wrong(where, f"no file has the extension {each.get('schema')}", "add it")
            elif each.get("required"):
                # Those who push without it today would all be refused.
                does = 'say "required": false, and require attributes inside of it'
                self._wrong(where, f"the extension {urn} is required", does)
            elif urn not in schemas_of(definition):
                found[urn] = {"schema": urn, "required": False}
        return list(found.values())

    def _known(self, urn: str) -> str | None:
        return next((each for each in self.definitions.schemas if _same(each, urn)), None)

    def _around(self, urn: str) -> str | None:
        """A schema whose attributes could be meant by a path below `urn`, or the other way."""
        here = urn.lower() + ":"
        for each in self.definitions.schemas:
            there = each.lower() + ":"
            if here.startswith(there) or there.startswith(here):
                return each
        return None

    def _wrong(self, where: str, what: str, does: str) -> None:
        self.problems.append(f"{where}: {what}; {does}.")


def _unreadable(made: Catalogue) -> list[str]:
    """What keeps a client from building its models from what we would announce."""
    announced = Discovery(made).items
    try:
        ScimProvider.from_discovery(
            [Schema.model_validate_json(each) for each in announced["Schemas"].values()],
            [
                ResourceType.model_validate_json(each)
                for each in announced["ResourceTypes"].values()
            ],
        )
    except (ScimProviderError, ValueError) as error:
        return [f"All of it together: {error}; correct that."]
    return []


def _same(left: str, right: str) -> bool:
    return left.lower() == right.lower()
