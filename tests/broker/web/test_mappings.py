"""The face of mappings: versions by ETag, a bad one told where it is wrong, fields of people."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.faces import Faces

BROWSER = {"Sec-Fetch-Site": "same-origin"}
FIELD = {"to": "custom.costCenter", "rule": "copy", "from": ["costCenter"]}


@pytest.fixture
async def browser(service: Faces) -> httpx.AsyncClient:
    """An administrator's session, and a project with a field and a suffix of its own."""
    browser = await service.administrator()
    said = {"fields": ["costCenter"], "suffixes": ["EHR"]}
    answer = await browser.put("/v1/project", json=said, headers=BROWSER | {"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["fields"], answer.json()["suffixes"]) == (["costCenter"], ["EHR"])
    return browser


async def mapping(service: Faces) -> str:
    """Where the mapping of a new directory is."""
    made, _ = await service.broker.configuring.add(service.project, "Acme", by="test")
    return f"/v1/directories/{made.id}/mapping"


async def put(client: httpx.AsyncClient, url: str, said: Any, seen: str) -> httpx.Response:
    """The mapping, as it shall be."""
    return await client.put(url, json=said, headers=BROWSER | {"If-Match": seen})


async def test_a_mapping_is_read_saved_and_taken_back(
    service: Faces, browser: httpx.AsyncClient
) -> None:
    """api.md: ETag and If-Match; each PUT is a version, ?version= reads an older one."""
    url = await mapping(service)
    first = await browser.get(url)
    assert (first.json()["version"], first.json()["rules"], first.headers["etag"]) == (0, [], '"0"')
    saved = await put(browser, url, {"rules": [FIELD], "ignore": ["hat"]}, first.headers["etag"])
    assert (saved.status_code, saved.json()["version"], saved.headers["etag"]) == (200, 1, '"1"')
    late = await put(browser, url, {}, first.headers["etag"])
    assert (late.status_code, late.json()["code"]) == (412, "mapping-changed")
    assert (await browser.put(url, json={}, headers=BROWSER)).status_code == 428
    await put(browser, url, {}, "*")
    old = await browser.get(url, params={"version": "1"})
    assert (old.json()["version"], old.json()["current"]) == (1, 2)
    assert (old.json()["rules"], old.headers["etag"]) == ([FIELD | {"required": False}], '"2"')
    assert (await browser.get(url, params={"version": "9"})).status_code == 404
    assert (await browser.get(url, params={"version": "x"})).status_code == 422


async def test_a_bad_mapping_is_422_with_pointer_and_nearest_word(
    service: Faces, browser: httpx.AsyncClient
) -> None:
    """Every problem at once: where it is, and what was probably meant."""
    rules = [FIELD | {"to": "custom.costCentre"}, {"to": "email", "rule": "lowr", "from": ["mail"]}]
    answer = await put(browser, await mapping(service), {"rules": rules}, "*")
    assert answer.status_code == 422
    assert [(each["pointer"], each["did_you_mean"]) for each in answer.json()["errors"]] == [
        ("/rules/0/to", "custom.costCenter"),
        ("/rules/1/rule", "lower"),
    ]


async def test_a_key_saves_any_mapping_but_one_that_writes_logons(
    service: Faces, browser: httpx.AsyncClient
) -> None:
    """Safety 9, 27: logons only by an administrator's session."""
    url, key = await mapping(service), await service.key("directories:write")
    said = {"rules": [{"to": "logons.EHR", "rule": "copy", "from": ["userName"]}]}
    refused = await service.client.put(url, json=said, headers=key | {"If-Match": "*"})
    assert (refused.status_code, refused.json()["code"]) == (403, "administrator-needed")
    allowed = await service.client.put(url, json={"rules": []}, headers=key | {"If-Match": "*"})
    assert allowed.status_code == 200
    assert (await put(browser, url, said, "*")).status_code == 200


async def test_a_field_of_the_project_is_shown_with_the_person(
    service: Faces, browser: httpx.AsyncClient
) -> None:
    """building.md "Source document and profile": /v1 reads the profile that the mapping made, and a
    preview shows it before anything is stored.
    """
    made, token = await service.broker.configuring.add(service.project, "Acme", by="test")
    url = f"/v1/directories/{made.id}/mapping"
    person = {"userName": "kim", "externalId": "x-1", "costCenter": "R-17"}
    tried = await browser.post(
        f"{url}/preview", json={"document": person, "mapping": {"rules": [FIELD]}}, headers=BROWSER
    )
    assert tried.json()["after"] == {"userName": "kim", "custom.costCenter": "R-17"}
    assert tried.json()["steps"][-1] == {
        "step": "map",
        "to": "custom.costCenter",
        "rule": "copy",
        "input": {"costCenter": ["R-17"]},
        "output": "R-17",
        "error": None,
    }
    await put(browser, url, {"rules": [FIELD]}, "*")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    pushed = await service.client.post(f"/scim/v2/{made.id}/Users", json=person, headers=headers)
    shown = await browser.get(f"/v1/users/{pushed.json()['id']}")
    assert shown.json()["fields"] == {"costCenter": "R-17"}


@pytest.mark.parametrize("field", ["", "cost center", "7up", "custom.x", "é", "x" * 65])
async def test_a_field_is_a_plain_word(browser: httpx.AsyncClient, field: str) -> None:
    """A field is named in mappings and answers; what could not be is refused, with its place."""
    answer = await browser.put(
        "/v1/project", json={"fields": ["ok", field]}, headers=BROWSER | {"If-Match": "*"}
    )
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/fields/1"]
    assert (await browser.get("/v1/project")).json()["fields"] == ["costCenter"]


async def test_a_field_keeps_its_first_spelling(browser: httpx.AsyncClient) -> None:
    """Fields are declared once, whatever the case, and 50 are the most."""

    async def declare(fields: list[str]) -> httpx.Response:
        headers = BROWSER | {"If-Match": "*"}
        return await browser.put("/v1/project", json={"fields": fields}, headers=headers)

    assert (await declare(["COSTCENTER", "team"])).json()["fields"] == ["costCenter", "team"]
    assert (await declare([f"f{n}" for n in range(49)])).status_code == 422
    assert (await declare([f"f{n}" for n in range(48)])).status_code == 200
