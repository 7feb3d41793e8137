"""People over `/v1`: lists, acts, groups, logins (U3 to U18, row F5)."""

from __future__ import annotations

import pytest

from tests.faces import Faces

NAMES = [f"p{n}@acme.example" for n in range(5)]


async def test_lists_come_page_by_page(service: Faces) -> None:
    """`cursor` continues where the page before ended; the last page says so."""
    ids = await service.push(NAMES)
    headers = await service.key("users:read")
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        found = (await service.client.get("/v1/users", params=params, headers=headers)).json()
        seen += [each["id"] for each in found["items"]]
        cursor, pages = found["next_cursor"], pages + 1
    assert sorted(seen) == sorted(ids.values())
    assert pages == 3


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=-1", "status=gone", "filter=x"]
)
async def test_a_wrong_query_is_refused(service: Faces, query: str) -> None:
    """Limits out of range, words that are none and parameters nobody knows are 422."""
    headers = await service.key("users:read")
    answer = await service.client.get(f"/v1/users?{query}", headers=headers)
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/v1/licenses/queue", "/v1/decisions", "/v1/runs/x/records"])
async def test_a_cursor_of_another_list_is_refused(service: Faces, path: str) -> None:
    """A numbered list takes its own cursors alone, and no number that no line can have."""
    headers = await service.key()
    for cursor in ("usr_x", str(2**63)):
        answer = await service.client.get(path, params={"cursor": cursor}, headers=headers)
        assert answer.json()["code"] == "invalid-cursor"


async def test_a_license_is_given_by_login_and_taken_by_suspension(service: Faces) -> None:
    """U3, U4, U6, U8, U11 over HTTP: active, queued with a place, promoted when one is freed."""
    ids = list((await service.push(NAMES[:3])).values())
    client, headers = service.client, await service.key()
    await client.put("/v1/licenses", json={"capacity": 1}, headers=headers)
    logins = [
        (await client.post("/v1/logins", json={"subject": {"user_id": id}}, headers=headers)).json()
        for id in ids
    ]
    assert [(each["status"], each["place"]) for each in logins] == [
        ("active", None),
        ("queued", 1),
        ("queued", 2),
    ]
    refused = await client.post(f"/v1/users/{ids[2]}/activate", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "license-exhausted")
    gone = await client.post(
        f"/v1/users/{ids[0]}/suspend", json={"reason": "left"}, headers=headers
    )
    assert (gone.json()["status"], gone.json()["license"]) == ("suspended", "none")
    promoted = (await client.get(f"/v1/users/{ids[1]}", headers=headers)).json()
    assert (promoted["status"], promoted["license"]) == ("active", "held")
    queue = (await client.get("/v1/licenses/queue", headers=headers)).json()["items"]
    assert [(each["place"], each["user_id"]) for each in queue] == [(1, ids[2])]


async def test_a_suspension_is_lifted_by_an_administrator_alone(service: Faces) -> None:
    """Safety 27: a key with every scope gets 403; a session lifts it, back to invited."""
    (id,) = (await service.push(NAMES[:1])).values()
    client, headers = service.client, await service.key()
    await client.post(f"/v1/users/{id}/suspend", headers=headers)
    assert (await client.post(f"/v1/users/{id}/reinstate", headers=headers)).status_code == 403
    browser = await service.administrator()
    lifted = await browser.post(f"/v1/users/{id}/reinstate")
    assert lifted.json()["status"] == "invited"


