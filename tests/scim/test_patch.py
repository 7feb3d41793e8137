"""PATCH in all its dialects, and against the oracle."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scim2_models import Context, PatchOp, SCIMException

from scim.document import Accepted
from scim.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    ScimError,
    TooMany,
)
from scim.fold import fold
from scim.patch import MOST_OPERATIONS, Patch
from scim.tolerance import STANDARD, STRICT, Tolerance
from scim.values import is_hollow
from tests.scim.calling import BROKER, ENTERPRISE, PATCH_OP, patch_body
from tests.scim.calling import USER as USER_URN
from tests.scim.oracle import (
    GROUP,
    TOLERANT,
    USER,
    UserModel,
    kept,
    kinds,
    model_of,
    names,
    texts,
    users,
)

ADA: dict[str, Any] = {
    "userName": "ada",
    "externalId": "x1",
    "name": {"familyName": "Byron", "givenName": "Ada", "middleName": "M"},
    "displayName": "Ada",
    "title": "Countess",
    "active": True,
    "emails": [
        {"value": "w@x", "type": "work", "primary": True},
        {"value": "h@x", "type": "home"},
    ],
    "addresses": [{"streetAddress": "1 A St", "type": "work"}],
    ENTERPRISE: {"employeeNumber": "7", "department": "D", "manager": {"value": "m1"}},
}


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    """One operation; without path or value where they are not given."""
    parts = {"op": name} if path is None else {"op": name, "path": path}
    return parts if value is ... else parts | {"value": value}


def patched(
    *operations: Any, tolerance: Tolerance = STANDARD, extras: dict[str, Any] | None = None
) -> Accepted:
    """ADA after these operations."""
    patch = Patch.parse(USER, patch_body(*operations), tolerance, id="u1")
    return patch.apply(copy.deepcopy(ADA), extras or {})


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ADA.items() if name not in names}


WORK, HOME = ADA["emails"]
PHONE = {"value": "+1", "type": "mobile"}

DIALECTS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("entra: capital op, string boolean", [op("Replace", "active", "False")], {"active": False}),
    ("entra: add is replace", [op("Add", "title", "T")], {"title": "T"}),
    (
        "entra: dotted path",
        [op("Replace", "name.givenName", "A")],
        {"name": ADA["name"] | {"givenName": "A"}},
    ),
    (
        "entra: any case",
        [op("REPLACE", "NAME.GIVENNAME", "A")],
        {"name": ADA["name"] | {"givenName": "A"}},
    ),
    (
        "entra: value path",
        [op("Replace", 'emails[type eq "work"].value', "n@x")],
        {"emails": [WORK | {"value": "n@x"}, HOME]},
    ),
    (
        "entra: capital sub-attribute",
        [op("Replace", 'emails[type eq "work"].Value', "n@x")],
        {"emails": [WORK | {"value": "n@x"}, HOME]},
    ),
    (
        "entra: add to a missing value path",
        [op("Add", 'phoneNumbers[type eq "mobile"].value', "+1")],
        {"phoneNumbers": [PHONE]},
    ),
    (
        "entra: replace at a missing value path",
        [op("Replace", 'phoneNumbers[type eq "mobile"].value', "+1")],
        {"phoneNumbers": [PHONE]},
    ),
    (
        "entra: primary as a text",
        [op("Add", 'roles[primary eq "True"].value', "admin")],
        {"roles": [{"value": "admin", "primary": True}]},
    ),
    (
        "entra: urn path",
        [op("Add", f"{ENTERPRISE}:department", "Sales")],
        {ENTERPRISE: ADA[ENTERPRISE] | {"department": "Sales"}},
    ),
    (
        "entra: manager as a text",
        [op("Add", f"{ENTERPRISE}:manager", "m2")],
        {ENTERPRISE: ADA[ENTERPRISE] | {"manager": {"value": "m2"}}},
    ),
    (
        "entra: manager as a list",
        [op("Replace", "manager", [{"$ref": "r", "value": "m2"}])],
        {ENTERPRISE: ADA[ENTERPRISE] | {"manager": {"value": "m2", "$ref": "r"}}},
    ),
    (
        "entra: manager.value",
        [op("Replace", f"{ENTERPRISE}:manager.value", "m2")],
        {ENTERPRISE: ADA[ENTERPRISE] | {"manager": {"value": "m2"}}},
    ),
    (
        "entra: manager emptied",
        [op("Add", f"{ENTERPRISE}:manager", "")],
        {ENTERPRISE: {"employeeNumber": "7", "department": "D"}},
    ),
    (
        "entra: manager removed",
        [op("Remove", f"{ENTERPRISE}:manager")],
        {ENTERPRISE: {"employeeNumber": "7", "department": "D"}},
    ),
    (
        "entra: manager value removed",
        [op("Remove", f"{ENTERPRISE}:manager.value")],
        {ENTERPRISE: {"employeeNumber": "7", "department": "D"}},
    ),
    (
        "entra: dotted and urn keys without path",
        [
            op(
                "replace",
                None,
                {"name.givenName": "A", f"{ENTERPRISE}:employeeNumber": "8", "displayName": "B"},
            )
        ],
        {
            "name": ADA["name"] | {"givenName": "A"},
            "displayName": "B",
            ENTERPRISE: ADA[ENTERPRISE] | {"employeeNumber": "8"},
        },
    ),
    (
        "entra: value path as a key",
        [op("replace", None, {'emails[type eq "work"].value': "n@x"})],
        {"emails": [WORK | {"value": "n@x"}, HOME]},
    ),
    (
        "entra: nulls clear inside a merge",
        [op("Replace", None, {"name": {"familyName": None}, "active": False})],
        {"name": {"givenName": "Ada", "middleName": "M"}, "active": False},
    ),
    (
        "entra: old list of one",
        [op("Replace", "displayName", [{"value": "x"}])],
        {"displayName": "x"},
    ),
    ("entra: remove by value", [op("Remove", "emails", [{"value": "h@x"}])], {"emails": [WORK]}),
    (
        "entra: several on one attribute",
        [op("Add", "title", "1"), op("Replace", "title", "2")],
        {"title": "2"},
    ),
    ("okta: without path", [op("replace", None, {"active": False})], {"active": False}),
    (
        "okta: the id comes along",
        [op("replace", None, {"id": "u1", "displayName": "B"})],
        {"displayName": "B"},
    ),
    ("sailpoint: add without path", [op("add", None, {"active": False})], {"active": False}),
    (
        "authentik: schemas and meta come along",
        [
            op(
                "replace",
                None,
                {
                    "schemas": [USER_URN],
                    "meta": {"version": "x"},
                    "groups": [{"value": "g"}],
                    "title": "T",
                },
            )
        ],
        {"title": "T"},
    ),
    (
        "rfc: extension as a value",
        [op("add", None, {ENTERPRISE: {"department": "E"}})],
        {ENTERPRISE: ADA[ENTERPRISE] | {"department": "E"}},
    ),
    (
        "rfc: extension as a path",
        [op("add", ENTERPRISE, {"department": "E", "costCenter": "1"})],
        {ENTERPRISE: ADA[ENTERPRISE] | {"department": "E", "costCenter": "1"}},
    ),
    ("rfc: core urn as a path", [op("replace", USER_URN, {"title": "T"})], {"title": "T"}),
    ("rfc: qualified core attribute", [op("replace", f"{USER_URN}:title", "T")], {"title": "T"}),
    (
        "rfc: complex keeps what it does not name",
        [op("replace", "name", {"familyName": "L"})],
        {"name": ADA["name"] | {"familyName": "L"}},
    ),
    (
        "rfc: add to a list",
        [op("add", "emails", [{"value": "o@x", "type": "other"}])],
        {"emails": [WORK, HOME, {"value": "o@x", "type": "other"}]},
    ),
    (
        "rfc: one value is a list of one",
        [op("add", "emails", {"value": "o@x"})],
        {"emails": [WORK, HOME, {"value": "o@x"}]},
    ),
    ("rfc: an equal value is not added twice", [op("add", "emails", [HOME])], {}),
    (
        "rfc: the added primary wins",
        [op("add", "emails", [{"value": "o@x", "primary": True}])],
        {"emails": [WORK | {"primary": False}, HOME, {"value": "o@x", "primary": True}]},
    ),
    (
        "rfc: primary moves by path",
        [op("replace", 'emails[type eq "home"].primary', True)],
        {"emails": [WORK | {"primary": False}, HOME | {"primary": True}]},
    ),
    (
        "rfc: replace a list",
        [op("replace", "emails", [{"value": "o@x"}])],
        {"emails": [{"value": "o@x"}]},
    ),
    (
        "rfc: replace one entry",
        [op("replace", 'addresses[type eq "work"]', {"streetAddress": "9", "locality": "L"})],
        {"addresses": [{"streetAddress": "9", "locality": "L", "type": "work"}]},
    ),
    (
        "rfc: a sub-attribute of all entries",
        [op("replace", "emails.display", "E")],
        {
            "emails": [
                {"value": "w@x", "display": "E", "type": "work", "primary": True},
                {"value": "h@x", "display": "E", "type": "home"},
            ]
        },
    ),
    (
        "rfc: remove a sub-attribute of all entries",
        [op("remove", "emails.type")],
        {"emails": [{"value": "w@x", "primary": True}, {"value": "h@x"}]},
    ),
    (
        "rfc: a sub-attribute of no entry",
        [op("add", "roles.value", "r")],
        {"roles": [{"value": "r"}]},
    ),
    ("rfc: remove one entry", [op("remove", 'emails[type eq "home"]')], {"emails": [WORK]}),
    (
        "rfc: remove what is not there",
        [op("remove", 'emails[type eq "fax"]'), op("remove", "nickName")],
        {},
    ),
    (
        "rfc: an entry without its value is no entry",
        [op("remove", 'emails[type eq "home"].value')],
        {"emails": [WORK]},
    ),
    (
        "rfc: operations see one another",
        [
            op("add", "emails", [{"value": "o@x", "type": "other"}]),
            op("replace", 'emails[type eq "other"].value', "p@x"),
        ],
        {"emails": [WORK, HOME, {"value": "p@x", "type": "other"}]},
    ),
    (
        "rfc: one entry as a list of one",
        [op("replace", 'emails[type eq "home"]', [{"value": "n@x"}])],
        {"emails": [WORK, HOME | {"value": "n@x"}]},
    ),
    (
        "entra: one entry as a text",
        [op("replace", 'emails[type eq "home"]', "n@x")],
        {"emails": [WORK, HOME | {"value": "n@x"}]},
    ),
    (
        "rfc: read-only parts come along",
        [op("replace", "manager", {"value": "m2", "displayName": "B"})],
        {ENTERPRISE: ADA[ENTERPRISE] | {"manager": {"value": "m2"}}},
    ),
    (
        "nothing: our own extension comes along",
        [
            op(
                "replace",
                None,
                {BROKER: {"status": "active"}, f"{BROKER}:status": "active", USER_URN: {}},
            )
        ],
        {},
    ),
    (
        "nothing: empty extensions are added",
        [op("add", None, {ENTERPRISE: {}, USER_URN: None})],
        {},
    ),
    ("nothing: no operation", [], {}),
    (
        "nothing: the same again",
        [op("replace", "title", "Countess"), op("replace", "name", {}), op("add", "emails", [])],
        {},
    ),
    (
        "nothing: password is accepted and not kept",
        [
            op("replace", None, {"password": "s3cret"}),
            op("Replace", "password", "x"),
            op("remove", "password"),
        ],
        {},
    ),
]

CLEARED: list[tuple[list[Any], tuple[str, ...]]] = [
    ([op("remove", "title")], ("title",)),
    ([op("replace", "title", None)], ("title",)),
    ([op("replace", "title", "")], ("title",)),
    ([op("replace", None, {"title": None, "nickName": None})], ("title",)),
    ([op("remove", "name")], ("name",)),
    ([op("replace", "name", None)], ("name",)),
    ([op("replace", "emails", [])], ("emails",)),
    ([op("replace", None, {"emails": []})], ("emails",)),
    ([op("remove", "emails[value pr]")], ("emails",)),
    ([op("remove", ENTERPRISE)], (ENTERPRISE,)),
    ([op("replace", None, {ENTERPRISE: None})], (ENTERPRISE,)),
    (
        [
            op("remove", "name.familyName"),
            op("remove", "name.givenName"),
            op("remove", "name.middleName"),
        ],
        ("name",),
    ),
]


@pytest.mark.parametrize(
    ("operations", "after"), [d[1:] for d in DIALECTS], ids=[d[0] for d in DIALECTS]
)
def test_a_dialect_is_understood(operations: list[Any], after: dict[str, Any]) -> None:
    """RFC 7644 section 3.5.2 and `idp-behaviour.md`: each form changes what it says, no more."""
    result = patched(*operations)
    assert result.document == ADA | after
    assert (result.warnings, result.extras) == ((), {})


@pytest.mark.parametrize(("operations", "gone"), CLEARED)
def test_what_is_cleared_is_gone(operations: list[Any], gone: tuple[str, ...]) -> None:
    """Null, the empty text and the last value gone mean unassigned (RFC 7643 section 2.5)."""
    assert patched(*operations).document == without(*gone)


REFUSED: list[tuple[type[ScimError], list[Any], str]] = [
    (InvalidSyntax, [op("move", "title", "x")], "op"),
    (InvalidSyntax, [{"path": "title", "value": "x"}], "op"),
    (InvalidSyntax, [{"op": 5, "path": "title"}], "op"),
    (InvalidSyntax, ["x"], "Operations"),
    (InvalidPath, [{"op": "add", "path": 5, "value": "x"}], "path"),
    (NoTarget, [op("remove")], "path"),
    (NoTarget, [op("remove", USER_URN)], "path"),
    (InvalidValue, [op("add", "title")], "title"),
    (InvalidValue, [op("replace", "title")], "title"),
    (InvalidValue, [op("add", "title", None)], "title"),
    (InvalidValue, [op("replace", None, "x")], "value"),
    (InvalidValue, [op("replace")], "value"),
    (InvalidValue, [op("replace", ENTERPRISE, "x")], "value"),
    (InvalidValue, [op("replace", "active", "maybe")], "active"),
    (InvalidValue, [op("replace", "name", "Bob")], "name"),
    (InvalidValue, [op("add", "emails", "a@x")], "emails"),
    (InvalidValue, [op("add", "emails", ["a@x"])], "emails"),
    (InvalidValue, [op("replace", 'emails[type eq "work"].value', 5)], "emails.value"),
    (InvalidValue, [op("replace", 'addresses[type eq "work"]', "x")], "addresses"),
    (InvalidValue, [op("replace", None, {"name.givenName": 5})], "name.givenName"),
    (InvalidValue, [op("replace", "userName", "")], "userName"),
    (InvalidValue, [op("replace", None, {"userName": None})], "userName"),
    (InvalidValue, [op("replace", "password", 5)], "password"),
    (Mutability, [op("remove", "userName")], "userName"),
    (Mutability, [op("replace", "id", "u1")], "id"),
    (Mutability, [op("replace", None, {"id": "u2"})], "id"),
    (Mutability, [op("replace", "meta.created", "x")], "meta.created"),
    (Mutability, [op("add", "groups", [{"value": "g"}])], "groups"),
    (Mutability, [op("remove", 'groups[value eq "g"]')], "groups"),
    (Mutability, [op("add", "schemas", ["urn:x"])], "schemas"),
    (Mutability, [op("replace", f"{BROKER}:status", "active")], "status"),
    (Mutability, [op("replace", BROKER, {"status": "active"})], BROKER),
    (Mutability, [op("replace", "manager.displayName", "B")], "manager.displayName"),
    (InvalidPath, [op("replace", "noSuchAttribute", "x")], "noSuchAttribute"),
    (InvalidPath, [op("replace", "name.noSuchPart", "x")], "name.noSuchPart"),
    (InvalidPath, [op("replace", f"{ENTERPRISE}:noSuch", "x")], "noSuch"),
    (InvalidPath, [op("replace", "emails[type eq", "x")], "path"),
    (InvalidPath, [op("replace", "..", "x")], "path"),
    (InvalidPath, [op("replace", "name.", "x")], "name."),
    (InvalidPath, [op("replace", 'title[value eq "x"]', "x")], "title"),
    (InvalidPath, [op("replace", f'{ENTERPRISE}[value eq "x"]', "x")], "schema"),
    (InvalidPath, [op("replace", 'emails[type eq "work"].noSuch', "x")], "noSuch"),
    (InvalidPath, [op("replace", 'emails.value[type eq "work"]', "x")], "emails.value"),
    (InvalidFilter, [op("replace", 'emails[noSuch eq "work"].value', "x")], "noSuch"),
    (NoTarget, [op("replace", 'emails[value eq "no@x"].display', "x")], "emails"),
    (NoTarget, [op("replace", 'emails[value eq "no@x"].display', None)], "emails"),
    (NoTarget, [op("add", 'emails[type eq "fax" and value sw "z"]', {"value": "x"})], "emails"),
    (NoTarget, [op("add", "emails[not (type pr)]", {"value": "x"})], "emails"),
    (NoTarget, [op("replace", 'emails[type eq "fax" or type eq "b"].value', "x")], "emails"),
    (InvalidSyntax, [op("replace", None, {"title": "a", "TITLE": "b"})], "TITLE"),
    (InvalidSyntax, [op("replace", "name", {"givenName": "a", "GivenName": "b"})], "GivenName"),
    (InvalidValue, [op("replace", "title", "x")] * (MOST_OPERATIONS + 1), "Operations"),
]


@pytest.mark.parametrize(("error", "operations", "named"), REFUSED)
def test_what_makes_no_sense_is_refused(
    error: type[ScimError], operations: list[Any], named: str
) -> None:
    """RFC 7644 table 9 and `building.md`: the right scimType, and a sentence that names it."""
    with pytest.raises(error) as refusal:
        patched(*operations)
    assert named in refusal.value.detail


@pytest.mark.parametrize("operations", [each[1] for each in REFUSED if len(each[1]) == 1])
def test_a_patch_is_all_or_nothing(operations: list[Any]) -> None:
    """What comes before a refused operation is not done either (RFC 7644 section 3.5.2)."""
    document = copy.deepcopy(ADA)
    with pytest.raises(ScimError):
        Patch.parse(
            USER, patch_body(op("replace", "title", "T"), *operations), STANDARD, id="u1"
        ).apply(document, {})
    assert document == ADA


TWO_TERMS = 'roles[value eq "r1" or value eq "r2"].display'


@pytest.mark.parametrize(
    ("kind", "operation", "most"),
    [
        ("one of two terms", op("replace", TWO_TERMS, "x"), 50),
        ("a part of every value", op("add", "roles.display", "x"), 100),
        ("ten values", op("remove", "roles", [{"value": f"n{n}"} for n in range(10)]), 10),
    ],
)
def test_a_patch_asks_so_many_questions_and_no_more(kind: str, operation: Any, most: int) -> None:
    """Safety 37: a PATCH over an attribute of 1,000 values is bounded by what it asks of each, so
    no push holds the one writer for long; on few values the same operations are nothing.
    """
    del kind
    many = {"userName": "a", "roles": [{"value": f"r{n}"} for n in range(1000)]}
    few = many | {"roles": many["roles"][:3]}
    held = Patch.parse(USER, patch_body(*[operation] * most), STANDARD)
    beyond = Patch.parse(USER, patch_body(*[operation] * (most + 1)), STANDARD)
    held.apply(many, {})
    beyond.apply(few, {})
    with pytest.raises(TooMany):
        beyond.apply(many, {})


def test_a_patch_reads_a_group_so_often_and_no_more() -> None:
    """Safety 37: a filter on members reads them all; twenty of them do, and ids cost nothing."""
    one = op("remove", 'members[display co "a"]')
    named = op("remove", 'members[value eq "a"]')
    Patch.parse(GROUP, patch_body(*[one] * 20, *[named] * 900), STANDARD)
    with pytest.raises(TooMany):
        Patch.parse(GROUP, patch_body(*[one] * 21), STANDARD)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"schemas": [PATCH_OP]},
        {"schemas": [PATCH_OP], "Operations": "x"},
        {"schemas": [PATCH_OP], "Operations": {"op": "add"}},
        {"schemas": [USER_URN], "Operations": []},
        {"schemas": "x", "Operations": []},
        patch_body({"op": "remove", "OP": "add", "path": "title"}),
        patch_body(op("remove", "title")) | {"operations": []},
    ],
)
def test_a_body_that_is_no_patch_is_refused(body: dict[str, Any]) -> None:
    """A PATCH without its operations, that says it is something else, or a name twice, is 400."""
    with pytest.raises(InvalidSyntax):
        Patch.parse(USER, body, STANDARD)


@pytest.mark.parametrize(
    "body", [{"operations": []}, {"Operations": [{"OP": "remove", "Path": "title"}]}]
)
def test_a_patch_may_be_spelled_loosely(body: dict[str, Any]) -> None:
    """The names of a message compare without case, and its schemas may be forgotten."""
    assert Patch.parse(USER, body, STANDARD).warnings == ()
    with pytest.raises(InvalidSyntax):
        Patch.parse(USER, body, STRICT)


@pytest.mark.parametrize(
    "operation",
    [
        op("replace", "active", "False"),
        op("replace", None, {"active": False}),
        op("replace", "manager", "m2"),
        op("replace", f"{ENTERPRISE}:manager", "m2"),
        op("remove", "emails", [{"value": "h@x"}]),
        op("add", 'phoneNumbers[type eq "mobile"].value', "+1"),
        op("replace", "displayName", [{"value": "x"}]),
        op("replace", "urn:x:y:2.0:User:z", "x"),
        op("replace", None, {BROKER: {"status": "active"}}),
        op("replace", "name", {"foo": 1}),
    ],
)
def test_strict_takes_the_letter_alone(operation: dict[str, Any]) -> None:
    """What standard tolerates, strict answers with 400."""
    patched(operation)
    with pytest.raises(ScimError):
        patched(operation, tolerance=STRICT)


@pytest.mark.parametrize(
    "operation",
    [op("replace", BROKER, {}), op("replace", USER_URN, {BROKER: {}, "meta": {"version": "x"}})],
)
def test_strict_takes_no_echo(operation: dict[str, Any]) -> None:
    """Strict reads a read-only attribute inside a value as an attempt to change it."""
    with pytest.raises(Mutability):
        patched(operation, tolerance=STRICT)


def test_a_reference_ends_with_its_value() -> None:
    """A manager whose value is removed is none, whatever else it said; without one it cannot be."""
    document = {"userName": "ada", ENTERPRISE: {"manager": {"value": "m", "$ref": "r"}}}
    gone = Patch.parse(USER, patch_body(op("remove", "manager.value")), STANDARD)
    assert gone.apply(document, {}).document == {"userName": "ada"}
    half = Patch.parse(USER, patch_body(op("add", "manager.$ref", "r")), STANDARD)
    with pytest.raises(InvalidValue, match="manager"):
        half.apply({"userName": "ada"}, {})


def test_strict_wants_an_operation() -> None:
    """Entra's validator sends an empty PATCH; the letter does not know it."""
    with pytest.raises(InvalidSyntax):
        patched(tolerance=STRICT)


