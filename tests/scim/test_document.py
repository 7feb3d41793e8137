"""What a client may send as a whole resource, and the bytes that are kept of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import Context

from scim.document import accept, load, render, restamped, same
from scim.errors import InvalidSyntax, InvalidValue
from scim.tolerance import STANDARD, STRICT, Tolerance
from scim.values import MOST_ENTRIES
from tests.scim.calling import BROKER, ENTERPRISE
from tests.scim.calling import GROUP as GROUP_URN
from tests.scim.calling import USER as USER_URN
from tests.scim.oracle import GROUP, TOLERANT, USER, UserModel, kept, users

ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


def taken(body: dict[str, Any], tolerance: Tolerance = STANDARD) -> dict[str, Any]:
    """The document of a user body that is right but for what the test is about."""
    return accept(USER, {"schemas": [USER_URN], "userName": "ada"} | body, tolerance).document


@given(users, st.sampled_from([str, str.upper, str.lower]))
def test_a_valid_user_is_read_as_the_oracle_reads_it(document: dict[str, Any], case: Any) -> None:
    """R132: names in any case, canonical names out, nothing else changed; strict agrees."""
    body = {"schemas": [USER_URN, ENTERPRISE]} | {case(name): v for name, v in document.items()}
    oracle = UserModel.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST)
    for tolerance in (STANDARD, STRICT):
        accepted = accept(USER, body, tolerance)
        assert accepted.document == kept(oracle) == document
        assert (accepted.warnings, accepted.extras, accepted.members) == ((), {}, ())


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text("aF\n", max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["value", "x"]), inner)
    ),
    max_leaves=4,
)


LOOSE = st.dictionaries(
    st.sampled_from(["name", "emails", "active", "title", ENTERPRISE, "foo"]), JUNK, max_size=3
)


def test_anything_is_a_document_or_a_refusal() -> None:
    """Whatever JSON comes, the answer is a document the oracle takes, or a 400; never a crash;
    among many there are some of both.
    """
    outcomes: set[str] = set()

    @given(LOOSE, JUNK | st.text("aF", min_size=1), st.sampled_from([STANDARD, STRICT]))
    def take(body: dict[str, Any], user_name: Any, tolerance: Tolerance) -> None:
        try:
            body = {"schemas": [USER_URN], "userName": user_name} | body
            accepted = accept(USER, body, tolerance)
        except (InvalidValue, InvalidSyntax):
            outcomes.add("refused")
            return
        outcomes.add("taken")
        UserModel.model_validate(
            {"schemas": [USER_URN]} | accepted.document,
            scim_ctx=Context.RESOURCE_CREATION_REQUEST,
            scim_policy=TOLERANT,
        )

    take()
    assert outcomes == {"refused", "taken"}


@pytest.mark.parametrize(
    ("sent", "document"),
    [
        ({"active": "True"}, {"active": True}),
        ({"active": "false"}, {"active": False}),
        (
            {"roles": [{"value": "a", "primary": "True"}]},
            {"roles": [{"value": "a", "primary": True}]},
        ),
        ({"title": None, "nickName": "", "emails": [], "name": {}}, {}),
        ({"emails": None, "name": {"givenName": ""}, "roles": [None, {}]}, {}),
        ({"password": "hunter2"}, {}),
        ({"id": "mine", "meta": {"created": "1999"}, "groups": [{"value": "g"}]}, {}),
        ({BROKER: {"status": "active"}}, {}),
        ({ENTERPRISE: {"manager": "u2"}}, {ENTERPRISE: {"manager": {"value": "u2"}}}),
        ({ENTERPRISE: {"manager": [{"value": "u2"}]}}, {ENTERPRISE: {"manager": {"value": "u2"}}}),
        ({ENTERPRISE: {"manager": ""}}, {}),
        (
            {ENTERPRISE: {"manager": {"$ref": "../Users/u2", "displayName": "B"}}},
            {ENTERPRISE: {"manager": {"value": "u2", "$ref": "../Users/u2"}}},
        ),
        ({"manager": "u2"}, {ENTERPRISE: {"manager": {"value": "u2"}}}),
        ({"department": "A", ENTERPRISE: {"department": "B"}}, {ENTERPRISE: {"department": "B"}}),
        ({ENTERPRISE: {"department": "B"}, "department": "A"}, {ENTERPRISE: {"department": "B"}}),
        ({ENTERPRISE.upper(): {"DEPARTMENT": "B"}}, {ENTERPRISE: {"department": "B"}}),
        ({f"{USER_URN}:title": "T"}, {"title": "T"}),
        ({"displayName": [{"value": "x"}]}, {"displayName": "x"}),
        ({"emails": [{"type": "work"}, {"type": "home", "primary": True}]}, {}),
        (
            {"roles": [{"value": "A", "type": "x"}, {"value": "a", "type": "X", "display": "d"}]},
            {"roles": [{"value": "A", "type": "x", "display": "d"}]},
        ),
        (
            {"emails": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]},
            {"emails": [{"value": "a", "primary": True}, {"value": "b", "primary": False}]},
        ),
        ({"x509Certificates": [{"value": "aGk="}]}, {"x509Certificates": [{"value": "aGk="}]}),
    ],
)
def test_what_is_made_of_a_body(sent: dict[str, Any], document: dict[str, Any]) -> None:
    """All that known identity providers send is understood, silently."""
    accepted = accept(USER, {"userName": "ada"} | sent, STANDARD)
    assert accepted.document == {"userName": "ada"} | document
    assert accepted.warnings == ()


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"userName": ""}, "userName"),
        ({"userName": None}, "userName"),
        ({"userName": ["ada"]}, "userName"),
        ({"userName": 7}, "userName"),
        ({"active": "banana"}, "active"),
        ({"active": 1}, "active"),
        ({"name": "Bob"}, "name"),
        ({"name": ["Bob"]}, "name"),
        ({"name": {"givenName": {"a": 1}}}, "name.givenName"),
        ({"emails": "a@x"}, "emails"),
        ({"emails": {"value": "a@x"}}, "emails"),
        ({"emails": ["a@x"]}, "emails"),
        ({"emails": [{"value": ["a@x"]}]}, "emails.value"),
        ({"displayName": {"a": 1}}, "displayName"),
        ({"password": 5}, "password"),
        ({"x509Certificates": [{"value": "no!"}]}, "x509Certificates.value"),
        ({ENTERPRISE: "Sales"}, ENTERPRISE),
        ({ENTERPRISE: {"department": 1}}, f"{ENTERPRISE}:department"),
        ({ENTERPRISE: {"manager": {"$ref": 5}}}, f"{ENTERPRISE}:manager.$ref"),
        ({ENTERPRISE: {"manager": {"$ref": ""}, "department": 1}}, f"{ENTERPRISE}:department"),
        ({"emails": [{"value": str(n)} for n in range(MOST_ENTRIES + 1)]}, "emails"),
    ],
)
def test_what_does_not_fit_is_named(sent: dict[str, Any], named: str) -> None:
    """RFC 7644 section 3.12: 400 invalidValue, and the sentence names the attribute."""
    with pytest.raises(InvalidValue) as refusal:
        taken(sent)
    assert f'"{named}"' in refusal.value.detail


@pytest.mark.parametrize(
    ("sent", "paths"),
    [
        ({"favouriteColour": "blue"}, ["favouriteColour"]),
        ({"name": {"foo": 1}}, ["name.foo"]),
        ({"emails": [{"value": "a", "foo": 1}]}, ["emails.foo"]),
        ({ENTERPRISE: {"foo": {"a": 1}}}, [f"{ENTERPRISE}:foo"]),
        ({"urn:x:y:2.0:User": {"a": 1, "b": None}}, ["urn:x:y:2.0:User:a"]),
        ({"urn:x:y:2.0:User": 5}, ["urn:x:y:2.0:User"]),
        ({"name.givenName": "A"}, ["name.givenName"]),
        ({"foo": None, "bar": "", "baz": [], "qux": {}, ADSCIM: {"x": 1}, ADSCIM + "s": 1}, []),
        ({"foo": False, "bar": 0}, ["foo", "bar"]),
    ],
)
def test_what_is_a_warning(sent: dict[str, Any], paths: list[str]) -> None:
    """`building.md`: a value nobody declares is kept aside with a warning; strict refuses it."""
    body = {"schemas": [USER_URN], "userName": "ada"} | sent
    accepted = accept(USER, body, STANDARD)
    assert [warning.attribute for warning in accepted.warnings] == paths
    assert list(accepted.extras) == paths
    assert all(f'"{path}"' in w.text for path, w in zip(paths, accepted.warnings, strict=True))
    assert not any(name in accepted.document for name in ("foo", "favouriteColour"))
    if paths:
        with pytest.raises(InvalidValue):
            accept(USER, body, STRICT)
    else:
        accept(USER, body, STRICT)


@pytest.mark.parametrize(
    ("schemas", "standard", "strict"),
    [
        ([USER_URN], True, True),
        ([ENTERPRISE, USER_URN], True, True),
        ([USER_URN.upper()], True, True),
        (None, True, False),
        ([], True, False),
        (USER_URN, True, False),
        ([ENTERPRISE], True, False),
        (["urn:scim:schemas:core:2.0"], True, False),
        ([USER_URN, ADSCIM], True, False),
        ([USER_URN, GROUP_URN], True, False),
        ([5], False, False),
        ({"a": 1}, False, False),
        (["urn:ietf:params:scim:api:messages:2.0:PatchOp"], False, False),
    ],
)
def test_what_schemas_may_say(schemas: Any, standard: bool, strict: bool) -> None:
    """OneLogin's and Entra's foreign URNs are let through; strict wants ours and only ours."""
    for tolerance, fine in ((STANDARD, standard), (STRICT, strict)):
        body = {"schemas": schemas, "userName": "ada"}
        if fine:
            assert accept(USER, body, tolerance).document == {"userName": "ada"}
        else:
            with pytest.raises(InvalidSyntax, match="schemas"):
                accept(USER, body, tolerance)


@pytest.mark.parametrize(
    "body",
    [
        {"userName": "a", "USERNAME": "b"},
        {"userName": "a", f"{USER_URN}:userName": "b"},
        {"userName": "a", "name": {"givenName": "x", "GIVENNAME": "y"}},
    ],
)
def test_one_attribute_under_two_spellings_is_refused(body: dict[str, Any]) -> None:
    """Names compare without case, so two spellings are one name given twice."""
    with pytest.raises(InvalidSyntax, match="twice"):
        accept(USER, body, STANDARD)


@pytest.mark.parametrize(
    ("members", "refs"),
    [
        ([], ()),
        (None, ()),
        ([{"value": "u1", "$ref": None, "display": None}], ("u1",)),
        ([{"value": "u1", "type": "User"}, {"VALUE": "u1"}], ("u1",)),
        (["u1", "u2"], ("u1", "u2")),
        ("u1", ("u1",)),
        ([{"$ref": "https://x/Users/u3"}], ("u3",)),
    ],
)
def test_members_are_read_beside_the_document(members: Any, refs: tuple[str, ...]) -> None:
    """A group's members never enter its document; Entra's, Okta's and loose forms are one."""
    accepted = accept(GROUP, {"displayName": "g", "members": members}, STANDARD)
    assert accepted.members == refs
    assert accepted.document == {"displayName": "g"}


