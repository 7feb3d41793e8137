"""scim2-models built from our own schema data: the oracle our faster code is held to."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from scim2_models import Context, ResourceType, Schema, ScimPolicy, ScimProvider

from scim.schema import Catalogue

CATALOGUE = Catalogue.standard()
USER = CATALOGUE.by_name["User"]
GROUP = CATALOGUE.by_name["Group"]
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

TOLERANT = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


def _provider() -> ScimProvider:
    schemas = [Schema.model_validate(dict(each)) for each in CATALOGUE.schemas]
    types = [ResourceType.model_validate(_announced(t.definition)) for t in CATALOGUE.types]
    return ScimProvider.from_discovery(schemas, types)


def _announced(definition: Any) -> dict[str, Any]:
    named = ("name", "endpoint", "description", "schema")
    extensions = [
        {"schema": each["schema"], "required": False}
        for each in definition["schemaExtensions"]
        if each.get("announced", True)
    ]
    return {name: definition[name] for name in named} | {"schemaExtensions": extensions}


PROVIDER = _provider()
UserModel: Any = PROVIDER.model_for("User")
GroupModel: Any = PROVIDER.model_for("Group")


def kept(model: Any) -> dict[str, Any]:
    """What the oracle would keep of a resource, as `accept` speaks of it."""
    dumped = model.model_dump(scim_ctx=Context.DEFAULT)
    return {k: v for k, v in dumped.items() if k not in ("schemas", "id", "meta", "password")}


# Letters that fold in interesting ways: case, composed and decomposed marks, sharp s, dotted I.
LETTERS = "aAbBzZ09 .@-_'\"\\%éÉe\u0301\u212b\u00c5ßẞİıΣς漢😀"
texts = st.text(LETTERS, min_size=1, max_size=8)
kinds = st.sampled_from(["work", "home", "other", "Work"])


def _entries(value: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Entries with a value each, all different, at most one primary."""
    entry = st.fixed_dictionaries({"value": value}, optional={"type": kinds, "display": texts})
    return st.builds(
        _with_one_primary,
        st.lists(entry, min_size=1, max_size=4, unique_by=lambda e: e["value"].lower()),
        st.integers(-1, 3),
    )


def _with_one_primary(entries: list[dict[str, Any]], primary: int) -> list[dict[str, Any]]:
    return [
        {**each, "primary": True} if index == primary else each
        for index, each in enumerate(entries)
    ]


names = st.dictionaries(
    st.sampled_from(["formatted", "familyName", "givenName", "middleName"]), texts, min_size=1
)
enterprises = st.fixed_dictionaries(
    {"department": texts},
    optional={"employeeNumber": texts, "manager": st.fixed_dictionaries({"value": texts})},
)
addresses = st.lists(
    st.fixed_dictionaries({"locality": texts}, optional={"type": kinds, "country": texts}),
    min_size=1,
    max_size=2,
    unique_by=lambda e: e["locality"],
)
users = st.fixed_dictionaries(
    {"userName": texts},
    optional={
        "externalId": texts,
        "displayName": texts,
        "title": texts,
        "active": st.booleans(),
        "profileUrl": st.just("https://example.com/a"),
        "name": names,
        "emails": _entries(texts),
        "phoneNumbers": _entries(texts),
        "roles": _entries(texts),
        "addresses": addresses,
        ENTERPRISE: enterprises,
    },
)
"""Documents of users as `accept` would give them."""


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """A whole user as kept: with schemas, id and meta."""
    extensions = [ENTERPRISE] if ENTERPRISE in document else []
    return {
        "schemas": [USER.schema, *extensions],
        "id": "u1",
        **document,
        "meta": {
            "resourceType": "User",
            "created": "2026-01-31T12:00:00Z",
            "lastModified": "2026-02-01T12:00:00.500000Z",
            "version": 'W/"3"',
        },
    }


def model_of(document: dict[str, Any]) -> Any:
    """The oracle's reading of a user as kept."""
    return UserModel.model_validate(stored(document), scim_ctx=Context.DEFAULT)
