"""What the server says of itself, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from scim2_models import Context, ServiceProviderConfig

from scim.rules import missing
from scim.schema import Attribute
from tests.scim.calling import BROKER, ENTERPRISE, NAME, Client, problem
from tests.scim.calling import GROUP as GROUP_URN
from tests.scim.calling import USER as USER_URN
from tests.scim.oracle import GROUP, USER, GroupModel, UserModel

ENDPOINTS = ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas")


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize("path", [*ENDPOINTS, f"/Schemas/{USER_URN}", "/ResourceTypes/Group"])
async def test_discovery_needs_no_token(client: Client, path: str) -> None:
    """Safety 4: the standard set is open, and the same under any directory name, known or not."""
    known = await client("GET", path, token=None)
    unknown = await client("GET", path, token=None, directory="dir_none")
    refused = await client("GET", path, token="wrong")
    assert known.status_code == unknown.status_code == refused.status_code == 200
    assert known.text == refused.text
    assert known.text.replace(NAME, "dir_none") == unknown.text


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_discovery_takes_no_filter(client: Client, path: str) -> None:
    """RFC 7644 section 4: a filter is 403; count, sort and attributes mean nothing."""
    assert problem(await client("GET", path + '?filter=id eq "x"'))[0] == 403
    whole = await client("GET", path)
    assert (await client("GET", path + "?count=0&attributes=id&sortBy=x")).text == whole.text


async def test_only_what_works_is_announced(client: Client) -> None:
    """RFC 7643 section 5: what is announced works, and only changing passwords is not there."""
    config = (await client("GET", "/ServiceProviderConfig")).json()
    ServiceProviderConfig.model_validate(config, scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    supported = {
        name
        for name in ("patch", "bulk", "filter", "changePassword", "sort", "etag")
        if config[name]["supported"]
    }
    assert supported == {"patch", "bulk", "filter", "sort", "etag"}
    assert config["pagination"]["cursor"] is True
    assert config["filter"]["maxResults"] == client.directory.catalogue.limits.largest_page
    assert config["bulk"]["maxOperations"] > 0  # authentik cuts its PATCHes by it
    assert config["authenticationSchemes"][0]["type"] == "oauthbearertoken"


async def test_resource_types_name_their_extensions(client: Client) -> None:
    """RFC 7643 section 6: User with the enterprise extension, Group without any."""
    found = (await client("GET", "/ResourceTypes")).json()
    assert found["totalResults"] == 2
    user, group = found["Resources"]
    assert (user["id"], user["endpoint"], user["schema"]) == ("User", "/Users", USER_URN)
    assert user["schemaExtensions"] == [{"schema": ENTERPRISE, "required": False}]
    assert (group["id"], group["endpoint"], group["schema"]) == ("Group", "/Groups", GROUP_URN)
    assert user["meta"]["location"] == f"{client.directory.base_url}/ResourceTypes/User"
    assert (await client("GET", "/ResourceTypes/User")).json() == user


async def test_schemas_are_told_whole_and_one_by_one(client: Client) -> None:
    """RFC 7643 section 7: four schemas, each under its own URN in any case, without nulls."""
    answer = await client("GET", "/Schemas")
    found = answer.json()["Resources"]
    assert [each["id"] for each in found] == [USER_URN, ENTERPRISE, BROKER, GROUP_URN]
    assert "null" not in answer.text.replace("nullable", "")
    for each in found:
        for urn in (each["id"], each["id"].upper()):
            assert (await client("GET", f"/Schemas/{urn}")).json() == each
        assert each["meta"] == {
            "resourceType": "Schema",
            "location": f"{client.directory.base_url}/Schemas/{each['id']}",
        }


def _attributes(type: Any) -> list[tuple[str, Attribute]]:
    named = {**type.core.attributes}
    return [
        (name, attribute) for name, attribute in named.items() if name not in ("schemas", "meta")
    ]


@pytest.mark.parametrize("type", [USER, GROUP], ids=["User", "Group"])
def test_the_tables_say_what_the_schemas_say(type: Any) -> None:
    """Each compiled characteristic is the one announced, read by scim2-models from /Schemas."""
    model = UserModel if type is USER else GroupModel
    fields = {
        (field.serialization_alias or name).lower(): name
        for name, field in model.model_fields.items()
    }
    for name, attribute in _attributes(type):
        field = fields[name]
        assert attribute.multi_valued == bool(model.get_field_multiplicity(field)), name
        if name not in ("id", "externalid"):
            schema = model.to_schema()
            told = next(each for each in schema.attributes if each.name.lower() == name)
            assert attribute.type == told.type.value, name
            assert attribute.mutability == told.mutability.value, name
            assert attribute.returned == told.returned.value, name
            assert attribute.required == bool(told.required), name
            assert set(attribute.sub) == {s.name.lower() for s in told.sub_attributes or ()}, name


def test_the_required_and_the_unique_are_the_rfcs() -> None:
    """RFC 7643 sections 4.1, 4.2 and 8.7: userName and displayName of a group; no more."""
    assert [place.key for place in missing(USER, {})] == ["username"]
    assert [place.key for place in missing(GROUP, {})] == ["displayname"]
    named = USER.core.attributes
    unique = {each.name for each in named.values() if each.uniqueness == "server"}
    assert unique == {"userName", "id"}
    exactly = {name for name in ("id", "externalid", "username") if named[name].case_exact}
    assert exactly == {"id", "externalid"}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("userName", "username"),
        ("NAME.GivenName", "name.givenname"),
        ("manager", f"{ENTERPRISE}:manager".lower()),
        (f"{ENTERPRISE}:manager.value", f"{ENTERPRISE}:manager.value".lower()),
        (f"{USER_URN}:emails.type", "emails.type"),
        (ENTERPRISE.upper(), ENTERPRISE.lower()),
        (USER_URN, ""),
        ("nobody", None),
        ("name.nobody", None),
        ("name.", None),
        (".name", None),
        ("status", None),
        ("urn:x:y", None),
        (f"{ENTERPRISE}:", None),
        (f"{ENTERPRISE}:manager.value.x", None),
        ("name.givenName.x", None),
    ],
)
def test_a_name_points_to_one_place(name: str, key: str | None) -> None:
    """RFC 7644 section 3.10: the longest URN wins, the dots inside it are its own."""
    place = USER.find(name)
    assert (place.key if place else None) == key


def test_a_bare_name_of_an_extension_can_be_refused() -> None:
    """Strict wants the URN before an extension's attribute."""
    assert USER.find("manager", short=False) is None
