"""A SCIM server as a source: every page shape, every bad answer, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import orjson
import pytest
from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider
from starlette.responses import HTMLResponse, RedirectResponse, Response

from broker.db.database import Database
from broker.demo.simulator import Simulator, serving
from broker.demo.world import Trouble
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    HostRefused,
    PlaceGone,
    ProviderError,
    SourceBroken,
    TryLater,
)
from providers.secret import Secret
from providers.sources.asking import PERSON_LIMIT
from providers.sources.reading import Found, Members, Page
from providers.sources.registry import Sources
from providers.sources.scim import Scim, ScimKind
from providers.sources.scim_paging import Place
from tests import pushing
from tests.providers.peers import peer, says, self_signed
from tests.providers.sources.walking import TOKEN, Says, far, found, keys, listed, person, walk

CONFIG = "/scim/v2/ServiceProviderConfig"
GROUPS = "/scim/v2/Groups"


@asynccontextmanager
async def hr(*, cursors: bool) -> AsyncIterator[tuple[Simulator, Scim]]:
    """The pretend SCIM directory of the simulator, and a reader of it."""
    async with serving() as simulator:
        egress = Egress(origins=[simulator.base_url])
        simulator.hr.cursors = cursors
        simulator.hr.tokens.add(TOKEN.reveal())
        kind = Sources(egress, simulator=simulator.base_url).find("scim")
        assert kind is not None
        source = kind.open({"base_url": simulator.hr.url}, {"token": TOKEN})
        assert isinstance(source, Scim)
        yield simulator, source
        await egress.aclose()


def users(answer: Says) -> Says:
    """A source of people alone: no ServiceProviderConfig, no groups."""

    def say(path: str, query: Mapping[str, str]) -> Any:
        return 404 if path in (CONFIG, GROUPS) else answer(path, query)

    return say


def paging(answer: Says) -> Says:
    """The same, where cursors are offered."""

    def say(path: str, query: Mapping[str, str]) -> Any:
        offered = {"pagination": {"cursor": True, "index": True}}
        return offered if path == CONFIG else users(answer)(path, query)

    return say


@pytest.mark.parametrize("cursors", [True, False])
async def test_everybody_is_read_once_and_groups_with_their_members(cursors: bool) -> None:
    """R105: 1,234 people and five groups, by cursor where offered (RFC 9865), else by index."""
    async with hr(cursors=cursors) as (simulator, source):
        simulator.hr.staff.hire(1234)
        pages = await walk(source)
    assert keys(pages) == [f"hr-{number:06d}" for number in range(1, 1235)]
    departments = found(pages, "Group")
    assert [group.body["displayName"] for group in departments][:2] == ["Sales", "Service"]
    assert all(group.members is not None and group.members.whole for group in departments)
    assert sum(len(group.members.added) for group in departments if group.members) == 1234
    assert "members" not in departments[0].body
    assert pages[0].expected == 1234
    assert pages[-1].expected == 1239
    assert (pages[-1].unsure, pages[-1].delta) == ({}, None)
    assert simulator.hr.calls["page"] == (4 if cursors else 6)  # an index ends with an empty page


async def test_a_record_comes_as_it_stands() -> None:
    """The body is the resource as the source has it, id and meta too; the key is its id."""
    async with hr(cursors=False) as (_, source):
        first = (await source.page(None)).found[0]
        again = await source.one("User", first.key)
        assert await source.one("User", "hr-999999") is None
        assert await source.one("User", "..") is None
        group = await source.one("Group", "dep-000002")
    assert again is not None
    assert again.body["meta"] == {"resourceType": "User"}
    assert (again.key, again.body["userName"]) == ("hr-000001", "kim.lee@acme.example")
    assert group is not None
    assert group.members is not None
    assert len(group.members.added) == 24


async def test_the_page_is_as_large_as_the_server_likes() -> None:
    """ServiceProviderConfig's maxPageSize and maxResults bound what is asked for."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.largest = 50
        pages = await walk(source)
    assert [len(page.found) for page in pages] == [50, 50, 20, 5]


