"""A directory that is read: from the pretend SCIM server over HTTP, or from pages written down.

A pull is done by a real worker; its waits are short, and a test may look at it between two slices.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import psycopg

from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.demo.grants import App
from broker.demo.simulator import Simulator, serving
from broker.domain.directories import Directory, Holding
from broker.domain.runs import Record, Run, State, Trigger
from broker.service.hosting import Hosting
from broker.service.keeping import Keeping
from broker.service.licensing import Licensing
from broker.service.mapping import Mappings
from broker.service.programs import secret_row
from broker.service.pulling import Pulling
from broker.service.searching import Searching
from broker.service.sources import SECRETS, Sources
from broker.service.syncing import RunView, Syncing
from broker.service.working import Worker
from broker.store import directories, protected
from providers.egress import Egress
from providers.sources.reading import CanReadDirectory, Found, Kind, Members, Page
from providers.sources.registry import Sources as Kinds
from scim.document import Accepted, accept
from scim.tolerance import STANDARD
from tests.canaries import planted
from tests.pushing import CATALOGUE, SEAL, House
from tests.waiting import until

TOKEN = planted("source-token")
OPEN = Holding(percent=100)


@dataclass(slots=True)
class Written:
    """A source whose pages a test wrote: each is found at its number, or raises.

    `asked` are the places it was asked for.
    """

    pages: Sequence[Page | Exception]
    whole: bool = True
    translated: frozenset[str] = frozenset()
    asked: list[str | None] = field(default_factory=list)
    troubles: dict[str | None, list[Exception]] = field(default_factory=dict)
    """What happens at a place before its page is found, one a time."""

    gate: asyncio.Event | None = None
    """Where there is one, every page waits for it."""

    async def page(self, place: str | None) -> Page:
        """The page of that number; the one that knows a delta place is the last."""
        self.asked.append(place)
        if self.gate is not None:
            await self.gate.wait()
        if troubles := self.troubles.get(place):
            raise troubles.pop(0)
        number = int(place or 0)
        page = self.pages[number]
        if isinstance(page, Exception):
            raise page
        is_last = page.delta is not None or number + 1 == len(self.pages)
        return page if is_last else replace(page, next=f"{number + 1}")

    async def one(self, kind: Kind, key: str) -> Found | None:
        """The last word about somebody."""
        pages = [page for page in self.pages if isinstance(page, Page)]
        said = [f for page in pages for f in page.found if (f.kind, f.key) == (kind, key)]
        return said[-1] if said else None


def person(number: int, **more: Any) -> Found:
    """Somebody at the source."""
    body = {"userName": f"p{number}@acme.example", "externalId": f"e{number}", "active": True}
    return Found("User", f"k{number}", body | more)


def group(key: str, *members: str, **more: Any) -> Found:
    """A group at the source, with all of its members."""
    return Found("Group", key, {"displayName": key} | more, members=Members(members, whole=True))


def gone(kind: Kind, key: str, *, restorable: bool = False) -> Found:
    """Somebody whom the source had."""
    return Found(kind, key, gone=True, restorable=restorable)


@dataclass(slots=True)
class Puller:
    """One directory of a house, and what reads it."""

    house: House
    id: str
    pulling: Pulling
    written: Written | None = None

    @property
    def source(self) -> Written:
        """The pages that were written for it."""
        assert self.written is not None
        return self.written

    @property
    def hosting(self) -> Hosting:
        """What the directory is made of."""
        return self.pulling.keeping.hosting

    async def directory(self) -> Directory:
        """As it is now."""
        return await self.house.db.read(directories.get, self.house.project, self.id)

    async def configure(self, **columns: Any) -> None:
        """Configure the directory, without the forms of its faces."""
        await self.house.db.write(_set, self.house.project, self.id, columns)

    async def begin(self, by: str = "admin:setup") -> str:
        """Sync now; the run's id."""
        directory = await self.directory()
        begin = self.pulling.begin
        return await self.house.db.write(begin, directory, Trigger.MANUAL, by)

    async def pull(self) -> RunView:
        """A pull from its beginning to where it ends or is held."""
        run = await self.begin()
        async with self.working():
            return await self.over(run)

    def accepted(self, **body: Any) -> Accepted:
        """A person as a push would bring them."""
        return accept(self.hosting.catalogue.by_name["User"], body, STANDARD)

    @asynccontextmanager
    async def working(self, worker: Worker | None = None) -> AsyncIterator[Worker]:
        """A worker; one that pulls, unless another is handed in."""
        worker = worker or Worker(self.house.db, {"pull": self.pulling.pull})
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task

    async def over(self, run: str) -> RunView:
        """The run, once it is over or held, and its job done."""

        async def seen() -> RunView | None:
            open_jobs = await self.house.rows(
                "SELECT id FROM jobs WHERE project_id = :project AND kind = 'pull'"
                " AND done_at IS NULL"
            )
            return None if open_jobs else await self.house.syncing.run(self.house.project, run)

        view: RunView = await until(seen, within_s=60)
        assert view.run.state is not State.RUNNING
        return view

    async def records(self, run: Run | str) -> list[Record]:
        """The lines of a run."""
        id = run if isinstance(run, str) else run.id
        page = await self.house.syncing.records(self.house.project, id, limit=10_000)
        return [record for _, record in page]

    async def people(self) -> dict[str, str]:
        """Status of everybody by userName."""
        found = await self.house.rows(
            "SELECT user_name, status FROM users WHERE project_id = :project"
        )
        return {row["user_name"]: row["status"] for row in found}

    async def inside(self, name: str) -> set[str]:
        """What the members of a group are called."""
        found = await self.house.rows(
            """
            SELECT held.display FROM members
              JOIN resources held ON held.n = members.member_n
              JOIN resources whole ON whole.n = members.group_n
             WHERE members.project_id = :project AND whole.display = :name
            """,
            name=name,
        )
        return {row["display"] for row in found}


