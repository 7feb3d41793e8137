"""Members of a group: every dialect of adding and removing, against a set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.errors import InvalidPath, InvalidValue, Mutability, NoTarget, ScimError
from scim.members import MemberChange
from scim.patch import Patch
from scim.tolerance import STANDARD, STRICT, Tolerance
from tests.scim.calling import Client, patch_body
from tests.scim.oracle import GROUP

IDS = [f"u{n}" for n in range(6)]
some = st.lists(st.sampled_from(IDS), max_size=4)


def changes(*operations: Any, tolerance: Tolerance = STANDARD) -> tuple[MemberChange, ...]:
    """What these operations do to members; they do nothing else."""
    patch = Patch.parse(GROUP, patch_body(*operations), tolerance, id="g1")
    assert patch.apply({"displayName": "g"}, {}).document == {"displayName": "g"}
    return patch.members


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    parts = {"op": name} if path is None else {"op": name, "path": path}
    return parts if value is ... else parts | {"value": value}


def refs(ids: list[str]) -> list[dict[str, Any]]:
    return [{"value": id, "$ref": None, "display": None} for id in ids]


def one_of(ids: list[str]) -> str:
    return " or ".join(f'value eq "{id}"' for id in ids)


Step = tuple[dict[str, Any], str, list[str]]
"""An operation, and what it means: add, remove or replace these ids."""

steps: st.SearchStrategy[Step] = st.one_of(
    some.map(lambda ids: (op("Add", "members", refs(ids)), "add", ids)),
    some.map(lambda ids: (op("add", None, {"members": refs(ids)}), "add", ids)),
    some.map(lambda ids: (op("add", "members", list(ids)), "add", ids)),
    some.map(lambda ids: (op("replace", "members", refs(ids)), "replace", ids)),
    some.map(lambda ids: (op("replace", None, {"id": "g1", "members": refs(ids)}), "replace", ids)),
    some.map(lambda ids: (op("Remove", "members", refs(ids)), "remove", ids)),
    some.filter(bool).map(lambda ids: (op("remove", f"members[{one_of(ids)}]"), "remove", ids)),
    st.just((op("remove", "members"), "replace", [])),
    st.just((op("replace", "members", None), "replace", [])),
    st.just((op("add", None, {"members": None}), "add", [])),
    st.just((op("remove", 'members[not (value eq "u1")]'), "keep", ["u1"])),
    st.just((op("remove", 'members[value sw "u" and type eq "User"]'), "replace", [])),
)


@given(some, st.lists(steps, max_size=5))
def test_any_sequence_is_what_a_set_would_be(before: list[str], sequence: list[Step]) -> None:
    """R132: after adds, removes and replaces in any dialect exactly the right members are left."""
    expected, actual = set(before), set(before)
    for _, meaning, ids in sequence:
        expected = {
            "add": expected | set(ids),
            "remove": expected - set(ids),
            "replace": set(ids),
            "keep": expected & set(ids),
        }[meaning]
    for change in changes(*(operation for operation, _, _ in sequence)):
        named = set(change.members)
        assert len(named) == len(change.members)
        if change.op == "remove_where":
            where = change.where
            assert where is not None
            actual = {id for id in actual if not where({"value": id, "type": "User"})}
        else:
            actual = {"add": actual | named, "remove": actual - named, "replace": named}[change.op]
    assert actual == expected


@settings(max_examples=15)
@given(some, st.lists(steps, min_size=1, max_size=4))
async def test_the_whole_server_keeps_the_same_set(before: list[str], sequence: list[Step]) -> None:
    """R132: the same sequences, sent one PATCH each through HTTP to a host, leave the same set."""
    client = Client()
    ids = {alias: (await client.user(alias))["id"] for alias in IDS}
    group = await client.group("g", *(ids[alias] for alias in before))
    expected = set(before)
    for operation, meaning, names in sequence:
        text = str(operation)
        if "sw" in text or "not (" in text:
            continue
        answer = await client.patch(
            f"/Groups/{group['id']}", _with_ids(operation, ids | {"g1": group["id"]})
        )
        assert answer.status_code == 200
        named = set(names)
        expected = {"add": expected | named, "remove": expected - named, "replace": named}[meaning]
        shown = {member["value"] for member in answer.json().get("members", [])}
        assert shown == {ids[alias] for alias in expected}


def _with_ids(node: Any, ids: dict[str, str]) -> Any:
    """The operation with the ids the server gave in place of our aliases."""
    if isinstance(node, dict):
        return {name: _with_ids(each, ids) for name, each in node.items()}
    if isinstance(node, list):
        return [_with_ids(each, ids) for each in node]
    if isinstance(node, str) and "value eq" in node:
        for alias, id in ids.items():
            node = node.replace(f'"{alias}"', f'"{id}"')
        return node
    return ids.get(node, node) if isinstance(node, str) else node


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        (op("Remove", "members", []), MemberChange("remove", ())),
        (op("remove", "members", None), MemberChange("replace", ())),
        (
            op("add", "members", {"value": "u1", "type": "User"}),
            MemberChange("add", ("u1",)),
        ),
        (op("add", "members", "u1"), MemberChange("add", ("u1",))),
        (op("add", "members", [{"$ref": "../Users/u1"}]), MemberChange("add", ("u1",))),
        (op("replace", None, {"displayName": "g"}), None),
        (op("replace", "displayName", "g"), None),
    ],
)
def test_what_an_operation_means(operation: Any, change: MemberChange | None) -> None:
    """`idp-behaviour.md` section 12, 1 to 5: what is named changes, and nobody else."""
    assert changes(operation) == ((change,) if change else ())


@pytest.mark.parametrize(
    ("error", "operation"),
    [
        (InvalidValue, op("add", "members")),
        (InvalidValue, op("add", "members", None)),
        (InvalidValue, op("replace", "members")),
        (InvalidValue, op("add", "members", 5)),
        (InvalidValue, op("add", "members", [{"display": "x"}])),
        (InvalidValue, op("Remove", "members", [{"display": "x"}])),
        (InvalidValue, op("add", "members", [{"value": "u1", "type": 5}])),
        (ScimError, op("add", "members", [{"value": "u1", "VALUE": "u2"}])),
        (Mutability, op("replace", 'members[value eq "u1"]', {"value": "u2"})),
        (Mutability, op("replace", 'members[value eq "u1"].display', "x")),
        (Mutability, op("replace", 'members[value eq "u1"].value', "u2")),
        (Mutability, op("remove", "members.value")),
        (InvalidPath, op("remove", "members[value eq")),
        (InvalidPath, op("remove", 'members[value eq "u1"].nobody')),
        (ScimError, op("remove", 'members[nobody eq "u1"]')),
    ],
)
def test_what_an_operation_cannot_mean(error: type[ScimError], operation: Any) -> None:
    """What names nobody, or would change who a member is, is refused and never guessed."""
    with pytest.raises(error) as refusal:
        changes(operation)
    assert refusal.value.status == 400


def test_strict_removes_by_path_alone() -> None:
    """The letter reads a remove with a value as "all of them"; strict refuses to guess."""
    with pytest.raises(NoTarget):
        changes(op("remove", "members", [{"value": "u1"}]), tolerance=STRICT)


def test_an_unknown_part_of_a_member_is_a_warning() -> None:
    """`building.md`: what nobody declares is kept aside, inside a member as well."""
    patch = Patch.parse(
        GROUP, patch_body(op("add", "members", [{"value": "u1", "foo": 1}])), STANDARD
    )
    assert [warning.attribute for warning in patch.warnings] == ["members.foo"]
