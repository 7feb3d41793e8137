"""SCIM queries: what an index answers, what is looked at, and where looking ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.service import searching
from broker.service.keying import KEY_LIMIT
from tests import pushing
from tests.pushing import House, Pusher
from tests.watching import Watched, scans


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """A directory with 12 people and 3 groups."""
    async with pushing.calling(house) as push:
        for n in range(12):
            await push.user(
                f"User-{n:02}@acme.example",
                externalId=f"E-{n}",
                title="Head" if n % 5 == 0 else "Clerk",
                displayName=f"Person {n}",
                emails=[
                    {"value": f"mail-{n}@acme.example", "type": "work"},
                    {"value": f"home-{n}@acme.example", "type": "home"},
                ],
            )
        for n in range(3):
            await push.group(f"Group-{n}")
        yield push


async def names(push: Pusher, **params: str) -> list[str]:
    found = await push.get("/Users", **params)
    return [each["userName"] for each in found["Resources"]]


@pytest.mark.parametrize(
    ("path", "filter", "index", "found"),
    [
        ("/Users", 'userName eq "USER-07@ACME.EXAMPLE"', "name", 1),
        ("/Users", 'USERNAME Eq "user-07@acme.example"', "name", 1),
        ("/Users", 'externalId eq "E-7"', "external", 1),
        ("/Users", 'externalId eq "e-7"', "external", 0),
        ("/Users", 'userName eq "user-07@acme.example" and externalId eq "E-7"', "", 1),
        ("/Users", 'userName eq "user-07@acme.example" and externalId eq "E-8"', "", 0),
        ("/Users", 'userName eq "nobody"', "name", 0),
        ("/Users", 'displayName eq "PERSON 7"', "display", 1),
        ("/Users", 'emails eq "MAIL-7@acme.example"', "email", 1),
        ("/Users", 'emails.value eq "home-7@acme.example"', "email", 1),
        ("/Users", 'emails[type eq "work"].value eq "mail-7@acme.example"', "email", 1),
        ("/Users", 'emails[type eq "home"].value eq "mail-7@acme.example"', "email", 0),
        ("/Users", 'emails[type eq "work" and value eq "mail-7@acme.example"]', "email", 1),
        ("/Users", 'emails eq "mail-7@acme.example" and title eq "Head"', "email", 0),
        ("/Groups", 'displayName eq "GROUP-2"', "name", 1),
        ("/Groups", 'members.value eq "usr_nobody"', "", 0),
        ("/Users", 'id eq "usr_nobody"', "id", 0),
    ],
)
async def test_an_equality_on_a_key_is_one_look_into_an_index(
    push: Pusher, watched: Watched, path: str, filter: str, index: str, found: int
) -> None:
    """Entra's and Okta's matching reads what the index of that key leaves and no more, on both
    engines, and on PostgreSQL before it has statistics, too.
    """
    watched.clear()
    answer = await push.get(path, filter=filter, excludedAttributes="groups,members")
    assert (answer["totalResults"], len(answer.get("Resources", []))) == (found, found)
    assert watched.rows <= 2  # the token, and who has the key
    plans = await watched.plans()
    assert [plan for plan in plans if scans(plan)] == []
    assert not any("ix_resources_all" in plan for plan in plans)
    if index:
        names = {"id": ("uq_resources_id", "sqlite_autoindex_resources_1")}
        assert any(
            name in plan for plan in plans for name in names.get(index, (f"ix_resources_{index}",))
        )


async def test_what_an_index_narrows_waits_in_no_line(push: Pusher) -> None:
    """Twenty such questions at once are twenty answers; where many share a key the documents are
    looked at in turn after all, and the answer is the same.
    """
    asked = {"filter": 'emails[type eq "work"].value eq "mail-3@acme.example"'}
    answers = await asyncio.gather(*(push("GET", "/Users", params=asked) for _ in range(20)))
    assert [answer.json()["totalResults"] for answer in answers] == [1] * 20


async def test_a_key_has_an_end(push: Pusher) -> None:
    """Of a long text an index keeps the beginning; what shares that is told apart all the same."""
    long = "x" * KEY_LIMIT
    for name in (long, long + "y", long + "z", long[1:]):
        await push.user(name[-20:] + str(len(name)), displayName=name, externalId=name)
    for attribute in ("displayName", "externalId"):
        for name in (long, long + "y", long[1:]):
            found = await push.get("/Users", filter=f'{attribute} eq "{name}"')
            assert [each[attribute] for each in found["Resources"]] == [name]
        assert (await push.get("/Users", filter=f'{attribute} eq "{long}q"'))["totalResults"] == 0


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
    assert watched.rows <= 10 + 1 + 1  # the total, and the token
    assert [plan for plan in await watched.plans() if scans(plan)] == []


@pytest.mark.parametrize("sort", [{}, {"sortBy": "userName"}], ids=["arrival", "name"])
async def test_a_cursor_reads_one_more_than_it_answers(
    push: Pusher, watched: Watched, sort: dict[str, str]
) -> None:
    """RFC 9865: each page costs the same wherever it stands, and a filter ends with its page."""
    asked = {"count": "3", "excludedAttributes": "groups"} | sort
    cursor: str | None = ""
    seen = 0
    while cursor is not None:
        watched.clear()
        page = await push.get("/Users", cursor=cursor, **asked)
        assert watched.rows <= 3 + 1 + 1 + 1  # one more, the total, and the token
        assert [plan for plan in await watched.plans() if scans(plan)] == []
        seen += len(page["Resources"])
        cursor = page.get("nextCursor")
    assert seen == 12


async def test_a_look_ends_with_the_page(
    push: Pusher, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a cursor nobody counts what is beyond the page, so nobody looks at it."""
    monkeypatch.setattr(searching, "BATCH", 2)
    watched.clear()
    page = await push.get("/Users", cursor="", count="2", filter='title eq "Clerk"')
    assert len(page["Resources"]) == 2
    assert "totalResults" not in page
    assert watched.rows <= 4 + 1 + 1  # two batches, and the token
