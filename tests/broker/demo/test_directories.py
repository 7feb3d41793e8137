"""The pretend directories that are read, as a reader in another process meets them."""

from __future__ import annotations

from typing import Any

import pytest

from broker.demo.world import Trouble
from tests.broker.demo.stage import Stage

HR = "/hr/scim/v2"
GRAPH = "/entra/v1.0"
TENANT = "/entra/acme.example/oauth2/v2.0/token"


async def control(stage: Stage, path: str, **body: Any) -> Any:
    answer = await stage.browser.post(f"{stage.simulator.base_url}/control/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(stage: Stage, path: str, token: str = "t", **params: str) -> Any:
    return await stage.browser.get(
        path if path.startswith("http") else stage.simulator.base_url + path,
        params=params or None,
        headers={"Authorization": f"Bearer {token}"},
    )


async def token(stage: Stage, **other: str) -> Any:
    form = {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "secret",
        "scope": f"{stage.simulator.base_url}/entra/.default",
    }
    return await stage.browser.post(stage.simulator.base_url + TENANT, data=form | other)


async def test_the_scim_directory_pages_both_ways(stage: Stage) -> None:
    """By index (RFC 7644 section 3.4.2.4), by cursor (RFC 9865), and as much as it likes."""
    told = await control(stage, "hr", token="t", largest=50)
    assert told["base_url"] == stage.simulator.hr.url == stage.simulator.base_url + HR
    config = (await get(stage, f"{HR}/ServiceProviderConfig")).json()
    assert (config["pagination"]["cursor"], config["pagination"]["maxPageSize"]) == (True, 50)
    by_index = (await get(stage, f"{HR}/Users", startIndex="101", count="500")).json()
    assert (by_index["totalResults"], by_index["itemsPerPage"]) == (120, 20)
    assert (by_index["startIndex"], "nextCursor" in by_index) == (101, False)
    first = (await get(stage, f"{HR}/Users", cursor="", count="500")).json()
    second = (await get(stage, f"{HR}/Users", cursor=first["nextCursor"], count="500")).json()
    assert "startIndex" not in second
    ids = [one["id"] for page in (first, second) for one in page["Resources"]]
    assert ids == [f"hr-{number:06d}" for number in range(1, 101)]
    wrong = await get(stage, f"{HR}/Users", cursor="-7")
    assert (wrong.status_code, wrong.json()["scimType"]) == (400, "invalidCursor")
    await control(stage, "hr", cursors=False)
    assert "nextCursor" not in (await get(stage, f"{HR}/Users", cursor="")).json()


@pytest.mark.parametrize("path", ["Users", "Groups", "Users/hr-000001", "ServiceProviderConfig"])
async def test_the_scim_directory_wants_its_token(stage: Stage, path: str) -> None:
    """Nobody reads it before a token is registered, and then with that token alone."""
    assert (await get(stage, f"{HR}/{path}")).status_code == 401
    await control(stage, "hr", token="t")
    assert (await get(stage, f"{HR}/{path}")).status_code == 200
    assert (await get(stage, f"{HR}/{path}", "other")).status_code == 401


@pytest.mark.parametrize("id", ["hr-000121", "hr-", "nobody", "dep-000001"])
async def test_whoever_is_not_there_is_not_found(stage: Stage, id: str) -> None:
    """An unknown id is a SCIM error 404."""
    await control(stage, "hr", token="t")
    answer = await get(stage, f"{HR}/Users/{id}")
    found = id == "dep-000001" or answer.json()["status"] == "404"
    assert found
    assert (await get(stage, f"{HR}/Groups/dep-000009")).status_code == 404


async def test_people_come_change_and_go_over_http(stage: Stage) -> None:
    """A rehearsal in another process decides who is there, and what is said of them."""
    await control(stage, "hr", token="t")
    body = {"leave": [2], "come": [200], "change": {"1": {"title": None, "nickName": "K"}}}
    assert await control(stage, "hr/staff", people=10, **body) == {"people": 10}
    page = (await get(stage, f"{HR}/Users", startIndex="1", count="100")).json()
    ids = [one["id"] for one in page["Resources"]]
    assert (len(ids), ids[1], ids[-1]) == (10, "hr-000003", "hr-000200")
    first = page["Resources"][0]
    assert ("title" in first, first["nickName"]) == (False, "K")


async def test_tokens_of_entra_are_given_to_its_apps_alone(stage: Stage) -> None:
    """Client credentials with Graph's scope; each refusal in Entra's words."""
    await control(stage, "entra", client_id="app", client_secret="secret")
    given = (await token(stage)).json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 3599)
    refusals = {
        "client_id": ("unauthorized_client", 400),
        "client_secret": ("invalid_client", 401),
        "grant_type": ("unsupported_grant_type", 400),
        "scope": ("invalid_scope", 400),
    }
    for field, (word, status) in refusals.items():
        answer = await token(stage, **{field: "other"})
        assert (answer.json()["error"], answer.status_code) == (word, status)
        assert answer.json()["error_description"].startswith("AADSTS")
    await control(stage, "entra", tenant="other.example")
    assert (await token(stage)).json()["error"] == "invalid_request"


