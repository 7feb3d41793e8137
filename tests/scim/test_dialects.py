"""Requests in the shapes of Entra and Okta, generated, and what scim2-models makes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scim2_models import Context, PatchOp, SCIMException, ScimFilter, SearchRequest

from scim.document import accept
from scim.errors import ScimError
from scim.filters import Filter
from scim.fold import fold
from scim.patch import Patch
from scim.query import Sort
from scim.tolerance import STANDARD
from tests.scim.calling import GROUP as GROUP_URN
from tests.scim.calling import USER as USER_URN
from tests.scim.calling import patch_body
from tests.scim.oracle import (
    ENTERPRISE,
    GROUP,
    TOLERANT,
    USER,
    GroupModel,
    UserModel,
    kept,
    model_of,
    stored,
    texts,
    users,
)

WORK = 'emails[type eq "work"]'
booleans = st.one_of(st.booleans(), st.sampled_from(["True", "False", "true", "FALSE"]))
maybe = st.one_of(st.none(), texts)
PARTS = ("formatted", "streetAddress", "locality", "region", "postalCode", "country")
addresses = st.dictionaries(st.sampled_from(PARTS), texts, min_size=1)


def _one(type: str, value: st.SearchStrategy[Any], **more: Any) -> st.SearchStrategy[Any]:
    """A list of one entry, as Entra and Okta map them."""
    entry = st.fixed_dictionaries({"type": st.just(type), "value": value, **more})
    return entry.map(lambda each: [each])


from_entra = st.fixed_dictionaries(
    {
        "schemas": st.just([USER_URN, ENTERPRISE]),
        "userName": texts,
        "externalId": texts,
        "active": booleans,
        "roles": st.one_of(st.just([]), _one("WindowsAzureActiveDirectoryRole", texts)),
        "meta": st.just({"resourceType": "User"}),
    },
    optional={
        "displayName": maybe,
        "title": maybe,
        "preferredLanguage": st.none(),
        "emails": st.one_of(st.none(), _one("work", texts, primary=booleans)),
        "phoneNumbers": _one("mobile", texts),
        "addresses": addresses.map(lambda each: [each | {"type": "work", "primary": False}]),
        "name": st.fixed_dictionaries({"givenName": texts}, optional={"familyName": maybe}),
        ENTERPRISE: st.fixed_dictionaries(
            {"department": texts},
            optional={"employeeNumber": maybe, "manager": st.builds(dict, value=texts)},
        ),
    },
)
from_okta = st.fixed_dictionaries(
    {
        "schemas": st.just([USER_URN]),
        "userName": texts,
        "name": st.fixed_dictionaries({"givenName": texts, "familyName": texts}),
        "emails": _one("work", texts, primary=st.just(True)),
        "externalId": texts,
        "active": st.booleans(),
        "groups": st.one_of(st.just([]), st.just([{"value": "g1", "display": "G"}])),
        "password": texts,
    },
    optional={
        "id": st.just("u1"),
        "displayName": texts,
        "locale": st.just("en-US"),
        "meta": st.just({"resourceType": "User", "location": "https://broker.example/Users/u1"}),
        "phoneNumbers": st.just([]),
    },
)


@settings(max_examples=200)
@given(
    st.one_of(from_entra, from_okta),
    st.sampled_from([Context.RESOURCE_CREATION_REQUEST, Context.RESOURCE_REPLACEMENT_REQUEST]),
)
def test_a_resource_in_a_dialect_is_read_as_the_oracle_reads_it(body: Any, context: Any) -> None:
    """R132: string booleans, nulls, empty lists, echoes and passwords of a POST and a PUT leave
    the document that scim2-models reads, with nothing to warn of.
    """
    accepted = accept(USER, body, STANDARD)
    oracle = UserModel.model_validate(body, scim_ctx=context, scim_policy=TOLERANT)
    assert accepted.document == _said(kept(oracle))
    assert (accepted.warnings, accepted.extras) == ((), {})


def _said(document: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: an empty list is an attribute nobody assigned."""
    return {name: value for name, value in document.items() if value != []}


def _op(op: str, path: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"op": st.just(op), "path": st.just(path), "value": value})


TARGETS: dict[str, st.SearchStrategy[Any]] = {
    "active": booleans,
    "displayName": texts,
    "name.familyName": texts,
    "externalId": texts,
    f"{WORK}.value": texts,
    'emails[type eq "other"].Value': texts,
    'phoneNumbers[type eq "mobile"].value': texts,
    'roles[primary eq "True"].value': texts,
    'roles[primary eq "True"].display': texts,
    **{f'addresses[type eq "work"].{part}': texts for part in PARTS},
    f"{ENTERPRISE}:department": texts,
    f"{ENTERPRISE}:manager": st.builds(dict, value=texts),
    f"{ENTERPRISE}:manager.value": texts,
}
"""What Entra maps, with its own spelling (its attribute table)."""

named = st.sampled_from(sorted(TARGETS)).flatmap(
    lambda path: st.sampled_from(["Add", "Replace"]).flatmap(
        lambda op: _op(op, path, TARGETS[path])
    )
)
# A manager without its value is none (Entra clears it so); the oracle refuses to remove it.
removed = st.sampled_from(sorted(set(TARGETS) - {f"{ENTERPRISE}:manager.value"})).map(
    lambda path: {"op": "Remove", "path": path}
)
KEYS = {path: value for path, value in TARGETS.items() if "[" not in path}
flagged = st.fixed_dictionaries({}, optional=KEYS).map(
    lambda value: {"op": "replace", "value": value}
)
pushed = st.fixed_dictionaries(
    {"id": st.just("u1")}, optional={"active": st.booleans(), "password": texts}
).map(lambda value: {"op": "replace", "value": value})


