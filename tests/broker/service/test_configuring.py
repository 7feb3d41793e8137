"""Directories: made, edited, disabled, enabled; what is sealed is for one origin alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from broker.db.database import Database
from broker.domain.callers import Caller, Kind
from broker.domain.clock import HOUR, MINUTE, SECOND
from broker.domain.directories import Absent, Schedule, State
from broker.domain.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from broker.domain.runs import Ending, Trigger
from broker.service.configuring import DirectoryView, Said
from broker.service.programs import MustEnterAgain
from broker.service.scheduling import Scheduling
from broker.service.sourcing import SourceSaid
from broker.store import directories
from tests import pushing
from tests.canaries import planted
from tests.clocks import MovableClock
from tests.pushing import SOURCES, House, Pusher

TOKEN = planted("source-token")
KEY_SCOPES = frozenset({"directories:read", "directories:write"})


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory whose window is a minute."""
    async with pushing.calling(house, window_s=60) as push:
        yield push


def key(house: House, *scopes: str) -> Caller:
    """A service with these scopes."""
    return Caller(Kind.SERVICE, house.project, "key_1", "sync", frozenset(scopes))


def scim(base_url: str = "https://hr.example/scim", **more: Any) -> SourceSaid:
    """A SCIM server that is read with a token."""
    return SourceSaid("scim", {"base_url": base_url, "token": TOKEN} | more)


async def shown(house: House, id: str) -> DirectoryView:
    """The directory as it is now."""
    return await house.configuring.directory(house.project, id)


async def said_of(house: House, id: str) -> list[str]:
    """What the audit says was done with the directory, in order."""
    rows = await house.rows(
        "SELECT action FROM audit WHERE project_id = :project AND target = :id ORDER BY n", id=id
    )
    return [row["action"] for row in rows]


async def test_a_configuration_is_edited_disabled_and_enabled(house: House, push: Pusher) -> None:
    """R108: each action needs its scope, is in the audit with who did it, and counts a version."""
    id, of = push.directory.id, house.configuring
    writer = key(house, *KEY_SCOPES)
    view = await of.change(writer, id, Said(name="Acme", window_s=90), version=1)
    assert (view.directory.name, view.directory.window_s, view.directory.version) == ("Acme", 90, 2)
    view = await of.disable(writer, id, version=2)
    view = await of.enable(writer, id)
    assert (view.directory.state, view.directory.version) == (State.ENABLED, 4)
    rows = await house.rows(
        "SELECT actor, action FROM audit WHERE project_id = :project AND target = :id"
        " AND action <> 'directory.added' ORDER BY n",
        id=id,
    )
    acts = ["directory.changed", "directory.disabled", "directory.enabled"]
    assert [(row["actor"], row["action"]) for row in rows] == [("key:key_1", a) for a in acts]
    reader = key(house, "directories:read")
    for refused in (
        of.change(reader, id, Said(name="No")),
        of.disable(reader, id),
        of.enable(reader, id),
    ):
        with pytest.raises(Forbidden):
            await refused


async def test_what_is_said_once_is_not_said_twice(house: House, push: Pusher) -> None:
    """Disabling what is disabled changes nothing: no version, no line of the audit."""
    for _ in range(2):
        view = await house.configuring.disable(house.administrator, push.directory.id)
    assert view.directory.version == 2
    assert (await said_of(house, push.directory.id)).count("directory.disabled") == 1


async def test_a_change_names_what_it_saw(house: House, push: Pusher) -> None:
    """api.md: a change made for an older version is refused, and nothing of it is kept."""
    id, of = push.directory.id, house.configuring
    await of.change(house.administrator, id, Said(name="First"), version=1)
    for late in (
        of.change(house.administrator, id, Said(name="Second"), version=1),
        of.disable(house.administrator, id, version=1),
    ):
        with pytest.raises(Stale):
            await late
    assert (await shown(house, id)).directory.name == "First"


