"""Types without a meaning of their own here: kept, found, changed and recorded by data alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from broker.db.database import Database
from broker.domain.runs import Record, Result
from scim.additions import catalogue
from tests.pushing import ENTERPRISE, USER, House, Pusher, calling, house, pushing
from tests.scim.own import ACME, BADGE, DEVICE

OWN = catalogue(ACME)


@pytest.fixture
async def at(db: Database) -> House:
    return replace(await house(db), catalogue=OWN)


@pytest.fixture
async def push(at: House) -> AsyncIterator[Pusher]:
    async with calling(at) as pusher:
        yield pusher


async def device(push: Pusher, name: str, **attributes: Any) -> dict[str, Any]:
    body = {"schemas": [DEVICE], "displayName": name, "kind": "phone"} | attributes
    return await push.made("/Devices", body)


def refused(answer: Any) -> tuple[int, str | None, str]:
    body = answer.json()
    return answer.status_code, body.get("scimType"), body["detail"]


async def test_a_life(at: House, push: Pusher) -> None:
    """R106, R107, R132: each push of a device is one record with its name, as with people."""
    made = await device(push, "Phone", externalId="d-1", serial="S1")
    path = f"/Devices/{made['id']}"
    assert made["id"].startswith("res_")
    assert made["meta"]["location"] == push.base_url + path
    assert await push.get(path) == made
    renamed = await push.patch(path, {"op": "replace", "path": "displayName", "value": "Mobile"})
    assert renamed.json()["displayName"] == "Mobile"
    body = {"schemas": [DEVICE], "displayName": "Mobile", "kind": "phone", "externalId": "d-1"}
    assert (await push("PUT", path, body)).json()["serial"] == "S1"
    assert (await push("PATCH", path, {"schemas": ["no"]})).status_code == 400
    assert (await push("DELETE", path)).status_code == 204
    assert (await push("GET", path)).status_code == 404
    told = [(r.kind, r.result, r.name) for r in await at.records()]
    assert told == [
        ("Device", Result.CREATED, "Phone"),
        ("Device", Result.UPDATED, "Mobile"),
        ("Device", Result.UNCHANGED, "Mobile"),
        ("Device", Result.FAILED, ""),
        ("Device", Result.DELETED, "Mobile"),
    ]


async def test_versions_are_held_to(push: Pusher) -> None:
    """RFC 7644 section 3.14: ETag, If-Match and If-None-Match, as with any resource."""
    made = await device(push, "Phone")
    path, first = f"/Devices/{made['id']}", made["meta"]["version"]
    assert (await push("GET", path, headers={"if-none-match": first})).status_code == 304
    operation = {"op": "add", "path": "tags", "value": ["red"]}
    assert (await push.patch(path, operation)).headers["etag"] == 'W/"2"'
    again = await push.patch(path, operation)
    assert again.headers["etag"] == 'W/"2"'  # nothing changed
    late = await push("DELETE", path, headers={"if-match": first})
    assert late.status_code == 412


FOUND = [
    ('displayName eq "PHONE 1"', [1]),
    ('externalId eq "d-2"', [2]),
    ('serial eq "s2"', []),
    ('serial eq "S2"', [2]),
    ("ports gt 1 and ports le 3", [2, 3]),
    ('bought le "2026-01-02T12:00:00+12:00"', [0, 1]),
    ('tags eq "ODD"', [1, 3]),
    ('interfaces[type eq "lan" and vlans eq 2]', [2]),
    ('owner ew "/2"', [2]),
    ("not (active eq true)", [1, 3]),
    ('displayName sw "phone" and meta.resourceType eq "Device"', [0, 1, 2, 3]),
    (f'{DEVICE}:weight ge 0.3', [3]),
]  # fmt: skip


async def test_what_is_declared_can_be_asked_for(push: Pusher) -> None:
    """RFC 7644 section 3.4.2.2: every type compares as its schema says, no name is special."""
    for n in range(4):
        await device(
            push,
            f"Phone {n}",
            externalId=f"d-{n}",
            serial=f"S{n}",
            ports=n,
            weight=n / 10,
            active=n % 2 == 0,
            bought=f"2026-01-0{n + 1}T00:00:00Z",
            owner=f"https://acme.example/Users/{n}",
            tags=["odd"] if n % 2 else ["even"],
            interfaces=[{"value": f"a{n}", "type": "lan", "vlans": [n, n + 10]}],
        )
    for text, numbers in FOUND:
        page = await push.get("/Devices", filter=text)
        assert [each["ports"] for each in page["Resources"]] == numbers, text
        assert page["totalResults"] == len(numbers), text
    for by in ("ports", "displayName", "bought", "interfaces.value"):
        page = await push.get("/Devices", sortBy=by, sortOrder="descending", count="2")
        assert [each["ports"] for each in page["Resources"]] == [3, 2], by


async def test_each_attribute_is_shown_as_declared(push: Pusher) -> None:
    """RFC 7643 section 7, returned: always, default, on request, never."""
    made = await device(push, "Phone", notes="dented", pin="0000", ports=2)
    assert "notes" not in made
    assert "pin" not in made
    path = f"/Devices/{made['id']}"
    assert "notes" not in await push.get(path)
    asked = await push.get(path, attributes="notes,pin")
    assert {name for name in asked if name not in ("schemas", "id")} == {"notes", "kind"}
    excluded = await push.get(path, excludedAttributes="kind,ports")
    assert excluded["kind"] == "phone"
    assert "ports" not in excluded


async def test_a_unique_value_is_had_once(at: House, push: Pusher) -> None:
    """RFC 7643 section 7, uniqueness: 409 as the value compares, free again with whoever had it."""
    first = await device(push, "One", serial="S1", assetTag="Tag")
    for taken, path in (({"serial": "S1"}, "serial"), ({"assetTag": "TAG"}, "assetTag")):
        body = {"schemas": [DEVICE], "displayName": "Two", "kind": "phone"} | taken
        said = refused(await push("POST", "/Devices", body))
        assert said == (409, "uniqueness", f'"{path}" is taken by another Device.')
    second = await device(push, "Two", serial="s1", assetTag="other")
    path = f"/Devices/{second['id']}"
    operation = {"op": "replace", "path": "assetTag", "value": "tag"}
    assert (await push.patch(path, operation)).status_code == 409
    assert (await push.get(path))["assetTag"] == "other"
    own = {"op": "replace", "path": "assetTag", "value": "OTHER"}
    assert (await push.patch(path, own)).status_code == 200
    await push("DELETE", f"/Devices/{first['id']}")
    assert (await push.patch(path, operation)).status_code == 200
    failed = [each for each in await at.records() if each.result is Result.FAILED]
    assert [(each.name, each.message) for each in failed] == [
        ("Two", '"serial" is taken by another Device.'),
        ("Two", '"assetTag" is taken by another Device.'),
        ("", '"assetTag" is taken by another Device.'),
    ]
    assert {each.next for each in failed} == {
        "Give one of the two another value in the identity provider; it pushes again."
    }


async def test_a_unique_value_is_one_directorys_affair(at: House) -> None:
    """Safety 1: what another directory holds neither hinders nor shows."""
    async with calling(at, "A") as one, calling(at, "B") as other:
        await device(one, "Phone", serial="S1")
        await device(other, "Phone", serial="S1")


async def test_of_many_at_once_one_gets_the_value(at: House) -> None:
    """The database decides: however many push the same value together, one has it."""
    async with pushing(at) as push:
        body = {"schemas": [DEVICE], "kind": "phone", "serial": "S1", "displayName": "Phone"}
        answers = await asyncio.gather(*(push("POST", "/Devices", body) for _ in range(8)))
        assert sorted(each.status_code for each in answers) == [201] + [409] * 7
        others = [await device(push, f"Phone {n}", assetTag=f"t{n}") for n in range(6)]
        wish = {"op": "replace", "path": "assetTag", "value": "mine"}
        answers = await asyncio.gather(
            *(push.patch(f"/Devices/{each['id']}", wish) for each in others)
        )
        assert sorted(each.status_code for each in answers) == [200] + [409] * 5


async def test_an_extension_of_a_person_is_part_of_the_person(at: House, push: Pusher) -> None:
    """R120: what a deployment declares is kept and no warning; what it does not still is one."""
    worn = {"number": "7", "floor": 3, "doors": ["a"]}
    ada = await push.user("ada", **{BADGE: worn | {"colour": "red"}})
    assert ada["schemas"] == [USER, BADGE]
    assert ada[BADGE] == worn
    path = f"/Users/{ada['id']}"
    added = await push.patch(path, {"op": "add", "value": {f"{BADGE}:doors": ["b"]}})
    assert added.json()[BADGE]["doors"] == ["a", "b"]
    bare = await push.patch(path, {"op": "replace", "path": "floor", "value": 4})
    assert bare.json()[BADGE]["floor"] == 4
    for text in (f'{BADGE}:doors eq "B"', "floor eq 4", f'{BADGE} pr and userName eq "ada"'):
        found = await push("GET", "/Users", params={"filter": text})
        expected = 1 if " pr" not in text else None
        assert expected is None or found.json()["totalResults"] == expected, text
    taken = {"schemas": [USER], "userName": "bob", BADGE: {"number": "7"}}
    said = refused(await push("POST", "/Users", taken))
    assert said == (409, "uniqueness", f'"{BADGE}:number" is taken by another User.')
    created: Record = (await at.records())[0]
    assert [each.attribute for each in created.warnings] == [f"{BADGE}:colour"]


async def test_a_device_is_nobodys_member(at: House, push: Pusher) -> None:
    """RFC 7643 section 4.2: members are people and groups; another type's id is a missing id."""
    phone, ada = await device(push, "Phone"), await push.user("ada")
    group = await push.group("Everything", phone["id"], ada["id"])
    assert [each["value"] for each in group["members"]] == [ada["id"]]
    assert "is nobody this directory has" in (await at.records())[-1].warnings[0].text


