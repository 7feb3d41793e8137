"""Which attributes an answer shows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import Context, ResponseParameters

from scim.errors import InvalidValue
from scim.projection import Selection, project
from scim.schema import ResourceType
from tests.scim.calling import BROKER, ENTERPRISE
from tests.scim.calling import USER as USER_URN
from tests.scim.oracle import GROUP, USER, UserModel, model_of, stored, users

NAMES = st.lists(
    st.sampled_from(
        [
            "userName", "USERNAME", "displayName", "name", "name.givenName", "emails",
            "emails.value", "emails.type", "addresses.locality", "roles", "id", "schemas", "meta",
            "meta.version", "externalId", "active", ENTERPRISE, f"{ENTERPRISE}:department",
            f"{ENTERPRISE}:manager.value", f"{USER_URN}:title", f"{USER_URN}:name.familyName",
        ]
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def _dumped(document: dict[str, Any], **parameters: Any) -> Any:
    return model_of(document).model_dump(
        scim_ctx=Context.RESOURCE_QUERY_RESPONSE,
        response_parameters=ResponseParameters[UserModel](**parameters),
    )


@settings(max_examples=200)
@given(users, NAMES)
def test_attributes_show_what_the_oracle_shows(document: dict[str, Any], names: list[str]) -> None:
    """RFC 7644 section 3.9: only what is asked for, and what is always returned."""
    mine = project(Selection.of(USER, names, None), stored(document))
    assert mine == _dumped(document, attributes=names)


@settings(max_examples=200)
@given(users, NAMES)
def test_excluded_attributes_hide_what_the_oracle_hides(
    document: dict[str, Any], names: list[str]
) -> None:
    """RFC 7644 section 3.9: everything but what is excluded; id and schemas stay."""
    mine = project(Selection.of(USER, None, names), stored(document))
    assert mine == _dumped(document, excluded_attributes=names)


@pytest.mark.parametrize(
    ("type", "attributes", "excluded", "computed", "is_whole"),
    [
        (USER, None, None, {"groups"}, True),
        (USER, ["userName"], None, set(), False),
        (USER, ["groups"], None, {"groups"}, False),
        (USER, ["groups.value"], None, {"groups"}, False),
        (USER, [BROKER], None, {BROKER}, False),
        (USER, [f"{BROKER}:status"], None, {BROKER}, False),
        (USER, None, ["groups"], set(), True),
        (USER, None, ["userName"], {"groups"}, False),
        (USER, ["nobody"], None, set(), False),
        (USER, None, ["nobody"], {"groups"}, True),
        (GROUP, None, None, {"members"}, True),
        (GROUP, None, ["members"], set(), True),
        (GROUP, None, ["MEMBERS", "displayName"], set(), False),
        (GROUP, None, ["members.type"], {"members"}, False),
        (GROUP, ["displayName"], None, set(), False),
        (GROUP, ["members"], None, {"members"}, False),
        (GROUP, ["members.display"], None, {"members", "members.display"}, False),
    ],
)
def test_what_a_selection_asks_of_the_host(
    type: ResourceType,
    attributes: list[str] | None,
    excluded: list[str] | None,
    computed: set[str],
    is_whole: bool,
) -> None:
    """Members, groups and the broker's words are made only where shown; whole bytes stay bytes."""
    selection = Selection.of(type, attributes, excluded)
    assert selection.computed == computed
    assert selection.is_whole is is_whole
    assert selection.asked is (attributes is not None or bool(selection.excluded))


def test_an_extension_made_for_the_answer_is_among_its_schemas() -> None:
    """RFC 7643 section 3: `schemas` names the schemas of what is there."""
    document = stored({"userName": "ada"}) | {BROKER: {"status": "active", "queuePosition": 1}}
    shown = project(Selection.of(USER, [f"{BROKER}:status"], None), document)
    assert shown == {
        "schemas": [USER_URN, BROKER],
        "id": "u1",
        BROKER: {"status": "active"},
    }


def test_what_is_returned_on_request_is_not_returned_otherwise() -> None:
    """RFC 7643 section 7: `returned: request` needs to be asked for, by name."""
    document = stored({"userName": "ada"}) | {BROKER: {"status": "active"}}
    assert BROKER not in project(Selection.of(USER, None, ["title"]), document)
    group = {"schemas": [GROUP.schema], "id": "g", "members": [{"value": "u", "display": "d"}]}
    assert project(Selection.of(GROUP, ["members"], None), group)["members"] == [{"value": "u"}]
    shown = project(Selection.of(GROUP, ["members.display", "members.value"], None), group)
    assert shown["members"] == [{"value": "u", "display": "d"}]


def test_both_lists_at_once_are_refused() -> None:
    """`attributes` and `excludedAttributes` exclude one another: 400 invalidValue."""
    with pytest.raises(InvalidValue, match="excludedAttributes"):
        Selection.of(USER, ["userName"], ["title"])