async def test_disable_loses_nothing(house: House, push: Pusher, clock: MovableClock) -> None:
    """R111, R112: 503 with Retry-After while it is disabled; the configuration is the same byte
    for byte and the users are as they were; after enabling, the push that is sent again is applied.
    """
    id, of, admin = push.directory.id, house.configuring, house.administrator
    made = await push.user("kim", externalId="x-1", displayName="Kim Lee")
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    await Scheduling(house.db, pushing.starting(house)).change(admin, id, schedule)
    told = Said(source=scim(), holding={"percent": 20}, absent=Absent.NOTHING)
    await of.change(admin, id, told)

    async def kept() -> tuple[bytes, list[dict[str, Any]], list[dict[str, Any]]]:
        row = await house.rows("SELECT * FROM directories WHERE project_id = :project")
        varies = ("state", "version")
        same = [{name: each[name] for name in each if name not in varies} for each in row]
        people = await house.rows("SELECT * FROM users WHERE project_id = :project ORDER BY id")
        secrets = await house.rows("SELECT * FROM directory_secrets WHERE project_id = :project")
        return orjson.dumps(same, default=str), people, secrets

    before = await kept()
    await of.disable(admin, id)
    assert await kept() == before
    change = {"op": "replace", "value": {"displayName": "Kim Li"}}
    refused = await push.patch(f"/Users/{made['id']}", change)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "300")
    assert await kept() == before
    clock.advance(HOUR)
    await of.enable(admin, id)
    assert await kept() == before
    assert (await push.patch(f"/Users/{made['id']}", change)).status_code == 200
    assert (await house.person(made["id"])).display_name == "Kim Li"


@pytest.mark.parametrize(
    ("sent", "word"),
    [(("kim",), "Partial success"), ((), "Failure")],
    ids=["something applied", "nothing applied"],
)
async def test_disable_ends_what_runs(
    house: House, push: Pusher, sent: tuple[str, ...], word: str
) -> None:
    """R8: the run ends at once with the reason, as Partial success when something was applied,
    else as Failure; the next push after enabling opens the next one.
    """
    for name in sent:
        await push.user(name)
    await push("POST", "/Users", {"schemas": [pushing.USER], "displayName": "nameless"})
    await house.configuring.disable(house.administrator, push.directory.id)
    run = (await house.run()).run
    assert (run.state, run.reason, run.status) == ("ended", Ending.DISABLED, word)
    await house.configuring.enable(house.administrator, push.directory.id)
    await push.user("lee")
    assert (await house.run()).run.counts.created == 1
    assert len(await house.syncing.runs(house.project)) == 2