async def written(house: House, *pages: Page | Exception, **more: Any) -> tuple[Puller, Written]:
    """A directory that is read from these pages."""
    source = Written(pages, **more)
    puller = await _puller(house, Kinds(Egress()))
    await puller.configure(source={"kind": "scim", "settings": {"base_url": "https://hr.example"}})
    puller.pulling = replace(puller.pulling, opened=_Always(source))
    puller.written = source
    return puller, source


class _Always(dict[tuple[str, int], CanReadDirectory]):
    """One source for every directory, whatever is opened or let go."""

    def __init__(self, source: CanReadDirectory) -> None:
        super().__init__()
        self.source = source

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: tuple[str, int]) -> CanReadDirectory:
        return self.source


@asynccontextmanager
async def served(house: House, **more: Any) -> AsyncIterator[tuple[Puller, Simulator]]:
    """A directory that is read over HTTP from the pretend SCIM server of the simulator."""
    async with serving() as simulator:
        simulator.hr.tokens.add(TOKEN)
        egress = Egress(origins=[simulator.base_url])
        puller = await _puller(house, Kinds(egress, simulator=simulator.base_url), **more)
        settings = {"base_url": simulator.hr.url}
        await puller.configure(source={"kind": "scim", "settings": settings})
        origin = simulator.base_url
        await house.db.write(protect, house.project, puller.id, origin, TOKEN, SEAL)
        yield puller, simulator
        await egress.aclose()


@asynccontextmanager
async def tenant(house: House, **more: Any) -> AsyncIterator[tuple[Puller, Simulator]]:
    """A directory that is read over HTTP from the simulator's pretend Microsoft Entra ID."""
    async with serving() as simulator:
        simulator.entra.register(App("app", TOKEN))
        egress = Egress(origins=[simulator.base_url])
        puller = await _puller(house, Kinds(egress, simulator=simulator.base_url), **more)
        said = {"environment": "rehearsal", "tenant": "acme.example", "client_id": "app"}
        await puller.configure(source={"kind": "entra", "settings": said})
        where = simulator.base_url, TOKEN, SEAL, "client_secret"
        await house.db.write(protect, house.project, puller.id, *where)
        yield puller, simulator
        await egress.aclose()


async def _puller(house: House, kinds: Kinds, **more: Any) -> Puller:
    directory, _ = await house.directory(name=f"Read {id(kinds)}")
    hosting = house.hosting()
    settings: dict[str, Any] = {"waits": (0, 0, 0)} | more
    puller = Puller(
        house, directory.id, Pulling(Keeping(hosting), Sources(kinds, SEAL), **settings)
    )
    await puller.configure(holding=OPEN)
    return puller


def protect(
    tx: Transaction,
    project: str,
    id: str,
    origin: str,
    value: str,
    seal: Seal,
    field: str = "token",
) -> None:
    """Seal a protected field for that origin, past the form."""
    place = project, SECRETS, secret_row(id, field), "sealed"
    sealed = seal.seal(value.encode(), *place)
    protected.keep(tx, project, id, field, sealed, origin=origin, by="admin:setup")


def _set(tx: Transaction, project: str, id: str, columns: Mapping[str, Any]) -> None:
    for column, value in columns.items():
        kept = value
        if isinstance(value, dict | Holding):
            kept = orjson.dumps(value).decode()
        tx.run(
            f"UPDATE directories SET {column} = :kept WHERE project_id = :project AND id = :id",
            project=project,
            id=id,
            kept=kept,
        )


async def read_from(db: Database, directory: str, simulator: Simulator, seal: Seal) -> None:
    """Let a directory of any project be read from the pretend SCIM server."""
    source = {"kind": "scim", "settings": {"base_url": simulator.hr.url}}
    project = await db.read(_project, directory)
    await db.write(_set, project, directory, {"source": source, "holding": OPEN})
    await db.write(protect, project, directory, simulator.base_url, TOKEN, seal)


async def sync_now(db: Database, directory: str) -> str:
    """Begin to pull, as an administrator does; the run's id."""
    project = await db.read(_project, directory)
    hosting = Hosting(
        Syncing(db), Searching(db), Licensing(db), Mappings(db, CATALOGUE), CATALOGUE, ""
    )
    found = await db.read(directories.get, project, directory)
    run: str = await db.write(Keeping(hosting).begin, found, Trigger.MANUAL, "admin:setup")
    return run


@asynccontextmanager
async def analyzed(url: str, every_s: float = 5.0) -> AsyncIterator[None]:
    """What autovacuum does for a PostgreSQL that grows, and is switched off in those of tests."""
    if url.startswith("sqlite"):
        yield
        return

    async def analyze() -> None:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        async with connection:
            while True:
                await connection.execute("ANALYZE")
                await asyncio.sleep(every_s)

    task = asyncio.create_task(analyze())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _project(tx: Transaction, directory: str) -> str:
    row = tx.find("SELECT project_id FROM directories WHERE id = :id", id=directory)
    assert row is not None
    return str(row["project_id"])
