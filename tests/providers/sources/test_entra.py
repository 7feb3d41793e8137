"""Microsoft Graph as a source: rounds of delta queries, and every bad answer, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from starlette.responses import HTMLResponse, JSONResponse

from broker.demo.grants import App
from broker.demo.simulator import Simulator, serving
from broker.demo.world import Trouble
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    PlaceGone,
    ProviderError,
    SourceBroken,
    TryLater,
)
from providers.secret import Secret
from providers.sources.entra import Entra
from providers.sources.entra_kind import CLOUDS, EntraKind
from providers.sources.reading import Members
from tests.providers.sources.walking import Far, Says, far, found, keys, walk

APP = "5f0a7c52-1111-4222-8333-944445555666"
SECRET = "app-secret-canary"
SETTINGS = {"environment": "rehearsal", "tenant": "acme.example", "client_id": APP}
ID = "3f0c2a6e-5b1d-4c7e-9a42-000000000"


@asynccontextmanager
async def tenant(**settings: str) -> AsyncIterator[tuple[Simulator, Entra]]:
    """The pretend Entra of the simulator, and a reader of it."""
    async with serving() as simulator:
        egress = Egress(origins=[simulator.base_url])
        simulator.entra.register(App(APP, SECRET))
        kind = EntraKind(egress, simulator.base_url)
        yield simulator, kind.open(SETTINGS | settings, {"client_secret": Secret(SECRET)})
        await egress.aclose()


async def test_the_first_round_shows_everybody_and_their_groups() -> None:
    """R105: people page by page, then groups whose members come in pieces; then a delta place."""
    async with tenant() as (simulator, source):
        simulator.entra.staff.hire(250)
        simulator.entra.members = 20
        pages = await walk(source)
    assert keys(pages) == [f"{ID}{number:03d}" for number in range(1, 251)]
    groups = found(pages, "Group")
    assert len(groups) == 15  # five groups of fifty members, twenty to a page
    assert len({group.key for group in groups}) == 5
    assert all(group.members and not group.members.whole for group in groups)
    assert len({key for group in groups if group.members for key in group.members.added}) == 250
    assert [page.delta is None for page in pages] == [True] * (len(pages) - 1) + [False]
    assert source.whole
    assert pages[-1].unsure == {}
    assert simulator.entra.calls["token"] == 1


async def test_a_group_without_members_says_so_on_the_first_round() -> None:
    """ "Get incremental changes for groups": no members@delta means no members, at first."""
    async with tenant() as (simulator, source):
        simulator.entra.staff.hire(1)
        pages = await walk(source)
    assert [
        len(group.members.added) if group.members else None for group in found(pages, "Group")
    ] == [*(1, 0, 0, 0, 0)]


async def test_a_later_round_shows_what_changed() -> None:
    """Changed people come whole, manager and all; who left is gone, from their group too."""
    async with tenant() as (simulator, source):
        first = await walk(source)
        simulator.entra.staff.change(2, {"jobTitle": None, "accountEnabled": False})
        simulator.entra.staff.leave([7])
        simulator.entra.staff.come([121])
        pages = await walk(source, first[-1].delta)
        again = await walk(source, pages[-1].delta)
    changed, gone, new = found(pages)
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    assert changed.key == f"{ID}002"
    assert changed.body["active"] is False
    assert "title" not in changed.body
    assert changed.body[enterprise]["manager"] == {"value": f"{ID}001"}
    assert (gone.key, gone.gone, gone.restorable, gone.body) == (f"{ID}007", True, True, {})
    assert (new.key, new.body["userName"]) == (f"{ID}121", "kim.lee.121@acme.example")
    assert {group.body["displayName"]: group.members for group in found(pages, "Group")} == {
        "Sales": Members((f"{ID}121",), ()),
        "Service": Members((), (f"{ID}007",)),
    }
    assert (keys(again), found(again, "Group")) == ([], [])


async def test_somebody_gone_meanwhile_is_left_to_the_next_round() -> None:
    """A person who changed and is gone when they are read anew is no failure of the page."""

    def say(path: str, _: Mapping[str, str]) -> Any:
        if path.endswith("/users/delta"):
            return delta({"id": "a"}, {"id": "b", "userPrincipalName": "b@acme.example"})
        if path.endswith("/groups/delta"):
            return delta()
        return 404 if path.endswith("/a") else {"id": "b", "userPrincipalName": "b2@acme.example"}

    async with graph(say) as (_, source):
        first = await walk(source)
        pages = await walk(source, first[-1].delta)
    assert [one.body["userName"] for one in found(pages)] == ["b2@acme.example"]


async def test_a_person_says_graphs_fields_in_scims_words() -> None:
    """Microsoft's own mapping, with the object id as externalId (safety 5); raw fields beside."""
    async with tenant(fields="companyName, employeeType") as (simulator, source):
        more: dict[str, object] = {
            "companyName": "Acme",
            "mobilePhone": "+1 555",
            "businessPhones": ["+1 556"],
        }
        more |= {"city": "Oslo", "country": "NO", "officeLocation": "B/12", "employeeType": None}
        simulator.entra.staff.change(2, more)
        one = (await source.page(None)).found[1]
        again = await source.one("User", one.key)
    assert again is not None
    assert again.body == one.body
    raw = {name for name in one.body if name in source.translated}
    assert raw >= {"userPrincipalName", "accountEnabled", "surname", "mail", "jobTitle", "city"}
    assert one.body["companyName"] == "Acme"
    assert "companyName" not in source.translated
    assert {name: value for name, value in one.body.items() if name not in raw} == {
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": one.key,
        "userName": "amara.okafor@acme.example",
        "active": True,
        "title": "Support engineer",
        "name": {"givenName": "Amara", "familyName": "Okafor"},
        "emails": [{"value": "amara.okafor@acme.example", "type": "work", "primary": True}],
        "phoneNumbers": [
            {"value": "+1 556", "type": "work"},
            {"value": "+1 555", "type": "mobile"},
        ],
        "addresses": [
            {"locality": "Oslo", "country": "NO", "type": "work"},
            {"formatted": "B/12", "type": "other"},
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "employeeNumber": "2",
            "department": "Service",
            "manager": {"value": f"{ID}001"},
        },
        "companyName": "Acme",
    } | {name: one.body[name] for name in ("displayName", "userType") if name not in raw}