async def test_a_place_holds_over_a_restart() -> None:
    """R10: a reading goes on from the text of its last place, in another process."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.largest = 50
        first = await source.page(None)
        other = Scim(source.egress, source.base_url, source.token)
        rest = await walk(other, first.next)
    assert len(keys([first, *rest])) == len(set(keys([first, *rest]))) == 120


TROUBLES: list[tuple[Trouble, type[ProviderError], str]] = [
    (Trouble.UNAUTHORIZED, ClientMisconfigured, "http-401"),
    (Trouble.FORBIDDEN, ClientMisconfigured, "http-403"),
    (Trouble.RATE_LIMITED, TryLater, "http-429"),
    (Trouble.BROKEN, TryLater, "http-500"),
    (Trouble.LOST, TryLater, "http-502"),
    (Trouble.HTML, TryLater, "unparsable"),
    (Trouble.HALF_PAGE, TryLater, "unparsable"),
]


@pytest.mark.parametrize(("trouble", "kind", "code"), TROUBLES)
async def test_a_troubled_page_says_its_class(
    trouble: Trouble, kind: type[ProviderError], code: str
) -> None:
    """R4: refused credentials, throttling, 5xx, HTML and half a page each say what they are."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.switches.set(trouble, endpoint="page")
        with pytest.raises(kind) as caught:
            await source.page(None)
        assert caught.value.provider_code == code
        if isinstance(caught.value, TryLater) and trouble is Trouble.RATE_LIMITED:
            assert caught.value.retry_after_s == 7
        simulator.hr.switches.clear()
        assert len(keys(await walk(source))) == 120


async def test_an_unknown_token_is_told_apart() -> None:
    """R4: a source that answers 401 refuses credentials; the token is in no message."""
    async with hr(cursors=True) as (_, source):
        stranger = Scim(source.egress, source.base_url, Secret("wrong-canary"))
        with pytest.raises(ClientMisconfigured) as caught:
            await stranger.page(None)
    assert "canary" not in f"{caught.value} {stranger!r}"


@pytest.mark.parametrize("cursors", [True, False])
async def test_the_same_page_for_ever_ends(cursors: bool) -> None:
    """A source whose page leads to itself is broken, or is over where it gave all at once."""
    async with hr(cursors=cursors) as (simulator, source):
        simulator.hr.switches.set(Trouble.SAME_PAGE, endpoint="page")
        if cursors:
            with pytest.raises(SourceBroken, match="in-a-circle"):
                await walk(source)
        else:
            assert set(keys(await walk(source))) == {f"hr-{n:06d}" for n in range(1, 121)}
        assert simulator.hr.calls["page"] < 10


async def test_a_circle_of_cursors_ends() -> None:
    """However many cursors the circle has, the reading meets itself (Brent)."""

    def circle(_: str, query: Mapping[str, str]) -> Any:
        at = int(query.get("cursor") or 0) % 7
        return listed(person(at), total=1000, nextCursor=f"{at + 1}")

    async with far(paging(circle)) as source:
        with pytest.raises(SourceBroken, match="in-a-circle"):
            await walk(source.scim)
        assert source.asked_for("/Users") < 30


async def test_new_cursors_to_nowhere_end() -> None:
    """Cursor after cursor without a record comes to an end, too."""

    def nowhere(_: str, query: Mapping[str, str]) -> Any:
        return listed(total=10, nextCursor=f"{int(query['cursor'] or 0) + 1}")

    async with far(paging(nowhere)) as source:
        with pytest.raises(SourceBroken, match="endless"):
            await walk(source.scim)
        assert source.asked_for("/Users") == 1001


async def test_an_index_that_is_ignored_and_never_complete_is_broken() -> None:
    """A server that gives its first page for every startIndex is not taken for a small one."""

    def stuck(_: str, __: Mapping[str, str]) -> Any:
        return listed(person(1), person(2), total=500)

    async with far(users(stuck)) as source:
        with pytest.raises(SourceBroken, match="in-a-circle"):
            await walk(source.scim)