@settings(max_examples=300)
@given(users, st.lists(st.one_of(named, removed, flagged, pushed), min_size=1, max_size=4))
def test_a_patch_in_a_dialect_does_what_the_oracle_does(document: Any, ops: list[Any]) -> None:
    """R132: value paths that create, string booleans inside and outside of them, dotted and URN
    keys, echoes: what is left is what scim2-models leaves.
    """
    model = model_of(document)
    try:
        mine = Patch.parse(USER, patch_body(*ops), STANDARD, id="u1").apply(document, {}).document
    except ScimError:
        mine = None
    try:
        patch = PatchOp[UserModel].model_validate(
            patch_body(*ops), scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=TOLERANT
        )
        patch.patch(model, scim_policy=TOLERANT)
    except (SCIMException, ValueError):
        assert mine is None
        return
    theirs = _said(kept(model))
    assume(not _merges(theirs))
    assert mine is not None
    assert _unordered(mine) == _unordered(theirs)


def _unordered(document: dict[str, Any]) -> dict[str, Any]:
    """The same with the values of each list in one order: they have none (RFC 7643, 2.4)."""
    return {
        name: sorted(held, key=lambda value: json.dumps(value, sort_keys=True))
        if isinstance(held, list)
        else held
        for name, held in document.items()
    }


def _merges(document: dict[str, Any]) -> bool:
    """Whether `building.md` decides otherwise: repeats are merged, what has no value vanishes."""
    for name in ("emails", "phoneNumbers", "roles", "addresses"):
        entries = document.get(name, [])
        keys = [
            (fold(e.get("type", "")), fold(e.get("value", "")), e.get("locality")) for e in entries
        ]
        if len(set(keys)) < len(keys) or any(
            not each.keys() - {"type", "primary"} for each in entries
        ):
            return True
    return False


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


compared = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "le"])
types = st.sampled_from(['"User"', '"group"', "null"])
ids = st.sampled_from(["u1", "u2", "U1", "g1", "é", "e\u0301"])
members = st.lists(
    st.fixed_dictionaries(
        {"value": ids, "type": st.sampled_from(["User", "Group"])}, optional={"display": texts}
    ),
    min_size=1,
    max_size=4,
)
groups = st.fixed_dictionaries({"displayName": texts}, optional={"members": members})
asked_of_groups = st.one_of(
    st.builds("{} eq {}".format, st.sampled_from(["members", "MEMBERS.value"]), ids.map(_quoted)),
    st.builds(
        "members[value eq {} and type {} {}]".format,
        ids.map(_quoted),
        st.sampled_from(["eq", "ne"]),
        types,
    ),
    st.builds("members[type eq {} or not (display co {})]".format, types, texts.map(_quoted)),
    st.builds("displayName {} {}".format, compared, texts.map(_quoted)),
    st.sampled_from(
        ["members pr", "not (members pr)", "members.display pr", "members.type ne null"]
    ),
)


@settings(max_examples=200)
@given(asked_of_groups, groups)
def test_a_filter_on_groups_matches_what_the_oracle_matches(text: str, group: Any) -> None:
    """Entra's reference checks (`members eq "…"`) and value paths of members, on any group."""
    whole = {"schemas": [GROUP_URN], "id": "g1", **group}
    theirs = ScimFilter[GroupModel](text).match(GroupModel.model_validate(whole))
    assert Filter.parse(GROUP, text).matches(whole) is theirs


ZONES = [UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=11, minutes=30))]
moments = st.builds(
    lambda half, zone: datetime.fromtimestamp(1_767_225_600 + half * 0.5, zone).isoformat(),
    st.integers(0, 5),
    st.sampled_from(ZONES),
)


def _at(document: dict[str, Any], created: str) -> dict[str, Any]:
    """A user as kept since then."""
    whole = stored(document)
    return whole | {"meta": whole["meta"] | {"created": created}}


@settings(max_examples=200)
@given(users, moments, moments, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]))
def test_dates_compare_as_instants(document: Any, created: str, asked: str, op: str) -> None:
    """RFC 7644 section 3.4.2.2: two spellings of one instant are equal, whatever their offsets."""
    whole, text = _at(document, created), f'meta.created {op} "{asked}"'
    model = UserModel.model_validate(whole, scim_ctx=Context.DEFAULT)
    assert Filter.parse(USER, text).matches(whole) is ScimFilter[UserModel](text).match(model)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(users, moments), min_size=1, max_size=6),
    st.sampled_from(
        ["meta.created", "emails", "addresses.locality", f"{USER_URN}:name.familyName",
         f"{ENTERPRISE}:employeeNumber", f"{ENTERPRISE}:manager.value", "roles.primary", "active"]
    ),
    st.sampled_from(["ascending", "descending"]),
)  # fmt: skip
def test_an_order_of_anything_is_the_oracles(people: list[Any], by: str, order: str) -> None:
    """RFC 7644 section 3.4.2.3: instants, flags, parts of the primary value, extensions."""
    sort = Sort.parse(USER, by, order)
    documents = [_at(document, created) for document, created in people]
    models = [UserModel.model_validate(each, scim_ctx=Context.DEFAULT) for each in documents]
    request = SearchRequest[UserModel].model_validate({"sortBy": by, "sortOrder": order})
    places = {id(model): place for place, model in enumerate(models)}
    theirs = [documents[places[id(model)]] for model in request.sort(models)]
    assert sorted(documents, key=sort.key, reverse=sort.descending) == theirs
