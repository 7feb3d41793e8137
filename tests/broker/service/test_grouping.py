"""Pushes of groups: members as rows, nothing lost, nothing read that did not change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.db.database import Database
from broker.domain.runs import Result
from tests import pushing
from tests.pushing import GROUP, House, Pusher
from tests.watching import Watched


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


def adding(*ids: str) -> dict[str, object]:
    return {"op": "Add", "path": "members", "value": [{"value": id, "$ref": None} for id in ids]}


def removing(id: str) -> dict[str, object]:
    return {"op": "Remove", "path": f'members[value eq "{id}"]'}


async def people(push: Pusher, count: int) -> list[str]:
    made = await asyncio.gather(*(push.user(f"user-{n}") for n in range(count)))
    return [each["id"] for each in made]


async def members(push: Pusher, group: str) -> list[str]:
    shown = (await push.get(f"/Groups/{group}")).get("members", [])
    return [member["value"] for member in shown]


async def test_members_are_shown_with_address_type_and_present_name(
    house: House, push: Pusher
) -> None:
    """RFC 7643 section 4.2: $ref is made on read, and display, for who asks: a rename shows at
    once and is no new version of the group.
    """
    kim = await push.user("kim", displayName="Kim Lee")
    group = await push.group("All", kim["id"])
    await push.patch(
        f"/Users/{kim['id']}", {"op": "replace", "path": "displayName", "value": "Kim"}
    )
    shown = await push.get(f"/Groups/{group['id']}")
    reference = f"{push.base_url}/Users/{kim['id']}"
    assert shown["members"] == [{"value": kim["id"], "$ref": reference, "type": "User"}]
    assert shown["meta"] == group["meta"]
    asked = await push.get(f"/Groups/{group['id']}", attributes="members.value,members.display")
    assert asked["members"] == [{"value": kim["id"], "display": "Kim"}]
    found = await push.get("/Groups", filter='members[display eq "kim"]', attributes="id")
    assert [each["id"] for each in found["Resources"]] == [group["id"]]
    person = await push.get(f"/Users/{kim['id']}")
    assert person["groups"] == [
        {
            "value": group["id"],
            "$ref": f"{push.base_url}/Groups/{group['id']}",
            "display": "All",
            "type": "direct",
        }
    ]
    assert [line.result for line in await house.records()] == ["created", "created", "updated"]


async def test_unknown_members_are_a_warning_and_stay_outside(house: House) -> None:
    """R120, safety 1: an id nobody has, and one of another directory, are accepted and kept out."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        theirs = (await one.user("kim"))["id"]
        ours = (await two.user("lee"))["id"]
        group = await two.group("All", ours, theirs, "usr_nobody")
        assert [member["value"] for member in group["members"]] == [ours]
        answer = await two.patch(f"/Groups/{group['id']}", adding(theirs))
        assert answer.status_code == 200
        assert answer.json()["meta"] == group["meta"]
    created, unchanged = (await house.records())[-2:]
    assert (created.result, len(created.warnings)) == (Result.CREATED, 2)
    assert (unchanged.result, len(unchanged.warnings)) == (Result.UNCHANGED, 1)
    view = await house.run()
    assert view.run.status == "Partial success"
    assert [(i.code, i.attribute, i.count) for i in view.issues] == [
        ("unknown-member", "members", 3)
    ]


async def test_parallel_changes_of_members_lose_nothing(push: Pusher) -> None:
    """24 PATCHes at once, each of one member: everybody is in, each counted in the version."""
    ids = await people(push, 24)
    group = await push.group("All", *ids[:4])
    path = f"/Groups/{group['id']}"
    changes = [push.patch(path, adding(id)) for id in ids[4:]]
    changes += [push.patch(path, removing(id)) for id in ids[:4]]
    answers = await asyncio.gather(*changes)
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(await members(push, group["id"])) == sorted(ids[4:])
    assert (await push.get(path))["meta"]["version"] == 'W/"25"'


async def test_parallel_creates_and_deletes_of_members_end_well(push: Pusher) -> None:
    """People deleted while they are put into groups: no error, and no member who is not there."""
    ids = await people(push, 12)
    groups = [(await push.group(f"g-{n}", *ids[:6]))["id"] for n in range(3)]
    changes = [push.patch(f"/Groups/{group}", adding(id)) for group in groups for id in ids[6:]]
    changes += [push("DELETE", f"/Users/{id}") for id in ids[3:9]]
    answers = await asyncio.gather(*changes)
    assert {answer.status_code for answer in answers} <= {200, 204}
    for group in groups:
        assert sorted(await members(push, group)) == sorted(ids[:3] + ids[9:])