@pytest.mark.parametrize("total", [0, 1, 3, 10, -1, None, "7", True, [7]])
async def test_a_total_that_lies_loses_nobody(total: Any) -> None:
    """totalResults is believed for progress alone: the end is an empty page."""

    def lie(_: str, query: Mapping[str, str]) -> Any:
        start = int(query["startIndex"])
        return listed(*map(person, range(start, min(start + 3, 8))), total=total)

    async with far(users(lie)) as source:
        pages = await walk(source.scim)
    assert keys(pages) == [f"p{number}" for number in range(1, 8)]
    assert ("User" in pages[-1].unsure) is (total == 10)  # announced, and not shown


async def test_fewer_than_announced_is_no_absence() -> None:
    """R5: where a source announces more than it gives, nobody of that kind counts as absent."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.switches.set(Trouble.WRONG_TOTAL, endpoint="page")
        pages = await walk(source)
    assert pages[-1].unsure == {
        "User": "The source announced 1200 and gave 120.",
        "Group": "The source announced 50 and gave 5.",
    }


async def test_a_list_that_shrinks_while_it_is_read_is_no_absence() -> None:
    """RFC 7644 section 3.4.2.4: whoever leaves moves the index, and hides somebody."""
    async with hr(cursors=False) as (simulator, source):
        simulator.hr.largest = 50
        first = await source.page(None)
        simulator.hr.staff.leave([3])
        rest = await walk(source, first.next)
    assert "hr-000051" not in keys([first, *rest])
    assert set(rest[-1].unsure) == {"User"}


async def test_a_source_without_groups_is_read_all_the_same() -> None:
    """A server without /Groups gives people; its groups are not taken for deleted."""
    async with far(users(lambda *_: listed(person(1)))) as source:
        pages = await walk(source.scim)
    assert set(keys(pages)) == {"p1"}
    assert pages[-1].unsure == {"Group": "The source shows no groups."}


async def test_an_end_that_is_refused_is_an_end() -> None:
    """Servers that answer 400 for a startIndex beyond the last record are complete, not broken."""

    def strict(_: str, query: Mapping[str, str]) -> Any:
        return listed(person(1)) if query["startIndex"] == "1" else 400

    async with far(users(strict)) as source:
        assert keys(await walk(source.scim)) == ["p1"]


ODD = [
    ({"message": "hello"}, SourceBroken, "not-a-list"),
    (listed() | {"Resources": {"a": 1}}, SourceBroken, "not-a-list"),
    (listed(total=3) | {"Resources": None}, SourceBroken, "not-a-list"),
    ([person(1)], TryLater, "unparsable"),
    (b"", TryLater, "unparsable"),
    (b"{" * 100_000, TryLater, "unparsable"),
    (HTMLResponse("<h1>Sign in</h1>"), TryLater, "unparsable"),
    (RedirectResponse("https://elsewhere.example/"), SourceBroken, "redirect"),
    (404, SourceBroken, "not-found"),
    (400, SourceBroken, "http-400"),
    (503, TryLater, "http-503"),
    (Response(b"{}", headers={"Content-Encoding": "br"}), TryLater, "unreadable"),
]


@pytest.mark.parametrize(("said", "kind", "code"), ODD, ids=[f"{code}" for *_, code in ODD])
async def test_what_is_no_list_is_no_list(said: Any, kind: type[ProviderError], code: str) -> None:
    """An answer that is no page of SCIM records says so, and is never taken for an empty one."""
    async with far(users(lambda *_: said)) as source:
        with pytest.raises(kind) as caught:
            await source.scim.page(None)
    assert caught.value.provider_code == code


async def test_an_empty_list_may_leave_out_its_resources() -> None:
    """RFC 7644 section 3.4.2: Resources is left out where totalResults is 0."""
    async with far(users(lambda *_: {"totalResults": 0})) as source:
        pages = await walk(source.scim)
    assert (keys(pages), pages[0].expected) == ([], 0)


async def test_odd_entries_are_refused_and_the_page_is_not() -> None:
    """null, a number, a record without id: refused one by one, the others are taken."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.switches.set(Trouble.ODD_ENTRIES, endpoint="page", times=1)
        pages = await walk(source)
    assert len(keys(pages)) == 120
    assert [key for page in pages for key, _ in page.refused] == [None, None, None]
    assert set(pages[-1].unsure) == {"User"}