@pytest.mark.parametrize(
    ("operations", "before", "after", "warned"),
    [
        ([op("replace", None, {"foo": 1, "title": "T"})], {}, {"foo": 1}, ["foo"]),
        ([op("replace", None, {"foo": None, "bar": ""})], {"foo": 1}, {}, []),
        ([op("replace", "name", {"foo": 1})], {}, {"name.foo": 1}, ["name.foo"]),
        ([op("replace", "name", {"foo": None})], {"name.foo": 1}, {}, []),
        ([op("remove", "name")], {"name.foo": 1, "names": 2}, {"names": 2}, []),
        ([op("replace", "emails", [{"value": "a"}])], {"emails.foo": 1}, {}, []),
        (
            [op("Add", "urn:x:y:2.0:User:a", 1)],
            {},
            {"urn:x:y:2.0:User:a": 1},
            ["urn:x:y:2.0:User:a"],
        ),
        ([op("Remove", "urn:x:y:2.0:User:a")], {"urn:x:y:2.0:User:a": 1}, {}, []),
        ([op("add", None, {"urn:x:y": {"a": 1}})], {}, {"urn:x:y:a": 1}, ["urn:x:y:a"]),
        (
            [op("replace", ENTERPRISE, {"foo": 1})],
            {},
            {f"{ENTERPRISE}:foo": 1},
            [f"{ENTERPRISE}:foo"],
        ),
        (
            [op("replace", None, {"foo": 1}), op("replace", None, {"foo": 2})],
            {},
            {"foo": 2},
            ["foo"],
        ),
    ],
)
def test_what_nobody_declares_is_kept_aside(
    operations: list[Any], before: dict[str, Any], after: dict[str, Any], warned: list[str]
) -> None:
    """`building.md`: unknown keys and foreign extensions go to the extras, one warning each."""
    result = patched(*operations, extras=before)
    assert result.extras == after
    assert [warning.attribute for warning in result.warnings] == warned


