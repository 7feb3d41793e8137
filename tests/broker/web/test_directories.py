"""Directories over `/v1`: what may be said, what is answered, who may."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from broker.domain.clock import HOUR
from tests.canaries import planted
from tests.clocks import MovableClock
from tests.faces import BROWSER, Faces

TOKEN = planted("source-token")
SOURCE = {"kind": "scim", "fields": {"base_url": "https://hr.example", "token": TOKEN}}
PATH = "/v1/directories"


@pytest.fixture
async def key(service: Faces) -> dict[str, str]:
    """A key that may do everything a key may."""
    return await service.key()


async def made(service: Faces, key: dict[str, str], **said: Any) -> httpx.Response:
    """A new directory, as it is answered."""
    answer = await service.client.post(PATH, json={"name": "Acme"} | said, headers=key)
    assert answer.status_code == 201, answer.text
    return answer


async def pushed(service: Faces, directory: dict[str, Any], name: str) -> httpx.Response:
    """Somebody new, pushed to the directory."""
    return await service.client.post(
        f"/scim/v2/{directory['id']}/Users",
        json={"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name},
        headers={
            "Authorization": f"Bearer {directory['token']}",
            "Content-Type": "application/scim+json",
        },
    )


async def test_a_directory_is_edited_for_the_version_that_was_read(
    service: Faces, key: dict[str, str]
) -> None:
    """R108: the ETag counts; a change without one, or for an older one, is refused."""
    answer = await made(service, key)
    url, tag = f"{PATH}/{answer.json()['id']}", answer.headers["etag"]
    put = service.client.put
    assert (await put(url, json={"name": "X"}, headers=key)).status_code == 428
    first = await put(url, json={"name": "HR", "window_s": 60}, headers=key | {"If-Match": tag})
    assert (first.status_code, first.json()["name"], first.json()["window_s"]) == (200, "HR", 60)
    assert first.headers["etag"] != tag
    late = await put(url, json={"name": "Late"}, headers=key | {"If-Match": tag})
    assert late.status_code == 412
    read = await service.client.get(url, headers=key)
    assert (read.json(), read.headers["etag"]) == (first.json(), first.headers["etag"])


async def test_a_source_shows_no_secret(service: Faces, key: dict[str, str]) -> None:
    """Safety 18: protected fields are write-only; another host demands them again."""
    answer = await made(service, key, source=SOURCE)
    assert answer.json()["source"]["fields"]["base_url"] == "https://hr.example"
    assert answer.json()["source"]["fields"]["token"]["has_value"] is True
    assert TOKEN not in answer.text
    url, headers = f"{PATH}/{answer.json()['id']}", key | {"If-Match": "*"}
    moved = {"kind": "scim", "fields": {"base_url": "https://other.example"}}
    refused = await service.client.put(url, json={"source": moved}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "protected-fields-needed")
    assert refused.json()["errors"][0]["pointer"] == "/source/fields/token"
    gone = await service.client.put(url, json={"source": None}, headers=headers)
    assert gone.json()["source"] is None


@pytest.mark.parametrize(
    ("kind", "field", "value", "status"),
    [
        ("scim", "token", "with space", 422),
        ("scim", "token", "trailing ", 422),
        ("scim", "token", "naïve", 422),
        ("entra", "client_secret", "naïve", 422),
        ("entra", "client_secret", "with space", 201),
    ],
)
async def test_a_secret_that_cannot_be_sent_is_not_kept(
    service: Faces, key: dict[str, str], kind: str, field: str, value: str, status: int
) -> None:
    """R4, api.md: 422 at the save, with the field and what to do; the value is not told again."""
    fields = {"base_url": "https://hr.example"}
    if kind == "entra":
        fields = {"environment": "global", "tenant": "acme.example", "client_id": "app"}
    said = {"name": "Read", "source": {"kind": kind, "fields": fields | {field: value}}}
    answer = await service.client.post(PATH, json=said, headers=key)
    assert answer.status_code == status
    assert value not in answer.text
    if status == 422:
        (problem,) = answer.json()["errors"]
        assert problem["pointer"] == f"/source/fields/{field}"
        assert "Copy it from the source again" in problem["detail"]


async def test_the_limit_is_an_administrators(service: Faces, key: dict[str, str]) -> None:
    """Safety 27: no key raises what one run may end; in a session it is changed part by part, and
    a count of null gives the share its say again.
    """
    id = (await made(service, key)).json()["id"]
    body, any_version = {"holding": {"percent": 100}}, {"If-Match": "*"}
    refused = await service.client.put(f"{PATH}/{id}", json=body, headers=key | any_version)
    assert (refused.status_code, refused.json()["code"]) == (403, "administrator-needed")
    client = await service.administrator()
    for said, expected in (
        ({"count": 3}, {"percent": 10, "least": 5, "count": 3, "pushes": False}),
        ({"pushes": True}, {"percent": 10, "least": 5, "count": 3, "pushes": True}),
        ({"count": None}, {"percent": 10, "least": 5, "count": None, "pushes": True}),
    ):
        answer = await client.put(
            f"{PATH}/{id}", json={"holding": said}, headers=BROWSER | any_version
        )
        assert answer.json()["holding"] == expected


async def test_disable_and_enable(service: Faces, key: dict[str, str]) -> None:
    """R111: the state is answered; a push meanwhile gets 503 and is applied when sent again."""
    directory = (await made(service, key)).json()
    url = f"{PATH}/{directory['id']}"
    assert (await service.client.post(f"{url}/disable", headers=key)).json()["state"] == "disabled"
    refused = await pushed(service, directory, "kim")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "300")
    asked = await service.client.post(f"{url}/syncs", headers=key)
    assert (asked.status_code, asked.json()["code"]) == (409, "directory-disabled")
    assert (await service.client.post(f"{url}/enable", headers=key)).json()["state"] == "enabled"
    assert (await pushed(service, directory, "kim")).status_code == 201


async def test_sync_now_and_again(service: Faces, key: dict[str, str]) -> None:
    """R110, R7: 202 with the run and where it is; a second time 409 with the running one."""
    id = (await made(service, key)).json()["id"]
    first = await service.client.post(f"{PATH}/{id}/syncs", headers=key)
    assert (first.status_code, first.json()["trigger"]) == (202, "manual")
    run = first.json()["id"]
    assert first.headers["location"] == f"/v1/runs/{run}"
    again = await service.client.post(f"{PATH}/{id}/syncs", headers=key)
    assert (again.status_code, again.json()["code"], again.json()["run"]) == (
        409,
        "run-running",
        run,
    )


async def test_a_schedule_in_words_and_times(
    service: Faces, key: dict[str, str], clock: MovableClock
) -> None:
    """R109: set, shown with the next five times, skipped by none, taken away with null."""
    id = (await made(service, key)).json()["id"]
    url, headers = f"{PATH}/{id}/schedule", key | {"If-Match": "*"}
    nothing: dict[str, Any] = {
        "cron": None,
        "zone": None,
        "jitter_s": 0,
        "sentence": None,
        "next": [],
    }
    assert (await service.client.get(url, headers=key)).json() == nothing
    said = {"cron": "0 * * * *", "zone": "Europe/Berlin"}
    kept = await service.client.put(url, json=said, headers=headers)
    assert kept.json()["sentence"] == "At the start of every hour (Europe/Berlin)"
    assert len(kept.json()["next"]) == 5
    shown = (await service.client.get(f"{PATH}/{id}", headers=key)).json()
    assert shown["next_at"] == kept.json()["next"][0]
    assert shown["schedule"] == said | {"jitter_s": 0}
    clock.advance(HOUR)
    assert await service.broker.scheduling.fire() == 1
    (run,) = (await service.client.get("/v1/runs", headers=key)).json()["items"]
    assert (run["trigger"], run["kind"]) == ("schedule", "reapply")
    wrong = await service.client.put(url, json={"cron": "at noon"}, headers=headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/cron")
    assert (await service.client.put(url, json={}, headers=headers)).status_code == 422
    gone = await service.client.put(url, json={"cron": None}, headers=headers)
    assert gone.json() == nothing


async def test_tokens_are_given_and_ended(service: Faces, key: dict[str, str]) -> None:
    """Two live at most; one of another directory is not this one's to end."""
    directory = (await made(service, key)).json()
    url = f"{PATH}/{directory['id']}/tokens"
    second = (await service.client.post(url, headers=key)).json()
    assert (await pushed(service, directory | second | {"id": directory["id"]}, "kim")).is_success
    third = await service.client.post(url, headers=key)
    assert (third.status_code, third.json()["code"]) == (409, "two-tokens")
    other = (await made(service, key, name="Other")).json()["id"]
    elsewhere = f"{PATH}/{other}/tokens/{second['id']}"
    assert (await service.client.delete(elsewhere, headers=key)).status_code == 404
    gone = await service.client.delete(f"{url}/{second['id']}", headers=key)
    assert gone.status_code == 204
    refused = await pushed(service, directory | second | {"id": directory["id"]}, "lee")
    assert refused.status_code == 401


