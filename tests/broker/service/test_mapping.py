"""Mappings at work on what is pushed: what heals, what is a warning, what fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.db.database import Database
from broker.domain.clock import SECOND
from broker.domain.errors import Invalid
from broker.domain.mapping import FIELDS, Profile, Unmatched, mapped
from broker.domain.rules import WORDS
from broker.domain.runs import Change, Result
from broker.service.drafting import Drafting, MappingView
from broker.service.mapping import DEFAULT, Compiled, Mappings, compiled
from broker.service.reading import Members
from broker.store import logons, projects
from scim.document import accept
from scim.errors import ScimError
from scim.tolerance import STANDARD
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import CATALOGUE, USER, House, Pusher

TYPE = CATALOGUE.by_name["User"]
SHOE = {"to": "custom.shoeSize", "rule": "copy", "from": ["shoeSize"]}
WINDOW_S = 60


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine, with a field and a suffix of its own."""
    made = await pushing.house(db)
    await db.write(projects.set_fields, made.project, ["shoeSize", "label"])
    await db.write(logons.declare, made.project, "EHR")
    return made


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house, window_s=WINDOW_S) as push:
        yield push


async def save(house: House, push: Pusher, *rules: dict[str, Any], **more: Any) -> MappingView:
    """A new version of the directory's mapping, saved in an administrator's session."""
    drafting = Drafting(house.db, Mappings(house.db, CATALOGUE))
    said = {"rules": list(rules), **more}
    return await drafting.save(house.administrator, push.directory.id, said, None)


async def ended(house: House, clock: MovableClock) -> None:
    """The window of the open run passes."""
    clock.advance((WINDOW_S + 1) * SECOND)
    await house.syncing.close_due()


def written(*rules: dict[str, Any], **more: Any) -> Compiled:
    """A mapping that may fill anything."""
    with Members({"rules": list(rules), **more}, "") as said:
        return compiled(said, TYPE)


@pytest.mark.parametrize(
    ("mapping", "field"),
    [({"rules": [SHOE]}, {"shoeSize": "44"}), ({"ignore": ["SHOESIZE"]}, {})],
    ids=["named", "ignored"],
)
async def test_one_unmapped_attribute_among_a_hundred_people(
    house: House, push: Pusher, clock: MovableClock, mapping: dict[str, Any], field: dict[str, str]
) -> None:
    """R119, R120, R121, T7: Partial success, all 100 provisioned, one warning that names person and
    attribute; a mapping that names or ignores it makes the next push of the same a Success, and
    the value kept aside heals where it is named.
    """
    for n in range(99):
        await push.user(f"user-{n}")
    odd = {"schemas": [USER], "userName": "odd", "externalId": "x-odd", "shoeSize": 44}
    id = (await push.made("/Users", odd))["id"]
    run = (await house.run()).run
    assert (run.status, run.counts.created, run.counts.failed) == ("Partial success", 100, 0)
    warned = [line for line in await house.records() if line.warnings]
    assert [(line.name, line.external_id, line.resource_id) for line in warned] == [
        ("odd", "x-odd", id)
    ]
    assert [(each.code, each.attribute) for each in warned[0].warnings] == [
        ("unknown-attribute", "shoeSize")
    ]
    assert (await house.person(id)).profile == Profile("odd")
    await ended(house, clock)

    await save(house, push, **mapping)
    before = await push.get(f"/Users/{id}")
    assert (await push("PUT", f"/Users/{id}", odd)).status_code == 200
    run = (await house.run()).run
    assert (run.status, run.warnings) == ("Success", 0)
    assert (await house.person(id)).profile == Profile("odd", custom=field)
    assert await push.get(f"/Users/{id}") == before  # what the directory said is as it was


async def test_a_record_tells_what_a_mapping_changed(house: House, push: Pusher) -> None:
    """Per-record before and after: a profile made anew of the same document is an update, and a
    change of both tells each once.
    """
    body = {"schemas": [USER], "userName": "kim", "displayName": "Kim", "shoeSize": 44}
    id = (await push.made("/Users", body))["id"]
    await save(house, push, SHOE, {"to": "displayName", "rule": "upper", "from": ["displayName"]})
    await push("PUT", f"/Users/{id}", body)
    line = (await house.records())[-1]
    assert line.result is Result.UPDATED
    assert line.changes == (
        Change("displayName", "Kim", "KIM"),
        Change("custom.shoeSize", None, "44"),
    )
    await push("PUT", f"/Users/{id}", body | {"displayName": "Kim Lee", "shoeSize": 45})
    assert (await house.records())[-1].changes == (
        Change("displayName", "Kim", "Kim Lee"),
        Change("custom.shoeSize", "44", "45"),
    )
    await push("PUT", f"/Users/{id}", body | {"displayName": "Kim Lee", "shoeSize": 45})
    assert (await house.records())[-1].result is Result.UNCHANGED


