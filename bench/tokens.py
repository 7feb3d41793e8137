"""What a token costs when 20,000 people have one: handing out a living one, and renewing one.

`python -m bench.tokens N` is the program they are renewed at, in a process of its own: a pretend
Salesforce with N approvals. It says its address and their refresh tokens as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from bench.servers import postgres_of
from bench.tables import figure, table
from bench.usage import used
from broker.db.database import Database, Transaction
from broker.db.seal import Hasher, Seal
from broker.demo import grants, simulator
from broker.domain import ids
from broker.domain.clock import DAY, HOUR
from broker.domain.connectors import Connector, State
from broker.domain.errors import Unavailable
from broker.domain.token_states import Event, after
from broker.domain.tokens import Grant
from broker.service.programs import Programs
from broker.service.vault import Vault
from broker.store import connectors, projects, tokens
from providers.egress import Egress
from providers.registry import Registry
from providers.secret import Secret
from tests import engines

CLIENT, SECRET = "bench", "bench-secret"
ABREAST = 16
BATCH = 500
Grants = list[tuple[str, str]]
"""People, and the refresh token of each."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU µs of the broker and of its database, and how many were done in a second."""

    what: str
    broker_us: float
    database_us: float
    per_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """A vault that holds a set for each of `people` at one connector."""

    vault: Vault
    connector: Connector
    people: list[str]
    server: frozenset[int]

    async def usable(self, user_id: str) -> None:
        """What a service of the broker does that needs a token; asked again while it is to wait."""
        while True:
            try:
                await self.vault.usable(self.connector.project, self.connector.id, user_id)
            except Unavailable as error:
                await asyncio.sleep(error.retry_after_s or 0.5)
            else:
                return

    async def over(self, people: list[str]) -> None:
        """The access tokens of these people have ended."""

        def ending(tx: Transaction) -> None:
            for user in people:
                token = tokens.read(tx, self.connector.project, self.connector.id, user, lock=True)
                assert token is not None
                ended = replace(token, obtained_at=tx.now - HOUR, expires_at=tx.now)
                tokens.save(tx, ended, due_at=None)

        await self.vault.db.write(ending)

    async def measured(self, what: str, people: list[str]) -> Cost:
        """16 abreast ask for the tokens of all these people."""
        cpu, server, began = time.process_time(), used(self.server).cpu_s, time.monotonic()
        await _abreast(self.usable, people)
        took, count = time.monotonic() - began, len(people)
        cpu, server = time.process_time() - cpu, used(self.server).cpu_s - server
        return Cost(what, cpu / count * 1e6, server / count * 1e6, count / took)


async def measure(url: str, people: int, renewed: int) -> list[Cost]:
    """The costs on the migrated, empty database at `url`."""
    db = await engines.connect(url)
    try:
        async with _program(renewed) as (address, refresh_tokens):
            egress = Egress(origins=[address])
            held = await _held(db, url, egress, address, people, refresh_tokens)
            living = await held.measured("a usable token", held.people)
            again = held.people[:renewed]
            await held.over(again)
            refreshed = await held.measured("a refresh, then the token", again)
            await _verify(held, again)
            await egress.aclose()
            return [living, refreshed]
    finally:
        await db.close()


def report(costs: dict[str, list[Cost]], circumstances: str) -> str:
    """Each cost on each engine."""
    lines = [
        (cost.what, engine, *map(figure, (cost.broker_us, cost.database_us, cost.per_s)))
        for engine, each in costs.items()
        for cost in each
    ]
    head = ("what", "on", "CPU µs, broker", "CPU µs, server", "a second")
    return f"{circumstances}\n\n{table(head, lines, numbers=(2, 3, 4))}"


async def _held(
    db: Database, url: str, egress: Egress, address: str, people: int, refresh_tokens: list[str]
) -> Held:
    programs = Programs(
        Registry(egress, simulator=address), Seal({"k1": b"1" * 32}), "http://127.0.0.1:8080"
    )
    vault = Vault(db, Hasher(b"h" * 32), programs)
    connector = await db.write(_connected, programs, address)
    users = [ids.new("usr") for _ in range(people)]
    spare = ["unused"] * (people - len(refresh_tokens))
    pairs = list(zip(users, [*refresh_tokens, *spare], strict=True))
    for start in range(0, people, BATCH):
        await db.write(_granted, vault, connector, pairs[start : start + BATCH])
    return Held(vault, connector, users, frozenset(postgres_of(url)))


def _connected(tx: Transaction, programs: Programs, address: str) -> Connector:
    project = projects.insert(tx, "bench")
    assert project is not None
    connector = Connector(
        id=ids.new("con"),
        project=project.id,
        name="Salesforce",
        name_key="salesforce",
        type="salesforce",
        state=State.CONNECTED,
        created_by="bench",
        created_at=tx.now,
        changed_at=tx.now,
        environment={"name": "rehearsal"},
        fields={"client_id": CLIENT},
        origin=address,
    )
    connectors.insert(tx, connector)
    programs.protect(tx, connector, "client_secret", Secret(SECRET), by="bench")
    return connector


def _granted(tx: Transaction, vault: Vault, connector: Connector, pairs: Grants) -> None:
    for user, refresh_token in pairs:
        token = tokens.absent(tx, connector.project, connector.id, user)
        grant = Grant(
            access=vault.sealed(token, "access_token", Secret(f"00D!{'a' * 100}")),
            refresh=vault.sealed(token, "refresh_token", Secret(refresh_token)),
            expires_at=tx.now + DAY,
            scopes=("api", "refresh_token"),
            origin=connector.origin,
            base_url=connector.origin,
        )
        tokens.save(tx, after(token, Event.CONNECTED, now=tx.now, grant=grant), due_at=None)


async def _verify(held: Held, people: list[str]) -> None:
    """Every one of them was renewed, once: or the figure means nothing."""
    connector = held.connector
    for user in people:
        token = await held.vault.db.peek(tokens.read, connector.project, connector.id, user)
        assert token is not None
        assert token.version == 2, f"version {token.version}, {token.state}, {token.reason}"


async def _abreast(act: Callable[[str], Awaitable[None]], names: Iterable[str]) -> None:
    todo = iter(names)

    async def going() -> None:
        for name in todo:
            await act(name)

    await asyncio.gather(*(going() for _ in range(ABREAST)))


@asynccontextmanager
async def _program(approvals: int) -> AsyncIterator[tuple[str, list[str]]]:
    """The program in its own process: its address, and the refresh tokens it gave."""
    words = (sys.executable, "-m", "bench.tokens", str(approvals))
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, limit=2**26)
    assert process.stdout is not None
    assert process.stdin is not None
    said = json.loads(await process.stdout.readline())
    yield said["address"], said["refresh_tokens"]
    process.stdin.close()
    await process.wait()


async def _pretend(approvals: int) -> None:
    async with simulator.serving() as programs:
        state = programs.salesforce
        app = state.register(grants.App(CLIENT, SECRET, rotation=True))
        given = []
        for number in range(approvals):
            name = f"p{number}@example.com"
            state.users[name] = grants.User(f"005Dm{number:010d}", name, name)
            code = grants.Code(app, state.users[name], "", "", ("api", "refresh_token"), 0.0)
            given.append(state.approve(code).refresh_token)
        said = {"address": programs.base_url, "refresh_tokens": given}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_pretend(int(sys.argv[1])))