async def test_deleting_asks_once_more_with_numbers(service: Faces, key: dict[str, str]) -> None:
    """R113: without its name nothing happens and the answer counts what would end; with it the
    directory is missing from then on, and its tokens are refused.
    """
    directory = (await made(service, key)).json()
    await pushed(service, directory, "kim")
    url, headers = f"{PATH}/{directory['id']}", key | {"If-Match": "*"}
    assert (await service.client.delete(url, headers=key)).status_code == 428
    asked = await service.client.delete(url, headers=headers)
    assert (asked.status_code, asked.json()["code"]) == (409, "confirmation-needed")
    assert asked.json()["would"] == {"people": 1, "groups": 0, "tokens": 1}
    wrong = await service.client.delete(url, params={"name": "Acne"}, headers=headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/name")
    assert (await pushed(service, directory, "lee")).status_code == 201
    done = await service.client.delete(url, params={"name": "acme"}, headers=headers)
    assert done.status_code == 204
    assert (await service.client.get(url, headers=key)).status_code == 404
    assert (await pushed(service, directory, "pat")).status_code == 401


async def test_detached_people_are_listed_and_ticked(service: Faces, key: dict[str, str]) -> None:
    """Safety 12: the standing list with its deadline; ticked in a session, they are adopted by the
    next directory that says their userName, under the id they had.
    """
    old = (await made(service, key)).json()
    id = (await pushed(service, old, "kim")).json()["id"]
    headers = key | {"If-Match": "*"}
    await service.client.delete(f"{PATH}/{old['id']}", params={"name": "Acme"}, headers=headers)
    (person,) = (await service.client.get("/v1/adoptions", headers=key)).json()["items"]
    assert (person["user_id"], person["status"], person["adoptable"]) == (id, "invited", False)
    assert person["suspends_at"] > person["detached_at"]
    client = await service.administrator()
    said = {"users": [id], "adoptable": True}
    ticked = await client.put("/v1/adoptions", json=said, headers=BROWSER)
    assert ticked.json() == {"people": 1}
    for wrong in ({"adoptable": True}, {"users": None}):
        answer = await client.put("/v1/adoptions", json=wrong, headers=BROWSER)
        assert answer.status_code == 422
    new = (await made(service, key, name="New")).json()
    assert (await pushed(service, new, "kim")).json()["id"] == id
    assert (await service.client.get("/v1/adoptions", headers=key)).json()["items"] == []


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"nam": "x"}, "/nam"),
        ({"tolerance": "lax"}, "/tolerance"),
        ({"window_s": 0}, "/window_s"),
        ({"window_s": 86_401}, "/window_s"),
        ({"source": {"kind": "ldap"}}, "/source/kind"),
        ({"source": {"kind": "scim", "url": "x"}}, "/source/url"),
        ({"source": {"kind": "scim", "fields": {"token": 1}}}, "/source/fields/token"),
        ({"holding": {"percent": 101}}, "/holding/percent"),
        ({"holding": {"percentage": 1}}, "/holding/percentage"),
        ({"absent": "forget"}, "/absent"),
    ],
)
async def test_what_is_wrong_is_named(
    service: Faces, key: dict[str, str], said: dict[str, Any], pointer: str
) -> None:
    """api.md: 422 with the pointer of each problem, and nothing is kept."""
    directory = (await made(service, key)).json()
    client = await service.administrator()
    answer = await client.put(
        f"{PATH}/{directory['id']}", json=said, headers=BROWSER | {"If-Match": "*"}
    )
    assert answer.status_code == 422, answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]
    read = await service.client.get(f"{PATH}/{directory['id']}", headers=key)
    assert read.headers["etag"] == '"1"'
