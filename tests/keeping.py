"""Every answer the suite gets from a broker, held to `openapi/broker.yaml`.

`watch` listens to each httpx client of this process. An answer that the contract does not describe
(its status, media type, headers, members, or the word of its problem) fails the test that got it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import yaml
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # none
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.hearing import hear_answers

CONTRACT = Path(__file__).resolve().parents[1] / "openapi" / "broker.yaml"
METHODS = frozenset({"get", "put", "post", "patch", "delete"})
PROBLEM = "application/problem+json"
OURS = ("/v1/", "/ccow", "/healthz", "/readyz", "/openapi.json", "/scim/openapi.json")
FORM = "application/x-www-form-urlencoded"
ANYWHERE = {400, 405, 413, 414, 421, 431, 500}
"""What the door or the server says before anybody looks for the operation."""

broken: list[str] = []
"""What was not kept since the list was last emptied: the test of now fails by it."""


def _moment(value: object) -> bool:
    """RFC 3339 in UTC, to the microsecond: the one form our answers have."""
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    return not isinstance(value, str) or re.fullmatch(form, value) is not None


formats = FormatChecker(())
formats.checks("date-time")(_moment)


class Contract:
    """An OpenAPI document that answers are held to; each schema is compiled once."""

    def __init__(self, document: Any) -> None:
        self.document = document
        resource = DRAFT202012.create_resource(document)
        self._schemas: Registry[Any] = Registry().with_resource("urn:contract", resource)
        self._validators: dict[str, Any] = {}
        self._paths = [(_pattern(path), path) for path in sorted(document["paths"], key=_order)]

    def operation(self, method: str, path: str) -> tuple[str, Any] | None:
        """The template of a path and what the contract says of the method there."""
        for pattern, template in self._paths:
            if pattern.fullmatch(path):
                said = self.document["paths"][template].get(method.lower())
                return (template, said) if said else None
        return None

    @cached_property
    def problems(self) -> set[tuple[int, str]]:
        """Every problem an answer may have, as status and code: what there are examples of."""
        return {
            (example["value"]["status"], code)
            for response in self.document["components"]["responses"].values()
            for code, example in response["content"][PROBLEM]["examples"].items()
        }

    def resolved(self, part: Any) -> Any:
        """A part, whether it stands there or is referred to (within the document)."""
        while "$ref" in part:
            part = self.at(part["$ref"])
        return part

    def at(self, pointer: str) -> Any:
        """What a reference such as `#/components/responses/Stale` names."""
        part = self.document
        for word in pointer.removeprefix("#/").split("/"):
            part = part[word.replace("~1", "/").replace("~0", "~")]
        return part

    def faults(self, pointer: str, value: Any) -> Iterator[str]:
        """What is wrong with a value that should have the schema at `pointer`."""
        if pointer not in self._validators:
            schema = {"$ref": f"urn:contract{pointer}"}
            self._validators[pointer] = Draft202012Validator(
                schema, registry=self._schemas, format_checker=formats
            )
        for error in self._validators[pointer].iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"

    def unkept(self, answer: httpx.Response) -> Iterator[str]:
        """What an answer has that the contract does not describe, or lacks that it promises."""
        found = self.operation(answer.request.method, answer.request.url.path)
        status = str(answer.status_code)
        if found is None or (status not in found[1]["responses"] and int(status) in ANYWHERE):
            if answer.request.method != "HEAD":
                yield from self._refused(answer, known=found is not None)
            return
        template, said = found
        if status not in said["responses"]:
            yield f"the status {status} is not described: {answer.text[:300]}"
            return
        response = said["responses"][status]
        pointer = f"#/paths/{escaped(template)}/{answer.request.method.lower()}/responses/{status}"
        pointer, response = response.get("$ref", pointer), self.resolved(response)
        for name, header in response.get("headers", {}).items():
            if self.resolved(header).get("required") and name not in answer.headers:
                yield f"the header {name} is missing"
        yield from self._content(pointer, response.get("content", {}), answer)

    def _content(
        self, pointer: str, content: Mapping[str, Any], answer: httpx.Response
    ) -> Iterator[str]:
        if not content:
            if answer.content:
                yield f"a body where there is none: {answer.text[:300]}"
            return
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if media_type not in content:
            yield f"the media type {media_type!r} is not described"
            return
        yield from self.faults(f"{pointer}/content/{escaped(media_type)}/schema", _said(answer))
        if media_type == PROBLEM:
            yield from self._problem(answer)

    def _refused(self, answer: httpx.Response, *, known: bool) -> Iterator[str]:
        """The answer where nothing is: a problem too, and never a success."""
        if answer.headers.get("content-type") != PROBLEM:
            if answer.request.url.path == "/ccow" and "exception" in _said(answer):
                return  # api.md: the form route answers CCOW exceptions, to GET as well
            if not known or answer.status_code not in (400, 414, 431):  # the HTTP parser's own
                yield f"{answer.status_code} is no problem of the contract: {answer.text[:300]}"
            return
        yield from self.faults("#/components/schemas/Problem", _said(answer))
        yield from self._problem(answer)

    def _problem(self, answer: httpx.Response) -> Iterator[str]:
        said = _said(answer)
        code, status = said.get("code"), said.get("status")
        if (answer.status_code, code) not in self.problems:
            yield f"no {answer.status_code} of the contract has an example of {code!r}"
        if status != answer.status_code:
            yield f"it says to be a {status}"


@cache
def contract() -> Contract:
    """The one of the service's JSON faces."""
    return Contract(yaml.load(CONTRACT.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def watch() -> None:
    """Listen to every httpx client of this process, until it ends."""
    hear_answers(answered)


def answered(answer: httpx.Response) -> None:
    """Hold an answer to the contract; the pretend programs, `localhost`, keep none of ours."""
    url = answer.request.url
    if url.host == "127.0.0.1" and url.path.startswith(OURS):
        where = f"{answer.request.method} {url.path} -> {answer.status_code}"
        broken.extend(f"{where}: {fault}" for fault in contract().unkept(answer))


def found() -> str | None:
    """What was not kept since it was last asked; None where all of it was."""
    told, broken[:] = sorted(set(broken)), []
    return "openapi/broker.yaml does not say so:\n" + "\n".join(told) if told else None


def _said(answer: httpx.Response) -> Any:
    """What is in a body: JSON, or the fields of a form."""
    if answer.headers["content-type"] == FORM:
        return dict(parse_qsl(answer.text, strict_parsing=True))
    return orjson.loads(answer.content)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


def _order(path: str) -> list[str]:
    """A word that is written out is tried before one that is a parameter."""
    return [part.replace("{", "\uffff") for part in path.split("/")]


def escaped(word: str) -> str:
    """A word of a JSON Pointer in a reference (RFC 6901 §6)."""
    return word.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
