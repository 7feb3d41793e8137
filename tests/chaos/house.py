"""Two replicas on one PostgreSQL behind a hostile network, and what their database holds."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from broker.client import Broker
from broker.db.database import Transaction
from broker.demo import simulator
from broker.domain.clock import SECOND
from tests.broker.web.rehearsing import KIM, Rehearsal, query_of
from tests.chaos.proxy import Proxy, proxy
from tests.faces import faces
from tests.receiving import Receiver, receiving
from tests.serving import Served, serve

NAMES = ("north", "south")
LOOPBACK = "127.0.0.0/8"
LONGEST = 6 * SECOND
"""Longer than any call of a caller takes."""
A_ROUND_S = 0.5
"""How often a replica's worker looks for what is due."""
LATER = (
    """
    UPDATE pauses SET changed_at = 0
     WHERE project_id = :project AND state = 'claimed' AND changed_at < :lately
    """,  # P8; who claimed it only now is not silent
    """
    UPDATE deliveries SET due_at = 0, lease_until = NULL
     WHERE project_id = :project AND state = 'waiting'
    """,
    "UPDATE webhooks SET rests_until = NULL WHERE project_id = :project",
)


@dataclass(slots=True)
class House:
    """The replicas, the way to them, and a third pair of hands on the same database.

    `at` sets things up, signs people in and looks into the tables; it serves nobody.
    """

    at: Rehearsal
    network: Proxy
    receiver: Receiver
    key: str
    folder: Path
    url: str
    ports: dict[str, int]
    lives: dict[str, tuple[AsyncExitStack, Served]] = field(default_factory=dict)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Broker]:
        """A caller on the other side of the network."""
        async with Broker(self.network.url, self.key, deadline_s=5, try_s=0.7, hold_s=1) as broker:
            yield broker

    async def start(self, name: str) -> None:
        """Let a replica live, again at its address."""
        stack = AsyncExitStack()
        served = await stack.enter_async_context(
            serve(
                self.folder,
                self.url,
                *("--port", str(self.ports[name])),
                name=name,
                BROKER_PUBLIC_URL=self.network.url,
                BROKER_SIMULATOR_URL=self.at.pretend.base_url,
                BROKER_EGRESS_ALLOW=LOOPBACK,
                BROKER_LOG_LEVEL="info",
            )
        )
        self.lives[name] = stack, served

    async def restart(self, name: str, *, gently: bool) -> None:
        """SIGTERM, which has to end well, or SIGKILL; and alive again."""
        stack, served = self.lives.pop(name)
        if gently:
            assert await served.stop() == 0, served.logs
        else:
            await served.kill()
        await stack.aclose()
        await self.start(name)

    async def sign_in(self) -> None:
        """Kim connects their account."""
        link = await self.at.link(KIM)
        async with self.at.browser() as browser:
            await self.at.sign_in(browser, link, KIM)
            away = (await browser.post(link)).headers["location"]
            done = await browser.get(self.at.pretend.pages.decide(query_of(away), KIM.user_name))
        assert done.status_code == 200, done.text

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """What the database holds of the project."""
        db, project = self.at.service.broker.db, self.at.service.project
        found = await db.read(lambda tx: tx.all(sql, project=project))
        return [dict(row) for row in found]

    async def minutes_pass(self) -> None:
        """Whatever waits for a time has reached it: claimers were silent, tries are due."""
        project = self.at.service.project

        def later(tx: Transaction) -> None:
            for sql in LATER:
                tx.run(sql, project=project, lately=tx.now - LONGEST)

        await self.at.service.broker.db.write(later)
        await asyncio.sleep(A_ROUND_S)

    async def broken_links(self) -> list[int]:
        """Where the audit's chain does not hold: rows changed, left out, or out of order."""
        sql = """
            SELECT c.position, c.hash, a.* FROM audit a LEFT JOIN audit_chain c ON c.audit_n = a.n
             ORDER BY c.position
        """
        hash, broken = "", []
        for place, row in enumerate(await self.rows(sql), 1):
            names = ("id", "at", "actor", "action", "target", "detail")
            said = {name: row[name] for name in names} | {"project": row["project_id"]}
            digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
            hash = hashlib.sha256(f"{hash}{digest}".encode()).hexdigest()
            if (row["position"], row["hash"], row["digest"]) != (place, hash, digest):
                broken.append(place)
        return broken


@asynccontextmanager
async def house(folder: Path, url: str, seed: int) -> AsyncIterator[House]:
    """Both replicas alive, nobody hostile yet; one webhook that hears of everything."""
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(proxy(seed))
        pretend = await stack.enter_async_context(simulator.serving())
        receiver = await stack.enter_async_context(receiving())
        hands = faces(
            url,
            base_url=network.url,
            simulator_url=pretend.base_url,
            egress_allow=LOOPBACK,
        )
        service = await stack.enter_async_context(hands)
        at = await Rehearsal.set_up(service, pretend)
        key = (await service.key())["Authorization"].removeprefix("Bearer ")
        admin = await service.administrator()
        made = await admin.post("/v1/webhooks", json={"url": receiver.url})
        assert made.status_code == 201, made.text
        ports = {name: _free_port() for name in NAMES}
        network.before(f"http://127.0.0.1:{port}" for port in ports.values())
        built = House(at, network, receiver, key, folder, url, ports)
        await asyncio.gather(*map(built.start, NAMES))
        try:
            yield built
        finally:
            network.hostile = False
            await asyncio.gather(*(life.aclose() for life, _ in built.lives.values()))


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
