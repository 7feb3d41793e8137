"""What the service takes while nothing happens: by itself, and with 1,000 requests held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.servers import Service, served
from bench.tables import figure, table
from bench.targets import NotMeasured, Target
from bench.usage import used
from broker.bootstrap import hasher_of
from broker.db.seal import Seal, keys_from
from broker.service.callers import Callers
from broker.store import projects
from tests import engines

HELD, A_KEY = 1_000, 50  # safety 37: at most 50 a key
LONG_S = 60
SETTLED_S, MEASURED_S = 3.0, 10.0
ASKING = (
    "GET /v1/events?after={after} HTTP/1.1\r\nHost: {host}\r\n"
    "Authorization: Bearer {key}\r\nPrefer: wait={wait}\r\n\r\n"
)
SCOPES = ["events:read"]
Line = tuple[str, str, str, str]


async def measure(lab: Path, engine: str, url: str | None) -> list[Line]:
    """CPU of the service and its database, in thousandths of a core, and its memory."""
    with served(lab, url, BROKER_RATE="0") as service:
        await asyncio.sleep(SETTLED_S)
        alone = await _line(service, "nobody asks", engine)
        keys = await _keys(service)
        target = Target("ours", service.url, keys[0], service.pids, media_type="application/json")
        last = (await target.json("GET", "/v1/events"))["last"]
        async with _held(service, keys, last):
            await asyncio.sleep(SETTLED_S)
            return [alone, await _line(service, f"{HELD:,} requests are held", engine)]


async def _keys(service: Service) -> list[str]:
    """As many API keys as it takes to hold them all; the command makes the project as well."""
    first = service.made("apikey", "add", "bench", "--scope", ",".join(SCOPES))["key"]
    db = await engines.connect(service.environment["BROKER_DATABASE_URL"])
    try:
        seal = Seal(keys_from(service.environment["BROKER_ENCRYPTION_KEYS"]))
        callers = Callers(db, await hasher_of(db, seal))
        project = await db.read(projects.named, "default")
        assert project is not None
        names = [f"bench-{number}" for number in range(1, HELD // A_KEY)]
        return [first] + [
            (await callers.add_key(project.id, n, SCOPES, by="bench"))[1] for n in names
        ]
    finally:
        await db.close()


async def _line(service: Service, what: str, engine: str) -> Line:
    before = used(service.pids)
    await asyncio.sleep(MEASURED_S)
    after = used(service.pids)
    share = (after.cpu_s - before.cpu_s) / MEASURED_S * 1000
    return what, engine, figure(share), figure(after.memory / 1e6)


@asynccontextmanager
async def _held(service: Service, keys: list[str], last: int) -> AsyncIterator[None]:
    """As many callers of the feed as a key may have, for each key; NotMeasured where one is
    answered before its time.
    """
    at = urlsplit(service.url)
    writers: list[asyncio.StreamWriter] = []
    readers: list[asyncio.StreamReader] = []
    try:
        for key in keys:
            for _ in range(A_KEY):
                reader, writer = await asyncio.open_connection(at.hostname, at.port)
                asked = ASKING.format(after=last, host=at.netloc, key=key, wait=LONG_S)
                writer.write(asked.encode())
                writers.append(writer)
                readers.append(reader)
        yield
        if any(reader._buffer for reader in readers):  # type: ignore[attr-defined]  # nothing else tells without waiting
            raise NotMeasured("a held request was answered before its time")
    finally:
        for writer in writers:
            writer.close()


def report(lines: list[Line], circumstances: str) -> str:
    """Each state on each engine."""
    head = ("while", "on", "CPU, ‰ of a core", "memory MB")
    return f"{circumstances}\n\n{table(head, lines, numbers=(2, 3))}"