async def test_groups_call_a_member_as_the_mapping_does(house: House, push: Pusher) -> None:
    """A label the mapping made reaches `members.display` although the document is the same."""
    body = {"schemas": [USER], "userName": "kim"}
    id = (await push.made("/Users", body))["id"]
    group = await push.group("ICU", id)
    await save(house, push, {"to": "displayName", "rule": "constant", "value": "Dr Lee"})
    await push("PUT", f"/Users/{id}", body)
    shown = await push.get(f"/Groups/{group['id']}", attributes="members.display")
    assert [each["display"] for each in shown["members"]] == ["Dr Lee"]


async def test_a_missing_required_attribute_fails_that_record_only(
    house: House, push: Pusher
) -> None:
    """T7: 400 with the attribute's name, a failed record with a reason, and everybody else in."""
    await save(house, push, {**SHOE, "required": True})
    await push.user("kim", shoeSize=44)
    answer = await push("POST", "/Users", {"schemas": [USER], "userName": "lee"})
    await push.user("pat", shoeSize=45)
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert "shoeSize" in answer.json()["detail"]
    view = await house.run()
    assert view.run.status == "Partial success"
    assert (view.run.counts.created, view.run.counts.failed) == (2, 1)
    failed = next(line for line in await house.records() if line.result is Result.FAILED)
    assert failed.name == "lee"
    assert failed.message == "custom.shoeSize is required. Nothing came as shoeSize."


async def test_a_value_no_rule_can_use_is_a_warning(house: House, push: Pusher) -> None:
    """R120: the person is provisioned without it, and the warning says which rule and why."""
    await save(
        house,
        push,
        {"to": "custom.label", "rule": "lookup", "from": ["title"], "table": {"MD": "Doctor"}},
        {"to": "email", "rule": "copy", "from": ["nickName"]},
    )
    made = await push.user("kim", title="RN", nickName="kim", emails=[{"value": "k@acme.example"}])
    assert (await house.person(made["id"])).profile == Profile("kim")
    line = (await house.records())[-1]
    assert [(each.attribute, each.code) for each in line.warnings] == [
        ("title", "unfit-value"),
        ("nickName", "no-address"),
    ]
    assert line.warnings[0].text == "custom.label: The table has no line for what is there."


async def test_a_mapping_gives_and_takes_logons(house: House, push: Pusher) -> None:
    """Safety 9: only a suffix the mapping writes; one somebody else has is a warning, and the
    person is in all the same; what the directory empties is taken away.
    """
    await save(house, push, {"to": "logons.EHR", "rule": "upper", "from": ["nickName"]})
    kim = (await push.user("kim", nickName="klee"))["id"]
    other = (await push.user("lee", nickName="KLEE"))["id"]
    odd = (await push.user("odd", nickName="k\u200blee"))["id"]
    (taken, hidden) = (line.warnings for line in (await house.records())[1:])
    assert [(each.attribute, each.code) for each in taken] == [("logons.EHR", "logon-taken")]
    assert [(each.attribute, each.code) for each in hidden] == [("nickName", "unfit-value")]

    async def held() -> list[dict[str, str]]:
        return [await house.db.read(logons.of_user, house.project, id) for id in (kim, other, odd)]

    assert await held() == [{"EHR": "KLEE"}, {}, {}]
    await push("PUT", f"/Users/{kim}", {"schemas": [USER], "userName": "kim"})
    assert (await house.records())[-1].changes[-1] == Change("logons.EHR", "KLEE", None)
    again = {"schemas": [USER], "userName": "lee", "nickName": "KLEE"}
    await push("PUT", f"/Users/{other}", again)
    assert (await house.records())[-1].changes == (Change("logons.EHR", None, "KLEE"),)
    assert await held() == [{}, {"EHR": "KLEE"}, {}]