async def test_one_record_or_none() -> None:
    """A person or a group by its id; None where there is none."""
    async with tenant() as (_, source):
        group = found(await walk(source), "Group")[0]
        again = await source.one("Group", group.key)
        assert await source.one("User", f"{ID}999") is None
        assert await source.one("User", "..") is None
    assert again is not None
    assert (again.body["displayName"], again.members) == ("Sales", None)


TROUBLES: list[tuple[Trouble, type[ProviderError], str]] = [
    (Trouble.UNAUTHORIZED, ClientMisconfigured, "http-401"),
    (Trouble.FORBIDDEN, ClientMisconfigured, "Authorization_RequestDenied"),
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
    async with tenant() as (simulator, source):
        simulator.entra.switches.set(trouble, endpoint="users")
        with pytest.raises(kind) as caught:
            await source.page(None)
        assert caught.value.provider_code == code
        if isinstance(caught.value, TryLater) and trouble is Trouble.RATE_LIMITED:
            assert caught.value.retry_after_s == 7
        simulator.entra.switches.clear()
        assert len(keys(await walk(source))) == 120


WRONG_APPS = [
    ({"tenant": "other.example"}, SECRET, "invalid_request"),
    ({"client_id": "unknown"}, SECRET, "unauthorized_client"),
    ({}, "wrong-canary", "invalid_client"),
]


@pytest.mark.parametrize(("settings", "secret", "code"), WRONG_APPS)
async def test_a_wrong_app_is_told_apart(settings: dict[str, str], secret: str, code: str) -> None:
    """R4: tenant, app or secret unknown to Entra are refused credentials, and no secret is told."""
    async with serving() as simulator:
        egress = Egress(origins=[simulator.base_url])
        simulator.entra.register(App(APP, SECRET))
        kind = EntraKind(egress, simulator.base_url)
        source = kind.open(SETTINGS | settings, {"client_secret": Secret(secret)})
        with pytest.raises(ClientMisconfigured, match=code) as caught:
            await source.page(None)
        await egress.aclose()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "kind"), [(Trouble.RATE_LIMITED, TryLater), (Trouble.BROKEN, TryLater)]
)
async def test_a_troubled_login_host_is_transient(
    trouble: Trouble, kind: type[ProviderError]
) -> None:
    """A disturbed token endpoint says nothing about the app."""
    async with tenant() as (simulator, source):
        simulator.entra.switches.set(trouble, endpoint="token")
        with pytest.raises(kind):
            await source.page(None)