def test_members_not_mentioned_are_none() -> None:
    """RFC 7644 section 3.5.1: a body that does not mention members is of a group without any."""
    assert accept(GROUP, {"displayName": "g"}, STANDARD).members == ()


@pytest.mark.parametrize("members", [5, [5], [{}, {"display": "x"}], [{"value": 5}], [["u1"]]])
def test_members_that_name_nobody_are_refused(members: Any) -> None:
    """A member without an id is 400 invalidValue."""
    with pytest.raises(InvalidValue, match="members"):
        accept(GROUP, {"displayName": "g", "members": members}, STANDARD)


@given(users)
def test_what_is_stored_is_read_back(document: dict[str, Any]) -> None:
    """The stored bytes hold the document, its schemas, its id and its meta, in one order."""
    times = {"created": 1_000_000, "changed": 2_500_000}
    written = render(USER, document, id="u1", version=3, **times)
    assert load(written) == document
    whole = orjson.loads(written)
    assert list(whole)[:2] == ["schemas", "id"]
    assert list(whole)[-1] == "meta"
    assert whole["meta"] == {
        "resourceType": "User",
        "created": "1970-01-01T00:00:01.000000Z",
        "lastModified": "1970-01-01T00:00:02.500000Z",
        "version": 'W/"3"',
    }
    assert (ENTERPRISE in whole["schemas"]) is (ENTERPRISE in document)
    backwards = dict(reversed(document.items()))
    assert render(USER, backwards, id="u1", version=3, **times) == written


