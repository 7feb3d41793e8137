"""Searches over pages and types: indexes that stay honest, cursors that hold still, the root."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.cursor import Cursor, Tokens
from scim.document import accept
from scim.errors import ScimError
from scim.query import URN
from scim.schema import ResourceType
from scim.searching import DEEPEST_MERGE, Search
from scim.tolerance import STANDARD
from tests.scim.calling import Client, problem
from tests.scim.memory import MemoryDirectory
from tests.scim.oracle import GROUP, USER

ROOT = [USER, GROUP]


@pytest.fixture
def client() -> Client:
    return Client()


async def found(host: MemoryDirectory, types: Sequence[ResourceType], **given: Any) -> Any:
    """What a search answers."""
    answer = await Search(
        host, types, {name.lower(): each for name, each in given.items()}
    ).answer()
    assert isinstance(answer.body, bytes)
    return orjson.loads(answer.body)


def ids(page: Any) -> list[str]:
    """Whom a page shows."""
    return [each["id"] for each in page["Resources"]]


async def people(client: Client, *names: str) -> list[str]:
    """New users of these names; their ids."""
    return [(await client.user(name))["id"] for name in names]


async def test_pages_forward_and_back(client: Client) -> None:
    """RFC 9865 section 2: an empty cursor begins; no way on at the last page, none back at the
    first; no startIndex beside a cursor.
    """
    made = await people(client, "a", "b", "c", "d", "e")
    first = (await client("GET", "/Users?cursor&count=2")).json()
    assert first.keys() == {"schemas", "totalResults", "itemsPerPage", "nextCursor", "Resources"}
    assert (first["totalResults"], first["itemsPerPage"]) == (5, 2)
    middle = (await client("GET", f"/Users?cursor={first['nextCursor']}&count=2")).json()
    assert middle.keys() == {*first, "previousCursor"}
    last = (await client("GET", f"/Users?cursor={middle['nextCursor']}")).json()
    assert "nextCursor" not in last
    assert [ids(first), ids(middle), ids(last)] == [made[:2], made[2:4], made[4:]]
    back = (await client("GET", f"/Users?cursor={last['previousCursor']}")).json()
    assert (ids(back), "nextCursor" in back, "previousCursor" in back) == (made[2:4], True, True)
    begin = (await client("GET", f"/Users?cursor={back['previousCursor']}")).json()
    assert (ids(begin), "nextCursor" in begin, "previousCursor" in begin) == (made[:2], True, False)


async def test_a_body_pages_as_a_url(client: Client) -> None:
    """RFC 9865 section 3: the cursor of POST /.search is in the body, and is the same one."""
    made = await people(client, "a", "b", "c")
    body = {"schemas": [URN], "cursor": "", "count": 2}
    page = (await client("POST", "/Users/.search", body)).json()
    body["cursor"] = page["nextCursor"]
    for rest in (
        await client("POST", "/Users/.search", body),
        await client("GET", f"/Users?cursor={page['nextCursor']}&count=2"),
    ):
        assert ids(page) + ids(rest.json()) == made


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("", {"startIndex"}),
        ("?startIndex=2", {"startIndex"}),
        ("?startIndex=1&cursor", set()),
        ("?cursor=&count=0", set()),
        ("?cursor=&count=-1", set()),
        ("?count=0", {"startIndex"}),
        ("?cursor=&count=9", set()),
    ],
)
async def test_who_names_no_cursor_pages_by_index(
    client: Client, query: str, keys: set[str]
) -> None:
    """RFC 9865 section 2.3: the method is the client's choice, the index the default; a count of
    0 asks for the total alone.
    """
    await people(client, "a", "b")
    page = (await client("GET", "/Users" + query)).json()
    common = {"schemas", "totalResults", "itemsPerPage", "Resources"}
    assert page.keys() - common == keys
    assert page["totalResults"] == 2


async def token(client: Client, path: str) -> str:
    """The next cursor of a query."""
    answer = await client("GET", path)
    assert answer.status_code == 200, answer.text
    cursor: str = answer.json()["nextCursor"]
    return cursor


@pytest.mark.parametrize(
    ("path", "scim_type"),
    [
        ("/Users?count=2&cursor=x", "invalidCursor"),
        ("/Users?count=2&cursor={}x", "invalidCursor"),
        ("/Users?count=2&cursor={}%3D", "invalidCursor"),
        ("/Users?count=2&cursor=x{}", "invalidCursor"),
        ("/Users?count=2&cursor=%C3%A9{}", "invalidCursor"),
        ("/Groups?count=2&cursor={}", "invalidCursor"),
        ("/?count=2&cursor={}", "invalidCursor"),
        ("/Users?count=2&cursor={}&filter=userName%20pr", "invalidCursor"),
        ("/Users?count=2&cursor={}&sortBy=userName", "invalidCursor"),
        ("/Users?count=3&cursor={}", "invalidCount"),
        ("/Users?count=0&cursor={}", "invalidCount"),
        ("/Users?count=x&cursor={}", "invalidCount"),
        ("/Users?count=x&cursor", "invalidCount"),
        ("/Users?count=2&startIndex=2&cursor={}", "invalidValue"),
    ],
)
async def test_a_cursor_is_for_its_query_alone(client: Client, path: str, scim_type: str) -> None:
    """RFC 9865 section 2.1: a cursor that is none of this query's is 400, and says why."""
    await people(client, "a", "b", "c")
    cursor = await token(client, "/Users?cursor&count=2")
    status, word, _ = problem(await client("GET", path.format(cursor)))
    assert (status, word) == (400, scim_type)


