"""Bulk requests to the real service: what each operation leaves behind, what it all costs."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.db.database import Database
from broker.db.sqlite import SqliteDatabase, Work
from tests import pushing
from tests.pushing import House, Pusher
from tests.scim.bulking import both_ways, bulk, delete, group, operations, patch, post, put, user
from tests.watching import Watched

MANY = 100


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


async def sent(push: Pusher, *made: Any, **more: Any) -> list[dict[str, Any]]:
    """The results of a bulk."""
    answer = await push("POST", "/Bulk", bulk(*made, **more))
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["Operations"]
    return results


def creations(count: int = MANY) -> list[dict[str, Any]]:
    """That many people to be."""
    return [post("/Users", f"{n}", user(f"user-{n:03}", displayName=f"{n}")) for n in range(count)]


@pytest.mark.parametrize("seed", range(8))
async def test_a_bulk_is_its_operations_one_by_one(house: House, seed: int) -> None:
    """RFC 7644 section 3.7: the same statuses, state and records, whatever the operations."""
    async with (
        pushing.calling(house, "One") as one,
        pushing.calling(house, "Other") as other,
    ):
        at_once, singly = await both_ways(random.Random(seed), one, other)
        lines = [await _lines(house, each) for each in (one, other)]
    assert at_once == singly
    assert lines[0] >= lines[1]
    assert lines[0].total() == len(at_once[0]) + 2


async def _lines(house: House, push: Pusher) -> Counter[tuple[str, ...]]:
    """The records of a directory's run, without ids.

    A bulk has more of them: nobody sends by itself what names something that is not there.
    """
    [run] = await house.syncing.runs(house.project, push.directory.id)
    records = await house.syncing.records(house.project, run.id)
    return Counter((line.kind, line.result, line.name.partition(".")[2]) for _, line in records)


async def test_circles_forward_references_and_failures_on_both_engines(
    house: House, push: Pusher
) -> None:
    """RFC 7644 sections 3.7.1 and 3.7.2: who is named is there, or nobody who named them is."""
    await push.user("taken")
    results = await sent(
        push,
        post("/Groups", "a", group("a", "bulkId:b", "bulkId:report")),
        post("/Groups", "b", group("b", "bulkId:a")),
        post("/Users", "report", user("report", manager="bulkId:boss")),
        post("/Users", "boss", user("boss")),
        patch("/Groups/bulkId:b", {"op": "add", "path": "members", "value": "bulkId:boss"}),
        post("/Users", "u", user("u", manager="bulkId:v")),
        post("/Users", "v", user("Taken", manager="bulkId:u")),
        post("/Groups", "late", group("late", "bulkId:v")),
    )
    assert [each["status"] for each in results] == ["201"] * 4 + ["200"] + ["409"] * 3
    ids = {each.get("bulkId"): each.get("location", "").rpartition("/")[2] for each in results}
    first = await push.get(f"/Groups/{ids['a']}")
    assert {each["value"] for each in first["members"]} == {ids["b"], ids["report"]}
    assert first["meta"]["version"] == results[0]["version"]
    second = await push.get(f"/Groups/{ids['b']}")
    assert {each["value"] for each in second["members"]} == {ids["a"], ids["boss"]}
    names = {each["userName"] for each in (await push.get("/Users"))["Resources"]}
    assert names == {"taken", "report", "boss"}
    assert {each["displayName"] for each in (await push.get("/Groups"))["Resources"]} == {"a", "b"}
    lines = await house.records()
    assert not any(line.warnings for line in lines)
    failed = {(line.name, line.next != "") for line in lines if line.result == "failed"}
    assert failed == {("u", True), ("Taken", True), ("late", True)}


async def test_one_bad_operation_undoes_only_itself(house: House, push: Pusher) -> None:
    """RFC 7644 section 3.7.3, R120: the others are there, and the run says who is not."""
    made = creations(60)
    made[30] = post("/Users", "30", user("USER-029"))
    made[40] = post("/Users", "40", {"active": True})
    results = await sent(push, *made)
    assert Counter(each["status"] for each in results) == {"201": 58, "409": 1, "400": 1}
    assert results[30]["response"]["scimType"] == "uniqueness"
    assert (await push.get("/Users", count="0"))["totalResults"] == 58
    counts = Counter(line.result for line in await house.records())
    assert counts == {"created": 58, "failed": 2}


async def test_versions_are_conditions(push: Pusher) -> None:
    """RFC 7644 section 3.14: `version` of an operation is the If-Match of its request."""
    kim = await push.user("kim")
    path = f"/Users/{kim['id']}"
    results = await sent(
        push,
        put(path, user("kim", title="Dr")) | {"version": 'W/"1"'},
        patch(path, {"op": "remove", "path": "title"}, version='W/"1"'),
        delete(path) | {"version": 'W/"2"'},
    )
    assert [each["status"] for each in results] == ["200", "412", "204"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_hundred_creations_share_their_commits(
    push: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 37: 50 at a time, in one COMMIT each, in the order of the request."""
    batches: list[int] = []
    honest = SqliteDatabase._commit

    def counting(self: SqliteDatabase, batch: list[Work], connection: sqlite3.Connection) -> None:
        batches.append(len(batch))
        honest(self, batch, connection)

    monkeypatch.setattr(SqliteDatabase, "_commit", counting)
    results = await sent(push, *creations())
    assert {each["status"] for each in results} == {"201"}
    assert batches == [50, 50]
    shown = (await push.get("/Users", count=f"{MANY}"))["Resources"]
    assert [each["userName"] for each in shown] == [
        each["data"]["userName"] for each in creations()
    ]


