"""Events in real processes: written and published side by side, and when the power fails."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.db.database import Database
from broker.db.seal import Seal, keys_from
from broker.domain.webhooks import Delivery, DeliveryState
from broker.store import events
from broker.store.events import Published
from broker.wiring import LOOPBACK
from tests import engines
from tests.broker.service.calling import Office, office, outward
from tests.receiving import OK, SILENT, Receiver, receiving
from tests.serving import KEYS, serve
from tests.waiting import until

AROUND: dict[str, Any] = {"BROKER_EGRESS_ALLOW": ",".join(LOOPBACK)}
MANY = [120, pytest.param(4_000, marks=pytest.mark.drill)]


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Office]:
    """A project in the database of several processes, whose receivers are on this machine."""
    db, egress = await engines.connect(database_url), outward()
    yield await office(db, egress, seal=Seal(keys_from(KEYS)))
    await egress.aclose()
    await db.close()


async def eventful(url: str, project: str, count: int, *, after: int = 0) -> Process:
    """A process in which that many things happen."""
    words = (sys.executable, "-m", "tests.races.eventful", url, project, str(count), str(after))
    return await asyncio.create_subprocess_exec(*words)


async def behind(db: Database, project: str, last: int) -> list[Published]:
    """The next page of the feed, which begins with the next number and has every one."""
    found = await db.read(events.feed, project, last, 50)
    assert [one.sequence for one in found] == list(range(last + 1, last + 1 + len(found)))
    return found


@pytest.mark.parametrize("many", MANY)
async def test_whoever_reads_by_number_misses_nothing(
    at: Office, database_url: str, many: int
) -> None:
    """api-conventions 6: processes write and publish at once, one of them dies between the numbers
    and their commit; at every moment a reader's next number is the one behind its last, and in the
    end it has had every event once: there was no gap, and nothing came late.
    """
    processes = [
        await eventful(database_url, at.project, many),
        await eventful(database_url, at.project, many),
        await eventful(database_url, at.project, many, after=many // 3),
    ]
    seen: list[Published] = []
    ended = asyncio.gather(*(process.wait() for process in processes))
    while not ended.done() or await at.publishing.publish():
        while found := await behind(at.db, at.project, len(seen)):
            seen += found
    while found := await behind(at.db, at.project, len(seen)):
        seen += found
    assert await ended == [0, 0, -signal.SIGKILL]
    written = await at.db.read(lambda tx: tx.all("SELECT id FROM events"))
    assert len(written) > 2 * many
    assert {row["id"] for row in written} == {event.id for event in seen}
    assert len(written) == len(seen)


async def test_sigkill_while_a_receiver_is_called(
    at: Office, database_url: str, tmp_path: Path
) -> None:
    """At least once: the service dies while a receiver has a message and has not answered. The
    next one tells it again, under the same ids, and each event arrives.
    """
    async with receiving(Receiver(lambda _: SILENT)) as receiver:
        webhook, secret = await at.hook(receiver.url, "user.*")
        ids = await at.happen(*["user.invited"] * 3)
        async with serve(tmp_path, database_url, **AROUND) as broker:
            await until(lambda: len(receiver.times) == 3)
            await broker.kill()
        receiver.answer = lambda _: OK
        await at.db.write(lambda tx: tx.run("UPDATE deliveries SET lease_until = 1"))
        async with serve(tmp_path, database_url, **AROUND):
            told = await until(lambda: _delivered(at, webhook.id, 3))
        assert receiver.times == dict.fromkeys(ids, 2)
        assert {message.verified(secret)["id"] for message in receiver.heard} == {*ids}
    assert [each.attempt for each in told] == [2, 2, 2]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_two_services_tell_each_event_once(
    at: Office, database_url: str, tmp_path: Path
) -> None:
    """Replicas share the work by leases: while both live, no receiver hears an event twice."""
    async with (
        receiving() as receiver,
        serve(tmp_path, database_url, name="a", **AROUND),
        serve(tmp_path, database_url, name="b", **AROUND),
    ):
        webhook, _ = await at.hook(receiver.url, "user.*")
        ids = await at.happen(*["user.invited"] * 60)
        await until(lambda: _delivered(at, webhook.id, 60))
    assert receiver.times == dict.fromkeys(ids, 1)


async def _delivered(at: Office, webhook: str, count: int) -> list[Delivery]:
    found = await at.webhooks.deliveries(
        at.caller, webhook, [DeliveryState.DELIVERED], before=None, limit=200
    )
    return [*found] if len(found) == count else []
