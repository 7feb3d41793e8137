"""A deployment brings schemas of its own: a running broker announces, keeps and asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from scim2_models import Context, ResourceType, Schema, ScimProvider

from tests.pushing import PATCH_OP, USER
from tests.scim.own import ACME, BADGE, DEVICE, altered, attributes
from tests.serving import NotServing, Served, serve


@asynccontextmanager
async def client(broker: Served) -> AsyncIterator[httpx.AsyncClient]:
    """An identity provider's side of a new directory."""
    scim = (await broker.command("directory", "add", "Acme"))["scim"]
    headers = {"authorization": f"Bearer {scim['token']}", "content-type": "application/scim+json"}
    async with httpx.AsyncClient(base_url=scim["base_url"], headers=headers) as asking:
        yield asking


async def listed(asking: httpx.AsyncClient, path: str, **headers: str) -> list[dict[str, Any]]:
    answer = await asking.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["Resources"]
    return found


async def test_a_folder_of_json_is_served(database_url: str, tmp_path: Path) -> None:
    """Discovery, validation, filters, order, PATCH and versions of a type and an extension nobody
    has written a line of code for.
    """
    async with (
        serve(tmp_path, database_url, BROKER_SCHEMAS=str(ACME)) as broker,
        client(broker) as asking,
    ):
        model = await discovered(asking)
        await kept(asking, model)
        await worn_by_a_person(asking)


async def discovered(asking: httpx.AsyncClient) -> Any:
    """Safety 4: with the token all of it, which strangers can build their models from."""
    schemas = await listed(asking, "/Schemas")
    types = await listed(asking, "/ResourceTypes")
    assert [each["name"] for each in types] == ["User", "Group", "Device"]
    assert {"schema": BADGE, "required": False} in types[0]["schemaExtensions"]
    assert (await asking.get(f"/Schemas/{DEVICE}")).json()["name"] == "Device"
    assert DEVICE in {each["id"] for each in schemas}
    known = await listed(asking, "/Schemas", authorization="")
    assert not {DEVICE, BADGE} & {each["id"] for each in known}
    assert len(await listed(asking, "/ResourceTypes", authorization="")) == 2
    provider = ScimProvider.from_discovery(
        [Schema.model_validate(each) for each in schemas],
        [ResourceType.model_validate(each) for each in types],
    )
    return provider.model_for("Device")


async def kept(asking: httpx.AsyncClient, model: Any) -> None:
    """RFC 7644 section 3: what is answered fits the schema that was announced."""
    body: dict[str, Any] = {
        "schemas": [DEVICE],
        "displayName": "Phone",
        "kind": "phone",
        "serial": "S1",
    }
    body |= {"weight": 0.2, "bought": "2026-01-31T12:00:00Z", "certificate": "aGk="}
    made = await asking.post("/Devices", json=body)
    assert made.status_code == 201, made.text
    model.model_validate(made.json(), scim_ctx=Context.RESOURCE_CREATION_RESPONSE)
    second = await asking.post("/Devices", json=body | {"displayName": "Other"})
    assert (second.status_code, second.json()["scimType"]) == (409, "uniqueness")
    wrong = await asking.post("/Devices", json=body | {"weight": "heavy"})
    assert (wrong.status_code, wrong.json()["scimType"]) == (400, "invalidValue")
    path = f"/Devices/{made.json()['id']}"
    operations = [{"op": "replace", "path": "serial", "value": "S2"}]
    patch = {"schemas": [PATCH_OP], "Operations": operations}
    fixed = await asking.patch(path, json=patch)
    assert (fixed.status_code, fixed.json()["scimType"]) == (400, "mutability")
    operations[0] |= {"path": "displayName", "value": "Mobile"}
    renamed = await asking.patch(path, json=patch, headers={"if-match": made.headers["etag"]})
    assert (renamed.status_code, renamed.headers["etag"]) == (200, 'W/"2"')
    late = await asking.patch(path, json=patch, headers={"if-match": made.headers["etag"]})
    assert late.status_code == 412
    for weight in (0.1, 0.3):
        other = {"schemas": [DEVICE], "displayName": f"{weight}", "kind": "x", "weight": weight}
        assert (await asking.post("/Devices", json=other)).status_code == 201
    page = await asking.get(
        "/Devices", params={"filter": "weight lt 0.3", "sortBy": "weight", "attributes": "weight"}
    )
    assert [each["weight"] for each in page.json()["Resources"]] == [0.1, 0.2]


async def worn_by_a_person(asking: httpx.AsyncClient) -> None:
    """R120: a declared extension is the person's, and no warning."""
    body = {"schemas": [USER, BADGE], "userName": "ada", BADGE: {"number": "7", "floor": 3}}
    made = await asking.post("/Users", json=body)
    assert made.json()[BADGE] == {"number": "7", "floor": 3}
    found = await asking.get("/Users", params={"filter": f"{BADGE}:floor ge 3"})
    assert found.json()["totalResults"] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_folder_that_cannot_be_used_ends_the_start(
    database_url: str, tmp_path: Path
) -> None:
    """A wrong file is a wrong setting: status 78, a line with its place."""

    def wrong(body: Any) -> None:
        attributes(body)["kind"]["type"] = "text"

    folder = tmp_path / "schemas"
    folder.mkdir()
    altered(folder, "device.json", wrong)
    with pytest.raises(NotServing, match="exit status 78") as refused:
        async with serve(tmp_path, database_url, BROKER_SCHEMAS=str(folder)):
            pytest.fail("it serves")
    assert 'BROKER_SCHEMAS: device.json, kind "type": Input should be' in str(refused.value)