@given(users, users)
def test_a_write_of_nothing_is_seen_in_the_bytes(
    left: dict[str, Any], right: dict[str, Any]
) -> None:
    """Two stored forms are the same exactly when their documents are, whatever meta says."""
    one = render(USER, left, id="u1", version=1, created=1, changed=1)
    other = render(USER, right, id="u1", version=9, created=5, changed=6)
    assert same(one, restamped(USER, one, version=2, created=1, changed=7))
    if left != right:
        assert not same(one, other)


@given(users, st.integers(1, 9), st.integers(0, 10**15))
def test_a_new_stamp_is_the_same_as_a_new_rendering(
    document: dict[str, Any], version: int, changed: int
) -> None:
    """Restamping bytes gives what rendering again would, without decoding them."""
    stamp = {"version": version, "created": 5, "changed": changed}
    before = render(USER, document, id="u1", version=1, created=5, changed=5)
    assert restamped(USER, before, **stamp) == render(USER, document, id="u1", **stamp)


def test_meta_inside_a_value_does_not_mislead() -> None:
    """A value that looks like our meta is text, not the place to cut."""
    document = {"userName": 'x"meta":{"resourceType":"User"}', "title": '"meta":{"resourceType":'}
    before = render(USER, document, id="u1", version=1, created=1, changed=1)
    after = restamped(USER, before, version=2, created=1, changed=2)
    assert load(after) == document
    assert orjson.loads(after)["meta"]["version"] == 'W/"2"'