async def test_who_needs_no_license_is_said_by_an_administrator_alone(service: Faces) -> None:
    """D3, safety 10, U8: counted and shown; not taken back while no license is free."""
    guest, other = (await service.push(NAMES[:2])).values()
    client, headers = service.client, await service.key()
    await client.put("/v1/licenses", json={"capacity": 1}, headers=headers)
    said = {"licensed": False}
    refused = await client.put(f"/v1/users/{guest}/license", json=said, headers=headers)
    assert refused.status_code == 403
    browser = await service.administrator()
    exempt = (await browser.put(f"/v1/users/{guest}/license", json=said)).json()
    assert (exempt["licensed"], exempt["license"]) == (False, "none")
    for id in (guest, other):
        await client.post("/v1/logins", json={"subject": {"user_id": id}}, headers=headers)
    numbers = (await client.get("/v1/licenses", headers=headers)).json()
    shown = {"held": 1, "withheld": 0, "free": 0, "exempt": 1, "warning": 100}
    assert shown.items() <= numbers.items()
    back = await browser.put(f"/v1/users/{guest}/license", json={"licensed": True})
    assert (back.status_code, back.json()["code"]) == (409, "license-exhausted")
    assert (await browser.put(f"/v1/users/{guest}/license", json={})).status_code == 422


async def test_why_comes_with_the_events_behind_it(service: Faces) -> None:
    """U1, U3, U11: the newest first, each with time, type, row and cause; 20 and no more."""
    (id,) = (await service.push(NAMES[:1])).values()
    client, headers = service.client, await service.key()
    await client.post("/v1/logins", json={"subject": {"user_id": id}}, headers=headers)
    await client.post(f"/v1/users/{id}/suspend", headers=headers)
    person = (await client.get(f"/v1/users/{id}", headers=headers)).json()
    assert "An administrator suspended" in person["why"]
    assert [(each["type"], each["row"], each["cause"]) for each in person["events"]] == [
        ("user.suspended", "U11", "key"),
        ("user.activated", "U3", "key"),
        ("user.invited", "U1", "directory"),
    ]
    assert person["events"][0]["at"] >= person["events"][1]["at"]
    browser = await service.administrator()
    for _ in range(12):
        await browser.post(f"/v1/users/{id}/reinstate")
        await browser.post(f"/v1/users/{id}/suspend")
    person = (await client.get(f"/v1/users/{id}", headers=headers)).json()
    assert len(person["events"]) == 20


async def test_a_group_switches_its_members(service: Faces) -> None:
    """R26, Managing Users: for whoever is in a group now and nobody else; for many; for one."""
    made, token = await service.broker.configuring.add(service.project, "Acme", by="test")
    scim = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    base, ids = f"/scim/v2/{made.id}", []
    for name in NAMES[:3]:
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name}
        answer = await service.client.post(f"{base}/Users", json=body, headers=scim)
        ids.append(answer.json()["id"])
    group = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Sales",
        "members": [{"value": id} for id in ids[:2]],
    }
    answer = await service.client.post(f"{base}/Groups", json=group, headers=scim)
    headers = await service.key()
    said = {"group": answer.json()["id"], "enabled": False}
    changed = await service.client.put("/v1/user-authentication", json=said, headers=headers)
    assert changed.json() == {"changed": 2}
    assert await _flags(service, headers, ids) == [False, False, True]
    said = {"users": ids[1:], "enabled": True}
    await service.client.put("/v1/user-authentication", json=said, headers=headers)
    assert await _flags(service, headers, ids) == [False, True, True]
    path = f"/v1/users/{ids[2]}/user-authentication"
    await service.client.put(path, json={"enabled": False}, headers=headers)
    assert await _flags(service, headers, ids) == [False, True, False]


async def _flags(service: Faces, headers: dict[str, str], ids: list[str]) -> list[bool]:
    """Whether steps may run as each of these people."""
    found = (await service.client.get("/v1/users", headers=headers)).json()["items"]
    flags = {each["id"]: each["user_authentication"] for each in found}
    return [flags[id] for id in ids]


@pytest.mark.parametrize("said", [{}, {"users": ["usr_1"], "group": "grp_1"}])
async def test_who_is_meant_is_said_in_one_way(service: Faces, said: dict[str, object]) -> None:
    """Either users or a group; neither and both are refused."""
    headers = await service.key()
    answer = await service.client.put(
        "/v1/user-authentication", json=said | {"enabled": True}, headers=headers
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/users"
