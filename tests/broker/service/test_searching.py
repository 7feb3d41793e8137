"""SCIM queries: what an index answers, what is looked at, and where looking ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.db.database import Database
from broker.service import searching
from tests import pushing
from tests.pushing import House, Pusher
from tests.watching import Watched, scans


@pytest.fixture
def watched(db: Database) -> Watched:
    """A database that remembers what it was asked."""
    return Watched(db)


@pytest.fixture
async def house(watched: Watched) -> House:
    """A project on each engine."""
    return await pushing.house(watched)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """A directory with 12 people and 3 groups."""
    async with pushing.calling(house) as push:
        for n in range(12):
            await push.user(
                f"User-{n:02}@acme.example",
                externalId=f"E-{n}",
                title="Head" if n % 5 == 0 else "Clerk",
                emails=[{"value": f"mail-{n}@acme.example", "type": "work"}],
            )
        for n in range(3):
            await push.group(f"Group-{n}")
        yield push


async def names(push: Pusher, **params: str) -> list[str]:
    found = await push.get("/Users", **params)
    return [each["userName"] for each in found["Resources"]]


@pytest.mark.parametrize(
    ("path", "filter", "found"),
    [
        ("/Users", 'userName eq "USER-07@ACME.EXAMPLE"', 1),
        ("/Users", 'USERNAME Eq "user-07@acme.example"', 1),
        ("/Users", 'externalId eq "E-7"', 1),
        ("/Users", 'externalId eq "e-7"', 0),
        ("/Users", 'userName eq "user-07@acme.example" and externalId eq "E-7"', 1),
        ("/Users", 'userName eq "user-07@acme.example" and externalId eq "E-8"', 0),
        ("/Users", 'userName eq "nobody"', 0),
        ("/Groups", 'displayName eq "GROUP-2"', 1),
        ("/Groups", 'members.value eq "usr_nobody"', 0),
        ("/Users", 'id eq "usr_nobody"', 0),
    ],
)
async def test_an_equality_on_a_key_is_one_look_into_an_index(
    push: Pusher, watched: Watched, path: str, filter: str, found: int
) -> None:
    """Entra's and Okta's matching reads what it answers and no more, on both engines."""
    watched.clear()
    answer = await push.get(path, filter=filter, excludedAttributes="groups,members")
    assert (answer["totalResults"], len(answer.get("Resources", []))) == (found, found)
    assert watched.rows <= found + 2  # the token and the directory beside it
    assert [plan for plan in await watched.plans() if scans(plan)] == []


async def test_an_id_is_found_by_filter_as_by_address(push: Pusher, watched: Watched) -> None:
    """Entra asks `id eq "…" and manager eq "…"`: the id is looked up, the rest is compared."""
    made = await push.user("kim")
    watched.clear()
    found = await push.get("/Users", filter=f'id eq "{made["id"]}" and manager eq "x"')
    assert found["totalResults"] == 0
    found = await push.get("/Users", filter=f'id eq "{made["id"]}"')
    assert found["Resources"] == [made]
    assert [plan for plan in await watched.plans() if scans(plan)] == []


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ('title eq "head"', ["User-00", "User-05", "User-10"]),
        ('emails[type eq "work"].value eq "MAIL-3@acme.example"', ["User-03"]),
        ('userName sw "user-1" and not (title eq "Clerk")', ["User-10"]),
        ('userName eq "User-01@acme.example" or externalId eq "E-2"', ["User-01", "User-02"]),
        ('userName eq "User-01@acme.example" and title eq "Head"', []),
        ('userName eq "a" and userName eq "b"', []),
    ],
)
async def test_any_other_filter_looks_at_the_documents(
    push: Pusher, filter: str, expected: list[str]
) -> None:
    """Every filter gives the same answer on both engines, an index or not."""
    assert [name.partition("@")[0] for name in await names(push, filter=filter)] == expected


async def test_pages_are_stable_while_people_come(push: Pusher) -> None:
    """Okta's import: pages by startIndex neither skip nor repeat anybody who was there before."""
    seen = await names(push, startIndex="1", count="5")
    await push.user("Late")
    for start in (6, 11):
        seen += await names(push, startIndex=str(start), count="5")
    assert seen == [f"User-{n:02}@acme.example" for n in range(12)] + ["Late"]


@pytest.mark.parametrize("count", [0, 7, 12, 100])
@pytest.mark.parametrize("filter", ["", 'userName sw "user"'], ids=["index", "documents"])
async def test_the_total_is_that_of_all_pages(push: Pusher, count: int, filter: str) -> None:
    """totalResults counts what matches, whatever the page holds; count 0 asks for it alone."""
    params = {"filter": filter} if filter else {}
    found = await push.get("/Users", count=str(count), startIndex="5", **params)
    assert found["totalResults"] == 12
    assert len(found.get("Resources", [])) == min(count, 8)


@pytest.mark.parametrize("by", ["userName", "externalId"], ids=["index", "documents"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_an_order_is_kept_over_pages(push: Pusher, by: str, order: str) -> None:
    """Sorting folds case where the attribute does, and pages cut one order."""
    await push.user("aaa", externalId="e-0")
    asked = {"sortBy": by, "sortOrder": order}
    starts = ("1", "6", "11")
    pages = [await names(push, **asked, startIndex=start, count="5") for start in starts]
    shown = (await push.get("/Users", **asked))["Resources"]
    assert [name for page in pages for name in page] == [each["userName"] for each in shown]
    fold = str.lower if by == "userName" else str
    keys = [fold(each[by]) for each in shown]
    assert keys == sorted(keys, reverse=order == "descending")
    assert len(keys) == 13


async def test_looking_ends_somewhere(push: Pusher, monkeypatch: pytest.MonkeyPatch) -> None:
    """building.md: beyond the limit of what is looked at, a filter answers `tooMany`."""
    monkeypatch.setattr(searching, "LOOKED_AT_LIMIT", 11)
    answer = await push("GET", "/Users", params={"filter": 'title eq "Head"'})
    assert (answer.status_code, answer.json()["scimType"]) == (400, "tooMany")
    answer = await push("GET", "/Users", params={"filter": 'externalId eq "E-3" and title pr'})
    assert answer.status_code == 200


async def test_one_looks_at_a_time_and_few_wait(push: Pusher) -> None:
    """Safety 37: of many searches at once eight stand in line, the others hear 429."""
    asked = {"filter": 'title eq "Head"'}
    answers = await asyncio.gather(*(push("GET", "/Users", params=asked) for _ in range(20)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= searching.LINE_LIMIT
    for refused in (answer for answer in answers if answer.status_code == 429):
        assert refused.headers["retry-after"]
    assert (await push("GET", "/Users", params=asked)).status_code == 200


async def test_a_page_reads_what_it_answers(push: Pusher, watched: Watched) -> None:
    """Rows read are at most the page, its total, and the directory's token."""
    watched.clear()
    await push.get("/Users", count="10", excludedAttributes="groups")
    assert watched.rows <= 10 + 1 + 2  # the total, token and directory
    assert [plan for plan in await watched.plans() if scans(plan)] == []
