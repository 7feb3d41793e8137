"""Held requests: woken by what was published here or elsewhere, each key's share bounded."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker.db.database import Database, Transaction, Unavailable, Unit
from broker.domain.callers import Caller
from broker.domain.errors import TooMany, Unknown
from broker.service.holding import A_KEY, FEED, Holding
from broker.store import events
from tests.stepping import World
from tests.waiting import until
from tests.watching import Watched

PAUSE = "pse_1"
A_PLACE = 16 * 1024
"""Bytes that one who waits may cost beside the connection."""


@dataclass(slots=True)
class Told:
    """A thing with a version, which somebody waits for; `looks` counts how often it was read."""

    version: int = 1
    looks: int = 0

    async def read(self) -> int:
        self.looks += 1
        return self.version


@dataclass(slots=True)
class Flaky:
    """The database, which is away for as long as it is told to be."""

    inner: Database
    is_away: bool = False
    refused: int = 0

    async def read(self, unit: Unit[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.is_away:
            self.refused += 1
            raise Unavailable("away")
        return await self.inner.read(unit, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(slots=True)
class House:
    """Who waits, and what for."""

    at: World
    holding: Holding
    caller: Caller
    thing: Told = field(default_factory=Told)

    def wait(self, caller: Caller | None = None, wait_s: float = 60.0) -> asyncio.Task[int]:
        """Somebody who waits for the second version."""
        topic = (self.at.project, PAUSE)
        held = self.holding.until(
            caller or self.caller, topic, self.thing.read, lambda seen: seen > 1, wait_s, look_s=30
        )
        return asyncio.create_task(held)

    async def change(self) -> None:
        """The thing changes, which some replica publishes."""
        self.thing.version += 1
        await self.at.db.write(changing, self.at.project)


def changing(tx: Transaction, project: str) -> None:
    """An event of the pause, numbered as the publisher of another replica does."""
    events.append(tx, project, "pause.ready", pause=PAUSE)
    events.publish(tx, project)


@pytest.fixture
async def house(at: World) -> AsyncIterator[House]:
    """A process in which somebody may wait; nobody does any more at the end."""
    made = House(at, Holding(at.db), await at.key())
    yield made
    made.holding.close()
    await until(lambda: made.holding._watcher is None)


async def test_what_another_replica_published_wakes(house: House) -> None:
    """Convention "waiting": this process publishes nothing itself, and its watcher sees it; who
    waits for something else is left alone.
    """
    held = house.wait()
    other = Told()
    topic = (house.at.project, "pse_other")
    beside = house.holding.until(house.caller, topic, other.read, lambda seen: seen > 1, 60)
    waiting = asyncio.create_task(beside)
    await until(lambda: house.thing.looks >= 2 and other.looks >= 2)  # the watcher's first look
    looks = other.looks
    await house.change()
    assert await held == 2
    assert other.looks == looks
    house.holding.close()
    assert await waiting == 1


async def test_the_feed_wakes_with_every_event(house: House) -> None:
    """Whoever waits for the feed of a project hears of each of its events, and of no other's."""
    seen, elsewhere = Told(), Told()

    def held(project: str, thing: Told) -> asyncio.Task[int]:
        topic = (project, FEED)
        return asyncio.create_task(
            house.holding.until(house.caller, topic, thing.read, lambda it: it > 1, 60, look_s=30)
        )

    mine, theirs = held(house.at.project, seen), held("prj_other", elsewhere)
    await until(lambda: seen.looks >= 2 and elsewhere.looks >= 2)  # the watcher's first look
    seen.version = elsewhere.version = 2
    await house.change()
    assert await mine == 2
    assert not theirs.done()
    theirs.cancel()


async def test_the_end_of_the_wait(house: House) -> None:
    """RFC 7240 §4.3: after the seconds that were asked for it answers as things stand."""
    assert await house.wait(wait_s=0.01) == 1
    assert house.thing.looks >= 1


async def test_a_key_has_fifty(house: House) -> None:
    """Safety 37: the 51st request of a key is 429 with Retry-After, another key's waits; who goes
    away makes room.
    """
    held = [house.wait() for _ in range(A_KEY)]
    await until(lambda: house.thing.looks >= A_KEY)
    with pytest.raises(TooMany) as refused:
        await house.wait()
    assert refused.value.reason == "too-many-held"
    assert refused.value.retry_after_s
    other = house.wait(await house.at.key())
    held[0].cancel()
    await asyncio.wait((held[0],))
    again = house.wait()
    await house.change()
    assert await asyncio.gather(again, other, *held[1:]) == [2] * (A_KEY + 1)
    assert not house.holding._held
    assert not house.holding._waiting


async def test_a_revoked_key_waits_no_longer(house: House) -> None:
    """Safety 24: at the next look its hold ends, with the answer any request of it gets now."""
    held = house.wait()
    await until(lambda: house.thing.looks >= 1)
    await house.at.revoke(house.caller)
    await house.change()
    with pytest.raises(Unknown):
        await held


async def test_a_process_that_drains_answers_everybody(house: House) -> None:
    """Convention "waiting": nothing is held over a shutdown, and nothing is held again."""
    held = [house.wait() for _ in range(20)]
    await until(lambda: house.thing.looks >= 20)
    house.holding.close()
    assert await asyncio.gather(*held) == [1] * 20
    assert await house.wait() == 1


async def test_the_watcher_outlives_an_outage(house: House) -> None:
    """A database that is away for a while ends no wait: what happened meanwhile is seen after."""
    flaky = Flaky(house.at.db, is_away=True)
    house.holding.db = flaky
    held = house.wait()
    await until(lambda: flaky.refused >= 2)
    flaky.is_away = False
    looks = house.thing.looks
    await until(lambda: house.thing.looks > looks)
    flaky.refused, flaky.is_away = 0, True
    await until(lambda: flaky.refused >= 1)
    await house.change()
    flaky.is_away = False
    assert await held == 2


async def test_more_than_a_round_of_news(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much was published between two looks, nobody who waits for the last is missed."""
    monkeypatch.setattr("broker.service.holding.AT_ONCE", 3)
    held = house.wait()
    await until(lambda: house.thing.looks >= 2)

    def much(tx: Transaction) -> None:
        for _ in range(10):
            events.append(tx, house.at.project, "licenses.free")
        changing(tx, house.at.project)

    house.thing.version = 2
    await house.at.db.write(much)
    assert await held == 2


@pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.drill)], indirect=True
)
@pytest.mark.parametrize("crowd", [200, pytest.param(1000, marks=pytest.mark.drill)])
async def test_a_crowd_waits(house: House, crowd: int) -> None:
    """Budget "held polls": one watcher however many wait, one look each beside the news, a few
    kilobytes each, and all are answered.
    """
    keys = [await house.at.key() for _ in range(crowd // A_KEY)]
    watched = Watched(house.at.db)
    house.holding.db = watched
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = [house.wait(key) for key in keys for _ in range(A_KEY)]
    await until(lambda: house.thing.looks >= 2 * crowd, within_s=60)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / crowd < A_PLACE
    watched.clear()
    await house.change()
    assert set(await asyncio.gather(*held)) == {2}
    heads = [each for each in watched.asked if "events FROM projects" in each.sql]
    assert 0 < len(heads) < crowd / 2
    assert house.thing.looks <= 3 * crowd
