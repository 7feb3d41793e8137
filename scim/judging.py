"""Whether a file holds a Schema or a ResourceType that could be served (RFC 7643, 6 and 7).

scim2-models judges the form of a document; what it lets pass and nobody could keep is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from scim2_models import ResourceType, Schema

from scim.discovery import CORE

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|\$ref", re.ASCII)  # RFC 7643 section 2.1
URN = re.compile(r"urn:[a-z0-9][a-z0-9$_.:-]+", re.ASCII | re.IGNORECASE)
KINDS: Mapping[str, type[BaseModel]] = {"schema": Schema, "resourcetype": ResourceType}
DEFAULTS: Mapping[str, Any] = {
    "multiValued": False,
    "description": "",
    "required": False,
    "mutability": "readWrite",
    "returned": "default",
    "uniqueness": "none",
}
"""What an attribute is where its schema does not say (RFC 7643 section 2.2)."""


@dataclass(frozen=True, slots=True)
class Found:
    """One document of a folder, and where it is."""

    where: str
    body: Any

    @property
    def kind(self) -> str | None:
        """`schema` or `resourcetype`; None for anything else."""
        named = self.body.get("schemas") if isinstance(self.body, dict) else None
        for each in named if isinstance(named, list) else ():
            kind = str(each).lower().removeprefix(CORE.lower())
            if kind in KINDS:
                return kind
        return None

    def faults(self) -> Iterator[str]:
        """What is wrong with it by itself; one sentence each: where, what, what to do."""
        if self.kind is None:
            does = f'"schemas" must name {CORE}Schema or {CORE}ResourceType'
            yield f"{self.where}: neither a Schema nor a ResourceType; {does}."
            return
        try:
            KINDS[self.kind].model_validate(self.body)
        except ValidationError as error:
            for each in error.errors(include_url=False, include_context=False):
                place = _place(self.body, each["loc"])
                why = each["msg"].removeprefix("Value error, ")
                yield f"{self.where}, {place}: {why}; RFC 7643 section 7 has the form."
            return
        if self.kind == "schema":
            if not URN.fullmatch(str(self.body.get("id"))):
                yield f'{self.where}: "id" is no URN; give it one like urn:acme:scim:2.0:Device.'
            for path, fault in _faults(self.body.get("attributes") or ()):
                yield f"{self.where}, {path}: {fault}."


def documents(folder: Path) -> Iterator[Found | str]:
    """Each document of the folder's `*.json`, or the sentence about a file nobody can read."""
    files = sorted(folder.glob("*.json"))
    if not files:
        yield f"{folder} holds no .json file; put one there, or unset it."
    for file in files:
        try:
            body = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            yield f"{file.name}: it cannot be read: {error}; correct the file."
            continue
        listed = body.get("Resources") if isinstance(body, dict) else None
        if isinstance(listed, list):
            yield from (
                Found(f"{file.name}, Resources[{n}]", each) for n, each in enumerate(listed)
            )
        else:
            yield Found(file.name, body)


def completed(attribute: Mapping[str, Any]) -> dict[str, Any]:
    """An attribute with everything said that its schema left to the defaults."""
    # References and binaries compare exactly (RFC 7643 sections 2.3.6 and 2.3.7).
    exact = {"caseExact": attribute["type"] in ("reference", "binary")}
    said = {name: value for name, value in attribute.items() if value is not None}
    whole = {**DEFAULTS, **exact, **said}
    if parts := said.get("subAttributes"):
        whole["subAttributes"] = [completed(each) for each in parts]
    return whole


def _faults(attributes: Sequence[Mapping[str, Any]], above: str = "") -> Iterator[tuple[str, str]]:
    """Each attribute that nobody could serve: its path, and the fault with its remedy."""
    seen: set[str] = set()
    for each in attributes:
        name, parts = str(each.get("name")), each.get("subAttributes") or ()
        if not NAME.fullmatch(name) or name.lower() in seen:
            yield (
                above + name,
                "no name, or one given twice; begin with a letter, no dots or blanks",
            )
        for fault in _unservable(each, parts, is_part=bool(above)):
            yield above + name, fault
        seen.add(name.lower())
        yield from _faults(parts, f"{above}{name}.")


def _unservable(each: Mapping[str, Any], parts: Sequence[Any], *, is_part: bool) -> Iterator[str]:
    kind, is_complex = each.get("type"), each.get("type") == "complex"
    mutability, returned = each.get("mutability"), each.get("returned")
    if kind is None:
        yield 'it has no "type"; RFC 7643 section 2.3 has them'
    if is_complex and is_part:  # RFC 7643 section 2.3.8
        yield "complex inside of a complex attribute; spread it out"
    if is_complex and not parts:
        yield "complex without sub-attributes; give it some, or another type"
    if parts and not is_complex:
        yield f'a {kind} with sub-attributes; make it "complex", or take them out'
    if kind == "reference" and not each.get("referenceTypes"):
        yield 'a reference to nothing; say "referenceTypes", such as ["uri"]'
    if each.get("required") and mutability == "readOnly":
        yield "required and readOnly, so that nobody could give it; drop one of the two"
    if each.get("uniqueness", "none") != "none":
        if is_complex:
            yield "a complex attribute cannot be unique; ask it of a sub-attribute"
        if mutability == "writeOnly" or returned == "never":
            yield "what is not kept cannot be unique; drop the uniqueness"


def _place(body: Any, location: Sequence[str | int]) -> str:
    """Where in a document: the names of the attributes on the way, then the characteristic."""
    path: list[str] = []
    for step in location:
        if isinstance(step, int):
            body = body[step] if isinstance(body, list) else None
            path.append(str((body.get("name") if isinstance(body, dict) else None) or f"[{step}]"))
        else:
            body = body.get(step) if isinstance(body, dict) else None
    last = location[-1] if location else ""
    return f'{".".join(path)} "{last}"'.strip() if isinstance(last, str) else ".".join(path)
