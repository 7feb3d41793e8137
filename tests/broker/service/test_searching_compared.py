"""Every way a search is answered gives what one look at all documents would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count as counting
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from broker.db.database import Database, Transaction
from broker.service import searching
from broker.service.searching import Outside, Searching
from broker.service.shelving import Shelving
from broker.store import resources
from broker.store.resources import Resource, Shelf
from scim.cursor import Cursor
from scim.document import Accepted
from scim.etag import IfMatch
from scim.query import Query
from scim.resources import Page
from scim.schema import Catalogue, Limits

CATALOGUE = Catalogue.standard()
USER = CATALOGUE.by_name["User"]
NUMBERS = counting()
EVERYTHING = 10**6

WORDS = ("kim", "KIM", "kímo", "k%m", "k_m", "k", "ß", "İ", 'a"b\\', "")
TYPES = ("work", "home")
words = some.sampled_from(WORDS[:-1])
emails = some.lists(
    some.fixed_dictionaries({"value": words}, optional={"type": some.sampled_from(TYPES)}),
    min_size=1,
    max_size=3,
)
people = some.fixed_dictionaries(
    {"userName": words},
    optional={
        "externalId": words,
        "displayName": words,
        "title": words,
        "active": some.booleans(),
        "emails": emails,
    },
)
quoted = some.sampled_from(WORDS).map(lambda word: orjson.dumps(word).decode())
NAMES = ("userName", "externalId", "displayName", "title", "emails", "emails.value", "emails.type")
kinds = some.sampled_from(TYPES)
terms = some.one_of(
    some.builds("{} {} {}".format, some.sampled_from(NAMES), some.just("eq"), quoted),
    some.builds(
        "{} {} {}".format, some.sampled_from(NAMES), some.sampled_from(["ne", "sw", "gt"]), quoted
    ),
    some.builds('emails[type eq "{}"].value eq {}'.format, kinds, quoted),
    some.builds('emails[type eq "{}" and value eq {}]'.format, kinds, quoted),
    some.builds("emails[value eq {}]".format, quoted),
    some.builds("{} pr".format, some.sampled_from(NAMES)),
    some.sampled_from(["active eq true", 'id eq "usr_nobody"', "displayName eq null"]),
)
filters = some.recursive(
    terms,
    lambda inner: some.one_of(
        some.builds("{} and {}".format, terms, inner),
        some.builds("({} or {})".format, inner, inner),
        some.builds("not ({})".format, inner),
    ),
    max_leaves=4,
)
orders = some.sampled_from(
    [None, "userName", "displayName", "externalId", "emails", "active", "meta.created", "id"]
)


def nothing(
    _tx: Transaction, _found: Mapping[int, str], _names: frozenset[str]
) -> dict[int, Outside]:
    """Nothing is kept outside."""
    return {}


class Directory:
    """People on a shelf of their own, and everything about them by hand."""

    def __init__(self, db: Database) -> None:
        self.searching = Searching(db)
        self.shelf = Shelf("prj_1", f"dir_{next(NUMBERS)}", "User")
        self.shelving = Shelving(self.shelf, USER, CATALOGUE)
        self.held: list[Resource] = []

    def put(self, tx: Transaction, *documents: dict[str, Any]) -> None:
        """Keep new people."""
        for document in documents:
            id = f"usr_{next(NUMBERS)}"
            self.held.append(self.shelving.inserted(tx, id, Accepted(document), "called"))

    def change(self, tx: Transaction, which: int, document: dict[str, Any]) -> None:
        """Put a document in place of another."""
        place = which % len(self.held)
        resource, was, extras = self.shelving.locked(tx, self.held[place].id, IfMatch())
        self.held[place] = self.shelving.changed(
            tx, resource, Accepted(document), "called", was=was, extras=extras
        )

    def drop(self, tx: Transaction, which: int) -> Resource:
        """Remove somebody."""
        resource = self.held.pop(which % len(self.held))
        resources.delete(tx, self.shelf, resource.n)
        return resource

    async def search(self, query: Query, **part: Any) -> Page:
        """What the product finds."""
        return await self.searching.search(self.shelf, replace(query, **part), nothing)

    def expected(self, query: Query) -> list[str]:
        """The ids of all that match, in order, from looking at each document."""
        found = [(orjson.loads(each.document), each.id) for each in self.held]
        if query.filter:
            found = [each for each in found if query.filter.matches(each[0])]
        if query.sort:
            key = query.sort.key
            found.sort(key=lambda each: key(each[0]), reverse=query.sort.descending)
        return [id for _, id in found]


def asked(filter: str | None, sort: str | None = None, order: str = "ascending") -> Query:
    """The query of these parameters."""
    given = {"filter": filter, "sortby": sort, "sortorder": order}
    return Query.of(USER, {k: v for k, v in given.items() if v is not None}, Limits())


def ids(page: Page) -> list[str]:
    return [item.id for item in page.items]


@pytest.mark.parametrize("batch", [1, searching.BATCH])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=some.lists(people, max_size=8),
    changes=some.lists(some.tuples(some.integers(0, 7), some.none() | people), max_size=4),
    filter=some.none() | filters,
    sort=orders,
    order=some.sampled_from(["ascending", "descending"]),
    count=some.integers(1, 4),
)
async def test_pages_are_slices_of_what_matches(
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    documents: list[dict[str, Any]],
    changes: list[tuple[int, dict[str, Any] | None]],
    filter: str | None,
    sort: str | None,
    order: str,
    count: int,
) -> None:
    """SQL or not, an index or not, by startIndex or by cursors, in both directions: a page is the
    slice of the documents that match, sorted, and a total is how many they are (both engines).
    """
    monkeypatch.setattr(searching, "BATCH", batch)
    directory = Directory(db)

    def played(tx: Transaction) -> None:
        directory.put(tx, *documents)
        for which, document in changes:
            if document is None and directory.held:
                directory.drop(tx, which)
            elif document and directory.held:
                directory.change(tx, which, document)

    await db.write(played)
    query = asked(filter, sort, order)
    expected = directory.expected(query)
    for start in range(1, len(expected) + 3):
        page = await directory.search(query, start_index=start, count=count)
        assert (page.total, ids(page)) == (len(expected), expected[start - 1 : start - 1 + count])
    assert (await directory.search(query, count=0)).total == len(expected)
    for backwards in (False, True):
        cursor, seen = Cursor((), backwards), list[str]()
        while True:
            page = await directory.search(query, count=count, cursor=cursor)
            seen = ids(page) + seen if backwards else seen + ids(page)
            assert page.total in (None, len(expected))
            if not page.more:
                break
            cursor = Cursor(page.items[0 if backwards else -1].at, backwards)
        assert seen == expected


@pytest.mark.parametrize("filter", [None, 'title eq "clerk"'], ids=["index", "documents"])
@pytest.mark.parametrize("sort", [None, "userName", "displayName"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_a_cursor_outlives_what_comes_and_goes(
    db: Database, filter: str | None, sort: str | None, order: str
) -> None:
    """RFC 9865: whoever was there all the time is seen once, forwards and backwards, though others
    come, and though the very resource goes at which the cursor stands.
    """
    directory = Directory(db)
    clerks = [
        {"userName": f"user-{n % 3}", "title": "clerk"} | ({"displayName": "x"} if n % 2 else {})
        for n in range(9)
    ]
    await db.write(directory.put, *clerks)
    query = asked(filter, sort, order)
    stay = set(directory.expected(query))
    for backwards in (False, True):
        cursor, seen = Cursor((), backwards), list[str]()
        for _ in range(99):
            page = await directory.search(query, count=2, cursor=cursor)
            seen += ids(page)
            if not page.more:
                break
            last = page.items[0 if backwards else -1]
            cursor = Cursor(last.at, backwards)
            place = next(i for i, each in enumerate(directory.held) if each.id == last.id)
            stay.discard((await db.write(directory.drop, place)).id)
            await db.write(directory.put, {"userName": "user-1", "title": "clerk"})
        assert len(seen) == len(set(seen))
        assert stay <= set(seen)
        stay = set(directory.expected(query))