async def test_a_big_group_answers_204_to_a_change_of_members(push: Pusher) -> None:
    """Above 100 members a PATCH answers without them, unless attributes are asked for."""
    ids = await people(push, 102)
    group = await push.group("All", *ids[:101])
    answer = await push.patch(f"/Groups/{group['id']}", adding(ids[101]))
    assert (answer.status_code, answer.headers["etag"]) == (204, 'W/"2"')
    asked = await push.patch(f"/Groups/{group['id']}?attributes=members", removing(ids[0]))
    assert len(asked.json()["members"]) == 101


@pytest.mark.parametrize(
    "change",
    [
        {"op": "add", "path": "members", "value": []},
        {"op": "remove", "path": 'members[value eq "usr_nobody"]'},
        {"op": "replace", "path": "displayName", "value": "All"},
        {"op": "remove", "path": 'members[display eq "nobody"]'},
    ],
)
async def test_a_change_of_nothing_keeps_the_version(
    house: House, push: Pusher, change: dict[str, object]
) -> None:
    """Only a real change of the group is a new version; anything else is `unchanged`."""
    (id,) = await people(push, 1)
    group = await push.group("All", id)
    answers = [await push.patch(f"/Groups/{group['id']}", each) for each in (change, adding(id))]
    assert [answer.json()["meta"] for answer in answers] == [group["meta"]] * 2
    assert [line.result for line in await house.records()][-2:] == [Result.UNCHANGED] * 2


async def test_in_and_out_again_within_one_push_is_no_change(push: Pusher) -> None:
    """What a push takes back it has not changed: the version stays."""
    first, second = await people(push, 2)
    group = await push.group("All", first)
    path = f"/Groups/{group['id']}"
    steps = (adding(second), removing(second), removing(first), adding(first))
    assert (await push.patch(path, *steps)).json()["meta"] == group["meta"]


async def test_put_is_the_whole_truth_of_a_group(house: House, push: Pusher) -> None:
    """Okta pushes memberships by PUT: those it names stay and come, the others leave."""
    ids = await people(push, 4)
    group = await push.group("All", *ids[:3])
    body = {
        "schemas": [GROUP],
        "displayName": "Everyone",
        "members": [{"value": id} for id in ids[2:]],
    }
    answer = await push("PUT", f"/Groups/{group['id']}", body)
    assert sorted(m["value"] for m in answer.json()["members"]) == sorted(ids[2:])
    line = (await house.records())[-1]
    assert [change.path for change in line.changes] == ["displayName", "members"]
    again = await push("PUT", f"/Groups/{group['id']}", body)
    assert again.json()["meta"] == answer.json()["meta"]


async def test_groups_nest_and_a_circle_ends(push: Pusher) -> None:
    """RFC 7643 section 4.1.2: groups by nesting are `indirect`, each shown once, circles too."""
    (id,) = await people(push, 1)
    inner = await push.group("Inner", id)
    middle = await push.group("Middle", inner["id"])
    outer = await push.group("Outer", middle["id"], id)
    await push.patch(f"/Groups/{inner['id']}", adding(outer["id"]))
    shown = (await push.get(f"/Users/{id}"))["groups"]
    assert [(group["display"], group["type"]) for group in shown] == [
        ("Inner", "direct"),
        ("Outer", "direct"),
        ("Middle", "indirect"),
    ]
    listed = (await push.get("/Users", filter=f'groups.value eq "{middle["id"]}"'))["Resources"]
    assert [each["id"] for each in listed] == [id]
    await push("DELETE", f"/Groups/{inner['id']}")
    assert (await push.get(f"/Groups/{middle['id']}")).get("members", []) == []


async def test_a_group_of_another_directory_is_a_missing_one(house: House) -> None:
    """Safety 1: reads, writes and filters by member stay within the token's directory."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        theirs = (await one.user("kim"))["id"]
        group = (await one.group("All", theirs))["id"]
        assert (await two("GET", f"/Groups/{group}")).status_code == 404
        assert (await two("DELETE", f"/Groups/{group}")).status_code == 404
        assert (await two.patch(f"/Groups/{group}", removing(theirs))).status_code == 404
        found = await two.get("/Groups", filter=f'members.value eq "{theirs}"')
        assert found["totalResults"] == 0
        assert await members(one, group) == [theirs]


async def test_a_page_of_groups_costs_one_statement_for_all_members(db: Database) -> None:
    """No N+1: members of a page, and groups of a page of people, are read for all at once."""
    watched = Watched(db)
    house = await pushing.house(watched)
    async with pushing.calling(house) as push:
        ids = await people(push, 8)
        for n in range(8):
            await push.group(f"g-{n}", *ids[n:])
        watched.clear()
        found = await push.get("/Groups", count="8")
        assert [len(each["members"]) for each in found["Resources"]] == list(range(8, 0, -1))
        assert len([a for a in watched.asked if "members" in a.sql]) == 1
        watched.clear()
        found = await push.get("/Users", count="8")
        assert sorted(len(each["groups"]) for each in found["Resources"]) == list(range(1, 9))
        assert len([a for a in watched.asked if "members" in a.sql]) == 2