async def test_a_token_that_is_over_is_replaced_once() -> None:
    """A reading longer than a token's hour goes on with a new one; a second 401 ends it."""
    async with tenant() as (simulator, source):
        first = await source.page(None)
        simulator.clock.advance(3600)
        await walk(source, first.next)
        assert simulator.entra.calls["token"] == 2
        simulator.entra.switches.set(Trouble.UNAUTHORIZED, endpoint="users")
        with pytest.raises(ClientMisconfigured):
            await source.page(None)
        assert simulator.entra.calls["token"] == 3


async def test_a_delta_token_that_is_over_means_begin_anew() -> None:
    """410 resyncRequired is no failure of the source: everything is read again."""
    async with tenant() as (simulator, source):
        first = await walk(source)
        simulator.entra.switches.set(Trouble.PLACE_GONE, endpoint="users")
        with pytest.raises(PlaceGone):
            await source.page(first[-1].delta)
        simulator.entra.switches.clear()
        assert len(keys(await walk(source))) == 120


async def test_the_same_page_for_ever_ends() -> None:
    """A next link that leads to its own page ends as a broken source."""
    async with tenant() as (simulator, source):
        simulator.entra.switches.set(Trouble.SAME_PAGE, endpoint="users")
        with pytest.raises(SourceBroken, match="in-a-circle"):
            await walk(source)
        assert simulator.entra.calls["users"] < 5


async def test_a_large_person_and_odd_entries_are_refused_and_the_page_is_not() -> None:
    """A record of 10 MB by its key; null, a number and a record without id with nobody."""
    async with tenant() as (simulator, source):
        simulator.entra.switches.set(Trouble.LARGE_RECORD, endpoint="users", times=1)
        pages = await walk(source)
        assert len(keys(pages)) == 119
        assert pages[0].refused == [(f"{ID}001", "The record is larger than 256 KiB.")]
        assert pages[-1].unsure == {}
        simulator.entra.switches.clear()
        simulator.entra.switches.set(Trouble.ODD_ENTRIES, endpoint="users", times=1)
        pages = await walk(source)
    assert len(keys(pages)) == 120
    assert [key for key, _ in pages[0].refused] == [None, None, None]
    assert set(pages[-1].unsure) == {"User"}


@asynccontextmanager
async def graph(say: Says) -> AsyncIterator[tuple[Far, Entra]]:
    """A Graph that answers as a test says; in a link `HERE` is its address, `SAME` its path."""

    def placed(path: str, query: Mapping[str, str]) -> Any:
        said = say(path, query)
        if not isinstance(said, dict):
            return said
        return {
            name: value.replace("HERE", there.origin).replace("SAME", path)
            if name.endswith("Link")
            else value
            for name, value in said.items()
        }

    async with far(placed) as there:
        yield there, there.entra


def delta(*records: Any, **links: str) -> dict[str, Any]:
    """A page of a delta query, the last one unless it is told a next link."""
    told = {f"@odata.{name}": link for name, link in links.items()}
    return {"value": list(records), **(told or {"@odata.deltaLink": "HERESAME?d"})}


async def test_empty_pages_are_followed() -> None:
    """ "This is true even if the current response may contain an empty result": they go on."""
    pages = [
        delta(nextLink="HERE/entra/v1.0/users/delta?p=1"),
        delta(nextLink="HERE/entra/v1.0/users/delta?p=2"),
        delta({"id": "a", "userPrincipalName": "a@acme.example"}),
    ]

    def say(path: str, query: Mapping[str, str]) -> Any:
        return pages[int(query.get("p", "0"))] if "users" in path else delta()

    async with graph(say) as (_, source):
        assert keys(await walk(source)) == ["a"]


