"""Pushes of people: what is kept, what is recorded, and what is never half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from broker.db.database import Database
from broker.domain.runs import Result
from broker.domain.users import License, Status, SuspendedBy
from broker.service.refusals import Attempted
from tests import pushing
from tests.pushing import BROKER, ENTERPRISE, USER, House, Pusher
from tests.watching import Watched, scans


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


async def test_a_pushed_person_is_invited_once_and_holds_nothing(
    house: House, push: Pusher
) -> None:
    """U1, R123, R131: created means Invited, without a license, with one invitation and letter."""
    made = await push.user("kim@acme.example", externalId="e-1", displayName="Kim Lee")
    person = await house.person(made["id"])
    assert (person.status, person.license) == (Status.INVITED, License.NONE)
    assert (person.display_name, person.external_id) == ("Kim Lee", "e-1")
    epochs = await house.rows("SELECT epoch FROM invitations WHERE project_id = :project")
    letters = await house.rows("SELECT once FROM letters WHERE project_id = :project")
    assert epochs == [{"epoch": 1}]
    assert letters == [{"once": f"invitation:{person.id}:1"}]
    events = await house.rows("SELECT type, data FROM events WHERE project_id = :project")
    assert [(e["type"], orjson.loads(e["data"])["user_id"]) for e in events] == [
        ("user.invited", person.id)
    ]
    assert (await house.licensing.state(house.project)).held == 0


async def test_inactive_from_the_start_is_suspended_and_never_invited(
    house: House, push: Pusher
) -> None:
    """U2: active=false on create makes a suspended person who was never active; no letter."""
    made = await push.user("kim", active=False)
    person = await house.person(made["id"])
    assert (person.status, person.suspended_by) == (Status.SUSPENDED, SuspendedBy.DIRECTORY)
    assert not person.was_active
    assert await house.rows("SELECT id FROM letters WHERE project_id = :project") == []


async def test_one_push_is_a_handful_of_statements(db: Database) -> None:
    """A create is one unit of nine statements into an open run, a read by id one statement."""
    watched = Watched(db)
    house = await pushing.house(watched)
    async with pushing.calling(house) as push:
        await push.user("first")
        watched.clear()
        made = await push.user("kim")
        assert len(watched.asked) - 1 == 9  # one before them reads the token and its directory
        watched.clear()
        await push.get(f"/Users/{made['id']}")
        assert [each.rows for each in watched.asked] == [1, 1]
        assert [plan for plan in await watched.plans() if scans(plan)] == []


async def test_keys_are_written_when_they_change(db: Database) -> None:
    """An update that touches nothing an index finds a person by rewrites no key; a second address
    that comes or goes is one row, and the person is found by what they have now.
    """
    watched = Watched(db)
    house = await pushing.house(watched)
    async with pushing.calling(house) as push:
        mails = [{"value": f"{name}@acme.example"} for name in ("kim", "home", "old")]
        made = await push.user("kim", emails=mails)
        for change, keys, addresses in (
            ({"title": "Head"}, 0, []),
            ({"displayName": "Kim"}, 1, []),
            ({"emails": mails[:2]}, 0, ["DELETE", "INSERT"]),
            ({"emails": mails[1:2]}, 1, ["DELETE"]),
        ):
            watched.clear()
            await push.patch(f"/Users/{made['id']}", {"op": "replace", "value": change})
            assert len([each for each in watched.asked if "external_key =" in each.sql]) == keys
            assert [each.verb for each in watched.asked if " addresses " in each.sql] == addresses
        for name, found in (("kim", 0), ("home", 1), ("old", 0)):
            answer = await push.get("/Users", filter=f'emails eq "{name}@acme.example"')
            assert answer["totalResults"] == found


async def test_a_record_keeps_a_hundred_warnings(house: House, push: Pusher) -> None:
    """R120: whatever a body holds, its record stays readable; the last warning counts the rest."""
    await push.user("kim", **{f"unheard{n}": n for n in range(250)})
    await push.group("All", *(f"usr_{n}" for n in range(101)))
    await push.group("Some", *(f"usr_{n}" for n in range(100)))
    person, many, some = await house.records()
    assert [len(each.warnings) for each in (person, many, some)] == [100, 100, 100]
    assert person.warnings[-1].text == "and 151 more attributes"
    assert many.warnings[-1].text == "and 2 more members"
    assert some.warnings[-1].attribute == "members"


async def test_an_unknown_attribute_is_a_warning_and_nothing_is_lost(
    house: House, push: Pusher
) -> None:
    """R120, R121: 100 people, one with an attribute nobody has: all provisioned, one warning."""
    for n in range(99):
        await push.user(f"user-{n}")
    made = await push.user("odd", displayName="Odd One", favouriteColour="teal")
    view = await house.run()
    assert view.run.status == "Partial success"
    assert (view.run.counts.created, view.run.counts.total, view.run.warnings) == (100, 100, 1)
    assert [(i.attribute, i.count) for i in view.issues] == [("favouriteColour", 1)]
    line = (await house.records())[-1]
    assert (line.resource_id, line.result) == (made["id"], Result.CREATED)
    assert [warning.attribute for warning in line.warnings] == ["favouriteColour"]
    answered = await push.get(f"/Users/{made['id']}")
    assert answered["displayName"] == "Odd One"
    assert "favouriteColour" not in answered
    (kept,) = await house.rows(
        "SELECT extras FROM resources WHERE project_id = :project AND id = :id", id=made["id"]
    )
    assert orjson.loads(kept["extras"]) == {"favouriteColour": "teal"}


@pytest.mark.parametrize("way", ["put", "patch"])
async def test_a_write_of_nothing_changes_nothing(house: House, push: Pusher, way: str) -> None:
    """U13: the same again answers 200, keeps version and lastModified, and is `unchanged`."""
    body = {"schemas": [USER], "userName": "kim", "active": True, "title": "Clerk"}
    made = await push.made("/Users", body)
    if way == "put":
        answer = await push("PUT", f"/Users/{made['id']}", body)
    else:
        same = {"op": "Replace", "path": "active", "value": "True"}
        answer = await push.patch(f"/Users/{made['id']}", same)
    assert answer.status_code == 200
    assert answer.json()["meta"] == made["meta"]
    assert (await house.records())[-1].result is Result.UNCHANGED
    assert (await house.run()).run.status == "Success"


async def test_a_change_is_recorded_before_and_after(house: House, push: Pusher) -> None:
    """A record of an update says what changed, attribute by attribute."""
    made = await push.user("kim", title="Clerk", name={"givenName": "Kim"})
    answer = await push.patch(
        f"/Users/{made['id']}",
        {"op": "replace", "path": "title", "value": "Head"},
        {"op": "replace", "path": "name.familyName", "value": "Lee"},
        {"op": "add", "path": f"{ENTERPRISE}:department", "value": "Sales"},
    )
    assert answer.json()["meta"]["version"] == 'W/"2"'
    line = (await house.records())[-1]
    assert line.result is Result.UPDATED
    assert {(c.path, c.before, c.after) for c in line.changes} == {
        ("title", "Clerk", "Head"),
        ("name.familyName", None, "Lee"),
        (f"{ENTERPRISE}:department", None, "Sales"),
    }
    assert (await house.person(made["id"])).profile.family_name == "Lee"


async def test_user_names_are_unique_in_the_project_whatever_their_case(house: House) -> None:
    """D4: the second one gets 409; its record says who is in the way, the answer does not."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        first = await one.user("Kim@Acme.example")
        refused = await two("POST", "/Users", {"schemas": [USER], "userName": "kim@acme.EXAMPLE"})
        assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
        assert first["id"] not in refused.text
    line = (await house.records())[-1]
    assert (line.result, line.resource_id, line.name) == (Result.FAILED, None, "kim@acme.EXAMPLE")
    assert first["id"] in (line.message or "")
    assert line.next
    people = await house.rows("SELECT id FROM users WHERE project_id = :project")
    kept = await house.rows("SELECT id FROM resources WHERE project_id = :project")
    assert [row["id"] for row in people] == [row["id"] for row in kept] == [first["id"]]