values = st.one_of(texts, st.booleans(), st.none(), st.just(""), st.just([]), names)
entry = st.fixed_dictionaries(
    {"value": texts}, optional={"type": kinds, "display": texts, "primary": st.booleans()}
)
simple = st.builds(
    op,
    st.sampled_from(["add", "replace", "Replace"]),
    st.sampled_from(
        ["displayName", "TITLE", "userName", "name.givenName", f"{ENTERPRISE}:department"]
    ),
    texts,
)
removals = st.sampled_from(
    [
        op("remove", path)
        for path in (
            "title", "name", "name.givenName", "emails", "userName", "roles.display", ENTERPRISE,
            f"{ENTERPRISE}:department", 'emails[type eq "work"]', 'emails[not (type eq "work")]',
            'roles[primary eq true].display', 'phoneNumbers[value sw "a"].type',
        )
    ]
)  # fmt: skip
lists = st.builds(
    op,
    st.sampled_from(["add", "replace"]),
    st.sampled_from(["emails", "roles", "phoneNumbers"]),
    st.lists(entry, min_size=1, max_size=3),
)
chosen = st.builds(
    op,
    st.sampled_from(["add", "replace"]),
    st.sampled_from(
        ['emails[type eq "work"].value', 'emails[type eq "home"].display',
         'roles[primary eq true].value', 'phoneNumbers[value sw "a"].display',
         'emails[type eq "work" and primary eq true].value']
    ),
    texts,
)  # fmt: skip
pathless = st.builds(
    op,
    st.sampled_from(["add", "replace"]),
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "displayName": texts,
            "active": st.booleans(),
            "name": names,
            "name.familyName": texts,
            f"{ENTERPRISE}:department": texts,
            ENTERPRISE: st.fixed_dictionaries({"costCenter": texts}),
            "emails": st.lists(entry, min_size=1, max_size=2),
            "title": st.one_of(texts, st.none()),
        },
    ),
)
merges = st.builds(op, st.sampled_from(["add", "replace"]), st.just("name"), names)
operations = st.one_of(simple, removals, lists, chosen, pathless, merges)


