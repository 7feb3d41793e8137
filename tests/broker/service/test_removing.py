"""A directory deleted: for good, but for the people (R113 to R115, R9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.db.database import Database
from broker.domain.callers import Caller, Kind
from broker.domain.clock import MINUTE
from broker.domain.directories import Schedule
from broker.domain.errors import Forbidden, Invalid, NotFound, Stale
from broker.domain.runs import Ending
from broker.domain.users import Status
from broker.service.configuring import Said
from broker.service.removing import JOB, Removing
from broker.service.scheduling import Scheduling
from broker.service.sourcing import SourceSaid
from broker.store import jobs, projects
from scim.document import accept
from scim.tolerance import STANDARD
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import USER, House, Pusher

ISSUER = "https://login.acme.example"
GONE = (
    "resources",
    "members",
    "addresses",
    "blocks",
    "directory_secrets",
    "directory_tokens",
    "mappings",
)
"""Every table that keeps something a directory said, or that was set up for it."""


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house, "Acme") as push:
        yield push


def removing(house: House) -> Removing:
    """What deletes its directories."""
    return Removing(house.db, house.licensing)


async def cleared(house: House, clock: MovableClock) -> None:
    """Everything a worker does about deleted directories has been done."""
    clock.advance(MINUTE)
    while (job := await house.db.write(jobs.claim)) is not None:
        if job.kind == JOB:
            await removing(house).clear(job)
        await house.db.write(jobs.done, job)


async def left(house: House, id: str) -> dict[str, int]:
    """How many rows of a directory there are, by table; those without are left out."""
    found = {}
    for table in GONE:
        whose = "" if table == "members" else "AND directory_id = :id"
        sql = f"SELECT count(*) AS n FROM {table} WHERE project_id = :project {whose}"
        (row,) = await house.rows(sql, **({"id": id} if whose else {}))
        found[table] = row["n"]
    return {table: count for table, count in found.items() if count}


async def people(house: House) -> list[dict[str, Any]]:
    """Everybody, as the rows have them, without what detaching changes."""
    varies = ("directory_id", "detached_at", "detached_issuer", "version", "changed_at")
    rows = await house.rows("SELECT * FROM users WHERE project_id = :project ORDER BY id")
    return [{name: row[name] for name in row if name not in varies} for row in rows]


async def furnished(house: House, push: Pusher) -> list[str]:
    """A directory with all that one can have; the ids of its people."""
    id, admin = push.directory.id, house.administrator
    source = SourceSaid("scim", {"base_url": "https://hr.example", "token": "t"})
    await house.configuring.change(admin, id, Said(source=source))
    await Scheduling(house.db, pushing.starting(house)).change(admin, id, Schedule("0 * * * *"))
    mails = [{"value": f"kim{n}@acme.example"} for n in range(3)]
    kim = await push.user("kim", externalId="x-1", emails=mails)
    lee = await push.user("lee", externalId="x-2")
    await push.user("gone")
    gone = (await push.get("/Users", filter='userName eq "gone"'))["Resources"][0]["id"]
    await push("DELETE", f"/Users/{gone}")
    await push.group("Staff", kim["id"], lee["id"])
    await house.log_in(kim["id"])

    def mapped(tx: Any) -> None:
        sql = """
            INSERT INTO mappings (project_id, directory_id, version, mapping, created_at,
                                  created_by)
            VALUES (:project, :id, 1, '{}', :now, 'test')
        """
        tx.run(sql, project=house.project, id=id, now=tx.now)
        projects.set_oidc(tx, house.project, ISSUER, "broker", None, None)

    await house.db.write(mapped)
    return [kim["id"], lee["id"]]


async def test_delete_is_permanent(house: House, push: Pusher, clock: MovableClock) -> None:
    """R113, R114: it cannot be read or changed any more, its tokens are refused at once, and of
    what it said or was set up with nothing is left.
    """
    id, admin = push.directory.id, house.administrator
    await furnished(house, push)
    assert set(await left(house, id)) == set(GONE)
    would = await removing(house).affected(admin, id)
    assert would == {"people": 2, "groups": 1, "tokens": 1}
    await removing(house).delete(admin, id, " acme ")
    assert (await push("GET", "/Users")).status_code == 401
    for asked in (
        house.configuring.directory(house.project, id),
        house.configuring.change(admin, id, Said(name="Back")),
        house.configuring.enable(admin, id),
        pushing.starting(house).sync(admin, id),
        removing(house).delete(admin, id, "Acme"),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await house.configuring.directories(house.project) == []
    await cleared(house, clock)
    assert await left(house, id) == {}
    (row,) = await house.rows("SELECT * FROM directories WHERE project_id = :project")
    assert [row[name] for name in ("source", "schedule", "next_at")] == [None, None, None]
    (act,) = await house.rows(
        "SELECT actor, detail FROM audit WHERE project_id = :project"
        " AND action = 'directory.deleted'"
    )
    assert act["actor"] == admin.actor
    assert '"people":2' in act["detail"]


async def test_one_of_the_same_name_is_made_from_scratch(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R114: it has another id, no source, schedule, mapping, token or resource of the old one."""
    await furnished(house, push)
    await removing(house).delete(house.administrator, push.directory.id, "Acme")
    for done in (False, True):  # while the old one is being cleared away, and after
        async with pushing.calling(house, "Acme" if done else "ACME ") as again:
            view = await house.configuring.directory(house.project, again.directory.id)
            directory = view.directory
            assert directory.id != push.directory.id
            assert (view.source, directory.schedule, directory.next_at) == (None, None, None)
            assert (directory.mapping_version, view.last_run, len(view.tokens)) == (0, None, 1)
            for path in ("/Users", "/Groups"):
                assert (await again.get(path))["totalResults"] == 0
            await house.configuring.change(
                house.administrator, directory.id, Said(name=f"Other {done}")
            )
        await cleared(house, clock)


