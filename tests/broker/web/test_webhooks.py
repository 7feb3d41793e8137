"""Webhooks as administrators and keys meet them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from broker.domain.webhooks import State
from broker.store import webhooks
from tests.faces import BROWSER, Faces

OURS = {"Sec-Fetch-Site": "same-origin"}
URL = "https://flows.acme.example/hooks/broker"


async def made(service: Faces, **said: Any) -> tuple[httpx.AsyncClient, Any]:
    """An administrator, and a webhook with its secret."""
    client = await service.administrator()
    answer = await client.post("/v1/webhooks", json={"url": URL} | said, headers=OURS)
    assert answer.status_code == 201, answer.text
    return client, answer.json()


async def test_its_secret_is_shown_once(service: Faces) -> None:
    """R44: the answer that makes a webhook, and the one that rotates it, show a secret of 256 bits;
    no other answer does, and no two are the same.
    """
    client, webhook = await made(service, types=["pause.*"])
    here = f"/v1/webhooks/{webhook['id']}"
    rotated = (await client.post(f"{here}/rotate", headers=OURS)).json()
    secrets = [webhook.pop("secret"), rotated.pop("secret")]
    assert len(set(secrets)) == 2
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in secrets)
    assert rotated["old_secret_until"] is not None
    key = await service.key("events:read")
    for path in (here, "/v1/webhooks", f"{here}/deliveries"):
        answer = await client.get(path, headers=key)
        assert answer.status_code == 200
        assert not any(secret in answer.text for secret in secrets)
    assert webhook["types"] == ["pause.*"]
    assert (webhook["state"], webhook["version"]) == ("enabled", 1)


@pytest.mark.parametrize("path", ["", "/{id}/rotate"], ids=["made", "rotated"])
async def test_a_repeated_post_shows_no_secret(service: Faces, path: str) -> None:
    """Safety 33: the answer with a secret is not kept for its Idempotency-Key; a repeat makes
    nothing and says that it was shown once.
    """
    client, webhook = await made(service)
    url, body = f"/v1/webhooks{path}".format(**webhook), None if path else {"url": URL}
    first, again = [
        await client.post(url, json=body, headers=OURS | {"Idempotency-Key": "k1"})
        for _ in range(2)
    ]
    assert (first.is_success, again.status_code) == (True, 409), again.text
    secret = first.json()["secret"]
    rows = await service.broker.db.read(lambda tx: tx.all("SELECT answer FROM replays"))
    assert not any(secret.encode() in row["answer"] for row in rows)
    assert len((await client.get("/v1/webhooks")).json()["items"]) == (1 if path else 2)


async def test_it_is_changed_by_its_version(service: Faces) -> None:
    """ETag and If-Match: what is not said stays; a version somebody else moved on is 412."""
    client, webhook = await made(service)
    assert webhook["types"] == ["*"]
    here, tag = f"/v1/webhooks/{webhook['id']}", {"If-Match": '"1"'}
    answer = await client.patch(here, json={"types": ["user.*"]}, headers=OURS | tag)
    assert (answer.headers["etag"], answer.json()["types"]) == ('"2"', ["user.*"])
    assert answer.json()["url"] == URL
    stale = await client.patch(here, json={"url": URL}, headers=OURS | tag)
    assert (stale.status_code, stale.json()["code"]) == (412, "webhook-changed")
    for change in (client.patch(here, json={"url": URL}, headers=OURS), client.delete(here)):
        answer = await change
        assert (answer.status_code, answer.json()["code"]) == (428, "if-match-needed")
    gone = await client.delete(here, headers=OURS | {"If-Match": '"2"'})
    assert gone.status_code == 204
    assert (await client.get(here)).status_code == 404
    assert (await client.get("/v1/webhooks")).json()["items"] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://flows.acme.example/hook",
        "http://127.0.0.1:9000/hook",
        "https://kim:secret@flows.acme.example/hook",
        "ftp://flows.acme.example",
        "//flows.acme.example",
        "https://",
        "https://flows.acme.example/a b",
        "https://flows.acme.example/\n",
        "https://flows.acme.example/hook#f",
        "https://flows.acme.example/hook#",
    ],
)
async def test_an_address_nothing_is_sent_to(service: Faces, url: str) -> None:
    """https only, without user information; this machine only where the operator opens it."""
    client = await service.administrator()
    answer = await client.post("/v1/webhooks", json={"url": url}, headers=OURS)
    assert answer.status_code == 422, answer.text
    assert [problem["pointer"] for problem in answer.json()["errors"]] == ["/url"]


@pytest.mark.parametrize("types", [[], ["nobody.*"], [""], ["user.activated", "user.[a-z]*"]])
async def test_types_that_there_are_not(service: Faces, types: list[str]) -> None:
    """A pattern that names no type, and a list of none, are refused with a pointer, whether a
    webhook is made or changed: its receiver would wait and never hear anything.
    """
    client, webhook = await made(service)
    here, any_version = f"/v1/webhooks/{webhook['id']}", OURS | {"If-Match": "*"}
    for asked in (
        client.post("/v1/webhooks", json={"url": URL, "types": types}, headers=OURS),
        client.patch(here, json={"types": types}, headers=any_version),
    ):
        answer = await asked
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"].startswith("/types")


async def test_a_project_has_20_at_most(service: Faces) -> None:
    """Each event is written down once for each webhook: there is an end to them."""
    client, _ = await made(service)
    for _ in range(19):
        await client.post("/v1/webhooks", json={"url": URL}, headers=OURS)
    answer = await client.post("/v1/webhooks", json={"url": URL}, headers=OURS)
    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-webhooks")


async def test_what_became_of_a_ping(service: Faces) -> None:
    """A ping is an event like others: its delivery says how often it was tried, what came of it
    and when the next try is; told once more it waits again.
    """
    client, webhook = await made(service, types=["pause.*"])
    here = f"/v1/webhooks/{webhook['id']}"
    answer = await client.post(f"{here}/ping", headers=OURS)
    assert answer.status_code == 202
    await service.broker.publishing.publish()
    (told,) = (await client.get(f"{here}/deliveries?state=waiting")).json()["items"]
    assert (told["event_id"], told["tries"]) == (answer.json()["event_id"], 0)
    assert (await client.get(f"{here}/deliveries?state=delivered")).json()["items"] == []
    again = await client.post(f"{here}/deliveries/{told['n']}/redeliver", headers=OURS)
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    for n in ("0", "x", "9" * 30):
        missing = await client.post(f"{here}/deliveries/{n}/redeliver", headers=OURS)
        assert missing.status_code == 404


async def test_deliveries_are_paged(service: Faces) -> None:
    """The newest first, each once, whatever the page."""
    client, webhook = await made(service)
    here = f"/v1/webhooks/{webhook['id']}"
    for _ in range(5):
        await client.post(f"{here}/ping", headers=OURS)
    await service.broker.publishing.publish()
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        found = (await client.get(f"{here}/deliveries?limit=2{cursor}")).json()
        seen += [each["n"] for each in found["items"]]
        cursor = f"&cursor={found['next_cursor']}" if found["next_cursor"] else None
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 5


async def test_another_project_sees_none(service: Faces) -> None:
    """Safety 3: a webhook of another project is missing, in the same words."""
    _, webhook = await made(service)
    key = await service.key("events:read", project=await service.other_project())
    for path in ("", "/deliveries"):
        theirs = await service.client.get(f"/v1/webhooks/{webhook['id']}{path}", headers=key)
        nobody = await service.client.get(f"/v1/webhooks/whk_{'0' * 26}{path}", headers=key)
        assert theirs.status_code == nobody.status_code == 404
        assert theirs.json() | {"request_id": ""} == nobody.json() | {"request_id": ""}
    assert (await service.client.get("/v1/webhooks", headers=key)).json()["items"] == []


async def test_each_act_is_in_the_audit(service: Faces) -> None:
    """Who set a webhook up, changed, rotated, tried or ended it is written down; its address and
    its secrets are not.
    """
    client, webhook = await made(service)
    here, any = f"/v1/webhooks/{webhook['id']}", {"If-Match": "*"}
    await client.patch(here, json={"url": URL + "/2"}, headers=OURS | any)
    for act in ("rotate", "ping", "enable"):
        await client.post(f"{here}/{act}", headers=OURS)
    await client.delete(here, headers=OURS | any)
    sql = "SELECT action, actor, detail FROM audit WHERE target = :id ORDER BY n"
    lines = await service.broker.db.read(lambda tx: tx.all(sql, id=webhook["id"]))
    acts = ["added", "changed", "rotated", "pinged", "deleted"]
    assert [line["action"] for line in lines] == [f"webhook.{act}" for act in acts]
    assert {line["actor"].partition(":")[0] for line in lines} == {"admin"}
    assert not any_of(lines, "acme.example", "whsec_")


async def test_administrators_see_what_stands_still(service: Faces) -> None:
    """A webhook that was paused or switched off stands above every page, with its reason, until it
    is enabled; nothing of its address does.
    """
    client, webhook = await made(service)
    here = f"/v1/webhooks/{webhook['id']}"
    stood = await service.broker.db.read(webhooks.get, service.project, webhook["id"])
    for state, words in (
        (State.PAUSED, "is paused: 0 tries in a row have failed, the last with"),
        (State.DISABLED, "is switched off: its receiver answered that it is gone"),
    ):
        await service.broker.db.write(webhooks.change, stood.turned(state, 1, "status-500"))
        page = (await client.get("/admin/directories", headers=BROWSER)).text
        assert words in page
        assert webhook["id"] in page
        assert "acme.example" not in page
    assert (await client.post(f"{here}/enable", headers=OURS)).json()["state"] == "enabled"
    page = (await client.get("/admin/directories", headers=BROWSER)).text
    assert webhook["id"] not in page


def any_of(lines: Any, *texts: str) -> bool:
    """Whether one of these texts stands in a line."""
    return any(text in line["detail"] for line in lines for text in texts)


async def test_a_key_sees_whom_and_not_where(service: Faces) -> None:
    """Safety 22: the address of a webhook may hold a secret: a key sees its origin, and one that is
    limited to connectors nothing of webhooks at all.
    """
    client, webhook = await made(service, url=URL + "?token=s3cret")
    here = f"/v1/webhooks/{webhook['id']}"
    assert webhook["url"] == (await client.get(here)).json()["url"] == URL + "?token=s3cret"
    client.cookies.clear()
    key = await service.key("events:read")
    limited = await service.key("events:read", connectors=["Salesforce"])
    for path in (here, "/v1/webhooks"):
        answer = await client.get(path, headers=key)
        said = answer.json()
        [seen] = said.get("items", [said])
        assert seen["url"] == "https://flows.acme.example"
        assert "s3cret" not in answer.text
    for path in (here, "/v1/webhooks", f"{here}/deliveries", f"{here}x"):
        refused = await client.get(path, headers=limited)
        assert (refused.status_code, refused.json()["code"]) == (403, "connector-not-allowed")