async def test_a_rename_onto_a_taken_name_leaves_everything_as_it_was(
    house: House, push: Pusher
) -> None:
    """A failing record rolls its person back: document, profile and version stay."""
    await push.user("kim")
    made = await push.user("lee", title="Clerk")
    renamed = {"schemas": [USER], "userName": "KIM", "title": "Head"}
    answer = await push("PUT", f"/Users/{made['id']}", renamed)
    assert answer.status_code == 409
    assert await push.get(f"/Users/{made['id']}") == made
    assert (await house.person(made["id"])).user_name == "lee"
    run = (await house.run()).run
    assert (run.counts.failed, run.counts.created, run.status) == (1, 2, "Partial success")


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        ({"schemas": [USER], "displayName": "No Name"}, "userName"),
        ({"schemas": [USER], "userName": "a\u202eb"}, "userName"),
        ({"schemas": [USER], "userName": "kim", "emails": "text"}, "emails"),
    ],
    ids=["required", "hidden character", "wrong shape"],
)
async def test_a_body_that_makes_no_sense_is_a_failed_record(
    house: House, push: Pusher, body: dict[str, Any], attribute: str
) -> None:
    """c.6, T7, safety 9: 400 names the attribute; the run has a failed line with a remedy."""
    answer = await push("POST", "/Users", body)
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert attribute in answer.json()["detail"]
    (line,) = await house.records()
    assert (line.result, line.message) == (Result.FAILED, answer.json()["detail"])
    assert line.next
    assert (await house.run()).run.status == "Failure"