async def test_times_that_pass_while_it_is_disabled_are_not_made_up_for(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R111: enabling begins no run by itself; the next time of the schedule is to come."""
    scheduling = Scheduling(house.db, pushing.starting(house))
    id, admin = push.directory.id, house.administrator
    await scheduling.change(admin, id, Schedule("*/5 * * * *"))
    await house.configuring.disable(admin, id)
    clock.advance(HOUR)
    assert await scheduling.fire() == 0
    await house.configuring.enable(admin, id)
    assert await scheduling.fire() == 0
    clock.advance(5 * MINUTE)
    assert await scheduling.fire() == 1


async def test_a_source_keeps_its_secret_for_its_own_host(house: House, push: Pusher) -> None:
    """Safety 18: another host drops what was sealed and demands it again; nothing is sent there.

    What is not said again stays with its host, and is never shown.
    """
    id, of, admin = push.directory.id, house.configuring, house.administrator
    with pytest.raises(Invalid) as needed:
        await of.change(admin, id, Said(source=scim(token=None)))
    assert needed.value.reason == "protected-fields-needed"
    view = await of.change(admin, id, Said(source=scim()))
    assert view.source is not None
    assert view.source["fields"]["token"]["has_value"] is True
    assert TOKEN not in repr(view)
    view = await of.change(admin, id, Said(source=scim("https://hr.example/v2", token=None)))
    assert view.source is not None
    assert view.source["fields"]["base_url"] == "https://hr.example/v2"
    with pytest.raises(Invalid) as needed:
        await of.change(admin, id, Said(source=scim("https://other.example", token="")))
    assert needed.value.reason == "protected-fields-needed"
    assert [problem.pointer for problem in needed.value.problems] == ["/source/fields/token"]
    assert (await shown(house, id)).source == view.source
    await of.change(admin, id, Said(source=scim("https://other.example", token="another")))
    (row,) = await house.rows("SELECT origin FROM directory_secrets WHERE project_id = :project")
    assert row["origin"] == "https://other.example"


async def test_a_secret_that_stayed_behind_opens_for_nobody(house: House, push: Pusher) -> None:
    """Safety 18: even where the row was moved past the form, the secret is not handed to a host it
    was not typed for.
    """
    id, admin = push.directory.id, house.administrator
    await house.configuring.change(admin, id, Said(source=scim()))
    moved = (await shown(house, id)).directory
    assert moved.source is not None
    moved = replace(moved, source=replace(moved.source, settings={"base_url": "https://evil.test"}))
    await house.db.write(directories.change, moved)
    with pytest.raises(MustEnterAgain):
        await house.db.write(SOURCES.opened, moved, purpose="test")


async def test_another_kind_takes_nothing_over(house: House, push: Pusher) -> None:
    """Safety 18: neither settings nor secrets of one kind of source become those of another."""
    id, of, admin = push.directory.id, house.configuring, house.administrator
    await of.change(admin, id, Said(source=scim()))
    with pytest.raises(Invalid):
        await of.change(admin, id, Said(source=SourceSaid("entra", {})))
    view = await of.change(admin, id, Said(source=None))
    assert view.source is None
    assert await house.rows("SELECT * FROM directory_secrets WHERE project_id = :project") == []


@pytest.mark.parametrize(
    ("source", "pointer"),
    [
        (SourceSaid("ldap", {}), "/source/kind"),
        (scim(base_ur="https://hr.example"), "/source/fields/base_ur"),
        (scim("http://hr.example"), "/source/fields/base_url"),
        (scim("nonsense"), "/source/fields/base_url"),
    ],
)
async def test_a_source_is_held_to_its_kind(
    house: House, push: Pusher, source: SourceSaid, pointer: str
) -> None:
    """Every problem of a source is named with its pointer, and nothing of it is kept."""
    with pytest.raises(Invalid) as refused:
        await house.configuring.change(
            house.administrator, push.directory.id, Said(name="Other", source=source)
        )
    assert pointer in [problem.pointer for problem in refused.value.problems]
    view = await shown(house, push.directory.id)
    assert (view.directory.name, view.source) == (push.directory.name, None)


async def test_a_new_source_is_looked_at_anew(house: House, push: Pusher) -> None:
    """Once an administrator has set a source up again, what was wrong with it is forgotten."""
    id, admin = push.directory.id, house.administrator
    await house.configuring.change(admin, id, Said(source=scim()))
    troubled = replace((await shown(house, id)).directory, trouble="credentials-refused")
    await house.db.write(directories.change, troubled)
    view = await house.configuring.change(admin, id, Said(source=scim(token="a-newer-one")))
    assert view.directory.trouble is None


async def test_a_source_is_not_changed_while_it_is_read(house: House, push: Pusher) -> None:
    """A pull goes on from its place at the source it began with: the change waits for its end."""
    id, admin = push.directory.id, house.administrator
    view = await house.configuring.change(admin, id, Said(source=scim()))
    starting = pushing.starting(house)
    run = await house.db.write(starting.begin, view.directory, Trigger.MANUAL, "test")
    with pytest.raises(Conflict) as refused:
        await house.configuring.change(admin, id, Said(source=scim("https://other.example")))
    assert (refused.value.reason, refused.value.more["run"]) == ("run-running", run)


async def test_only_an_administrator_raises_the_limit(house: House, push: Pusher) -> None:
    """R5, safety 27: a key that could raise what one run may end could release what is held."""
    id, of = push.directory.id, house.configuring
    writer = key(house, *KEY_SCOPES)
    for said in (Said(holding={"percent": 100}), Said(absent=Absent.DELETE)):
        with pytest.raises(Forbidden):
            await of.change(writer, id, said)
    said = Said(holding={"count": 3, "pushes": True}, absent=Absent.DELETE)
    view = await of.change(house.administrator, id, said)
    assert (view.directory.holding.count, view.directory.holding.pushes) == (3, True)
    assert (view.directory.holding.percent, view.directory.absent) == (10, "delete")
    with pytest.raises(Invalid):
        await of.change(house.administrator, id, Said(holding={"percent": 101}))


async def test_two_tokens_live_during_a_rotation(house: House, push: Pusher) -> None:
    """A second token works beside the first until that one is revoked."""
    second = await house.configuring.add_token(house.project, push.directory.id, by="operator")
    for token in (push.token, second):
        answer = await push("GET", "/Users", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200
    with pytest.raises(Conflict, match="two living tokens"):
        await house.configuring.add_token(house.project, push.directory.id, by="operator")
    first = "tok_" + push.token.split("_")[1]
    other, _ = await house.directory("Other")
    with pytest.raises(NotFound):
        await house.configuring.revoke_token(house.project, other.id, first, by="operator")
    await house.configuring.revoke_token(house.project, push.directory.id, first, by="operator")
    assert (await push("GET", "/Users")).status_code == 401
    await house.configuring.add_token(house.project, push.directory.id, by="operator")


async def test_it_shows_which_token_is_used(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """Only the right secret counts as use: somebody who guesses at an id moves nothing."""

    async def last_used() -> list[int | None]:
        await house.callers.flush()
        view = await shown(house, push.directory.id)
        assert [view] == await house.configuring.directories(house.project)
        return [token["last_used_at"] for token in view.tokens]

    await house.configuring.add_token(house.project, push.directory.id, by="operator")
    assert await last_used() == [None, None]
    await push("GET", "/Users", headers={"authorization": f"Bearer {push.token}x"})
    assert await last_used() == [None, None]
    await push("GET", "/Users")
    first, unused = await last_used()
    assert first is not None
    assert unused is None
    clock.advance(HOUR)
    guessed = push.token.rpartition("_")[0] + "_guess"
    answer = await push("GET", "/Users", headers={"authorization": f"Bearer {guessed}"})
    assert answer.status_code == 401
    assert await last_used() == [first, None]


async def test_a_directory_has_a_name_of_its_own(house: House, push: Pusher) -> None:
    """Names of directories are unique in the project, trimmed and whatever their case."""
    with pytest.raises(Conflict):
        await house.directory(f"  {push.directory.name.upper()} ")
    other, _ = await house.directory("Other")
    with pytest.raises(Conflict):
        said = Said(name=push.directory.name)
        await house.configuring.change(house.administrator, other.id, said)
    with pytest.raises(Invalid):
        await house.directory("Third", tolerance="lax")
    with pytest.raises(Invalid):
        await house.directory("Third", window_s=0)


async def test_another_projects_directory_is_missing(house: House, push: Pusher) -> None:
    """Safety 2, 3: whatever is asked of another project's directory, it is not there."""
    other = await pushing.house(house.db, "other")
    id, of, admin = push.directory.id, other.configuring, other.administrator
    scheduling = Scheduling(other.db, pushing.starting(other))
    for asked in (
        of.directory(other.project, id),
        of.add_token(other.project, id, by="operator"),
        of.change(admin, id, Said(name="Mine")),
        of.disable(admin, id),
        pushing.starting(other).sync(admin, id),
        scheduling.get(other.project, id),
        scheduling.change(admin, id, None),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await of.directories(other.project) == []


async def test_a_run_is_over_before_the_window_is(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """c.6: a window that is made shorter counts for the run that is open."""
    await push.user("kim")
    await house.configuring.change(house.administrator, push.directory.id, Said(window_s=5))
    clock.advance(6 * SECOND)
    await house.syncing.close_due()
    assert (await house.run()).run.state == "ended"
