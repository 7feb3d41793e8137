"""Journey A: an identity provider pushes people to a running broker, and administrators see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.pushing import ENTERPRISE, PATCH_OP, USER
from tests.serving import Served, serve
from tests.waiting import until

KIM = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "e-1",
    "userName": "Kim.Lee@acme.example",
    "active": True,
    "displayName": "Kim Lee",
    "emails": [{"primary": True, "type": "work", "value": "kim.lee@acme.example"}],
    "name": {"givenName": "Kim", "familyName": "Lee"},
    ENTERPRISE: {"department": "Sales"},
}


@asynccontextmanager
async def both_sides(
    broker: Served, *scopes: str
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The identity provider's client of a new directory, and a service's."""
    added = await broker.command("directory", "add", "Entra", "--window-s", "2")
    key = await broker.command("apikey", "add", "reader", "--scope", ",".join(scopes))
    scim = httpx.AsyncClient(
        base_url=added["scim"]["base_url"],
        headers={
            "authorization": f"Bearer {added['scim']['token']}",
            "content-type": "application/scim+json",
        },
    )
    service = httpx.AsyncClient(
        base_url=broker.base_url, headers={"authorization": f"Bearer {key['key']}"}
    )
    async with scim, service:
        yield scim, service


async def said(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """What a GET answers."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_person_is_pushed_changed_and_removed(database_url: str, tmp_path: Path) -> None:
    """Journey A, R123, R131, R105 to R107: over HTTP, from the first push to the ended run."""
    async with (
        serve(tmp_path, database_url) as broker,
        both_sides(broker, "users:read", "directories:read") as (scim, service),
    ):
        answer = await scim.post("/Users", json=KIM)
        assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"1"')
        made = answer.json()
        assert answer.headers["location"] == made["meta"]["location"]
        assert str(scim.base_url) + f"Users/{made['id']}" == made["meta"]["location"]
        assert {name: made[name] for name in KIM} == KIM

        person = await said(service, f"/v1/users/{made['id']}")
        assert (person["status"], person["license"]) == ("invited", "none")
        assert person["display_name"] == "Kim Lee"

        change = {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Law"}
        body = {"schemas": [PATCH_OP], "Operations": [change]}
        changed = await scim.patch(f"/Users/{made['id']}", json=body)
        assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
        again = await scim.patch(f"/Users/{made['id']}", json=body)
        assert again.headers["etag"] == 'W/"2"'

        assert (await scim.delete(f"/Users/{made['id']}")).status_code == 204
        assert (await scim.get(f"/Users/{made['id']}")).status_code == 404
        assert (await said(service, f"/v1/users/{made['id']}"))["status"] == "deleted"

        async def ended() -> dict[str, Any] | None:
            (run,) = (await said(service, "/v1/runs"))["items"]
            return run if run["state"] == "ended" else None

        run = await until(ended)
        assert (run["status"], run["trigger"], run["provisional"]) == ("Success", "push", False)
        told = await said(service, f"/v1/runs/{run['id']}/records")
        assert [(line["result"], line["user_id"]) for line in told["items"]] == [
            (result, made["id"]) for result in ("created", "updated", "unchanged", "deleted")
        ]
        assert told["items"][1]["changes"] == [
            {"path": f"{ENTERPRISE}:department", "before": "Sales", "after": "Law"}
        ]


async def test_a_run_that_was_not_all_well_says_why(database_url: str, tmp_path: Path) -> None:
    """R119 to R121: an unmapped attribute, a refused person; the rest is there, both are told."""
    async with (
        serve(tmp_path, database_url) as broker,
        both_sides(broker, "users:read", "directories:read") as (scim, service),
    ):
        odd = await scim.post("/Users", json=KIM | {"costumeSize": "XL"})
        assert odd.status_code == 201
        twin = await scim.post("/Users", json=KIM | {"userName": "KIM.LEE@ACME.EXAMPLE"})
        assert (twin.status_code, twin.json()["scimType"]) == (409, "uniqueness")

        (listed,) = (await said(service, "/v1/runs"))["items"]
        run = await said(service, f"/v1/runs/{listed['id']}")
        assert run["status"] == "Partial success"
        assert (run["counts"]["created"], run["counts"]["failed"], run["warnings"]) == (1, 1, 1)
        assert {(issue["attribute"], issue["count"]) for issue in run["issues"]} == {
            ("costumeSize", 1),
            (None, 1),
        }
        created, failed = (await said(service, f"/v1/runs/{run['id']}/records"))["items"]
        assert created["warnings"][0]["attribute"] == "costumeSize"
        assert created["user_id"] == odd.json()["id"]
        assert (failed["result"], bool(failed["message"]), bool(failed["next"])) == (
            "failed",
            True,
            True,
        )
