"""What `openapi/broker.yaml` says: whole, strict in what it takes, an example of everything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests import keeping
from tests.house.product import python, tree
from tests.keeping import METHODS, PROBLEM, contract

WORDS = {
    *("$ref", "type", "enum", "const", "format", "pattern", "default", "description"),
    *("properties", "required", "patternProperties"),
    *("additionalProperties", "unevaluatedProperties"),
    *("minProperties", "maxProperties", "items", "minItems", "maxItems", "uniqueItems"),
    *("minLength", "maxLength", "minimum", "maximum", "allOf", "anyOf", "oneOf", "not"),
}
"""What a schema here is made of (JSON Schema 2020-12); another word is a slip of the pen."""
APART = ("broker/demo/", "broker/client/", "broker/commands/", "broker/db/", "broker/web/scim.py")
"""Whose errors are not problems of these routes."""


def operations() -> dict[str, tuple[str, Any]]:
    """Every operation of the contract by its id: where it stands, and what is said of it."""
    return {
        said["operationId"]: (f"#/paths/{keeping.escaped(path)}/{method}", said)
        for path, item in contract().document["paths"].items()
        for method, said in item.items()
        if method in METHODS
    }


OPERATIONS = operations()


def bodies(id: str) -> Iterator[tuple[str, str, Any]]:
    """Each body of an operation: "request" or a status, where its schema stands, what is said."""
    place, said = OPERATIONS[id]
    for media_type, body in said.get("requestBody", {}).get("content", {}).items():
        at = f"{place}/requestBody/content/{keeping.escaped(media_type)}/schema"
        yield "request", at, body
    for status, response in said["responses"].items():
        at = response.get("$ref", f"{place}/responses/{status}")
        for media_type, body in contract().resolved(response).get("content", {}).items():
            yield status, f"{at}/content/{keeping.escaped(media_type)}/schema", body


def schemas(part: Any, *, resolving: bool = False) -> Iterator[dict[str, Any]]:
    """A schema and every one inside it; with `resolving` also those it refers to."""
    if not isinstance(part, dict):
        return
    yield part
    if resolving and "$ref" in part:
        yield from schemas(contract().at(part["$ref"]), resolving=True)
    for word in ("items", "additionalProperties", "not"):
        yield from schemas(part.get(word), resolving=resolving)
    for held in part.get("properties", {}).values():
        yield from schemas(held, resolving=resolving)
    for word in ("allOf", "anyOf", "oneOf"):
        for each in part.get(word, ()):
            yield from schemas(each, resolving=resolving)


@pytest.mark.parametrize("id", OPERATIONS)
def test_everything_has_an_example_that_is_right(id: str) -> None:
    """api-conventions.md 10: each request and each answer has an example, of its own schema."""
    assert re.fullmatch(r"[a-z][A-Za-z]+", id)
    for what, at, body in bodies(id):
        told = [each["value"] for each in body.get("examples", {}).values()]
        told += [body["example"]] if "example" in body else []
        assert told, f"{what} has no example"
        for example in told:
            assert list(contract().faults(at, example)) == [], f"the example of {what}"


@pytest.mark.parametrize("id", OPERATIONS)
def test_requests_are_closed_and_answers_are_open(id: str) -> None:
    """api-conventions.md 1.4: an unknown member of a request is refused, of an answer ignored."""
    for what, at, body in bodies(id):
        for part in schemas(body["schema"], resolving=True):
            if "properties" not in part:
                continue
            if what == "request" and "json" in at:
                closed = part.get("additionalProperties", part.get("unevaluatedProperties"))
                assert closed is False or _inside_closed(body["schema"], part), f"{at}: {part}"
            elif what != "request":
                assert part.get("additionalProperties") is not False, f"{at}: {part}"
                assert part.get("unevaluatedProperties") is not False, f"{at}: {part}"


def _inside_closed(whole: Any, part: Any) -> bool:
    """Whether a schema that closes all it is made of, as one, is made of this part."""
    return any(
        contract().resolved(held) is part
        for each in schemas(whole, resolving=True)
        if each.get("unevaluatedProperties") is False
        for held in (each, *each.get("allOf", ()))
    )


def test_no_schema_has_a_word_nobody_knows() -> None:
    """A comma in a description without quotes makes two words in YAML; a schema has none such."""
    whole = list(contract().document["components"]["schemas"].values())
    whole += [body["schema"] for id in OPERATIONS for _, _, body in bodies(id)]
    odd = {word for part in whole for each in schemas(part) for word in each} - WORDS
    assert odd == set()


# -- problems: the words of the code and those of the contract


@cache
def errors() -> frozenset[str]:
    """The name of every class of an error that a caller is told, also where imported as another."""
    named, grown = {"BrokerError"}, True
    trees = [tree(path) for path in python("broker") if not path.startswith(APART)]
    while grown:
        before = len(named)
        for module in trees:
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef):
                    named |= {node.name for base in node.bases if _last(base) in named}
                elif isinstance(node, ast.ImportFrom):
                    named |= {one.asname for one in node.names if one.asname and one.name in named}
        grown = len(named) > before
    return frozenset(named)


def told(module: ast.Module) -> set[str]:
    """The words of the problems that a module raises, as far as they are written out."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and (_last(node.func) in errors() or _is_alone(node)):
            if _last(node.func) == "NotFound":
                continue  # what is missing says no word of its own (safety 3)
            said = {word.arg: word.value for word in node.keywords}
            if isinstance(word := said.get("reason"), ast.Constant) and word.value:
                found.add(str(word.value))
            elif _is_alone(node) and "reason" not in said:
                found |= {_slug(code) for code in _code(node)}
    return found


