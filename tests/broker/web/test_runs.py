"""The face of runs: progress, filters, stop, retry, release, and one record by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.faces import Faces
from tests.waiting import until

BROWSER = {"Sec-Fetch-Site": "same-origin"}
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


@pytest.fixture
async def browser(service: Faces) -> httpx.AsyncClient:
    """An administrator's session."""
    return await service.administrator()


class Provider:
    """An identity provider of one directory, over HTTP."""

    def __init__(self, client: httpx.AsyncClient, directory: str, token: str) -> None:
        self.client, self.directory = client, directory
        self.headers = {"Authorization": f"Bearer {token}"}
        self.headers["Content-Type"] = "application/scim+json"

    async def push(self, method: str, path: str, **said: Any) -> httpx.Response:
        url = f"/scim/v2/{self.directory}{path}"
        body = {"schemas": [USER]} | said if said else None
        return await self.client.request(method, url, json=body, headers=self.headers)


@pytest.fixture
async def provider(service: Faces) -> Provider:
    """Its window is a day: it ends when it is stopped."""
    made, token = await service.broker.configuring.add(
        service.project, "Acme", by="test", window_s=86_400
    )
    return Provider(service.client, made.id, token)


async def newest(service: Faces, headers: dict[str, str]) -> dict[str, Any]:
    """The newest run, on its own."""
    listed = await service.client.get("/v1/runs", headers=headers)
    run: dict[str, Any] = listed.json()["items"][0]
    answer = await service.client.get(f"/v1/runs/{run['id']}", headers=headers)
    assert run.items() <= (answer.json() | {"progress": run["progress"]}).items()
    whole: dict[str, Any] = answer.json()
    return whole


async def test_a_run_tells_how_far_it_is(service: Faces, provider: Provider) -> None:
    """R105, R106: kind, who began it, how many, how fast, the last of them; and it adds up."""
    key = await service.key()
    for name in ("kim", "lee"):
        await provider.push("POST", "/Users", userName=name, shoeSize=44)
    run = await newest(service, key)
    assert (run["kind"], run["trigger"], run["started_by"]) == ("push", "push", "")
    assert run["progress"]["processed"] == run["counts"]["total"] == 2
    assert run["progress"]["last"]["name"] == "lee"
    assert run["progress"]["rate_per_s"] >= 0
    assert run["issues"] == [{"code": "unknown-attribute", "attribute": "shoeSize", "count": 2}]


async def test_records_are_narrowed(service: Faces, provider: Provider) -> None:
    """`result` and `troubled`; any other word is refused by name."""
    key = await service.key()
    await provider.push("POST", "/Users", userName="kim")
    await provider.push("POST", "/Users", userName="lee", shoeSize=1)
    await provider.push("POST", "/Users", userName="KIM")
    url = f"/v1/runs/{(await newest(service, key))['id']}/records"

    async def names(query: str) -> list[str]:
        answer = await service.client.get(url + query, headers=key)
        return [each["name"] for each in answer.json()["items"]]

    assert await names("") == ["kim", "lee", "KIM"]
    assert await names("?troubled=1") == ["lee", "KIM"]
    assert await names("?result=failed") == ["KIM"]
    assert await names("?result=staged") == []
    for query in ("?result=odd", "?troubled=yes", "?other=1"):
        assert (await service.client.get(url + query, headers=key)).status_code == 422