@settings(max_examples=400)
@given(users, st.lists(operations, min_size=1, max_size=4))
def test_a_patch_does_what_the_oracle_does(document: dict[str, Any], ops: list[Any]) -> None:
    """R132: any sequence of Entra's, Okta's and RFC shapes leaves what scim2-models leaves.

    Left out are the three places where `building.md` decides otherwise: repeated entries are
    merged, entries without a value vanish, and several primary values are settled, not refused.
    """
    mine = _mine(document, ops)
    theirs = _theirs(document, ops)
    if theirs is None or mine is None:
        assert theirs is None
        assert mine is None or _settles_primaries(ops)
        return
    assume(not _has_repeats(theirs))
    assert mine.document == theirs


def _mine(document: dict[str, Any], ops: list[Any]) -> Accepted | None:
    before = copy.deepcopy(document)
    try:
        return Patch.parse(USER, patch_body(*ops), STANDARD).apply(document, {})
    except ScimError:
        return None
    finally:
        assert document == before


def _theirs(document: dict[str, Any], ops: list[Any]) -> dict[str, Any] | None:
    model = model_of(document)
    try:
        patch = PatchOp[UserModel].model_validate(
            patch_body(*ops), scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=TOLERANT
        )
        patch.patch(model, scim_policy=TOLERANT)
    except (SCIMException, ValueError):
        return None
    return kept(model)


def _settles_primaries(ops: list[Any]) -> bool:
    """Whether an operation brings several primary values, which the oracle refuses."""
    return "'primary': True" in str(ops)


def _has_repeats(document: dict[str, Any]) -> bool:
    """Whether the oracle kept entries that we merge or drop."""
    for name in ("emails", "roles", "phoneNumbers"):
        entries = document.get(name, [])
        seen = [(fold(e.get("type", "")), fold(e.get("value", ""))) for e in entries]
        if len(set(seen)) < len(seen) or any(is_hollow(each) for each in entries):
            return True
    return False
