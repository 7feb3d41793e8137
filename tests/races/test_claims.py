"""Pauses in real processes: two replicas that claim, one that is stopped, one that is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.db.database import Database
from broker.domain.clock import MINUTE
from tests import engines
from tests.journeys.stage import KIM, Stage, stage
from tests.serving import Served, serve
from tests.waiting import until

STEPS = 6
STATES = "SELECT id, state FROM pauses ORDER BY id"


@dataclass(frozen=True, slots=True)
class Pair:
    """An engine and two replicas of the broker; one and the same where the engine is SQLite."""

    on: Stage
    db: Database
    replicas: tuple[Served, Served]
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
    pauses: list[str]

    async def sign_in(self, connector: str, user: str) -> None:
        """The person allows it, at the first replica."""
        wanted = {"user_id": user, "connector": connector, "purpose": "connect"}
        link = (await self.on.engine.post("/v1/links", json=wanted)).json()["url"]
        browser = self.on.browser()
        await self.on.sign_in(browser, link, KIM)
        assert (await self.on.allow(browser, link, KIM.user_name)).status_code == 200

    async def states(self) -> dict[str, str]:
        """Pause -> its state, as it is kept."""
        return {row["id"]: row["state"] for row in await self.db.read(lambda tx: tx.all(STATES))}

    async def six_minutes_pass(self) -> None:
        """Whoever claimed has been silent for too long (P8)."""
        sql = "UPDATE pauses SET changed_at = changed_at - :silence WHERE state = 'claimed'"
        await self.db.write(lambda tx: tx.run(sql, silence=6 * MINUTE))


@asynccontextmanager
async def pair(folder: Path, url: str) -> AsyncIterator[tuple[Pair, str, str]]:
    """Six steps of Kim wait; with the connector's id and Kim's."""
    async with stage(folder, url) as on, AsyncExitStack() as stack:
        connector = await on.connector()
        await on.switch(connector, enabled=True, policy="pause")
        kim = await on.push(KIM)
        db = await engines.connect(url)
        stack.push_async_callback(db.close)
        other = on.broker
        if url.startswith("postgresql"):
            other = await stack.enter_async_context(replica(folder, url, on, "other"))
        client = await stack.enter_async_context(at(other, on))
        answers = [await on.decided({"user_id": kim}, step=f"s{n}") for n in range(STEPS)]
        waiting = [answer["pause"]["id"] for answer in answers]
        yield Pair(on, db, (on.broker, other), (on.engine, client), waiting), connector, kim


def replica(folder: Path, url: str, on: Stage, name: str) -> AbstractAsyncContextManager[Served]:
    """One more process on the same database."""
    return serve(folder, url, name=name, BROKER_SIMULATOR_URL=on.simulator.base_url)


def at(served: Served, on: Stage) -> httpx.AsyncClient:
    """The engine, at that replica."""
    key = on.engine.headers["authorization"]
    return httpx.AsyncClient(base_url=served.base_url, headers={"authorization": key}, timeout=70)


async def resumed(client: httpx.AsyncClient, pause: str) -> str:
    """A claim and its result: the token of the claim."""
    claim = await client.post(f"/v1/pauses/{pause}/claim")
    assert claim.status_code == 200, claim.text
    token = str(claim.json()["claim"])
    done = await client.post(f"/v1/pauses/{pause}/result", json={"claim": token, "result": "ran"})
    assert done.status_code == 204, done.text
    return token


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_one_of_two_replicas_wins_each_claim(database_url: str, tmp_path: Path) -> None:
    """P4, P7, safety 26: of eight who claim a pause at two replicas exactly one wins; a request
    that is held at one replica hears of a sign-in at the other. SIGTERM ends what is held at once,
    unchanged, and the exit is clean.
    """
    async with pair(tmp_path, database_url) as (both, connector, kim):
        here, there = both.clients
        held = {"if-none-match": '"1"', "prefer": "wait=60"}
        polls = [
            asyncio.create_task(client.get(f"/v1/pauses/{pause}", headers=held))
            for client in (here, there)
            for pause in both.pauses
        ]
        await both.sign_in(connector, kim)
        assert {answer.json()["state"] for answer in await asyncio.gather(*polls)} == {"ready"}

        async def claim(client: httpx.AsyncClient, pause: str) -> tuple[str, int]:
            return pause, (await client.post(f"/v1/pauses/{pause}/claim")).status_code

        crowd = [(client, pause) for pause in both.pauses for client in (here, there) * 4]
        answers = Counter(await asyncio.gather(*(claim(*one) for one in crowd)))
        for pause in both.pauses:
            assert (answers[pause, 200], answers[pause, 409]) == (1, 7)
        assert set((await both.states()).values()) == {"claimed"}

        known = {"if-none-match": '"3"', "prefer": "wait=60"}
        polls = [
            asyncio.create_task(there.get(f"/v1/pauses/{pause}", headers=known))
            for pause in both.pauses
        ]
        # a question behind the held ones is answered, so they have been taken in
        assert (await there.get(f"/v1/pauses/{both.pauses[0]}")).status_code == 200
        assert await both.replicas[1].stop() == 0
        assert {answer.status_code for answer in await asyncio.gather(*polls)} == {304}


@pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.drill)], indirect=True
)
async def test_killed_between_a_claim_and_its_answer(database_url: str, tmp_path: Path) -> None:
    """P8, "nothing lost over restart": a power cut after a claim was kept and before it was
    answered, and an engine that never comes back, cost five minutes and no step.
    """
    async with pair(tmp_path, database_url) as (both, connector, kim), AsyncExitStack() as stack:
        here, _ = both.clients
        await both.sign_in(connector, kim)
        lost = await here.post(f"/v1/pauses/{both.pauses[0]}/claim")  # whose engine dies
        claims = [
            asyncio.create_task(here.post(f"/v1/pauses/{pause}/claim")) for pause in both.pauses[1:]
        ]

        async def one_is_kept() -> bool:
            return Counter((await both.states()).values())["claimed"] > 1

        await until(one_is_kept)
        await both.replicas[0].kill()
        await asyncio.gather(*claims, return_exceptions=True)
        assert set((await both.states()).values()) <= {"ready", "claimed"}
        again = replica(tmp_path, database_url, both.on, "again")
        served = await stack.enter_async_context(again)
        client = await stack.enter_async_context(at(served, both.on))
        await both.six_minutes_pass()

        async def all_are_ready() -> bool:
            return set((await both.states()).values()) == {"ready"}

        await until(all_are_ready)
        tokens = [await resumed(client, pause) for pause in both.pauses]
        late: dict[str, Any] = {"claim": lost.json()["claim"], "result": "ran"}
        told = await client.post(f"/v1/pauses/{both.pauses[0]}/result", json=late)
        assert (told.status_code, told.json()["code"]) == (409, "claim-outdated")
        assert len(set(tokens)) == STEPS
        assert set((await both.states()).values()) == {"resumed"}