async def test_stop_and_retry(service: Faces, provider: Provider) -> None:
    """api.md: 200 and the run that ended; 202 and the run that tries again; 409 says why not."""
    key, client = await service.key(), service.client
    await provider.push("POST", "/Users", userName="kim")
    await provider.push("POST", "/Users", userName="KIM", externalId="e-1")
    run = await newest(service, key)
    assert run["retriable"] == 1
    retry, stop = f"/v1/runs/{run['id']}/retry", f"/v1/runs/{run['id']}/stop"
    refused = await client.post(retry, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (409, "run-running")
    stopped = await client.post(stop, headers=key)
    assert (stopped.status_code, stopped.json()["state"], stopped.json()["reason"]) == (
        200,
        "ended",
        "stopped",
    )
    assert (await client.post(stop, headers=key)).json()["code"] == "run-over"
    begun = await client.post(retry, headers=key)
    assert (begun.status_code, begun.json()["kind"], begun.json()["trigger"]) == (
        202,
        "retry",
        "manual",
    )
    assert begun.json()["started_by"].startswith("key:")
    reader = await service.key("directories:read")
    assert (await client.post(retry, headers=reader)).status_code == 403


async def test_what_is_held_is_released_by_an_administrator(
    service: Faces, provider: Provider, browser: httpx.AsyncClient
) -> None:
    """R6, safety 27: some by number, the rest by a word; a key gets 403."""
    holding = {"percent": 10, "least": 1, "pushes": True}
    url = f"/v1/directories/{provider.directory}"
    before = (await browser.get(url)).json()
    said = {"name": before["name"], "holding": holding}
    changed = await browser.put(url, json=said, headers=BROWSER | {"If-Match": "*"})
    assert changed.status_code == 200, changed.text
    ids = [
        (await provider.push("POST", "/Users", userName=f"user-{n}")).json()["id"] for n in range(4)
    ]
    run = (await browser.get("/v1/runs")).json()["items"][0]["id"]
    await browser.post(f"/v1/runs/{run}/stop", headers=BROWSER)
    for id in ids:
        assert (await provider.push("DELETE", f"/Users/{id}")).status_code == 204
    run = (await browser.get("/v1/runs")).json()["items"][0]["id"]
    held = await browser.post(f"/v1/runs/{run}/stop", headers=BROWSER)
    assert held.json()["state"] == "held"
    staged = (await browser.get(f"/v1/runs/{run}/records?result=staged")).json()["items"]
    assert [each["held"] for each in staged] == ["deleted"] * len(staged)
    release = f"/v1/runs/{run}/release"
    key = await service.key()
    browser.cookies, jar = httpx.Cookies(), browser.cookies
    assert (await service.client.post(release, json={}, headers=key)).status_code == 403
    browser.cookies = jar
    for wrong in ({}, {"release": "all", "records": [1]}, {"release": "none", "reject": [1]}):
        answer = await browser.post(release, json=wrong, headers=BROWSER)
        assert answer.status_code == 422, wrong
    said = {"records": [staged[0]["n"]], "release": "none"}
    decided = await browser.post(release, json=said, headers=BROWSER)
    assert (decided.status_code, decided.json()["undecided"]) == (202, 0)
    worker = service.broker.worker
    assert "decided" in worker.handlers
    lines = (await browser.get(f"/v1/runs/{run}/records?result=staged")).json()["items"]
    assert [each["decision"] for each in lines] == ["released"] + ["rejected"] * (len(staged) - 1)


async def test_one_record_by_hand(service: Faces, provider: Provider) -> None:
    """admin-ui.md 3.4: POST /syncs with `record` answers its steps; `apply` makes it a run."""
    key, client = await service.key(), service.client
    made = await provider.push("POST", "/Users", userName="kim", externalId="e-1", shoeSize=1)
    url = f"/v1/directories/{provider.directory}/syncs"
    shown = await client.post(url, json={"record": {"external_id": "e-1"}}, headers=key)
    assert shown.status_code == 200, shown.text
    assert [step["step"] for step in shown.json()["steps"]] == ["read", "match"]
    assert (shown.json()["run"], shown.json()["error"]) == (None, None)
    run = await newest(service, key)
    await client.post(f"/v1/runs/{run['id']}/stop", headers=key)
    said = {"record": {"user_id": made.json()["id"]}, "apply": True}
    applied = (await client.post(url, json=said, headers=key)).json()
    run = await newest(service, key)
    assert (run["id"], run["kind"], run["counts"]["total"]) == (applied["run"], "record", 1)
    (line,) = (await client.get(f"/v1/runs/{run['id']}/records", headers=key)).json()["items"]
    assert [step["step"] for step in line["steps"]] == ["read", "match"]
    wrongs: list[dict[str, Any]] = [
        {"record": {}},
        {"apply": True},
        {"record": {"user_id": "a", "external_id": "b"}},
    ]
    for wrong in wrongs:
        assert (await client.post(url, json=wrong, headers=key)).status_code == 422


async def test_sync_now_is_a_re_apply_of_who_only_pushes(
    service: Faces, provider: Provider
) -> None:
    """R109, R110, T8: triggered by hand, with what there is to do; a second one is refused."""
    key, client = await service.key(), service.client
    await provider.push("POST", "/Users", userName="kim")
    run = await newest(service, key)
    await client.post(f"/v1/runs/{run['id']}/stop", headers=key)
    url = f"/v1/directories/{provider.directory}/syncs"
    begun = await client.post(url, headers=key)
    assert (begun.status_code, begun.json()["kind"], begun.json()["trigger"]) == (
        202,
        "reapply",
        "manual",
    )
    again = await client.post(url, headers=key)
    assert (again.status_code, again.json()["run"]) == (409, begun.json()["id"])
    worker = service.broker.worker
    task = asyncio.create_task(worker.run())

    async def over() -> bool:
        return bool((await newest(service, key))["state"] == "ended")

    await until(over)
    worker.stop()
    await task
    run = await newest(service, key)
    assert (run["status"], run["counts"]["unchanged"], run["progress"]["expected"]) == (
        "Success",
        1,
        1,
    )