async def test_a_cursor_is_for_its_directory_alone(client: Client) -> None:
    """Safety 1: the cursor of one directory is none in another, were the query the same."""
    await people(client, "a", "b")
    client.service.add("dir_b")
    cursor = await token(client, "/Users?cursor&count=1")
    path, other = f"/Users?count=1&cursor={cursor}", "dir_b"
    answer = await client("GET", path, directory=other, token=f"token-of-{other}")
    assert problem(answer)[:2] == (400, "invalidCursor")
    assert (await client("GET", path)).status_code == 200


@pytest.mark.parametrize("cursor", [7, ["x"], {}, True])
async def test_a_cursor_is_a_text(client: Client, cursor: Any) -> None:
    """RFC 9865 section 3: anything else in a body is invalidCursor; null is no cursor."""
    body = {"schemas": [URN], "cursor": cursor}
    answer = await client("POST", "/Users/.search", body)
    assert problem(answer)[:2] == (400, "invalidCursor")
    assert "startIndex" in (await client("POST", "/.search", body | {"cursor": None})).json()


async def test_a_cursor_grows_old(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9865 section 4: cursorTimeout is announced, and kept to the second."""
    config = (await client("GET", "/ServiceProviderConfig")).json()["pagination"]
    assert (config["cursor"], config["defaultPaginationMethod"]) == (True, "index")
    lifetime = config["cursorTimeout"]
    await people(client, "a", "b")
    clock = [1_000_000.0]
    monkeypatch.setattr("scim.cursor.time.time", lambda: clock[0])
    cursor = await token(client, "/Users?cursor&count=1")
    for seconds, status in ((lifetime, 200), (1, 400)):
        clock[0] += seconds
        answer = await client("GET", f"/Users?cursor={cursor}")
        assert answer.status_code == status
    assert problem(answer)[1] == "expiredCursor"


@settings(max_examples=300)
@given(st.data())
def test_no_token_but_ours_opens(data: st.DataObject) -> None:
    """RFC 9865 section 5.1: a token changed anywhere is invalidCursor and nothing else."""
    tokens = Tokens(MemoryDirectory("http://x"), b"query", 60)
    mine = tokens.token(Cursor((False, "a", 7), True), 1, 3)
    assert set(mine) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    at = data.draw(st.integers(0, len(mine) - 1))
    put = data.draw(st.one_of(st.text(max_size=2), st.sampled_from("AZaz09-_=.~")))
    changed = mine[:at] + put + mine[at + data.draw(st.integers(0, 2)) :]
    if changed == mine:
        assert tokens.opened(changed) == (Cursor((False, "a", 7), True), 1, 3)
    else:
        with pytest.raises(ScimError) as refusal:
            tokens.opened(changed)
        assert refusal.value.scim_type == "invalidCursor"


async def test_a_page_whose_neighbors_went_leads_back(client: Client) -> None:
    """A cursor into what was deleted meanwhile is an empty page, and the way back misses none."""
    made = await people(client, "a", "b", "c", "d")
    first = (await client("GET", "/Users?cursor&count=2")).json()
    second = (await client("GET", f"/Users?cursor={first['nextCursor']}")).json()
    for gone in made[2:]:
        await client("DELETE", f"/Users/{gone}")
    empty = (await client("GET", f"/Users?cursor={first['nextCursor']}")).json()
    assert (ids(empty), "nextCursor" in empty) == ([], False)
    back = (await client("GET", f"/Users?cursor={empty['previousCursor']}")).json()
    assert ids(back) == made[:2]
    for gone in made[:2]:
        await client("DELETE", f"/Users/{gone}")
    (fresh,) = await people(client, "e")
    empty = (await client("GET", f"/Users?cursor={second['previousCursor']}")).json()
    assert (ids(empty), "previousCursor" in empty) == ([], False)
    assert ids((await client("GET", f"/Users?cursor={empty['nextCursor']}")).json()) == [fresh]


@pytest.mark.parametrize("path", ["/", ""])
async def test_the_root_is_all_types_together(client: Client, path: str) -> None:
    """RFC 7644 section 3.4.2.1: users and groups in one list, each as its own type shows it."""
    (ada,) = await people(client, "ada")
    group = await client.group("Engineers", ada)
    page = (await client("GET", path)).json()
    assert (page["totalResults"], page["itemsPerPage"], page["startIndex"]) == (2, 2, 1)
    assert page["Resources"] == [(await client("GET", f"/Users/{ada}")).json(), group]
    body = {"schemas": [URN], "attributes": ["userName", "members.value"]}
    shown = (await client("POST", "/.search", body)).json()["Resources"]
    assert [each.keys() - {"schemas", "id"} for each in shown] == [{"userName"}, {"members"}]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ('userName eq "ada"', ["ada"]),
        ('displayName eq "engineers"', ["Engineers"]),
        ('displayName sw "e" or userName sw "a"', ["ada", "Engineers"]),
        ("userName pr", ["ada", "bob"]),
        ("not (userName pr)", ["Engineers"]),
        ('userName ne "ada"', ["bob", "Engineers"]),
        ("userName eq null", ["Engineers"]),
        ('members[value eq "x"]', []),
        ("members pr", []),
        ('not (members[value eq "x"])', ["ada", "bob", "Engineers"]),
        ('name.givenName eq "A" and members.value eq "x"', []),
        ('meta.resourceType eq "Group"', ["Engineers"]),
        ('meta.resourceType eq "User" and userName sw "b"', ["bob"]),
        ('(meta.resourceType eq "User") or (meta.resourceType eq "Group")', None),
        ('urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "engineers"', ["Engineers"]),
        ("id pr", None),
    ],
)
async def test_a_name_one_type_lacks_has_no_value_there(
    client: Client, filter: str, expected: list[str] | None
) -> None:
    """RFC 7644 section 3.4.2.1: `not`, `ne`, `pr` treat it as they treat an absent value."""
    await people(client, "ada", "bob")
    await client.group()
    answer = await found(client.directory, ROOT, filter=filter)
    names = [each.get("userName", each.get("displayName")) for each in answer["Resources"]]
    assert names == (["ada", "bob", "Engineers"] if expected is None else expected)
    assert answer["totalResults"] == len(names)


@pytest.mark.parametrize(
    ("given", "scim_type"),
    [
        ({"filter": 'colour eq "x"'}, "invalidFilter"),
        ({"filter": "userName eq 5 and displayName pr"}, "invalidFilter"),
        ({"filter": "userName eq 5 and members pr"}, "invalidFilter"),
        ({"filter": 'not (colour eq "x")'}, "invalidFilter"),
        ({"filter": 'colour[value eq "x"]'}, "invalidFilter"),
        ({"sortBy": "colour"}, "invalidPath"),
        ({"sortBy": "members"}, None),
        ({"sortBy": "userName", "startIndex": DEEPEST_MERGE, "count": 2}, "tooMany"),
        ({"sortBy": "userName", "startIndex": DEEPEST_MERGE, "count": 0}, None),
        ({"startIndex": DEEPEST_MERGE, "count": 2}, None),
        ({"attributes": "id", "excludedAttributes": "name"}, "invalidValue"),
    ],
)
async def test_what_no_type_knows_is_an_error(given: Any, scim_type: str | None) -> None:
    """Safety 37, RFC 7644 section 3.12: at the root as below it; orders over all types, whose
    pages are merged, have an end.
    """
    host = MemoryDirectory("http://x")
    if scim_type is None:
        assert (await found(host, ROOT, **given))["totalResults"] == 0
        return
    with pytest.raises(ScimError) as refusal:
        await found(host, ROOT, **given)
    assert refusal.value.scim_type == scim_type


async def test_types_that_cannot_match_are_not_asked(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safety 37: a lookup over the root looks into no type that lacks its attribute."""
    asked: list[str] = []
    resources = MemoryDirectory.resources

    def counted(self: MemoryDirectory, type: ResourceType) -> Any:
        asked.append(type.name)
        return resources(self, type)

    monkeypatch.setattr(MemoryDirectory, "resources", counted)
    await found(client.directory, ROOT, filter='userName eq "ada"')
    assert asked == ["User"]
    assert (await found(client.directory, ROOT, filter='meta.resourceType eq "x"'))[
        "Resources"
    ] == []
    assert asked == ["User"]


NAMES = st.sampled_from(["a", "B", "b", "c", "É", "zz"])
PERSON = st.fixed_dictionaries({}, optional={"displayName": NAMES, "active": st.booleans()})
ARRIVAL = st.one_of(
    st.tuples(st.just(USER), PERSON),
    st.tuples(st.just(GROUP), st.fixed_dictionaries({"displayName": NAMES})),
)
EVENT = st.one_of(ARRIVAL, st.integers(0, 20))
"""A resource that comes, or the number of one that goes."""
FILTERED = [None, 'displayName ge "b"', "userName pr", "not (active eq true)", "displayName pr"]
FILTERS = st.sampled_from(FILTERED)
SORTED = ["displayName", "userName", None, "active", "meta.created"]
SORTS = st.sampled_from(SORTED)
ORDERS = st.sampled_from(["descending", None, "ascending"])


class World:
    """One directory while things come and go."""

    def __init__(self) -> None:
        self.host = MemoryDirectory("http://x")
        self.made: list[tuple[ResourceType, str]] = []

    async def take(self, event: Any) -> None:
        """Let one event happen."""
        if isinstance(event, int):
            if self.made:
                type, id = self.made[event % len(self.made)]
                self.host.rows[type.name].pop(id, None)
            return
        type, body = event
        body = {"schemas": [type.schema], **body}
        if type is USER:
            body["userName"] = f"u{len(self.made) % 7}-{len(self.made)}"
        accepted = accept(type, body, STANDARD)
        stored = await self.host.resources(type).create(accepted, computed=frozenset())
        self.made.append((type, stored.id))

    async def walk(
        self, types: Sequence[ResourceType], given: Any, turns: list[Any], way: str, cursor: str
    ) -> tuple[list[list[str]], str | None]:
        """Whom the pages show one way, the events of a turn between two; and the way back."""
        pages: list[list[str]] = []
        while True:
            page = await found(self.host, types, **given, cursor=cursor)
            pages.append(ids(page))
            assert len(pages[-1]) <= given["count"]
            assert len(pages) < 100
            if way not in page:
                back: str | None = page.get(BACK[way])
                return pages, back
            cursor = page[way]
            for event in turns.pop(0) if turns else []:
                await self.take(event)

    async def all(self, types: Sequence[ResourceType], given: Any) -> list[str]:
        """Everybody who matches now, in order."""
        return ids(await found(self.host, types, **given | {"count": 1000}))


BACK = {"nextCursor": "previousCursor", "previousCursor": "nextCursor"}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
async def test_cursors_show_what_indexes_show(count: int) -> None:
    """RFC 9865 section 2.2: the same resources in the same order, there and back, whatever the
    filter and the order.
    """
    world = World()
    names: list[dict[str, Any]] = [{"displayName": "b"}, {}, {"displayName": "A", "active": True}]
    for body in (*names, {"displayName": "b"}):
        await world.take((USER, body))
        await world.take((GROUP, {"displayName": "B"} | body))
    for filter, sort, order in product(FILTERED, SORTED, ("ascending", "descending")):
        given = {"filter": filter, "sortBy": sort, "sortOrder": order, "count": count}
        given = {name: value for name, value in given.items() if value is not None}
        forward, turn = await world.walk(ROOT, given, [], "nextCursor", "")
        assert [id for page in forward for id in page] == await world.all(ROOT, given)
        assert (turn is None) == (len(forward) == 1)
        if turn:
            back, _ = await world.walk(ROOT, given, [], "previousCursor", turn)
            whole = (*reversed(back), forward[-1])
            assert [id for page in whole for id in page] == await world.all(ROOT, given)


@settings(max_examples=400)
@given(
    st.sampled_from([ROOT, [USER], [GROUP]]),
    st.lists(ARRIVAL, max_size=12),
    st.lists(st.lists(EVENT, max_size=3), max_size=10),
    FILTERS,
    SORTS,
    ORDERS,
    st.integers(1, 5),
)
async def test_cursors_hold_still(
    types: list[ResourceType],
    there: list[Any],
    turns: list[Any],
    filter: str | None,
    sort: str | None,
    order: str | None,
    count: int,
) -> None:
    """RFC 9865: to the end and back again, while others come and go, nobody is shown twice, and
    nobody who stays is missed or out of order.
    """
    if types == [GROUP] and filter and "displayName" not in filter:
        filter = None
    if types == [GROUP] and sort in ("userName", "active"):
        sort = None
    world = World()
    for event in there:
        await world.take(event)
    given = {"filter": filter, "sortBy": sort, "sortOrder": order, "count": count}
    given = {name: value for name, value in given.items() if value is not None}
    before = await world.all(types, given)
    pages, turn = await world.walk(types, given, turns, "nextCursor", "")
    forward = [id for page in pages for id in page]
    after = await world.all(types, given)
    assert len(set(forward)) == len(forward)
    assert [id for id in forward if id in after] == [id for id in after if id in forward]
    assert set(before) & set(after) <= set(forward)
    if turn is not None:
        back, _ = await world.walk(types, given, turns, "previousCursor", turn)
        backward = [id for page in (*reversed(back), pages[-1]) for id in page]
        stayed = set(after) & set(await world.all(types, given))
        assert len(set(backward)) == len(backward)
        assert [id for id in backward if id in stayed] == [id for id in after if id in stayed]
    else:
        assert len(pages) == 1


@settings(max_examples=200)
@given(
    st.lists(ARRIVAL, max_size=12),
    FILTERS,
    SORTS,
    ORDERS,
    st.integers(1, 5),
)
async def test_indexes_over_all_types_are_honest(
    there: list[Any], filter: str | None, sort: str | None, order: str | None, count: int
) -> None:
    """RFC 7644 sections 3.4.2.3 and 3.4.2.4: the pages together are the list, in its order, and
    each tells its length; a missing value comes last ascending and first descending.
    """
    world = World()
    for event in there:
        await world.take(event)
    given = {"filter": filter, "sortBy": sort, "sortOrder": order}
    given = {name: value for name, value in given.items() if value is not None}
    whole = await found(world.host, ROOT, **given, count=1000)
    pages = [
        await found(world.host, ROOT, **given, count=count, startIndex=start)
        for start in range(1, 20, count)
    ]
    assert [id for page in pages for id in ids(page)] == ids(whole)
    assert {page["totalResults"] for page in pages} == {len(ids(whole))}
    if sort in ("displayName", "userName"):
        values = [each.get(sort) for each in whole["Resources"]]
        keys = [(value is None, (value or "").lower()) for value in values]
        assert keys == sorted(keys, reverse=order == "descending")