async def test_a_creation_in_a_bulk_asks_no_more_than_one_by_itself(db: Database) -> None:
    """Section 3.7: no statement more for being in a bulk; what nobody sees is not computed."""
    watched = Watched(db)
    async with pushing.calling(await pushing.house(watched)) as push:
        await push.user("first")
        watched.clear()
        await push.user("second")
        single = Counter(each.sql for each in watched.asked)
        watched.clear()
        await sent(push, *creations(40))
        assert not Counter(each.sql for each in watched.asked) - Counter(
            {sql: 40 * count for sql, count in single.items()}
        )


async def test_fail_on_errors_is_kept_while_operations_run_at_once(push: Pusher) -> None:
    """RFC 7644 section 3.7: no more fail than the client accepts, and nothing after that."""
    taken = [post("/Users", f"x{n}", user("user-000")) for n in range(9)]
    results = await sent(push, *creations(30), *taken, *creations(60)[30:], failOnErrors=3)
    assert Counter(each["status"] for each in results) == {"201": 30, "409": 3}


async def test_bulks_at_the_same_time_lose_nothing(push: Pusher) -> None:
    """RFC 7644 section 3.7: two clients add members to one group, each in a bulk of its own."""
    team = (await push.group("Team"))["id"]

    async def joining(who: str) -> None:
        made = [post("/Users", f"{n}", user(f"{who}-{n}")) for n in range(20)]
        joins = [
            patch(f"/Groups/{team}", {"op": "add", "path": "members", "value": f"bulkId:{n}"})
            for n in range(20)
        ]
        assert {each["status"] for each in await sent(push, *made, *joins)} == {"200", "201"}

    await asyncio.gather(joining("one"), joining("two"))
    assert len((await push.get(f"/Groups/{team}"))["members"]) == 40


def test_random_operations_are_of_every_kind() -> None:
    """The property above would prove little if its operations were all alike."""
    chance = random.Random(0)
    held = {"/Users": "u", "/Groups": "g"}
    made = [each for _ in range(50) for each in operations(chance, "", held)]
    assert {(each["method"], each["path"][:5]) for each in made} == {
        (method, path)
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for path in ("/User", "/Grou")
    }