FOREIGN = [
    "https://graph.evil.example/v1.0/users/delta",
    "http://localhost:1/entra/v1.0/users/delta",
    "HERE.evil.example/",
    "//evil.example/",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("link", FOREIGN)
@pytest.mark.parametrize("name", ["nextLink", "deltaLink"])
async def test_a_link_to_another_host_is_not_followed(name: str, link: str) -> None:
    """Safety 19: nextLink and deltaLink stay on the source's own origin, and so does the token."""
    async with graph(lambda *_: delta(**{name: link})) as (_, source):
        with pytest.raises(SourceBroken, match="foreign-link"):
            await source.page(None)


async def test_a_place_of_other_settings_means_begin_anew() -> None:
    """Another tenant, cloud or field: a link keeps what it was made for, so everything is read."""
    async with tenant() as (simulator, source):
        first = await source.page(None)
        assert first.next is not None
        with pytest.raises(PlaceGone, match="unknown-place"):
            await source.page('{"kind": "User"}')
    async with tenant(fields="companyName") as (_, other):
        moved = first.next.replace(simulator.base_url, other.app.graph.removesuffix("/entra"))
        with pytest.raises(PlaceGone, match="unknown-place"):
            await other.page(moved)


async def test_a_stored_link_is_looked_at_again() -> None:
    """Safety 19: the token goes to the source's own origin, wherever a place leads."""
    async with tenant() as (_, source):
        place = orjson.loads((await source.page(None)).next or "")
        place["link"] = "https://graph.evil.example/v1.0/users/delta"
        with pytest.raises(SourceBroken, match="foreign-link"):
            await source.page(orjson.dumps(place).decode())


ODD = [
    ({"value": {}}, SourceBroken, "not-a-list"),
    ({"items": []}, SourceBroken, "not-a-list"),
    ({"value": []}, SourceBroken, "no-link"),
    ({"value": [], "@odata.nextLink": 7}, SourceBroken, "foreign-link"),
    (
        JSONResponse({"error": {"code": "BadRequest", "message": "No"}}, 400),
        SourceBroken,
        "http-400",
    ),
    (JSONResponse({"error": {"code": "syncStateNotFound"}}, 400), PlaceGone, "resync-required"),
    (HTMLResponse("<h1>Sign in</h1>"), TryLater, "unparsable"),
    (404, SourceBroken, "http-404"),
]


@pytest.mark.parametrize(("said", "kind", "code"), ODD)
async def test_what_is_no_delta_page_says_so(
    said: Any, kind: type[ProviderError], code: str
) -> None:
    """An answer that is no page of a delta query is never taken for the last one."""
    async with far(lambda *_: said) as there:
        with pytest.raises(kind) as caught:
            await there.entra.page(None)
    assert caught.value.provider_code == code


async def test_the_last_word_on_a_member_counts() -> None:
    """A deletion for good is not restorable; devices are no members; out and in again is in."""
    user = {"@odata.type": "#microsoft.graph.user"}
    members = [
        user | {"id": "a", "@removed": {"reason": "deleted"}},
        user | {"id": "b"},
        {"@odata.type": "#microsoft.graph.device", "id": "d"},
        {"@odata.type": "#microsoft.graph.group", "id": "g"},
        user | {"id": "a"},
        None,
        user | {"id": 7},
    ]

    def say(path: str, _: Mapping[str, str]) -> Any:
        if "users" in path:
            return delta({"id": "a", "@removed": {"reason": "deleted"}})
        return delta({"id": "x", "displayName": "X", "members@delta": members})

    async with graph(say) as (_, source):
        pages = await walk(source)
    assert [(one.gone, one.restorable) for one in found(pages)] == [(True, False)]
    assert found(pages, "Group")[0].members == Members(("a", "b", "g"), ())


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_each_cloud_has_its_hosts(cloud: str) -> None:
    """ "Microsoft Graph national cloud deployments": login host and Graph belong together."""
    egress = Egress()
    kind = EntraKind(egress)
    settings = SETTINGS | {"environment": cloud}
    assert kind.check(settings) == ()
    assert kind.origin(settings) == CLOUDS[cloud].login
    source = kind.open(settings, {"client_secret": Secret(SECRET)})
    assert source.app.token_url == f"{CLOUDS[cloud].login}/acme.example/oauth2/v2.0/token"
    assert source.app.graph == CLOUDS[cloud].graph
    await egress.aclose()


WRONG = [
    ({"environment": "mars"}, "environment"),
    ({"environment": "rehearsal"}, "environment"),
    ({"tenant": ""}, "tenant"),
    ({"tenant": "common"}, "tenant"),
    ({"tenant": "acme.example/../other.example"}, "tenant"),
    ({"tenant": "acme.example\n"}, "tenant"),
    ({"client_id": ""}, "client_id"),
    ({"client_id": "a b"}, "client_id"),
    ({"fields": "a b"}, "fields"),
    ({"fields": "companyName,$expand"}, "fields"),
    ({"fields": ",".join(f"f{number}" for number in range(51))}, "fields"),
]


@pytest.mark.parametrize(("settings", "field"), WRONG)
async def test_a_wrong_setting_is_said_where_it_stands(
    settings: dict[str, str], field: str
) -> None:
    """R37: cloud, tenant, app and fields are checked before anything is asked of anybody."""
    egress = Egress()
    kind = EntraKind(egress)
    typed = SETTINGS | {"environment": "global"} | settings
    assert [problem.field for problem in kind.check(typed)] == [field]
    with pytest.raises(ClientMisconfigured):
        kind.open(typed, {"client_secret": Secret(SECRET)})
    await egress.aclose()