@pytest.mark.parametrize("id", [None, "", 7, "x" * 300, "a\u0000b", ["p1"], True])
async def test_an_id_we_cannot_keep_is_none(id: Any) -> None:
    """A record whose id is missing, no text, too long or unprintable is refused, with nobody."""
    async with far(users(lambda *_: listed({"id": id, "userName": "a"}, person(2)))) as source:
        page = await source.scim.page(None)
    assert ([one.key for one in page.found], len(page.refused)) == (["p2"], 1)


async def test_a_large_person_is_refused_and_the_page_is_not() -> None:
    """A record of 10 MB is refused by its key; whoever stands beside it is read."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.switches.set(Trouble.LARGE_RECORD, endpoint="page", times=1)
        pages = await walk(source)
    assert len(keys(pages)) == 119
    assert pages[0].refused == [("hr-000001", "The record is larger than 256 KiB.")]
    assert pages[-1].unsure == {}  # with its key it is there, not absent


async def test_a_person_at_the_limit_is_read() -> None:
    """256 KiB are a person still, and a byte more is not; a group may be larger."""
    room = PERSON_LIMIT - len(orjson.dumps(person(1, nickName="")))
    people = [person(1, nickName="x" * room), person(2, nickName="x" * (room + 1))]
    crowd = [{"value": f"p{number}"} for number in range(20_000)]

    def say(path: str, query: Mapping[str, str]) -> Any:
        if path == CONFIG:
            return 404
        group = {"id": "g1", "displayName": "All", "members": crowd}
        resources = people if "Users" in path else [group]
        return listed(*resources if query["startIndex"] == "1" else [], total=len(resources))

    async with far(say) as source:
        pages = await walk(source.scim)
    assert keys(pages) == ["p1"]
    assert found(pages, "Group")[0].members == Members(
        tuple(f"p{number}" for number in range(20_000)), whole=True
    )


def heavy(total: int, large: int, size: int = 17_000_000) -> Says:
    """People by index or cursor, one of them larger than a whole page may be."""

    def say(_: str, query: Mapping[str, str]) -> Any:
        by_cursor = "cursor" in query
        start = int(query["cursor"] or 1) if by_cursor else int(query["startIndex"])
        end = min(start + int(query["count"]), total + 1)
        records = [
            person(number, nickName="x" * size if number == large else "")
            for number in range(start, end)
        ]
        more = {"nextCursor": f"{end}"} if by_cursor and end <= total else {}
        return listed(*records, total=total, **more)

    return say


@pytest.mark.parametrize("offer", [users, paging])
async def test_an_oversized_record_is_skipped(offer: Any) -> None:
    """A page above 16 MiB is halved down to the one record, which is passed by; sizes grow back."""
    async with far(offer(heavy(20, large=6))) as source:
        pages = await walk(source.scim)
        assert source.asked_for("/Users") < 45
    assert sorted(set(keys(pages)), key=lambda key: int(key[1:])) == [
        f"p{number}" for number in range(1, 21) if number != 6
    ]
    assert [refused for page in pages for refused in page.refused] == [
        (None, "A record is larger than all that is read at once.")
    ]
    assert set(pages[-1].unsure) == {"User", "Group"}


async def test_pages_that_are_too_large_together_are_read_in_smaller_ones() -> None:
    """The page size halves until the answer fits into 16 MiB, and nobody is lost."""

    def say(_: str, query: Mapping[str, str]) -> Any:
        start, count = int(query["startIndex"]), int(query["count"])
        numbers = range(start, min(start + count, 101))
        return listed(*(person(number, nickName="x" * 250_000) for number in numbers), total=100)

    async with far(users(say)) as source:
        pages = await walk(source.scim)
    assert keys(pages) == [f"p{number}" for number in range(1, 101)]
    assert [refused for page in pages for refused in page.refused] == []


async def test_a_cursor_that_is_over_means_begin_anew() -> None:
    """RFC 9865 section 2.3: expiredCursor is no failure of the source, but of the place."""
    async with hr(cursors=True) as (simulator, source):
        simulator.hr.largest = 50
        first = await source.page(None)
        simulator.hr.switches.set(Trouble.PLACE_GONE, endpoint="page")
        with pytest.raises(PlaceGone):
            await source.page(first.next)
        simulator.hr.switches.clear()
        assert len(keys(await walk(source))) == 120


@pytest.mark.parametrize("place", ["", "7", "[]", "{}", '{"trail": {}, "colour": 1}', "\x00"])
async def test_a_place_of_somebody_else_means_begin_anew(place: str) -> None:
    """A place this reader did not tell is gone, whatever it is; another server's too."""
    other = str(Place.first("https://hr.example.com", cursors=False, largest=100))
    async with far(users(lambda *_: listed())) as source:
        for said in (place, other):
            with pytest.raises(PlaceGone):
                await source.scim.page(said)