B, C = "urn:acme:P:b", "urn:acme:P:c"


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({}, ["a", B, C]),
        ({"ignore": ["A"]}, [B, C]),
        ({"ignore": ["urn:acme:p", "a"]}, []),
        ({"rules": [{"to": "prefix", "rule": "copy", "from": ["a.deep"]}]}, [B, C]),
        ({"rules": [{"to": "prefix", "rule": "ignore", "from": [B.upper()]}]}, ["a", C]),
    ],
    ids=["default", "ignored", "a whole extension", "a part is named", "a rule ignores"],
)
def test_what_is_a_warning(mapping: dict[str, Any], told: list[str]) -> None:
    """building.md "What is a warning": non-empty, undeclared, neither named nor ignored, and
    nothing a source translated itself; told the same of a push and of what was kept aside.
    """
    with Members(mapping, "") as said:
        made = compiled(said, TYPE)
    body = {"userName": "kim", "a": {"deep": 1}, "urn:acme:P": {"b": 1, "c": [2]}, "none": []}
    accepted = accept(TYPE, body, STANDARD)
    warnings = made.unmapped(accepted.extras)
    assert warnings == made.warned(accepted.warnings)
    assert [each.attribute for each in warnings] == told
    assert made.unmapped(accepted.extras, frozenset(accepted.extras)) == []


def test_matching_is_part_of_a_mapping() -> None:
    """Issue "Mapping": externalId, then userName, unless it says otherwise; create or skip."""
    assert (DEFAULT.match, DEFAULT.unmatched) == (("externalId", "userName"), Unmatched.CREATE)
    said = written(match=["userName"], unmatched="skip")
    assert (said.match, said.unmatched) == (("userName",), Unmatched.SKIP)


TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PEOPLE = st.fixed_dictionaries(
    {"userName": st.text(min_size=1, max_size=20)},
    optional={
        "displayName": TEXT,
        "name": st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ("givenName", "familyName", "middleName", "honorificPrefix", "honorificSuffix"),
                TEXT,
            ),
        ),
        "emails": st.lists(
            st.fixed_dictionaries(
                {"value": TEXT | st.emails()}, optional={"primary": st.booleans()}
            )
        ),
        "shoeSize": JSON,
    },
)
PATHS = {
    "userName": "userName",
    "givenName": "name.givenName",
    "familyName": "name.familyName",
    "middleName": "name.middleName",
    "prefix": "name.honorificPrefix",
    "suffix": "name.honorificSuffix",
}


@given(PEOPLE)
def test_the_default_is_the_identity(body: dict[str, Any]) -> None:
    """building.md "Source document and profile": for every SCIM user the default mapping says what
    a mapping says that copies each declared attribute to its field.
    """
    copies = written(*({"to": to, "rule": "copy", "from": [PATHS[to]]} for to in PATHS))
    try:
        accepted = accept(TYPE, body, STANDARD)
        expected = DEFAULT.mapped(accepted.document, accepted.extras)
    except (ScimError, Invalid):
        return
    assert copies.mapped(accepted.document, accepted.extras) == expected
    assert expected == mapped(accepted.document)
    assert set(PATHS) | {"displayName", "email"} == set(FIELDS)


ONE_OF_EACH: dict[str, dict[str, Any]] = {
    "constant": {"from": [], "value": "x"},
    "lookup": {"table": {"a": "b"}},
    "regex": {"pattern": "(.+)@"},
}
SOURCES = ["userName", "name", "emails", "shoeSize", "shoeSize.a", "userType", "roles", "manager"]


@given(
    st.dictionaries(st.sampled_from([*SOURCES, "active", "externalId", "x"]), JSON),
    st.sampled_from(sorted(WORDS)),
    st.sampled_from(SOURCES),
    st.sampled_from([*FIELDS, "custom.a", "logons.EHR"]),
    st.booleans(),
)
def test_a_mapping_is_total(
    body: dict[str, Any], word: str, source: str, to: str, required: bool
) -> None:
    """T7: whatever JSON a directory sends and SCIM accepts, each rule makes a profile, or the
    record fails as Invalid; nothing else is ever raised, and its trace can be told.
    """
    rule: dict[str, Any] = {"to": to, "rule": word, "from": [source], "required": required}
    made = written(rule | ONE_OF_EACH.get(word, {}))
    try:
        accepted = accept(TYPE, {"userName": "kim"} | body, STANDARD)
    except ScimError:
        return
    (step,) = made.steps(accepted.document, accepted.extras)
    assert step.rendered()["to"] == to
    with suppress(Invalid):
        assert made.mapped(accepted.document, accepted.extras).profile.user_name
