"""The feed: what happened, in the order of its numbers, for whoever stores one number."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from broker.db.database import Transaction
from broker.store import events
from tests.broker.service.calling import about
from tests.faces import Faces
from tests.waiting import until

OURS = {"Sec-Fetch-Site": "same-origin"}


async def happen(service: Faces, *types: str, project: str | None = None) -> None:
    """Let something happen, and be published."""
    for type in types:
        where = project or service.project
        await service.broker.db.write(events.append, where, type, **about(type))
    await service.broker.publishing.publish()


async def read(service: Faces, query: str = "", **headers: str) -> Any:
    """One answer of the feed."""
    key = await service.key("events:read")
    answer = await service.client.get(f"/v1/events?{query}", headers=key | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_event_as_it_is_read(service: Faces) -> None:
    """api-conventions 6: id, sequence, type, timestamp, project and thin data; what is not yet
    published has no number, and nobody sees it.
    """
    await service.broker.db.write(events.append, service.project, "user.invited", user_id="usr_1")
    assert await read(service) == {"items": [], "last": 0}
    await service.broker.publishing.publish()
    found = await read(service)
    (event,) = found["items"]
    assert event.pop("id").startswith("evt_")
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "sequence": 1,
        "type": "user.invited",
        "project": service.project,
        "data": {"user_id": "usr_1"},
    }
    assert found["last"] == 1


async def test_one_number_is_all_a_reader_keeps(service: Faces) -> None:
    """Each answer's `last` is the next question's `after`: every event once, in order, also where
    only some types are asked for and pages are small.
    """
    await happen(service, *["user.invited", "user.activated", "pause.ready"] * 7)
    for types, expected in (("", 21), ("types=user.*", 14), ("types=pause.*,user.invited", 14)):
        seen, last = [], 0
        while (found := await read(service, f"after={last}&limit=4&{types}"))["items"]:
            seen += [event["sequence"] for event in found["items"]]
            last = found["last"]
        assert (len(seen), seen, last) == (expected, sorted(set(seen)), 21)


async def test_10_000_events_are_paged_without_a_gap(service: Faces) -> None:
    """10,000 events: every number from 1 on once, whatever the page."""

    def crowd(tx: Transaction) -> None:
        for _ in range(10_000):
            events.append(tx, service.project, "user.invited", user_id="usr_1")

    await service.broker.db.write(crowd)
    assert await service.broker.publishing.publish() == 10_000
    seen, last = [], 0
    while (found := await read(service, f"after={last}&limit=200"))["items"]:
        seen += [event["sequence"] for event in found["items"]]
        last = found["last"]
    assert seen == list(range(1, 10_001))
    assert await read(service, "types=pause.*") == {"items": [], "last": 10_000}


async def test_an_answer_looks_at_10_000_numbers(service: Faces) -> None:
    """Of rare types one answer may hold none and still say how far it looked: nobody reads all
    there is in one request, and whoever asks again from there misses nothing.
    """

    def crowd(tx: Transaction) -> None:
        for number in range(10_050):
            type = "pause.ready" if number == 10_020 else "user.invited"
            events.append(tx, service.project, type, **about(type))

    await service.broker.db.write(crowd)
    await service.broker.publishing.publish()
    assert await read(service, "types=pause.*") == {"items": [], "last": 10_000}
    found = await read(service, "types=pause.*&after=10000", prefer="wait=30")
    assert ([event["sequence"] for event in found["items"]], found["last"]) == ([10_021], 10_050)


async def test_a_reader_that_slept_too_long_begins_with_the_oldest(service: Faces) -> None:
    """Events are kept for 30 days: what is gone shows as numbers that do not follow, and a reader
    of rare types is not sent through the numbers that are gone.
    """
    await happen(service, *["user.invited"] * 5, "pause.ready")
    gone = "DELETE FROM events WHERE sequence < 4"
    await service.broker.db.write(lambda tx: tx.run(gone))
    assert [event["sequence"] for event in (await read(service))["items"]] == [4, 5, 6]
    found = await read(service, "types=pause.*")
    assert ([event["sequence"] for event in found["items"]], found["last"]) == ([6], 6)


async def test_a_held_reader_hears_at_once(service: Faces) -> None:
    """`Prefer: wait`: held until there is an event of the types that are asked for, not for those
    of others; `Preference-Applied` says how long it would have been.
    """
    key = await service.key("events:read") | {"Prefer": "wait=30"}
    asked = asyncio.create_task(service.client.get("/v1/events?types=pause.*", headers=key))
    await until(lambda: service.broker.holding._waiting)
    await happen(service, "user.invited")
    await happen(service, "pause.ready")
    answer = await asked
    assert answer.headers["preference-applied"] == "wait=30"
    assert [event["type"] for event in answer.json()["items"]] == ["pause.ready"]


async def test_a_held_reader_is_let_go_with_an_empty_list(service: Faces) -> None:
    """Nothing for as long as it wanted to wait: 200, no items, the same number."""
    await happen(service, "user.invited")
    found = await read(service, "after=1", prefer="wait=1")
    assert found == {"items": [], "last": 1}


async def test_each_project_has_numbers_of_its_own(service: Faces) -> None:
    """Safety 3: another project's events are nobody else's, and leave no gap in these numbers."""
    other = await service.other_project()
    for project in (other, service.project, other, service.project):
        await happen(service, "user.invited", project=project)
    found = await read(service)
    assert [event["sequence"] for event in found["items"]] == [1, 2]
    assert {event["project"] for event in found["items"]} == {service.project}


async def test_a_limited_key_reads_of_its_connectors(service: Faces) -> None:
    """Safety 3, 22: a key for some connectors sees what is about one of them, and goes past the
    rest; of people, of licenses and of other connectors it learns nothing. What it saw of one that
    is deleted since, it still sees, and the deletion too.
    """
    client, ids = await service.administrator(), {}
    said = {"type": "salesforce", "environment": {"name": "production"}}
    for name in ("Sales", "Other"):
        made = await client.post("/v1/connectors", json=said | {"name": name}, headers=OURS)
        ids[name] = made.json()["id"]

    def happens(tx: Transaction) -> None:
        for name in ("Sales", "Other"):
            events.append(tx, service.project, "connector.failing", connector=ids[name])
        events.append(tx, service.project, "user.invited", user_id="usr_1")

    await service.broker.db.write(happens)
    await service.broker.publishing.publish()
    key = await service.key("events:read", connectors=["sales"])
    found = (await service.client.get("/v1/events", headers=key)).json()
    assert [event["data"]["connector"] for event in found["items"]] == [ids["Sales"]]
    assert found["last"] == 3
    for name, id in ids.items():
        await client.delete(f"/v1/connectors/{id}?name={name}", headers=OURS | {"If-Match": "*"})
    await service.broker.publishing.publish()
    after = (await service.client.get("/v1/events", headers=key)).json()["items"]
    assert {event["data"]["connector"] for event in after} == {ids["Sales"]}
    assert [event["type"] for event in after] == ["connector.failing", "connector.deleted"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=x", "invalid-after"),
        ("after=-1", "invalid-after"),
        ("after=9", "number-not-given"),
        ("types=nobody.*", "unknown-type"),
        ("types=user.*,useractivated", "unknown-type"),
        ("cursor=1", "invalid-cursor"),
        ("limit=0", "invalid-limit"),
        ("before=1", "invalid"),
    ],
)
async def test_what_the_feed_does_not_understand(service: Faces, query: str, code: str) -> None:
    """What cannot be evaluated is refused; a number that was not given yet is what somebody holds
    who read from the database before it was restored.
    """
    key = await service.key("events:read")
    answer = await service.client.get(f"/v1/events?{query}", headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
