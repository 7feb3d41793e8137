"""Bulk requests against a host in memory: answers, references, limits, order (RFC 7644 3.7)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import BulkResponse, Context, EnterpriseUser, Group, User

from scim.tolerance import STRICT
from tests.scim.bulking import BULK, both_ways, bulk, delete, group, patch, post, put, user
from tests.scim.calling import ENTERPRISE, GROUP, Client, problem


@pytest.fixture
def client() -> Client:
    """A directory in memory."""
    return Client()


async def sent(client: Client, *operations: Any, **more: Any) -> list[dict[str, Any]]:
    """The results of a bulk."""
    answer = await client("POST", "/Bulk", bulk(*operations, **more))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    results: list[dict[str, Any]] = told["Operations"]
    if all("bulkId" in each for each in results if each.get("method") == "POST"):
        BulkResponse[User[EnterpriseUser] | Group].model_validate(
            told, scim_ctx=Context.BULK_RESPONSE
        )
    return results


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in results]


async def test_every_operation_is_answered_as_its_request_would_be(client: Client) -> None:
    """RFC 7644 section 3.7: status, location and version of each; success has no body."""
    held = await client.user("held")
    path = f"/Users/{held['id']}"
    results = await sent(
        client,
        post("/Users", "u", user("new")),
        put(path, user("held", displayName="Held")),
        patch(path, {"op": "replace", "path": "displayName", "value": "Kept"}, bulkId="mine"),
        delete(path),
    )
    new = (await client("GET", '/Users?filter=userName eq "new"')).json()["Resources"][0]
    assert results == [
        {
            "method": "POST",
            "bulkId": "u",
            "version": new["meta"]["version"],
            "location": new["meta"]["location"],
            "status": "201",
        },
        {
            "method": "PUT",
            "version": 'W/"2"',
            "location": held["meta"]["location"],
            "status": "200",
        },
        {
            "method": "PATCH",
            "bulkId": "mine",
            "version": 'W/"3"',
            "location": held["meta"]["location"],
            "status": "200",
        },
        {"method": "DELETE", "location": held["meta"]["location"], "status": "204"},
    ]


@pytest.mark.parametrize(
    ("operation", "status", "kind"),
    [
        (7, "400", "invalidSyntax"),
        ({}, "400", "invalidSyntax"),
        ({"path": "/Users"}, "400", "invalidSyntax"),
        ({"method": 7, "path": "/Users"}, "400", "invalidSyntax"),
        ({"method": "GET", "path": "/Users"}, "400", "invalidSyntax"),
        ({"method": "POST", "path": "/Users", "data": user("x")}, "400", "invalidSyntax"),
        (post("/Users", "", user("x")), "400", "invalidSyntax"),
        (post("/Users", "x", None), "400", "invalidSyntax"),
        (put("/Users/{held}", []), "400", "invalidSyntax"),
        ({"method": "PATCH", "path": "/Users/{held}"}, "400", "invalidSyntax"),
        (delete("/Users/{held}") | {"version": 2}, "400", "invalidSyntax"),
        (delete("/Users/{held}") | {"METHOD": "DELETE"}, "400", "invalidSyntax"),
        (patch("/Users/{held}", {"op": "remove", "OP": "add"}), "400", "invalidSyntax"),
        (delete("/Users"), "400", "invalidPath"),
        (delete("/Nothing/held"), "400", "invalidPath"),
        ({"method": "DELETE"}, "400", "invalidPath"),
        (post("/Users/{held}", "x", user("x")), "400", "invalidPath"),
        (post("/Bulk", "x", user("x")), "400", "invalidPath"),
        (post("/Users", "x", {}), "400", "invalidValue"),
        (post("/Users", "x", user("held")), "409", "uniqueness"),
        (post("/Groups", "x", group("x", "bulkId:nobody")), "400", "invalidValue"),
        (delete("/Users/bulkId:nobody"), "400", "invalidValue"),
        (delete("/Users/nobody"), "404", None),
        (put("/Users/nobody", user("x")), "404", None),
        (delete("/Users/{held}") | {"version": 'W/"7"'}, "412", None),
    ],
)
async def test_a_bad_operation_undoes_only_itself(
    client: Client, operation: Any, status: str, kind: str | None
) -> None:
    """RFC 7644 section 3.7.3: the others are done, and it is told why it was not."""
    held = await client.user("held")
    if isinstance(operation, dict) and "path" in operation:
        operation = operation | {"path": operation["path"].format(held=held["id"])}
    before, bad, after = await sent(
        client, post("/Users", "a", user("a")), operation, post("/Users", "b", user("b"))
    )
    assert statuses([before, after]) == ["201", "201"]
    assert (bad["status"], bad["response"]["status"]) == (status, status)
    assert bad["response"].get("scimType") == kind
    assert bad["response"]["detail"]
    assert ("location" in bad) == (bad.get("method") != "POST")
    assert (await client("GET", "/Users")).json()["totalResults"] == 3


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"Operations": [delete("/Users/x")], "schemas": [GROUP]}, 400, "invalidSyntax"),
        ({"schemas": [BULK]}, 400, "invalidSyntax"),
        ({"schemas": [BULK], "Operations": []}, 400, "invalidSyntax"),
        ({"schemas": [BULK], "Operations": {}}, 400, "invalidSyntax"),
        (bulk(delete("/Users/x"), operations=[]), 400, "invalidSyntax"),
        (bulk(delete("/Users/x"), failOnErrors=-1), 400, "invalidValue"),
        (bulk(delete("/Users/x"), failOnErrors="1"), 400, "invalidValue"),
        (bulk(delete("/Users/x"), failOnErrors=True), 400, "invalidValue"),
        (
            bulk(post("/Users", "a", user("a")), post("/Groups", "a", group("a"))),
            400,
            "invalidSyntax",
        ),
    ],
)
async def test_a_body_that_is_no_bulk_is_refused_as_a_whole(
    client: Client, body: Any, status: int, kind: str
) -> None:
    """RFC 7644 section 3.7: a request of the wrong shape does nothing, and is counted."""
    assert problem(await client("POST", "/Bulk", body))[:2] == (status, kind)
    assert client.directory.notes == ["unreadable"]
    assert (await client("GET", "/Users")).json()["totalResults"] == 0


async def test_the_limits_are_kept_and_named(client: Client) -> None:
    """RFC 7644 section 3.7.4: 413 says which limit it is, and nothing is done."""
    limits = client.directory.catalogue.limits
    many = [delete("/Users/x")] * (limits.bulk_operations + 1)
    assert problem(await client("POST", "/Bulk", bulk(*many)))[::2] == (
        413,
        "A bulk holds at most 1000 operations.",
    )
    assert len(await sent(client, *many[1:])) == 1000
    large = bulk(post("/Users", "a", user("a", title="x" * limits.body_bytes)))
    assert problem(await client("POST", "/Bulk", large))[::2] == (
        413,
        "The request body is larger than maxPayloadSize in /ServiceProviderConfig allows.",
    )
    announced = (await client("GET", "/ServiceProviderConfig")).json()["bulk"]
    assert announced == {"supported": True, "maxOperations": 1000, "maxPayloadSize": 1_048_576}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
async def test_a_bulk_is_posted(client: Client, method: str) -> None:
    """RFC 7644 section 3.7: other methods are 405, with the one that is served."""
    answer = await client(method, "/Bulk")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_bulk_is_a_body_like_any_other(client: Client) -> None:
    """RFC 7644 section 3.8: media types, encodings, names given twice."""
    text = b'{"schemas":[],"Operations":[],"Operations":[]}'
    assert problem(await client("POST", "/Bulk", content=text))[:2] == (400, "invalidSyntax")
    headers = {"content-type": "text/plain"}
    assert problem(await client("POST", "/Bulk", content=text, headers=headers))[0] == 415


async def test_a_strict_directory_wants_to_know_what_it_is() -> None:
    """RFC 7643 section 3: a message without `schemas` is refused in strict, read otherwise."""
    body = {"operations": [{"METHOD": "delete", "Path": "Users/x"}], "FailOnErrors": 1}
    assert problem(await Client(STRICT)("POST", "/Bulk", body))[:2] == (400, "invalidSyntax")
    assert (await Client()("POST", "/Bulk", body)).json()["Operations"][0]["status"] == "404"


@pytest.mark.parametrize(
    ("most", "tried"),
    [(None, "404 201 404 201"), (3, "404 201 404 201"), (2, "404 201 404"), (1, "404"), (0, "404")],
)
async def test_fail_on_errors_ends_the_bulk(client: Client, most: int | None, tried: str) -> None:
    """RFC 7644 section 3.7: after that many errors nothing is tried; what was done is told."""
    results = await sent(
        client,
        delete("/Users/x"),
        post("/Users", "a", user("a")),
        delete("/Users/y"),
        post("/Users", "b", user("b")),
        failOnErrors=most,
    )
    assert statuses(results) == tried.split()
    made = (await client("GET", "/Users")).json()["totalResults"]
    assert made == tried.count("201")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
async def test_references_point_back_and_forth(client: Client, order: tuple[int, ...]) -> None:
    """RFC 7644 section 3.7.2: members, a manager, a path and a filter name what is created."""
    held = await client.user("held")
    team = await client.group("Team", held["id"])
    operations = [
        post("/Groups", "g", group("g", "bulkId:g", "bulkId:report", held["id"])),
        post("/Users", "report", user("report", manager={"value": "bulkId:boss"})),
        post("/Users", "boss", user("boss")),
        patch(
            f"/Groups/{team['id']}",
            {"op": "add", "path": "members", "value": [{"$ref": "../Users/bulkId:boss"}]},
            {"op": "remove", "path": f'members[value eq "{held["id"]}"]'},
        ),
    ]
    results = await sent(client, *(operations[n] for n in order))
    assert set(statuses(results)) == {"200", "201"}
    ids = {each.get("bulkId"): each["location"].rpartition("/")[2] for each in results}
    made = (await client("GET", f"/Groups/{ids['g']}")).json()
    assert {each["value"] for each in made["members"]} == {ids["g"], ids["report"], held["id"]}
    report = (await client("GET", f"/Users/{ids['report']}")).json()
    assert ids["boss"] in str(report)
    changed = (await client("GET", f"/Groups/{team['id']}")).json()
    assert [each["value"] for each in changed["members"]] == [ids["boss"]]


async def test_what_is_created_can_be_changed_and_deleted_at_once(client: Client) -> None:
    """RFC 7644 section 3.7.2: `bulkId:` in a path too, in the order of the request."""
    results = await sent(
        client,
        patch("/Users/bulkId:u", {"op": "add", "path": "title", "value": "Dr"}),
        put("/Groups/bulkId:g", group("renamed", "bulkId:u")),
        patch("/Groups/bulkId:g", {"op": "remove", "path": 'members[value eq "bulkId:u"]'}),
        delete("/Users/bulkId:u"),
        post("/Users", "u", user("u")),
        post("/Groups", "g", group("g")),
    )
    assert statuses(results) == ["200", "200", "200", "204", "201", "201"]
    assert (await client("GET", "/Users")).json()["totalResults"] == 0
    [left] = (await client("GET", "/Groups")).json()["Resources"]
    assert (left["displayName"], left.get("members")) == ("renamed", None)
    assert left["meta"]["version"] == 'W/"3"'


async def test_groups_that_hold_one_another_are_created(client: Client) -> None:
    """RFC 7644 section 3.7.1: a circle is resolved, with one result for each operation."""
    results = await sent(
        client,
        post("/Groups", "a", group("a", "bulkId:b", "bulkId:u")),
        post("/Groups", "outer", group("outer", "bulkId:a")),
        post("/Groups", "b", group("b", "bulkId:c")),
        post("/Groups", "c", group("c", "bulkId:a")),
        post("/Users", "u", user("u", manager={"value": "bulkId:v"})),
        post("/Users", "v", user("v", manager={"value": "bulkId:u"})),
    )
    assert statuses(results) == ["201"] * 6
    ids = {each["bulkId"]: each["location"].rpartition("/")[2] for each in results}
    shown = (await client("GET", "/Groups")).json()["Resources"]
    held = {each["displayName"]: {m["value"] for m in each["members"]} for each in shown}
    assert held == {
        "a": {ids["b"], ids["u"]},
        "outer": {ids["a"]},
        "b": {ids["c"]},
        "c": {ids["a"]},
    }
    people = (await client("GET", "/Users")).json()["Resources"]
    versions = {each["id"]: each["meta"]["version"] for each in shown + people}
    assert versions == {ids[each["bulkId"]]: each["version"] for each in results}
    assert ids["u"] in (await client("GET", f"/Users/{ids['v']}")).text


async def test_a_circle_stands_or_falls_as_one(client: Client) -> None:
    """RFC 7644 section 3.7.1: 409 for who named what could not be created; nothing is left."""
    await client.user("taken")
    results = await sent(
        client,
        post("/Users", "u", user("u", manager={"value": "bulkId:v"})),
        post("/Users", "v", user("taken", manager={"value": "bulkId:u"})),
        post("/Groups", "g", group("g", "bulkId:u")),
        post("/Groups", "alone", group("alone", "bulkId:alone")),
        delete("/Users/bulkId:v"),
    )
    assert statuses(results) == ["409", "409", "409", "201", "409"]
    assert [each["response"].get("scimType") for each in results if "response" in each] == [
        None, "uniqueness", None, None,
    ]  # fmt: skip
    assert 'What "bulkId:v" names' in results[0]["response"]["detail"]
    assert (await client("GET", "/Users")).json()["totalResults"] == 1
    assert (await client("GET", "/Groups")).json()["totalResults"] == 1
    refused = {(a.op, problem.status) for a, problem in client.directory.refusals}
    assert refused == {("create", 409), ("delete", 409)}


async def test_who_fails_as_a_circle_is_closed_says_why_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7644 section 3.7.1: its own answer stays, the others name it, nothing is left."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    honest = client.directory.now
    ticks = iter([None, None, None, ZeroDivisionError("ours")])

    def now(_: Any) -> int:
        if fault := next(ticks):
            raise fault
        return honest()

    monkeypatch.setattr(type(client.directory), "now", now)
    results = await sent(
        client,
        post("/Groups", "a", group("a", "bulkId:b")),
        post("/Groups", "b", group("b", "bulkId:a")),
    )
    assert statuses(results) == ["409", "500"]
    assert 'What "bulkId:b" names' in results[0]["response"]["detail"]
    assert (await client("GET", "/Groups")).json()["totalResults"] == 0


async def test_a_reference_stands_only_where_an_id_does(client: Client) -> None:
    """RFC 7644 section 3.7.2: a text that speaks of `bulkId:` is a text, and is kept as it came."""
    held = await client.user("held")
    text = 'see /bulkId:zzz, "bulkId:zzz" or https://x/bulkId:zzz'
    results = await sent(
        client,
        post("/Users", "u", user("u", displayName=text, title="see bulkId:zzz")),
        patch(
            f"/Users/{held['id']}",
            {"op": "replace", "path": "displayName", "value": text},
            {"op": "add", "value": {f"{ENTERPRISE}:manager.value": "bulkId:u"}},
            {"op": "add", "path": f"{ENTERPRISE}:manager.$ref", "value": "../Users/bulkId:u"},
        ),
    )
    assert statuses(results) == ["201", "200"]
    made, changed = (await client("GET", "/Users?sortBy=userName")).json()["Resources"][::-1]
    assert (made["displayName"], made["title"], changed["displayName"]) == (
        text, "see bulkId:zzz", text,
    )  # fmt: skip
    manager = changed[ENTERPRISE]["manager"]
    assert (manager["value"], manager["$ref"]) == (made["id"], f"../Users/{made['id']}")


async def test_a_long_chain_and_a_long_circle_are_no_deep_recursion(client: Client) -> None:
    """Rule 37: a thousand groups, each a member of the next, whichever way they are told."""
    chain = [post("/Groups", f"{n}", group(f"{n}", f"bulkId:{n + 1}")) for n in range(999)]
    end = post("/Groups", "999", group("999"))
    assert statuses(await sent(client, *chain, end)) == ["201"] * 1000
    back = post("/Groups", "999", group("999", "bulkId:0"))
    assert statuses(await sent(client, *chain, back)) == ["201"] * 1000
    for start, held in ((1, 999), (1001, 1000)):
        shown = (await client("GET", f"/Groups?count=1000&startIndex={start}")).json()
        assert sum(len(each.get("members", [])) for each in shown["Resources"]) == held


async def test_a_name_freed_before_is_free(client: Client) -> None:
    """RFC 7644 section 3.7: the order of the request holds where operations touch one another."""
    free = await client.user("free")
    results = await sent(
        client,
        post("/Groups", "g", group("g", "bulkId:u")),
        delete(f"/Users/{free['id']}"),
        post("/Users", "u", user("free")),
    )
    assert statuses(results) == ["201", "204", "201"]
    held = await client.user("ada")
    other = await client.user("kim")
    results = await sent(
        client,
        patch(f"/Users/{other['id']}", {"op": "replace", "value": {"userName": "lee"}}),
        post("/Users", "kim", user("Kim")),
        delete(f"/Users/{held['id']}"),
        post("/Users", "ada", user("ada")),
        post("/Users", "late", user("ADA")),
        delete("/Users/bulkId:ada"),
        post("/Users", "last", user("ada")),
    )
    assert statuses(results) == ["200", "201", "204", "201", "409", "204", "201"]


async def test_a_fault_of_ours_fails_one_operation(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7644 section 3.7.3: the others are done, and whoever watches the loop hears of it."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    honest = client.directory.now
    ticks = iter([None, ZeroDivisionError("ours"), None])

    def now(_: Any) -> int:
        if fault := next(ticks):
            raise fault
        return honest()

    monkeypatch.setattr(type(client.directory), "now", now)
    results = await sent(client, *(post("/Users", f"{n}", user(f"{n}")) for n in range(3)))
    assert statuses(results) == ["201", "500", "201"]
    assert [type(each["exception"]) for each in heard] == [ZeroDivisionError]


async def test_what_nobody_could_read_is_counted_and_what_names_somebody_is_a_record(
    client: Client,
) -> None:
    """R120: a malformed operation is no record; one that names a resource is a failed one."""
    await sent(
        client,
        {"method": "GET"},
        put("/Users/" + "x" * 999, None),
        post("/Groups", "g", group("g", "bulkId:?")),
    )
    assert client.directory.notes == ["unreadable"]
    assert [(a.op, a.id, p.status) for a, p in client.directory.refusals] == [
        ("replace", "x" * 256, 400),
        ("create", None, 400),
    ]


@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_a_bulk_is_its_operations_one_by_one(chance: random.Random) -> None:
    """RFC 7644 section 3.7: the same statuses and the same state, whatever the operations."""

    async def check() -> None:
        at_once, singly = await both_ways(chance, Client(), Client())
        assert at_once == singly

    asyncio.run(check())
