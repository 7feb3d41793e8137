"""What data asks beyond types: required, immutable, secret, unique; on a type of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scim.additions import catalogue
from scim.document import accept, replacing
from scim.errors import InvalidPath, InvalidValue, Mutability, ScimError
from scim.filters import Filter
from scim.patch import Patch
from scim.query import Sort
from scim.rules import title, unique_values
from scim.schema import ResourceType
from scim.tolerance import STANDARD
from tests.scim.calling import GROUP, USER, patch_body
from tests.scim.own import ACME, BADGE, DEVICE, altered, attributes

OWN = catalogue(ACME)
PERSON, THING = OWN.by_name["User"], OWN.by_name["Device"]
LAN = {"value": "a0", "type": "lan", "primary": True, "burned": "b0", "vlans": [7, 9]}
PHONE: dict[str, Any] = {
    "displayName": "Phone",
    "serial": "S1",
    "kind": "phone",
    "tags": ["red", "spare"],
    "maker": {"name": "m", "batch": "b"},
    "interfaces": [LAN, {"value": "a1", "type": "air"}],
}


def put(before: dict[str, Any], body: dict[str, Any], type: ResourceType = THING) -> dict[str, Any]:
    return replacing(type, accept(type, body, STANDARD), before).document


def patched(*operations: Any, before: Any = PHONE, type: ResourceType = THING) -> dict[str, Any]:
    return Patch.parse(type, patch_body(*operations), STANDARD).apply(before, {}).document


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in PHONE.items() if name not in names}


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (PHONE, PHONE),
        (PHONE | {"serial": None}, PHONE),
        (without("serial"), PHONE),
        (without("maker"), without("maker") | {"maker": {"batch": "b"}}),
        (PHONE | {"maker": {"name": "n"}}, PHONE | {"maker": {"name": "n", "batch": "b"}}),
        (PHONE | {"interfaces": [{"value": "a0", "type": "air"}]},
         PHONE | {"interfaces": [{"value": "a0", "type": "air", "burned": "b0"}]}),
        (without("interfaces"), without("interfaces")),
        (PHONE | {"interfaces": [{"value": "a2", "burned": "b2"}]},
         PHONE | {"interfaces": [{"value": "a2", "burned": "b2"}]}),
    ],
)  # fmt: skip
def test_a_put_keeps_what_is_immutable(body: dict[str, Any], after: dict[str, Any]) -> None:
    """RFC 7644 section 3.5.1: equal values are accepted, silence is no wish to clear; a value of
    a list may leave, and another come.
    """
    document = put(PHONE, body)
    assert document == after
    assert list(document.get("maker", {})) == list(after.get("maker", {}))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"serial": "S2"}, "serial"),
        ({"serial": "s1"}, "serial"),
        ({"maker": {"name": "m", "batch": "c"}}, "maker.batch"),
        ({"interfaces": [LAN | {"burned": "b1"}]}, "interfaces.burned"),
    ],
)
def test_a_put_changes_nothing_immutable(changed: dict[str, Any], named: str) -> None:
    """RFC 7644 section 3.5.1: an input that does not match is 400 mutability."""
    with pytest.raises(Mutability, match=f'"{named}" is immutable'):
        put(PHONE, PHONE | changed)


def test_what_is_immutable_may_be_set_once() -> None:
    """RFC 7644 sections 3.5.1 and 3.5.2: without a value so far, the new one is applied."""
    assert put(without("serial"), PHONE)["serial"] == "S1"
    for op in ("add", "replace"):
        operation = {"op": op, "path": "serial", "value": "S9"}
        assert patched(operation, before=without("serial"))["serial"] == "S9"


def op(op: str, path: str, value: Any = ...) -> dict[str, Any]:
    return {"op": op, "path": path} | ({} if value is ... else {"value": value})


@pytest.mark.parametrize(
    "operation",
    [
        op("add", "serial", "S1"),
        op("replace", "serial", "S1"),
        op("replace", "maker.batch", "b"),
        op("add", "maker", {"batch": "b"}),
        op("replace", 'interfaces[value eq "a0"].burned', "b0"),
        {"op": "replace", "value": {"serial": "S1"}},
    ],
)
def test_a_patch_may_repeat_what_is_immutable(operation: dict[str, Any]) -> None:
    """RFC 7644 section 3.5.2.1: a value that is there already is no change."""
    assert patched(operation) == PHONE


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (op("replace", "serial", "S2"), "serial"),
        (op("add", "serial", "S2"), "serial"),
        (op("remove", "serial"), "serial"),
        ({"op": "replace", "value": {"serial": "S2"}}, "serial"),
        (op("replace", "maker.batch", "c"), "maker.batch"),
        (op("remove", "maker.batch"), "maker.batch"),
        (op("remove", "maker"), "maker.batch"),
        (op("replace", 'interfaces[type eq "lan"].burned', "b1"), "interfaces.burned"),
        (op("remove", 'interfaces[type eq "lan"].burned'), "interfaces.burned"),
    ],
)
def test_a_patch_changes_nothing_immutable(operation: dict[str, Any], named: str) -> None:
    """RFC 7644 section 3.5.2: modifying what is immutable is 400 mutability, by any path."""
    with pytest.raises(Mutability, match=f'"{named}" is immutable'):
        patched(operation)


def test_a_whole_value_takes_what_is_immutable_in_it_along() -> None:
    """RFC 7643 section 4.2, as with members: a value of a list is removed and added, not edited."""
    after = patched(op("remove", 'interfaces[value eq "a0"]'))
    assert after["interfaces"] == PHONE["interfaces"][1:]


def test_what_nobody_may_write_is_ignored_or_refused() -> None:
    """RFC 7644 sections 3.3 and 3.5.2: readOnly is ignored in a body, 400 mutability by a path."""
    assert accept(THING, PHONE | {"firmware": "1"}, STANDARD).document == PHONE
    assert put(PHONE, PHONE | {"firmware": "1"}) == PHONE
    with pytest.raises(Mutability, match='"firmware" is read-only'):
        patched(op("replace", "firmware", "1"))


def test_a_secret_is_taken_and_not_kept() -> None:
    """RFC 7643 section 7, writeOnly: accepted, checked, never kept, shown or compared."""
    accepted = accept(THING, PHONE | {"pin": "0000"}, STANDARD)
    assert (accepted.document, accepted.warnings) == (PHONE, ())
    assert patched(op("replace", "pin", "1111")) == PHONE
    with pytest.raises(InvalidValue, match='"pin" must be a text'):
        accept(THING, PHONE | {"pin": 5}, STANDARD)
    with pytest.raises(ScimError, match='"pin" cannot be used in a filter'):
        Filter.parse(THING, 'pin eq "0000"')


def test_a_required_secret_has_to_come(tmp_path: Path) -> None:
    """RFC 7643 section 2.2: required counts for what is not kept too; not again in a PATCH."""

    def required(body: Any) -> None:
        attributes(body)["pin"]["required"] = True

    type = catalogue(altered(tmp_path, "device.json", required)).by_name["Device"]
    assert accept(type, PHONE | {"pin": "0000"}, STANDARD).document == PHONE
    with pytest.raises(InvalidValue, match='"pin" is required'):
        accept(type, PHONE, STANDARD)
    assert patched(op("add", "tags", "new"), type=type)["tags"][-1] == "new"


@pytest.mark.parametrize(
    ("error", "operation"),
    [
        (Mutability, op("remove", "kind")),
        (InvalidValue, op("add", "interfaces", [{"type": "air"}, {"burned": "x"}])),
        (InvalidValue, op("replace", 'interfaces[type eq "usb"].burned', "x")),
        (InvalidValue, op("add", f"{BADGE}:floor", 3)),
    ],
)
def test_what_is_required_is_missed(error: type[ScimError], operation: dict[str, Any]) -> None:
    """RFC 7643 section 2.2: a part that is required has to be there where its whole is."""
    is_badge = BADGE in operation["path"]
    with pytest.raises(error, match="is required"):
        patched(operation, type=PERSON if is_badge else THING)


def test_an_extension_is_required_to_be_whole() -> None:
    """RFC 7643 section 6: what an extension requires is missed where the extension is there."""
    ada: dict[str, Any] = {"userName": "ada"}
    assert accept(PERSON, ada, STANDARD).document == ada
    with pytest.raises(InvalidValue, match=f'"{BADGE}:number" is required'):
        accept(PERSON, ada | {BADGE: {"floor": 3}}, STANDARD)
    worn = ada | {BADGE: {"number": "7", "floor": 3}}
    assert accept(PERSON, worn, STANDARD).document == worn
    assert patched(op("remove", BADGE), before=worn, type=PERSON) == ada
    with pytest.raises(Mutability, match="cannot be removed"):
        patched(op("remove", f"{BADGE}:number"), before=worn, type=PERSON)


def test_an_immutable_part_of_an_extension_stays(tmp_path: Path) -> None:
    """RFC 7644 section 3.5.1: also where a PUT leaves out the extension that holds it."""

    def immutable(body: Any) -> None:
        attributes(body)["number"]["mutability"] = "immutable"

    type = catalogue(altered(tmp_path, "badge.json", immutable)).by_name["User"]
    before = {"userName": "ada", BADGE: {"number": "7", "floor": 3}}
    assert put(before, {"userName": "ada"}, type) == {"userName": "ada", BADGE: {"number": "7"}}
    with pytest.raises(Mutability, match=f'"{BADGE}:number" is immutable'):
        patched(op("remove", BADGE), before=before, type=type)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("interfaces.vlans eq 9", True),
        ("interfaces.vlans gt 9", False),
        ("interfaces[vlans eq 7 and type eq \"lan\"]", True),
        ("interfaces[vlans eq 7 and type eq \"air\"]", False),
        ("interfaces[not (vlans pr)]", True),
        ('serial eq "s1"', False),
        ('kind eq "PHONE"', True),
        ('tags co "PAR"', True),
    ],
)  # fmt: skip
def test_lists_inside_of_values_are_compared(text: str, matches: bool) -> None:
    """RFC 7643 section 7: a sub-attribute may be a list; any of its values may match."""
    assert Filter.parse(THING, text).matches(PHONE) is matches


@pytest.mark.parametrize(
    ("operation", "vlans"),
    [
        (op("add", 'interfaces[value eq "a0"].vlans', [9, 11]), [7, 9, 11]),
        (op("add", 'interfaces[value eq "a0"].vlans', 11), [7, 9, 11]),
        (op("replace", 'interfaces[value eq "a0"].vlans', [1]), [1]),
        (op("remove", 'interfaces[value eq "a0"].vlans'), None),
    ],
)
def test_lists_inside_of_values_are_patched(operation: dict[str, Any], vlans: Any) -> None:
    """RFC 7644 section 3.5.2.1: an add to a list adds, wherever the list is."""
    assert patched(operation)["interfaces"][0].get("vlans") == vlans


def test_a_list_inside_of_a_value_is_no_order() -> None:
    """RFC 7644 section 3.4.2.3: sorting needs one value."""
    with pytest.raises(InvalidPath):
        Sort.parse(THING, "interfaces.vlans", None)
    by_value = Sort.parse(THING, "interfaces", None)
    assert by_value.key(PHONE | {"interfaces": PHONE["interfaces"][::-1]}) == (False, "a0")


def test_suggested_values_are_not_enforced() -> None:
    """RFC 7643 section 7: canonicalValues suggest; a provider may take others."""
    assert accept(THING, PHONE | {"kind": "toaster"}, STANDARD).document["kind"] == "toaster"


def test_values_are_unique_as_they_compare() -> None:
    """RFC 7643 section 7: server and global alike; caseExact decides what is the same."""
    held = unique_values(THING, {"serial": "Ab", "assetTag": "Tag"})
    assert held == {("serial", "Ab"), ("assetTag", "tag")}
    assert unique_values(PERSON, {"userName": "Ada"}, but={"username"}) == set()
    assert unique_values(PERSON, {"userName": "Ada", BADGE: {"number": "N"}}) == {
        ("userName", "ada"),
        (f"{BADGE}:number", "n"),
    }


@pytest.mark.parametrize(
    ("urn", "named"), [(USER, "userName"), (GROUP, "displayName"), (DEVICE, "displayName")]
)
def test_a_type_says_what_its_resources_are_called(urn: str, named: str) -> None:
    """The first text a type requires is what records and lists call a resource."""
    type = next(each for each in OWN.types if each.schema == urn)
    called = title(type)
    assert called is not None
    assert called.name == named


def test_a_put_may_be_tried_again() -> None:
    """A unit of work that is retried starts from what the client said, not from what it became."""
    accepted = accept(THING, without("serial") | {"maker": {"name": "n"}}, STANDARD)
    said = accept(THING, without("serial") | {"maker": {"name": "n"}}, STANDARD)
    for _ in range(2):
        document = replacing(THING, accepted, PHONE).document
        assert (document["serial"], document["maker"]["batch"]) == ("S1", "b")
    assert accepted == said
