"""Groups of thousands: read batch by batch, changed by what changes, never read by the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker.db.database import Database
from tests import crowds, pushing
from tests.pushing import House, Pusher
from tests.touching import Touching
from tests.watching import Watched, scans

CROWD = 3_000
BATCH = 512
"""Members read and rendered at once."""
Message = MutableMapping[str, Any]


@dataclass(slots=True)
class Reader:
    """A client that sees an answer piece by piece; `between` happens behind the first one."""

    house: House
    push: Pusher
    pieces: list[bytes] = field(default_factory=list)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(
        self,
        path: str,
        between: Callable[[], Awaitable[object]] | None = None,
        *,
        method: str = "GET",
        query: str = "",
    ) -> Any:
        """What the body says in the end; None where there is none."""
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Message:
            for message in asked:
                return message
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
                return
            self.pieces += [message["body"]] if message["body"] else []
            if between is not None and len(self.pieces) == 1:
                await between()

        scope = {
            "type": "http",
            "method": method,
            "path": self.push.base_url.removeprefix("http://127.0.0.1") + path,
            "query_string": query.encode(),
            "headers": [(b"authorization", f"Bearer {self.push.token}".encode())],
        }
        await self.house.scim().endpoints()(scope, receive, send)
        return json.loads(b"".join(self.pieces)) if self.pieces and not self.gone.is_set() else None


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
async def ids(db: Database, push: Pusher) -> list[str]:
    """The people of the directory."""
    return await crowds.people(db, push, CROWD + 1)


@pytest.fixture
async def group(db: Database, push: Pusher, ids: list[str]) -> str:
    """A group of all of them but the last."""
    id: str = (await push.group("Everybody"))["id"]
    await crowds.join(db, push, id, ids[:CROWD])
    return id


def values(group: dict[str, Any]) -> list[str]:
    return [member["value"] for member in group["members"]]


def adding(id: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": id}]}


def removing(id: str) -> dict[str, Any]:
    return {"op": "remove", "path": f'members[value eq "{id}"]'}


async def test_a_big_group_comes_batch_by_batch(
    house: House, push: Pusher, watched: Watched, ids: list[str], group: str
) -> None:
    """Memory stays bounded: one list of numbers, then 512 members a statement and a piece; all of
    them in order, under the version the ETag names.
    """
    reader = Reader(house, push)
    watched.clear()
    shown = await reader(f"/Groups/{group}")
    assert reader.headers == {"etag": 'W/"1"', "content-type": "application/scim+json"}
    assert values(shown) == ids[:CROWD]
    reference = f"http://127.0.0.1/scim/v2/{push.directory.id}/Users/{ids[0]}"
    assert shown["members"][0] == {"value": ids[0], "$ref": reference, "type": "User"}
    assert (shown["displayName"], shown["meta"]["version"]) == ("Everybody", 'W/"1"')
    assert len(reader.pieces) == -(-CROWD // BATCH) + 1
    read = [asked.rows for asked in watched.asked if "display FROM resources" in asked.sql]
    assert (sum(read), max(read)) == (CROWD, BATCH)
    assert [plan for plan in await watched.plans() if scans(plan)] == []


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("attributes=members.value", {"value"}),
        ("attributes=members", {"value", "$ref", "type"}),
        ("attributes=members.value,members.display", {"value", "display"}),
        ("excludedAttributes=members.$ref,displayName", {"value", "type"}),
    ],
)
async def test_a_big_group_shows_what_is_asked_for(
    house: House, push: Pusher, ids: list[str], group: str, query: str, parts: set[str]
) -> None:
    """RFC 7644 section 3.9: a body in pieces is projected as one in one piece is."""
    shown = await Reader(house, push)(f"/Groups/{group}", query=query)
    assert values(shown) == ids[:CROWD]
    assert {name for member in shown["members"] for name in member} == parts
    small = (await push.group("Small", ids[0]))["id"]
    other = await Reader(house, push)(f"/Groups/{small}", query=query)
    assert shown.keys() == other.keys()
    assert shown["members"][0] == other["members"][0]


async def test_a_big_group_is_as_it_was_at_its_version(
    house: House, push: Pusher, ids: list[str], group: str
) -> None:
    """What comes and leaves behind the first piece belongs to the next version; who is deleted
    meanwhile is left out.
    """
    gone = (await push.user("gone"))["id"]
    await push.patch(f"/Groups/{group}", adding(gone))

    async def meanwhile() -> None:
        path = f"/Groups/{group}"
        assert (await push.patch(path, adding(ids[CROWD]))).status_code == 204
        assert (await push.patch(path, removing(ids[CROWD - 1]))).status_code == 204
        assert (await push("DELETE", f"/Users/{gone}")).status_code == 204

    reader = Reader(house, push)
    shown = await reader(f"/Groups/{group}", meanwhile)
    assert reader.headers["etag"] == shown["meta"]["version"] == 'W/"2"'
    assert values(shown) == ids[:CROWD]
    after = await Reader(house, push)(f"/Groups/{group}")
    assert sorted(values(after)) == [*ids[: CROWD - 1], ids[CROWD]]
    assert after["meta"]["version"] == 'W/"5"'


async def test_who_hangs_up_ends_the_work(
    house: House, push: Pusher, watched: Watched, group: str
) -> None:
    """Behind a client that is gone, no further batch is read than the one under way."""
    reader = Reader(house, push)

    async def hang_up() -> None:
        reader.gone.set()
        await asyncio.sleep(0)
        watched.clear()

    await reader(f"/Groups/{group}", hang_up)
    assert len(reader.pieces) == 1
    assert len(watched.asked) <= 1


async def test_nobody_reads_members_nobody_sees(
    house: House, push: Pusher, watched: Watched, group: str
) -> None:
    """HEAD reads no batch; a known version and `excludedAttributes=members` no membership."""
    path, members = f"/Groups/{group}", {"If-None-Match": 'W/"1"'}
    reader = Reader(house, push)
    watched.clear()
    assert await reader(path, method="HEAD") is None
    assert (reader.status, reader.headers["etag"]) == (200, 'W/"1"')
    assert max(asked.rows for asked in watched.asked if "JOIN" in asked.sql) <= 1
    watched.clear()
    assert (await push("GET", path, headers=members)).status_code == 304
    for query in ("excludedAttributes=members", "attributes=displayName"):
        assert (await push("GET", f"{path}?{query}")).status_code == 200
        assert (await push("GET", f"/Groups?{query}&count=9")).status_code == 200
    assert [asked.sql for asked in watched.asked if "members" in asked.sql] == []


async def test_people_in_big_groups_are_read_by_their_own_groups(
    push: Pusher, watched: Watched, ids: list[str], group: str
) -> None:
    """A user, and a user filter, read one row for each group they are in, whatever it holds."""
    watched.clear()
    person = await push.get(f"/Users/{ids[7]}")
    found = await push.get("/Users", filter=f'userName eq "{ids[7]}"')
    assert [each["value"] for each in person["groups"]] == [group]
    assert found["Resources"] == [person]
    touching = [asked for asked in watched.asked if "members" in asked.sql]
    assert max(asked.rows for asked in touching) <= 2
    assert [plan for plan in await watched.plans() if scans(plan)] == []
    watched.clear()
    await push.get(f"/Users/{ids[7]}", excludedAttributes="groups")
    await push.get("/Users", filter=f'userName eq "{ids[7]}"', attributes="userName")
    assert [asked.sql for asked in watched.asked if "members" in asked.sql] == []


async def test_one_member_more_costs_what_it_costs_in_a_group_of_ten(
    push: Pusher, watched: Watched, ids: list[str], group: str
) -> None:
    """±1 member: the same four statements on either group, the same rows, no scan, and no member
    read to find out that there are too many to show.
    """
    small = (await push.group("Ten", *ids[:10]))["id"]
    costs = []
    for id, shown in ((small, 200), (group, 204)):
        for change in (adding(ids[CROWD]), removing(ids[CROWD])):
            watched.clear()
            answer = await push.patch(f"/Groups/{id}", change)
            assert answer.status_code == shown
            told = [asked for asked in watched.asked if "directory_tokens" not in asked.sql]
            pushed, answered = told[:4], told[4:]
            assert [asked.verb for asked in pushed][::3] == ["SELECT", "INSERT"]
            assert sum(asked.rows for asked in answered) == (
                1 if shown == 204 else len(answer.json()["members"])
            )
            costs.append([(asked.sql, asked.rows) for asked in pushed])
            assert [plan for plan in await watched.plans() if scans(plan)] == []
    assert costs[:2] == costs[2:]
    assert [rows for _, rows in costs[0]] == [1, 1, 0, 1]


async def test_only_what_a_request_names_is_touched(db: Database) -> None:
    """By the engine's own count of what it looked at: neither the group's other members nor the
    directory's other people are in the cost of a change, of a read of one batch, of a deletion.
    """
    touching = Touching(db)
    house = await pushing.house(touching)
    costs = []
    for size in (CROWD // 6, CROWD):
        async with pushing.calling(house, f"of-{size}") as push:
            ids = await crowds.people(db, push, size + 3, prefix=f"usr_{size}")
            group, few = [str((await push.group(name))["id"]) for name in ("Many", "Few")]
            await crowds.join(db, push, group, ids[:size])
            some = [{"value": id} for id in ids[size:]]
            path = f"/Groups/{group}"
            kim = (await push.user(f"kim-{size}"))["id"]
            await push.patch(path, adding(kim))
            requests: list[tuple[str, str, dict[str, Any] | None]] = [
                ("PATCH", path, adding(ids[-1])),
                ("PATCH", path, removing(ids[-1])),
                ("PATCH", path, {"op": "add", "path": "members", "value": some}),
                ("PATCH", path, {"op": "remove", "path": "members", "value": some}),
                ("DELETE", f"/Users/{kim}", None),
                ("GET", f"/Users/{ids[0]}", None),
                ("PUT", f"/Groups/{few}", {"displayName": "Few", "members": some}),
                ("GET", f"/Groups/{few}", None),
                ("GET", f"{path}?excludedAttributes=members", None),
            ]
            cost = []
            for method, at, said in requests:
                body = {"Operations": [said]} if method == "PATCH" else said
                touching.touched.clear()
                assert (await push(method, at, body)).status_code < 300
                cost.append(sum(touching.touched))
            costs.append(cost)
    for fewer, more in zip(*costs, strict=True):
        assert 0 < more <= fewer * 1.2 + 50, costs


async def test_lists_of_big_groups_are_bounded_too(
    house: House, db: Database, push: Pusher, watched: Watched, ids: list[str]
) -> None:
    """A page whose members are more than 20,000 comes group by group; nothing is left out."""
    for n in range(8):
        id = (await push.group(f"group-{n}"))["id"]
        await crowds.join(db, push, id, ids[n:])
    await push.group("empty")
    reader = Reader(house, push)
    watched.clear()
    page = await reader("/Groups", query="attributes=displayName,members.value")
    assert (page["totalResults"], page["itemsPerPage"], len(reader.pieces) > 40) == (9, 9, True)
    assert [each["displayName"] for each in page["Resources"]][7:] == ["group-7", "empty"]
    assert [values(each) for each in page["Resources"][:8]] == [ids[n:] for n in range(8)]
    assert max(asked.rows for asked in watched.asked) <= 10_000
    few = await Reader(house, push)("/Groups", query="count=6&startIndex=3&attributes=members")
    assert [len(each.get("members", ())) for each in few["Resources"]] == [
        *range(CROWD - 1, CROWD - 7, -1)
    ]
    answer = await push("GET", "/Groups", params={"filter": 'members.type eq "Group"'})
    assert (answer.status_code, answer.json()["scimType"]) == (400, "tooMany")
    found = await push.get("/Groups", filter=f'members.value eq "{ids[0]}"', attributes="id")
    assert found["totalResults"] == 1


async def test_thousands_come_and_go_by_a_few_statements(
    house: House, push: Pusher, watched: Watched, ids: list[str]
) -> None:
    """POST, PUT and a replace of thousands cost statements by the 512, and the record is short."""
    watched.clear()
    new = await push.group("New", *ids)
    assert sum(asked.sql.lstrip().startswith("INSERT INTO members") for asked in watched.asked) < 20
    assert len(watched.asked) < 40
    assert values(new) == ids
    line = (await house.records())[-1]
    assert line.result == "created"
    path = f"/Groups/{new['id']}"
    watched.clear()
    half = [{"value": id} for id in ids[: CROWD // 2]]
    answer = await push.patch(path, {"op": "replace", "path": "members", "value": half})
    assert (answer.status_code, len(watched.asked) < 60) == (204, True)
    assert values(await push.get(path)) == ids[: CROWD // 2]
    (change,) = (await house.records())[-1].changes
    assert change.before is not None
    assert change.before.endswith(f"; {CROWD + 1 - CROWD // 2 - 10} more")
    assert change.after is None
    answer = await push.patch(path, {"op": "remove", "path": 'members[type eq "User"]'})
    assert (answer.status_code, "members" in answer.json()) == (200, False)


async def test_deleting_a_big_group_or_its_member_costs_what_they_touch(
    push: Pusher, watched: Watched, ids: list[str], group: str
) -> None:
    """A group goes by one statement, whatever it holds; a person by one for each group."""
    kim = (await push.user("kim"))["id"]
    groups = [(await push.group(f"group-{n}", kim))["id"] for n in range(20)]
    watched.clear()
    assert (await push("DELETE", f"/Users/{kim}")).status_code == 204
    stamps = [asked for asked in watched.asked if asked.sql.lstrip().startswith("UPDATE resources")]
    assert len(stamps) == len(groups)
    assert [plan for plan in await watched.plans() if scans(plan)] == []
    watched.clear()
    assert (await push("DELETE", f"/Groups/{group}")).status_code == 204
    assert max(asked.rows for asked in watched.asked) == 1
    assert (await push.get(f"/Users/{ids[0]}")).get("groups") is None
