"""The contract beside the last one that was released, and the comparison itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.house.product import ROOT
from tests.house.releasing import breaks
from tests.keeping import contract

RELEASED = sorted((ROOT / "openapi" / "released").glob("*.yaml"))
"""The contract of each release, as it was then; none has been made yet."""

LAMP: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Lamps", "version": "1"},
    "paths": {
        "/v1/lamps/{id}": {
            "put": {
                "operationId": "setLamp",
                "x-scopes": ["lamps:write"],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "dry", "in": "query", "schema": {"type": "string", "maxLength": 9}},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Wish"}}
                    }
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Lamp"}}
                        }
                    },
                    "404": {},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Wish": {
                "type": "object",
                "additionalProperties": False,
                "required": ["on"],
                "properties": {
                    "on": {"type": "boolean"},
                    "color": {"enum": ["red", "green"]},
                    "level": {"type": ["integer", "null"], "maximum": 100},
                },
            },
            "Lamp": {
                "type": "object",
                "required": ["id", "on"],
                "properties": {
                    "id": {"type": "string"},
                    "on": {"type": "boolean"},
                    "color": {"enum": ["red", "green"]},
                    "hours": {"type": "array", "items": {"type": "integer"}},
                },
            },
        }
    },
}


def put(document: Any) -> Any:
    return document["paths"]["/v1/lamps/{id}"]["put"]


def wish(document: Any) -> Any:
    return document["components"]["schemas"]["Wish"]


def lamp(document: Any) -> Any:
    return document["components"]["schemas"]["Lamp"]


def changed(change: Callable[[Any], object]) -> list[str]:
    """What a change of the made-up document breaks."""
    newer = copy.deepcopy(LAMP)
    change(newer)
    return breaks(LAMP, newer)


def parameter(**said: Any) -> dict[str, Any]:
    return {"name": "zone", "in": "query", "schema": {"type": "string"}} | said


def test_what_was_released_is_kept() -> None:
    """api-conventions.md 2: within a major version there are only additions; also to what it is
    today, which says that the comparison reads all of it and finds nothing where nothing changed.
    """
    document = contract().document
    for older in (
        copy.deepcopy(document),
        *(yaml.safe_load(each.read_text()) for each in RELEASED),
    ):
        assert breaks(older, document) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new["paths"].update({"/v1/rooms": {"get": {}}}),
        lambda new: put(new)["parameters"].append(parameter()),
        lambda new: put(new)["responses"].update({"409": {}}),
        lambda new: wish(new)["properties"].update({"zone": {"type": "string"}}),
        lambda new: wish(new)["required"].remove("on"),
        lambda new: wish(new)["properties"]["color"]["enum"].append("blue"),
        lambda new: wish(new)["properties"]["level"].update({"maximum": 200}),
        lambda new: lamp(new)["properties"].update({"zone": {"type": "string"}}),
        lambda new: lamp(new)["required"].append("color"),
        lambda new: lamp(new)["properties"]["color"]["enum"].append("blue"),
    ],
)
def test_an_addition_breaks_nothing(change: Callable[[Any], object]) -> None:
    """More paths, parameters, members, words and room: whoever keeps to the older goes on."""
    assert changed(change) == []


PUT = "PUT /v1/lamps/{id}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda new: new["paths"].clear(), f"{PUT}: is gone"),
        (lambda new: put(new).update(operationId="lamp"), f"{PUT}: is called lamp now"),
        (lambda new: put(new)["x-scopes"].append("root"), f"{PUT}: needs root"),
        (lambda new: put(new)["parameters"].pop(), f"{PUT}: takes no query dry any more"),
        (
            lambda new: put(new)["parameters"].append(parameter(required=True)),
            f"{PUT}: demands query zone",
        ),
        (
            lambda new: put(new)["parameters"][1]["schema"].update(maxLength=3),
            f"{PUT} query dry: maxLength is 3 now",
        ),
        (lambda new: put(new)["requestBody"].update(required=True), f"{PUT}: demands a body"),
        (lambda new: put(new)["responses"].pop("404"), f"{PUT}: answers 404 no more"),
        (lambda new: wish(new)["required"].append("color"), "request.color: is required now"),
        (lambda new: wish(new)["properties"].pop("color"), "request.color: is gone"),
        (
            lambda new: wish(new)["properties"]["color"]["enum"].remove("red"),
            "request.color: may be no red any more",
        ),
        (
            lambda new: wish(new)["properties"]["level"].update(type="integer"),
            "request.level: may be no null any more",
        ),
        (
            lambda new: wish(new)["properties"]["level"].update(minimum=1),
            "request.level: minimum is 1 now",
        ),
        (
            lambda new: wish(new)["properties"]["on"].update(type="string"),
            "request.on: may be no boolean any more",
        ),
        (lambda new: lamp(new)["properties"].pop("id"), "200.id: is gone"),
        (lambda new: lamp(new)["required"].remove("on"), "200.on: is optional now"),
        (
            lambda new: lamp(new)["properties"]["on"].update(type=["boolean", "null"]),
            "200.on: may be null now",
        ),
        (
            lambda new: lamp(new)["properties"]["hours"]["items"].update(type="string"),
            "200.hours[]: may be string now",
        ),
    ],
)
def test_whatever_else_is_told(change: Callable[[Any], object], told: str) -> None:
    """A removal, a new demand, less room, and an answer nobody had to read before."""
    assert any(each.endswith(told) for each in changed(change)), changed(change)
