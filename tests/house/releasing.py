"""Two versions of a contract compared: what the newer one breaks for whoever keeps to the older.

Within a major version only additions (api-conventions.md 2): a caller may go on to ask what it
asked, and to read what it read.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any

from tests.keeping import METHODS, Contract

CLOSED = ("additionalProperties", "unevaluatedProperties")
BOUNDS = {
    "maximum": min,
    "maxLength": min,
    "maxItems": min,
    "maxProperties": min,
    "minimum": max,
    "minLength": max,
    "minItems": max,
    "minProperties": max,
}
"""Limits, and which of two is the narrower."""
JSON = {str: "string", int: "integer", bool: "boolean", NoneType: "null", float: "number"}
EVERYTHING = ("string", "integer", "number", "boolean", "null", "object", "array")


def breaks(older: Any, newer: Any) -> list[str]:
    """What a caller of the `older` document would trip over in the `newer` one; none is none."""
    return list(Comparison(Contract(older), Contract(newer)).paths())


class Comparison:
    """The older contract beside the newer; a finding says where it is, and what is not kept."""

    def __init__(self, older: Contract, newer: Contract) -> None:
        self._older, self._newer = older, newer
        self._seen: set[tuple[int, int, bool]] = set()

    def paths(self) -> Iterator[str]:
        for path, item in self._older.document["paths"].items():
            there = self._newer.document["paths"].get(path, {})
            for method in sorted(METHODS & item.keys()):
                at = f"{method.upper()} {path}"
                if method not in there:
                    yield f"{at}: is gone"
                else:
                    yield from self._operation(at, item[method], there[method])

    def _operation(self, at: str, older: Any, newer: Any) -> Iterator[str]:
        if older["operationId"] != newer["operationId"]:
            yield f"{at}: is called {newer['operationId']} now"
        if more := set(newer.get("x-scopes", ())) - set(older.get("x-scopes", ())):
            yield f"{at}: needs {', '.join(sorted(more))}"
        yield from self._parameters(at, older, newer)
        yield from self._request(at, older.get("requestBody", {}), newer.get("requestBody", {}))
        for status, said in older["responses"].items():
            if status not in newer["responses"]:
                yield f"{at}: answers {status} no more"
                continue
            before = self._older.resolved(said).get("content", {})
            after = self._newer.resolved(newer["responses"][status]).get("content", {})
            yield from self._bodies(f"{at} {status}", before, after, asked=False)

    def _parameters(self, at: str, older: Any, newer: Any) -> Iterator[str]:
        before, after = _named(self._older, older), _named(self._newer, newer)
        for name in before.keys() - after.keys():
            yield f"{at}: takes no {name} any more"
        for name, said in after.items():
            if said.get("required") and not before.get(name, {}).get("required"):
                yield f"{at}: demands {name}"
            elif name in before:
                where = f"{at} {name}"
                yield from self._schema(where, before[name]["schema"], said["schema"], asked=True)

    def _request(self, at: str, older: Any, newer: Any) -> Iterator[str]:
        if newer.get("required") and not older.get("required"):
            yield f"{at}: demands a body"
        before, after = older.get("content", {}), newer.get("content", {})
        yield from self._bodies(f"{at} request", before, after, asked=True)

    def _bodies(self, at: str, older: Any, newer: Any, *, asked: bool) -> Iterator[str]:
        for media_type, said in older.items():
            if media_type not in newer:
                yield f"{at}: is no {media_type} any more"
            else:
                schemas = said["schema"], newer[media_type]["schema"]
                yield from self._schema(at, *schemas, asked=asked)

    def _schema(self, at: str, older: Any, newer: Any, *, asked: bool) -> Iterator[str]:
        """`asked` says that callers write what has this schema; else they read it."""
        older, newer = self._older.resolved(older), self._newer.resolved(newer)
        if (id(older), id(newer), asked) in self._seen:
            return
        self._seen.add((id(older), id(newer), asked))
        yield from (_takes_less if asked else _says_else)(at, older, newer)
        before, after = set(older.get("required", ())), set(newer.get("required", ()))
        for name in sorted(after - before if asked else before - after):
            yield f"{at}.{name}: is {'required' if asked else 'optional'} now"
        known = newer.get("properties", {})
        for name, said in older.get("properties", {}).items():
            if name in known:
                yield from self._schema(f"{at}.{name}", said, known[name], asked=asked)
            elif not asked or any(newer.get(word) is False for word in CLOSED):
                yield f"{at}.{name}: is gone"
        if "items" in older and "items" in newer:
            yield from self._schema(f"{at}[]", older["items"], newer["items"], asked=asked)
        for word in ("allOf", "anyOf", "oneOf"):
            pairs = zip(older.get(word, ()), newer.get(word, ()), strict=False)
            for n, (one, other) in enumerate(pairs):
                yield from self._schema(f"{at}({n})", one, other, asked=asked)


def _named(contract: Contract, operation: Any) -> dict[str, Any]:
    """The parameters of an operation, each as what it is and where it stands."""
    found = (contract.resolved(each) for each in operation.get("parameters", ()))
    return {f"{each['in']} {each['name']}": each for each in found}


def _types(schema: Any) -> set[str]:
    """What a value may be at all."""
    words = [schema["const"]] if "const" in schema else schema.get("enum", ())
    said = schema.get("type", [JSON[type(word)] for word in words] or EVERYTHING)
    return {said} if isinstance(said, str) else set(said)


def _takes_less(at: str, older: Any, newer: Any) -> Iterator[str]:
    """What a request may not say any more."""
    if lost := _types(older) - _types(newer):
        yield f"{at}: may be no {' or '.join(sorted(lost))} any more"
    if "enum" in newer:
        gone = [word for word in older.get("enum", ["anything"]) if word not in newer["enum"]]
        yield from (f"{at}: may be no {word} any more" for word in gone)
    if newer.get("pattern") not in (None, older.get("pattern")):
        yield f"{at}: has to be {newer['pattern']} now"
    for word, narrower in BOUNDS.items():
        limit, before = newer.get(word), older.get(word)
        if limit not in (None, before) and (before is None or narrower(limit, before) == limit):
            yield f"{at}: {word} is {limit} now"


def _says_else(at: str, older: Any, newer: Any) -> Iterator[str]:
    """What an answer may be that nobody had to read before.

    A further word of a closed list is none: readers are told to expect more.
    """
    if new := _types(newer) - _types(older):
        yield f"{at}: may be {' or '.join(sorted(new))} now"
