"""Resource types are data: one nobody thought of, with every type of attribute there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scim.document import accept, load, render
from scim.errors import InvalidValue, Mutability, NoTarget, ScimError
from scim.filters import Filter
from scim.patch import Patch
from scim.projection import Selection, project
from scim.schema import Catalogue, ResourceType, compiled
from scim.tolerance import STANDARD
from scim.values import merged
from tests.scim.calling import patch_body

URN = "urn:example:lamps:2.0:Lamp"
LAMP: dict[str, Any] = {
    "name": "desk",
    "colors": ["red", "Blue"],
    "watts": 5,
    "price": 1.5,
    "bought": "2026-01-31T12:00:00Z",
    "pin": "aGk=",
    "bulb": {"maker": "m", "model": "x"},
}


def attribute(name: str, type: str = "string", **more: Any) -> dict[str, Any]:
    plain = {"multiValued": False, "required": False, "mutability": "readWrite"}
    return {"name": name, "type": type, "returned": "default"} | plain | more


SCHEMA = {
    "id": URN,
    "name": "Lamp",
    "attributes": [
        attribute("name", required=True),
        attribute("colors", multiValued=True, required=True),
        attribute("watts", "integer"),
        attribute("price", "decimal"),
        attribute("bought", "dateTime"),
        attribute("pin", "binary", caseExact=True),
        attribute("note", returned="request"),
        attribute(
            "socket", "complex", subAttributes=[attribute("type"), attribute("primary", "boolean")]
        ),
        attribute(
            "plugs",
            "complex",
            multiValued=True,
            subAttributes=[
                attribute("value"),
                attribute("type", "integer"),
                attribute("primary", "boolean"),
            ],
        ),
        attribute(
            "bulb",
            "complex",
            subAttributes=[
                attribute("maker", required=True),
                attribute("model"),
                attribute("code", mutability="writeOnly", returned="never"),
            ],
        ),
    ],
}


@pytest.fixture
def lamp(tmp_path: Path) -> ResourceType:
    """The type, read from a folder of JSON."""
    types: list[dict[str, Any]] = [
        {"name": "Lamp", "endpoint": "/Lamps", "description": "A lamp", "schema": URN}
        | {"schemaExtensions": [], "apart": [], "computed": []}
    ]
    common = {"id": "common", "attributes": [attribute("id", mutability="readOnly")]}
    for name, content in (("lamp", SCHEMA), ("resource_types", types), ("common", common)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return Catalogue.load(tmp_path).by_endpoint["/Lamps"]


def patched(lamp: ResourceType, *operations: Any) -> dict[str, Any]:
    return Patch.parse(lamp, patch_body(*operations), STANDARD).apply(LAMP, {}).document


def test_a_folder_is_a_catalogue(lamp: ResourceType) -> None:
    """Schemas and resource types are data; another type is another file."""
    accepted = accept(lamp, {"schemas": [URN], "id": "mine"} | LAMP, STANDARD)
    assert accepted.document == LAMP
    written = render(lamp, accepted.document, id="l1", version=1, created=1, changed=1)
    assert load(written) == LAMP
    assert repr(lamp) == "ResourceType(Lamp)"


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"watts": "5"}, "watts"),
        ({"watts": 5.5}, "watts"),
        ({"watts": True}, "watts"),
        ({"price": "1.5"}, "price"),
        ({"price": False}, "price"),
        ({"bought": "yesterday"}, "bought"),
        ({"bought": 5}, "bought"),
        ({"pin": 5}, "pin"),
        ({"pin": "é"}, "pin"),
        ({"colors": "red"}, "colors"),
        ({"colors": [5]}, "colors"),
        ({"colors": []}, "colors"),
        ({"bulb": {"model": "x"}}, "bulb.maker"),
    ],
)
def test_every_type_is_checked(lamp: ResourceType, sent: dict[str, Any], named: str) -> None:
    """RFC 7643 section 2.3: a value that is not of its type is 400 invalidValue by name."""
    with pytest.raises(InvalidValue, match=f'"{named}"'):
        accept(lamp, LAMP | sent, STANDARD)


@pytest.mark.parametrize(
    ("type", "one", "other"),
    [
        ({"type": "integer"}, 2, 3),
        ({"type": "boolean"}, False, True),
        ({"type": "string"}, "Work", "home"),
        ({"type": "string", "multiValued": True}, ["a"], ["b", "c"]),
    ],
)
def test_entries_compare_by_what_their_schema_says(type: Any, one: Any, other: Any) -> None:
    """RFC 7643 section 2.4: one type and one value is one entry, whatever type `type` is of."""
    parts = [attribute("value"), attribute("type") | type, attribute("primary", "boolean")]
    plugs = attribute("plugs", "complex", multiValued=True, subAttributes=parts)
    schema = compiled({"id": URN, "attributes": [plugs]})
    sent = [{"value": "b", "type": one}, {"value": "b", "type": other}, {"value": "b"}]
    again = {"value": "B", "type": one, "primary": True}
    entries = merged(schema.attributes["plugs"], [], [*sent, again])
    assert entries == [sent[0] | {"primary": True}, *sent[1:]]


def test_a_type_alone_is_a_value_where_there_is_one(lamp: ResourceType) -> None:
    """A mark on one of several marks nothing by itself; in a single object it is what was said."""
    said = {"socket": {"type": "E27"}, "plugs": [{"type": 2}]}
    accepted = accept(lamp, LAMP | said, STANDARD)
    assert accepted.document == LAMP | {"socket": {"type": "E27"}}
    put = {"op": "replace", "path": "socket", "value": {"primary": True}}
    assert patched(lamp, put)["socket"] == {"primary": True}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("watts eq 5", True),
        ("watts gt 4.5", True),
        ("price le 1", False),
        ('bought lt "2026-01-31T13:00:00+00:30"', True),
        ('colors eq "RED"', True),
        ('colors[value sw "b"]', True),
        ('colors[value eq "green"]', False),
        ('pin eq "AGK="', False),
        ("bulb pr", True),
        ("note pr", False),
    ],
)
def test_every_type_is_compared(lamp: ResourceType, text: str, matches: bool) -> None:
    """RFC 7644 section 3.4.2.2: numbers as numbers, instants as instants, texts folded."""
    assert Filter.parse(lamp, text).matches(LAMP) is matches


@pytest.mark.parametrize(
    "text",
    ['watts eq "5"', "watts co 5", 'price sw "1"', "bought eq 5", 'pin gt "a"', 'pin co "a"',
     'bulb eq "m"', 'bulb.code eq "x"', "bulb.code pr", 'colors[other eq "x"]'],
)  # fmt: skip
def test_a_comparison_of_the_wrong_type_is_refused(lamp: ResourceType, text: str) -> None:
    """RFC 7644 section 3.12: an attribute and a comparison that do not go together are 400."""
    with pytest.raises(ScimError) as refusal:
        Filter.parse(lamp, text)
    assert refusal.value.scim_type == "invalidFilter"


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"op": "add", "path": "colors", "value": "green"}, {"colors": ["red", "Blue", "green"]}),
        ({"op": "add", "path": "colors", "value": ["red"]}, {}),
        (
            {"op": "replace", "path": 'colors[value eq "red"]', "value": "pink"},
            {"colors": ["pink", "Blue"]},
        ),
        ({"op": "remove", "path": 'colors[value eq "BLUE"]'}, {"colors": ["red"]}),
        ({"op": "remove", "path": "colors", "value": ["red"]}, {"colors": ["Blue"]}),
        ({"op": "replace", "path": "watts", "value": 7}, {"watts": 7}),
        (
            {"op": "replace", "path": "bulb", "value": {"model": "y", "code": "1"}},
            {"bulb": {"maker": "m", "model": "y"}},
        ),
        ({"op": "replace", "path": "bulb.code", "value": "1"}, {}),
    ],
)
def test_every_type_is_patched(
    lamp: ResourceType, operation: dict[str, Any], after: dict[str, Any]
) -> None:
    """RFC 7644 section 3.5.2: lists of plain values too, and secrets are taken and not kept."""
    assert patched(lamp, operation) == LAMP | after


@pytest.mark.parametrize(
    ("error", "operation"),
    [
        (Mutability, {"op": "remove", "path": "colors[value pr]"}),
        (Mutability, {"op": "remove", "path": "name"}),
        (NoTarget, {"op": "replace", "path": 'colors[value eq "x"]', "value": "y"}),
    ],
)
def test_what_is_required_stays(
    lamp: ResourceType, error: type[ScimError], operation: dict[str, Any]
) -> None:
    """RFC 7644 section 3.5.2.2: emptying a required list by a filter is 400 mutability."""
    with pytest.raises(error):
        patched(lamp, operation)


def test_a_required_part_is_missed(lamp: ResourceType) -> None:
    """A complex value cannot come to be without the part it requires."""
    bare = {name: value for name, value in LAMP.items() if name != "bulb"}
    patch = Patch.parse(
        lamp, patch_body({"op": "add", "path": "bulb.model", "value": "x"}), STANDARD
    )
    with pytest.raises(InvalidValue, match=r"bulb\.maker"):
        patch.apply(bare, {})


def test_what_is_kept_and_shown_on_request_keeps_bytes_from_being_whole(lamp: ResourceType) -> None:
    """A document that holds more than an answer shows by default is always projected."""
    everything = Selection.of(lamp, None, None)
    assert everything.is_whole is False
    document = {"schemas": [URN], "id": "l1", "note": "n", "bulb": {"maker": "m", "code": "1"}}
    assert project(everything, document)["bulb"] == {"maker": "m"}
    assert "note" not in project(everything, document)
    assert project(Selection.of(lamp, ["note"], None), document)["note"] == "n"