async def test_the_standard_is_as_it_was(push: Pusher) -> None:
    """A deployment's own stand beside the standard, and change nothing of it."""
    ada = await push.user("ada", **{ENTERPRISE: {"department": "R&D"}})
    found = await push.get("/Users", filter='department eq "r&d"')
    assert found["Resources"] == [ada]
    assert (await push("GET", "/Things")).status_code == 404


@pytest.mark.parametrize("nothing", [None, ""])
async def test_nothing_in_place_of_a_value_removes_it(push: Pusher, nothing: object) -> None:
    """RFC 7643 section 2.5: null and empty are unassigned, also among several plain values."""
    made = await device(push, "Phone", tags=["a", "b"])
    change = {"op": "replace", "path": 'tags[value eq "a"]', "value": nothing}
    answer = await push.patch(f"/Devices/{made['id']}", change)
    assert answer.json()["tags"] == ["b"]


async def test_a_value_beyond_an_index_is_refused_alike(at: House, push: Pusher) -> None:
    """Both engines: an endless externalId is 400, an endless name of an attribute a warning."""
    long = "".join(chr(0x4E00 + n * 7 % 20_000) for n in range(6000))
    body = {"schemas": [USER], "userName": "kim", "externalId": long}
    assert refused(await push("POST", "/Users", body))[:2] == (400, "invalidValue")
    await push.user("kim", **{long: "heard of"})
    *_, record = await at.records()
    assert record.result is Result.CREATED
    assert [each.attribute for each in record.warnings] == [long[:256]]