async def test_a_round_of_graph_ends_with_a_delta_link(stage: Stage) -> None:
    """$select travels in the tokens; what happened after a round is all the next one shows."""
    await control(stage, "entra", client_id="app", client_secret="secret", page=70)
    bearer = (await token(stage)).json()["access_token"]
    select = {"$select": "userPrincipalName,mobilePhone,manager"}
    first = (await get(stage, f"{GRAPH}/users/delta", bearer, **select)).json()
    second = (await get(stage, first["@odata.nextLink"], bearer)).json()
    assert (len(first["value"]), len(second["value"])) == (70, 50)
    assert set(second["value"][0]) == {"id", "userPrincipalName", "manager@delta"}
    quiet = (await get(stage, second["@odata.deltaLink"], bearer)).json()
    assert quiet["value"] == []
    await control(stage, "entra/staff", leave=[5], change={"6": {"mobilePhone": "+1"}})
    loud = (await get(stage, quiet["@odata.deltaLink"], bearer)).json()
    assert [set(one) for one in loud["value"]] == [
        {"id", "@removed"},
        {"id", "userPrincipalName", "mobilePhone"},
    ]
    stage.simulator.clock.advance(3600)
    late = await get(stage, loud["@odata.deltaLink"], bearer)
    assert (late.status_code, late.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


async def test_graph_is_troubled_in_its_own_words(stage: Stage) -> None:
    """Throttling, missing permissions and a lost state look as they do at Microsoft's."""
    await control(stage, "entra", client_id="app", client_secret="secret")
    bearer = (await token(stage)).json()["access_token"]
    links = (await get(stage, f"{GRAPH}/groups/delta", bearer)).json()
    said = {}
    for trouble in (Trouble.RATE_LIMITED, Trouble.FORBIDDEN, Trouble.PLACE_GONE):
        switch = {"program": "entra", "trouble": trouble.value, "endpoint": "groups", "times": 1}
        await control(stage, "trouble", **switch)
        answer = await get(stage, links["@odata.nextLink"], bearer)
        said[answer.status_code] = answer.json()["error"]["code"]
    assert said == {
        429: "TooManyRequests",
        403: "Authorization_RequestDenied",
        410: "resyncRequired",
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("hr", {"largest": "many"}),
        ("hr", {"cursors": 1}),
        ("entra", {"client_id": "app"}),
        ("entra", {"page": "many"}),
        ("hr/staff", {"people": "many"}),
        ("entra/staff", {"leave": ["Kim"]}),
        ("entra/staff", {"change": {"Kim": {}}}),
    ],
)
async def test_a_wrong_switch_is_said_so(stage: Stage, path: str, body: object) -> None:
    """A misspelt rehearsal of a directory fails loudly."""
    answer = await stage.browser.post(f"{stage.simulator.base_url}/control/{path}", json=body)
    assert answer.status_code == 400
