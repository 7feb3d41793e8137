"""What a deployment may add to the standard, and what is wrong with a file, in one line each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scim.additions import Unusable, catalogue
from scim.discovery import Discovery
from scim.schema import Catalogue
from tests.scim.calling import ENTERPRISE, USER
from tests.scim.own import ACME, BADGE, CORE, DEVICE, altered, attributes

SCHEMA, TYPE = f"{CORE}Schema", f"{CORE}ResourceType"
DEVICE_TYPE, USER_TYPE = 0, 1
"""Their places in resource_types.json."""


def told(folder: Path) -> list[str]:
    """What is wrong with a folder."""
    with pytest.raises(Unusable) as refused:
        catalogue(folder)
    return list(refused.value.problems)


def test_a_folder_adds_to_the_standard() -> None:
    """Own types stand beside Users and Groups, own extensions in User."""
    own = catalogue(ACME)
    assert list(own.by_name) == ["User", "Group", "Device"]
    assert own.by_name["User"].extensions[-1] == BADGE
    assert own.by_endpoint["/Devices"].schema == DEVICE
    standard = [each["id"] for each in Catalogue.standard().schemas]
    assert sorted(each["id"] for each in own.schemas) == sorted([*standard, BADGE, DEVICE])


def test_what_is_announced_can_be_pasted(tmp_path: Path) -> None:
    """What one server announces is what another reads: our own lists, the built-in ones in them,
    come to the same catalogue.
    """
    announced = Discovery(catalogue(ACME)).items
    for name, items in announced.items():
        listed = b'{"Resources":[' + b",".join(items.values()) + b"]}"
        (tmp_path / f"{name}.json").write_bytes(listed)
    assert Discovery(catalogue(tmp_path)).items == announced


def test_what_a_schema_leaves_out_is_the_default(tmp_path: Path) -> None:
    """RFC 7643 section 2.2: optional, singular, readWrite, default, not unique, in any case; a
    reference and a binary compare exactly (sections 2.3.6 and 2.3.7).
    """

    def bare(body: Any) -> None:
        kept = ("name", "type", "required", "subAttributes", "referenceTypes")
        body["attributes"] = [
            {k: v for k, v in each.items() if k in kept} for each in body["attributes"]
        ]

    device = catalogue(altered(tmp_path, "device.json", bare)).by_name["Device"].core.attributes
    tag, owner = device["assettag"], device["owner"]
    assert (tag.mutability, tag.returned, tag.uniqueness) == ("readWrite", "default", "none")
    assert (tag.multi_valued, tag.required, tag.case_exact, owner.case_exact) == (
        False, False, False, True,
    )  # fmt: skip


def setting(attribute: str, **characteristics: Any) -> Callable[[Any], None]:
    """A change of one attribute of a schema; None takes a characteristic away."""

    def change(body: Any) -> None:
        found = attributes(body)[attribute]
        found |= characteristics
        for name in [name for name, value in characteristics.items() if value is None]:
            del found[name]

    return change


def adding(**attribute: Any) -> Callable[[Any], None]:
    """One more attribute of a schema."""
    return lambda body: body["attributes"].append(
        {"type": "string", "multiValued": False} | attribute
    )


def typed(place: int, **parts: Any) -> Callable[[Any], None]:
    """A change of one resource type of the list."""
    return lambda body: body["Resources"][place].update(parts)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("device.json", setting("kind", type="text"), ['kind "type"', "'dateTime'"]),
        ("device.json", setting("kind", type=None), ["kind:", 'no "type"']),
        ("device.json", setting("kind", mutability="rarely"), ['kind "mutability"']),
        ("device.json", setting("kind", colour="red"), ['kind "colour"']),
        ("device.json", setting("kind", subAttributes=[{"name": "x", "type": "string"}]),
         ["kind:", "a string with sub-attributes"]),
        ("device.json", setting("maker", subAttributes=[]), ["maker:", "without sub-attributes"]),
        ("device.json", setting("maker", subAttributes=[
            {"name": "at", "type": "complex", "subAttributes": [{"name": "x", "type": "string"}]}]),
         ["maker.at:", "inside of a complex"]),
        ("device.json", setting("owner", referenceTypes=None), ["owner:", "referenceTypes"]),
        ("device.json", adding(name="$ref", type="reference"), ["$ref:", "referenceTypes"]),
        ("device.json", adding(name="KIND"), ["KIND:", "given twice"]),
        ("device.json", adding(name="my word"), ["my word:", "no name"]),
        ("device.json", adding(name="externalId"), ["externalId:", "every resource has"]),
        ("device.json", setting("firmware", required=True), ["firmware:", "nobody could give it"]),
        ("device.json", setting("maker", uniqueness="server"), ["maker:", "cannot be unique"]),
        ("device.json", setting("pin", uniqueness="server"), ["pin:", "cannot be unique"]),
        ("device.json", lambda body: body.update(id="https://acme"), ["device.json:", "no URN"]),
        ("device.json", lambda body: body.update(id="Device"), ['device.json, "id"', "valid URL"]),
        ("device.json", lambda body: body.update(id=f"{USER}:emails"), ["contain one another"]),
        ("device.json", lambda body: body.update(schemas=["urn:x"]), [SCHEMA, TYPE]),
        ("device.json", lambda body: body.update(id=USER),
         ["device.json, serial:", "is built in and differs", "extension of your own"]),
        ("badge.json", lambda body: body.update(id=DEVICE), [f"{DEVICE} is in badge.json too"]),
        ("resource_types.json", typed(DEVICE_TYPE, endpoint="/Users"), ["/Users is taken"]),
        ("resource_types.json", typed(DEVICE_TYPE, endpoint="/groups"), ["/groups is taken"]),
        *(("resource_types.json", typed(DEVICE_TYPE, endpoint=each), [each, "cannot be had"])
          for each in ("/Me", "/Bulk", "/schemas", "/.search", "/a/b")),
        ("resource_types.json", typed(DEVICE_TYPE, endpoint="Devices"), ['[0], "endpoint"', "URI"]),
        ("resource_types.json", typed(DEVICE_TYPE, name="My device"), ['"name" is My device']),
        ("resource_types.json", typed(DEVICE_TYPE, schema="urn:acme:none"),
         ["Resources[0]", "urn:acme:none", "add its Schema"]),
        ("resource_types.json", typed(DEVICE_TYPE, schema=USER), [USER, "of its own"]),
        ("resource_types.json", typed(USER_TYPE, endpoint="/People"),
         ["Resources[1]", '"endpoint" of User is /Users']),
        ("resource_types.json", typed(USER_TYPE, schemaExtensions=[]),
         ["badge.json", f"no resource type uses {BADGE}"]),
        ("resource_types.json",
         typed(USER_TYPE, schemaExtensions=[{"schema": BADGE, "required": True}]),
         [BADGE, "is required", '"required": false']),
        ("resource_types.json",
         typed(USER_TYPE, schemaExtensions=[{"schema": "urn:acme:none", "required": False}]),
         ["no file has the extension urn:acme:none"]),
        ("resource_types.json", lambda body: body["Resources"].append(body["Resources"][0]),
         ["Device is in resource_types.json, Resources[0] too"]),
        ("resource_types.json", lambda body: body["Resources"].append("what"),
         ["Resources[2]", "neither a Schema nor a ResourceType"]),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(
    tmp_path: Path, file: str, change: Callable[[Any], None], words: list[str]
) -> None:
    """Each fault is a sentence with the file, the place, what is wrong and what to do."""
    problems = told(altered(tmp_path, file, change))
    assert any(all(word in problem for word in words) for problem in problems), problems
    assert all(".json" in problem and "; " in problem for problem in problems), problems


def test_a_standard_attribute_is_not_redefined(tmp_path: Path) -> None:
    """A built-in schema may be repeated as it is, not otherwise: the difference would be lost."""
    standard = Catalogue.standard()
    user = json.loads(Discovery(standard).items["Schemas"][USER])
    attributes(user)["title"]["type"] = "integer"
    user["attributes"].append({"name": "shoeSize", "type": "integer", "multiValued": False})
    (tmp_path / "user.json").write_text(json.dumps(user))
    assert [each.partition(":")[0] for each in told(tmp_path)] == [
        "user.json, title",
        "user.json, shoeSize",
    ]


def test_a_file_nobody_can_read_is_named(tmp_path: Path) -> None:
    """A folder without JSON, and a file that is none, are said so, all at once."""
    assert "holds no .json file" in told(tmp_path)[0]
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    unreadable, neither = told(tmp_path)
    assert unreadable.startswith("a.json: it cannot be read:")
    assert neither.startswith("b.json: neither a Schema nor a ResourceType")


def test_the_built_in_extension_may_be_listed(tmp_path: Path) -> None:
    """RFC 7643 section 8.6 has User with its enterprise extension: that adds nothing."""
    body: dict[str, Any] = {"schemas": [TYPE], "name": "User", "endpoint": "/Users", "schema": USER}
    body["schemaExtensions"] = [{"schema": ENTERPRISE, "required": False}]
    (tmp_path / "user.json").write_text(json.dumps(body))
    assert catalogue(tmp_path).by_name["User"].extensions == (
        Catalogue.standard().by_name["User"].extensions
    )