async def test_what_names_no_resource_is_counted_and_is_no_record(
    house: House, push: Pusher
) -> None:
    """Reads, refused requests and unreadable bodies are counts of the run, never its failures."""
    made = await push.user("kim")
    await push("GET", "/Users", params={"filter": 'userName eq "AzureAD_Test"'})
    await push("GET", f"/Users/{made['id']}")
    await push("POST", "/Users", "{not json")
    await push("GET", "/Users", headers={"authorization": "Bearer brs_x_y"})
    await house.syncing.close_due()
    run = (await house.run()).run
    assert (run.reads, run.unreadable, run.refused) == (2, 1, 1)
    assert (run.counts.total, run.status, run.is_provisional) == (1, "Success", True)


async def test_a_version_that_was_overtaken_is_refused(house: House, push: Pusher) -> None:
    """If-Match with an older version is 412; nothing changes, and the record says so."""
    made = await push.user("kim")
    answer = await push(
        "PUT",
        f"/Users/{made['id']}",
        {"schemas": [USER], "userName": "kim", "title": "Head"},
        headers={"if-match": 'W/"7"'},
    )
    assert answer.status_code == 412
    assert await push.get(f"/Users/{made['id']}") == made
    assert (await house.records())[-1].result is Result.FAILED


async def test_simultaneous_changes_of_one_person_are_all_kept(push: Pusher) -> None:
    """Two PATCHes at once see each other: no attribute is lost, every version is counted."""
    made = await push.user("kim")
    paths = ("title", "nickName", "locale", "timezone", "userType", "preferredLanguage")
    answers = await asyncio.gather(
        *(
            push.patch(f"/Users/{made['id']}", {"op": "add", "path": path, "value": "en"})
            for path in paths
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    after = await push.get(f"/Users/{made['id']}")
    assert {path: after.get(path) for path in paths} == dict.fromkeys(paths, "en")
    assert after["meta"]["version"] == f'W/"{1 + len(paths)}"'


async def test_the_same_name_at_once_makes_one_person(house: House, push: Pusher) -> None:
    """Eight creates of one userName at the same time: one 201, seven 409, one person."""
    body = {"schemas": [USER], "userName": "kim"}
    answers = await asyncio.gather(*(push("POST", "/Users", body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    counts = (await house.run()).run.counts
    assert (counts.created, counts.failed, counts.total) == (1, 7, 8)


async def test_another_directory_s_person_is_a_missing_one(house: House) -> None:
    """Safety 1: reads, writes, filters and deletes answer as for an id that never was."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        made = await one.user("kim", externalId="e-1")
        for id in (made["id"], "usr_00000000000000000000000000"):
            assert (await two("GET", f"/Users/{id}")).status_code == 404
            assert (await two("DELETE", f"/Users/{id}")).status_code == 404
            body = {"schemas": [USER], "userName": "lee"}
            assert (await two("PUT", f"/Users/{id}", body)).status_code == 404
            change = {"op": "replace", "path": "title", "value": "x"}
            assert (await two.patch(f"/Users/{id}", change)).status_code == 404
            found = await two.get("/Users", filter=f'id eq "{id}"')
            assert found["totalResults"] == 0
        assert (await two.get("/Users", filter='externalId eq "e-1"'))["totalResults"] == 0
        assert (await two.get("/Users"))["totalResults"] == 0
        assert await one.get(f"/Users/{made['id']}") == made


async def test_a_token_is_for_one_directory(house: House) -> None:
    """Safety 1: another directory's token is 401 with a challenge, at any address below it."""
    async with pushing.calling(house, "One") as one, pushing.calling(house, "Two") as two:
        answer = await one("GET", "/Users", headers={"authorization": f"Bearer {two.token}"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="SCIM"'


async def test_our_status_is_shown_on_request_alone(house: House, push: Pusher) -> None:
    """c.1: the broker's extension is computed on read, outside version and lastModified."""
    await house.licensing.capacity(house.administrator, 0)
    first, second = await push.user("kim"), await push.user("lee")
    assert BROKER not in first
    for made in (first, second):
        await house.log_in(made["id"])
    shown = await push.get(f"/Users/{second['id']}", attributes=BROKER)
    assert (shown[BROKER]["status"], shown[BROKER]["queuePosition"]) == ("queued", 2)
    assert await push.get(f"/Users/{second['id']}") == second
    found = await push.get("/Users", filter=f"{BROKER}:queuePosition eq 1")
    assert [each["id"] for each in found["Resources"]] == [first["id"]]


async def test_an_error_of_ours_is_a_failed_record_too(house: House, push: Pusher) -> None:
    """What nobody foresaw is rolled back, raised, and still leaves its line in the run."""

    def failing(_tx: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await house.syncing.pushed(push.directory, Attempted("User", name="kim"), failing)
    (line,) = await house.records()
    assert (line.result, line.name) == (Result.FAILED, "kim")