async def test_nobody_is_removed(house: House, push: Pusher, clock: MovableClock) -> None:
    """R115: as many people as before, each as they were, marked detached with the project's issuer
    of that moment; who was deleted before stays deleted and is nobody's to adopt.
    """
    known = await furnished(house, push)
    before = await people(house)
    await removing(house).delete(house.administrator, push.directory.id, "Acme")
    await cleared(house, clock)
    assert await people(house) == before
    for id in known:
        person = await house.person(id)
        assert (person.directory, person.detached_issuer) == (None, ISSUER)
        assert person.detached_at is not None
        assert person.adoptable is False
    assert (await house.person(known[0])).status is Status.ACTIVE
    tombstones = await house.rows(
        "SELECT detached_at FROM users WHERE project_id = :project AND status = 'deleted'"
    )
    assert tombstones == [{"detached_at": None}]


async def test_its_run_ends_and_its_history_stays(house: House, push: Pusher) -> None:
    """R9, R107: the open run ends with the reason; who looks for it later still finds it."""
    await push.user("kim")
    await removing(house).delete(house.administrator, push.directory.id, "Acme")
    (run,) = await house.syncing.runs(house.project, push.directory.id)
    assert (run.state, run.reason, run.status) == ("ended", Ending.DELETED, "Partial success")
    assert run.counts.created == 1


async def test_what_it_held_is_nobodys_to_decide(house: House, push: Pusher) -> None:
    """R9, R5: licenses that held changes kept back are free; who was to be deleted is not, but is
    detached, without a license, and ticked for nobody.
    """
    id, admin = push.directory.id, house.administrator
    holding = {"count": 0, "pushes": True}
    await house.configuring.change(admin, id, Said(holding=holding))
    kim, lee = await push.user("kim"), await push.user("lee")
    for each in (kim, lee):
        await house.log_in(each["id"])
    off = {"op": "replace", "path": "active", "value": False}
    assert (await push.patch(f"/Users/{kim['id']}", off)).status_code == 200
    assert (await push("DELETE", f"/Users/{lee['id']}")).status_code == 204
    assert (await house.licensing.state(house.project)).withheld == 2
    await removing(house).delete(admin, id, "Acme")
    row = await house.licensing.state(house.project)
    assert (row.withheld, row.held) == (0, 0)
    for each in (kim, lee):
        person = await house.person(each["id"])
        assert person.status in (Status.SUSPENDED, Status.INVITED)
        assert (person.directory, person.adoptable) == (None, False)
        assert person.detached_at is not None
    (run,) = await house.syncing.runs(house.project, id)
    assert run.state == "ended"


async def test_a_push_that_was_under_way_leaves_nobody_behind(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """R113, R115: whom a request admitted before created after the deletion is detached as
    everybody, and the resource goes as the others.
    """
    hosted = house.hosting().users(push.directory)
    await removing(house).delete(house.administrator, push.directory.id, "Acme")
    body = {"schemas": [USER], "userName": "late"}
    made = await hosted.create(accept(hosted.shelving.type, body, STANDARD), computed=frozenset())
    await cleared(house, clock)
    person = await house.person(made.id)
    assert (person.directory, person.detached_at is None) == (None, False)
    assert await left(house, push.directory.id) == {}


async def test_deleting_takes_the_name_the_scope_and_the_version(
    house: House, push: Pusher
) -> None:
    """R108, R113: the name is typed once more; a key needs directories:write; nothing happens to
    one that has changed since it was read, or is another project's.
    """
    id = push.directory.id
    with pytest.raises(Invalid):
        await removing(house).delete(house.administrator, id, "Acne")
    with pytest.raises(Stale):
        await removing(house).delete(house.administrator, id, "Acme", version=7)
    reader = Caller(Kind.SERVICE, house.project, "key_1", scopes=frozenset({"directories:read"}))
    with pytest.raises(Forbidden):
        await removing(house).delete(reader, id, "Acme")
    other = await pushing.house(house.db, "other")
    with pytest.raises(NotFound):
        await removing(other).delete(other.administrator, id, "Acme")
    with pytest.raises(NotFound):
        await removing(other).affected(other.administrator, id)
    assert (await push("GET", "/Users")).status_code == 200
