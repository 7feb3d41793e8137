"""What is past its days goes, a chunk at a time; what it came to stays (building.md, retention)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.db.database import Database
from broker.domain.clock import DAY, HOUR
from broker.service import retaining
from broker.service.retaining import Retaining
from broker.store import jobs
from tests import pushing
from tests.broker.service.calling import office, outward
from tests.clocks import MovableClock
from tests.pushing import USER, House, Pusher
from tests.running import Runner


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine."""
    return await pushing.house(db)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


async def count(house: House, table: str) -> int:
    sql = f"SELECT count(*) AS kept FROM {table} WHERE project_id = :project"
    return int((await house.rows(sql))[0]["kept"])


async def test_the_page_of_an_old_run_still_adds_up(
    house: House, push: Pusher, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are removed 180 days after their run, in chunks; counts, word and issues stay."""
    monkeypatch.setattr(retaining, "AT_ONCE", 3)
    for n in range(7):
        await push.user(f"user-{n}", shoeSize=n)
    await push("POST", "/Users", {"schemas": [USER], "userName": "USER-1"})
    await Runner.of(house, push).close()
    before = await house.run()
    assert (before.run.counts.total, before.run.warnings) == (8, 7)
    clock.advance(179 * DAY)
    await Retaining(house.db).sweep()
    assert await count(house, "records") == 8
    clock.advance(2 * DAY)
    await Retaining(house.db).sweep()
    assert await count(house, "records") == await count(house, "record_warnings") == 0
    after = await house.run()
    assert (after.run.counts, after.run.status, after.run.warnings, after.issues) == (
        before.run.counts,
        before.run.status,
        before.run.warnings,
        before.issues,
    )
    assert await house.records() == []


async def test_a_run_that_is_open_keeps_its_records(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """A run held for a decision holds what it is about, however long that takes."""
    await push.user("kim")
    clock.advance(400 * DAY)
    await Retaining(house.db).sweep()
    assert await count(house, "records") == 1


async def test_each_kind_has_its_days(
    house: House, push: Pusher, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events go after 30 days, jobs 7 days after they were done; what is newer stays."""
    monkeypatch.setattr(retaining, "AT_ONCE", 2)

    async def rows() -> tuple[int, int]:
        return await count(house, "events"), await count(house, "jobs")

    for n in range(5):
        await push.user(f"user-{n}")
    await house.db.write(lambda tx: jobs.add(tx, "done", house.project))
    await house.db.write(lambda tx: jobs.add(tx, "waiting", house.project, due=2**60))
    job = await house.db.write(jobs.claim)
    assert job is not None
    await house.db.write(jobs.done, job)
    events, queued = await rows()
    assert (events >= 5, queued) == (True, 2)
    clock.advance(7 * DAY - HOUR)
    await Retaining(house.db).sweep()
    assert await rows() == (events, 2)
    clock.advance(2 * HOUR)
    await Retaining(house.db).sweep()
    assert await rows() == (events, 1)
    clock.advance(22 * DAY)
    await push.user("late")
    newer = await count(house, "events") - events
    clock.advance(2 * DAY)
    await Retaining(house.db).sweep()
    assert await rows() == (newer, 1)


async def test_what_webhooks_were_told_goes_with_its_events(
    db: Database, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries go after 30 days as events do, those of a deleted webhook too; a secret that was
    rotated out is erased once it signs no more.
    """
    monkeypatch.setattr(retaining, "AT_ONCE", 2)
    at = await office(db, egress := outward())
    hooks = [await at.hook("https://flows.acme.example") for _ in range(2)]
    await at.webhooks.rotate(at.caller, hooks[0][0].id)
    await at.happen(*["user.invited"] * 5)
    await at.publishing.publish()
    clock.advance(DAY + HOUR)
    await at.happen("user.invited")
    await at.publishing.publish()
    kept = "SELECT (SELECT count(*) FROM events) AS events, count(*) AS deliveries FROM deliveries"
    for days, left in ((0, (6, 12)), (29, (1, 2)), (2, (0, 0))):
        clock.advance(days * DAY)
        await Retaining(db).sweep()
        (row,) = await db.read(lambda tx: tx.all(kept))
        assert (row["events"], row["deliveries"]) == left
        assert (await at.now(hooks[0][0])).old_secret is None
    assert (await at.now(hooks[0][0])).secret is not None
    await egress.aclose()


async def test_decisions_go_with_their_lines(house: House) -> None:
    """400 days after their last line, unless a pause still waits for one; sessions after 30."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for n, id in enumerate(("dec_old", "dec_paused", "dec_new")):
        rows.append(("decisions", _decision(id)))
        rows += [("decision_lines", _line(id, 1, at=1))]
        rows += [("decision_lines", _line(id, 2, at=500 * DAY))] if id == "dec_new" else []
        if id == "dec_paused":
            rows.append(("pauses", _pause(id)))
        rows.append(("sessions", _session(str(n), expires_at=(1, 480 * DAY, 499 * DAY)[n])))
    for table, values in rows:
        await house.db.write(_insert, table, {"project_id": house.project} | values)
    for remove, days in retaining.DAYS.items():
        await house.db.write(remove, house.project, (500 - days) * DAY, 100)
    kept = await house.rows("SELECT id FROM decisions WHERE project_id = :project ORDER BY id")
    assert [row["id"] for row in kept] == ["dec_new", "dec_paused"]
    assert await count(house, "decision_lines") == 3
    assert await count(house, "sessions") == 2


def _insert(tx: Any, table: str, values: dict[str, Any]) -> None:
    named = ", ".join(f":{name}" for name in values)
    tx.run(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({named})", **values)


def _decision(id: str) -> dict[str, Any]:
    words = {"key_id": "k", "execution": id, "step": "s", "question_hash": "h", "question": "{}"}
    return {"id": id, "attempt": 1, "created_at": 1} | words


def _line(id: str, version: int, at: int) -> dict[str, Any]:
    words = {"row": "F6", "outcome": "run", "connector_id": "con_1", "facts": "{}"}
    return {"decision_id": id, "version": version, "at": at} | words


def _pause(id: str) -> dict[str, Any]:
    words = {"key_id": "k", "connector_id": "c", "user_id": "u", "execution": id, "step": "s"}
    about = {"state": "waiting", "run_as": "user", "created_at": 1, "changed_at": 1}
    return {"id": "pau_1", "decision_id": id} | words | about


def _session(hash: str, expires_at: int) -> dict[str, Any]:
    about = {"kind": "person", "asserted_by": "issuer", "created_at": 1}
    return {"hash": hash, "expires_at": expires_at} | about