def _is_alone(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "alone"


def _code(node: ast.Call) -> Iterator[str]:
    """The code of `Problem(pointer, code, detail).alone()`, where it is said right there."""
    assert isinstance(node.func, ast.Attribute)
    problem = node.func.value
    if isinstance(problem, ast.Call) and _last(problem.func) == "Problem":
        yield str(ast.literal_eval(problem.args[1]))


def _last(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _slug(word: str) -> str:
    return word.replace("_", "-")


@cache
def spoken() -> set[str]:
    """Every word that the code spells out."""
    return {
        _slug(node.value)
        for path in python("broker")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 64
    }


def test_every_problem_is_in_the_contract() -> None:
    """A word that the code tells a caller has an example in `components.responses`, and a page."""
    found = {
        word for path in python("broker") if not path.startswith(APART) for word in told(tree(path))
    }
    assert len(found) > 90
    assert found - {code for _, code in contract().problems} == set()


def test_the_contract_invents_no_problem() -> None:
    """Each problem of the contract is a word of the code, or made of two: `pause-` and a state."""
    made = re.compile(r"(connector|link|pause|user|invitation|unknown|invalid)-(.+)")
    odd = {code for _, code in contract().problems if code not in spoken()}
    parts = {code: found[2] for code in odd if (found := made.fullmatch(code))}
    assert odd == set(parts)
    assert set(parts.values()) <= spoken()


def test_a_problem_says_what_it_means() -> None:
    """Each example is its own: type, code and status agree, and there is something to do."""
    for name, response in contract().document["components"]["responses"].items():
        statuses = set()
        for code, example in response["content"][PROBLEM]["examples"].items():
            said = example["value"]
            assert said["code"] == code
            assert said["type"] == f"/problems/{code}"
            assert re.fullmatch(r"[A-Z`].*[.]", example["summary"]), code
            assert re.search(r"[A-Za-z]", example["description"]), code
            statuses.add(said["status"])
        assert len(statuses) == 1, name


def test_the_words_of_the_code_are_read() -> None:
    """The reader sees a word in a call of an error, of a subclass, and of a lone problem."""
    source = (
        "raise Conflict('x', reason='a-b')\nraise Problem('/x', 'too_big', 'x').alone()\n"
        "raise Problem('', 'y', 'x').alone(reason='c-d')\nraise MustEnterAgain(reason='e-f')\n"
        "after(token, reason='not-told')\n"
    )
    assert told(ast.parse(source)) == {"a-b", "too-big", "c-d", "e-f"}