async def test_cursors_that_are_offered_and_not_given() -> None:
    """A server that announces cursors and refuses or forgets them is read by index."""

    def refuses(_: str, query: Mapping[str, str]) -> Any:
        if "cursor" in query:
            return 400
        start = int(query["startIndex"])
        return listed(*map(person, range(start, min(start + 2, 6))), total=5)

    def forgets(_: str, query: Mapping[str, str]) -> Any:
        start = int(query.get("startIndex", "1"))
        return listed(*map(person, range(start, min(start + 2, 6))), total=5)

    for answer in (refuses, forgets):
        async with far(paging(answer)) as source:
            assert set(keys(await walk(source.scim))) == {f"p{number}" for number in range(1, 6)}


async def test_a_lost_connection_is_transient() -> None:
    """Half an answer on the wire, and none at all, are TryLater."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"

    async def breaks(writer: asyncio.StreamWriter) -> None:
        writer.write(half)

    async with peer(breaks) as there:
        egress = Egress(origins=[there.origin])
        with pytest.raises(TryLater, match="unreachable"):
            await Scim(egress, there.origin, TOKEN).page(None)
        await egress.aclose()


async def test_a_certificate_error_is_told_in_a_sentence(tmp_path: Path) -> None:
    """R4: a source that signed its certificate itself gets no token, and the run says why."""
    async with peer(says("200 OK", b"{}"), self_signed(tmp_path)) as there:
        egress = Egress(allow=["127.0.0.0/8", "::1/128"])
        with pytest.raises(TryLater, match=r"certificate: .* the host signed it itself"):
            await Scim(egress, there.origin, TOKEN).page(None)
        await egress.aclose()
    assert there.heads == []


@pytest.mark.parametrize("token", ["naïve", "with space", "trailing ", "line\n", "…", ""])
async def test_a_token_no_header_can_hold_is_a_wrong_setting(token: str) -> None:
    """R4, RFC 9110 5.5: ClientMisconfigured before anything is sent, and the token is not told."""
    async with peer(says("200 OK", b"{}")) as there:
        egress = Egress(origins=[there.origin])
        with pytest.raises(ClientMisconfigured, match="token-unsendable") as refused:
            await Scim(egress, there.origin, Secret(token)).page(None)
        await egress.aclose()
    assert there.heads == []
    assert not token or token not in str(refused.value)


async def test_the_token_goes_to_the_source_as_a_bearer_token() -> None:
    """RFC 6750: every request carries it in its header, none in its address."""
    async with peer(says("200 OK", b'{"totalResults": 0}')) as there:
        egress = Egress(origins=[there.origin])
        await Scim(egress, there.origin, TOKEN).page(None)
        await egress.aclose()
    assert len(there.heads) == 2
    for head in there.heads:
        assert f"authorization: bearer {TOKEN.reveal()}" in head.lower()
        assert TOKEN.reveal() not in head.splitlines()[0]


class Threads(ThreadingMixIn, WSGIServer):
    """A WSGI server that waits for its threads at the end."""


class Quiet(WSGIRequestHandler):
    """It says nothing on the terminal."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scim2_server() -> Iterator[str]:
    """The scim2-server of PyPI with its own defaults, on loopback."""
    app = BearerTokenApplication(
        InMemoryStorage(), load_default_provider(), bearer_tokens=[TOKEN.reveal()]
    )
    with make_server("127.0.0.1", 0, app, Threads, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def test_scim2_server_is_read_by_index() -> None:
    """R105: a SCIM server of other people's making gives its 25 people and its group."""
    with scim2_server() as origin:
        bearer = {"Authorization": f"Bearer {TOKEN.reveal()}"}
        async with httpx.AsyncClient(base_url=f"{origin}/v2", headers=bearer) as client:
            made = []
            for number in range(25):
                body = {"schemas": [pushing.USER], "userName": f"user{number}@acme.example"}
                answer = await client.post("/Users", json=body)
                assert answer.status_code == 201, answer.text
                made.append(answer.json()["id"])
            members = [{"value": id, "type": "User"} for id in made[:3]]
            group = {"schemas": [pushing.GROUP], "displayName": "Three", "members": members}
            assert (await client.post("/Groups", json=group)).status_code == 201
        egress = Egress(origins=[origin])
        pages = await walk(Scim(egress, f"{origin}/v2", TOKEN))
        with pytest.raises(ClientMisconfigured, match="http-401"):
            await Scim(egress, f"{origin}/v2", Secret("other")).page(None)
        await egress.aclose()
    assert sorted(keys(pages)) == sorted(made)
    (three,) = found(pages, "Group")
    assert three.members is not None
    assert (sorted(three.members.added), three.members.whole) == (sorted(made[:3]), True)
    assert pages[-1].unsure == {}


async def test_another_broker_is_read_by_cursor(db: Database) -> None:
    """R105: our own service is a source, too, by the cursors it offers (RFC 9865)."""
    house = await pushing.house(db)
    async with pushing.pushing(house) as there:
        made = [(await there.user(f"user{n}@acme.example"))["id"] for n in range(7)]
        await there.group("All", *made)
        origin = there.base_url.split("/scim/")[0]
        egress = Egress(origins=[origin])
        source = Scim(egress, there.base_url, Secret(there.token))
        small = Place.first(source.base_url, cursors=True, largest=3)
        pages: list[Page] = await walk(source, str(small))
        whole = await walk(source)
        one: Found | None = await source.one("User", made[0])
        await egress.aclose()
    assert sorted(keys(pages)) == sorted(made)
    assert [len(page.found) for page in pages] == [3, 3, 1, 1]
    assert [len(page.found) for page in whole] == [7, 1]  # no empty page: it was by cursor
    (group,) = found(pages, "Group")
    assert group.members is not None
    assert sorted(group.members.added) == sorted(made)
    assert one is not None
    assert one.body["userName"] == "user0@acme.example"


SETTINGS = [
    ("https://hr.example.com/scim/v2", None),
    ("https://hr.example.com:8443/scim/v2/", None),
    (" https://hr.example.com ", None),
    ("http://localhost:9300/hr/scim/v2", None),
    ("http://hr.example.com/scim/v2", "https"),
    ("http://localhost:9301/", "https"),
    ("https://user:pw@hr.example.com/", "web address"),
    ("https://hr.example.com/?tenant=1", "web address"),
    ("https://hr.example.com/#top", "web address"),
    ("hr.example.com", "web address"),
    ("", "web address"),
]


@pytest.mark.parametrize(("url", "problem"), SETTINGS)
async def test_a_base_address_is_checked(url: str, problem: str | None) -> None:
    """R37: what cannot be a source's address is said where it is typed, and opens nothing."""
    egress = Egress()
    kind = ScimKind(egress, "http://localhost:9300")
    problems = kind.check({"base_url": url})
    if problem is None:
        assert problems == ()
        assert kind.open({"base_url": url}, {"token": TOKEN}).base_url == url.strip().rstrip("/")
    else:
        assert [one.field for one in problems] == ["base_url"]
        assert problem in problems[0].text
        with pytest.raises(ClientMisconfigured):
            kind.open({"base_url": url}, {"token": TOKEN})
    await egress.aclose()


async def test_a_token_is_needed_and_an_inner_address_is_not_called() -> None:
    """Safety 18 and 19: no token, no source; an address of our own network stays out of reach."""
    egress = Egress()
    kind = ScimKind(egress)
    settings = {"base_url": "https://127.0.0.1/scim/v2"}
    with pytest.raises(ClientMisconfigured, match="Token"):
        kind.open(settings, {})
    assert kind.origin(settings) == "https://127.0.0.1"
    with pytest.raises(HostRefused):
        await kind.open(settings, {"token": TOKEN}).page(None)
    await egress.aclose()
