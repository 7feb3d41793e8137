"""A directory that can be pushed to: SCIM over real HTTP on loopback, without the other faces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher, Seal
from broker.domain.callers import Caller, Kind
from broker.domain.directories import Directory
from broker.domain.runs import Record
from broker.domain.subjects import Subject
from broker.domain.users import User
from broker.service.callers import Callers
from broker.service.configuring import Configuring
from broker.service.hosting import Hosting
from broker.service.keeping import Keeping
from broker.service.licensing import Licensing, Login
from broker.service.mapping import Mappings
from broker.service.pulling import Pulling
from broker.service.reapplying import Reapplying
from broker.service.searching import Searching
from broker.service.sources import Sources
from broker.service.starting import Starting
from broker.service.syncing import RunView, Syncing
from broker.store import projects, users
from broker.web.scim import Scim
from providers.egress import Egress
from providers.sources.registry import Sources as Kinds
from scim.schema import Catalogue

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
BROKER = "urn:ietf:params:scim:schemas:extension:broker:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
CATALOGUE = Catalogue.standard()
SEAL = Seal({"k1": b"s" * 32})
SOURCES = Sources(Kinds(Egress()), SEAL)
"""Reads nothing: what a push needs never asks it."""


@dataclass(frozen=True, slots=True)
class House:
    """The services a push needs, on one database, and one project."""

    db: Database
    project: str
    callers: Callers
    licensing: Licensing
    configuring: Configuring
    syncing: Syncing
    searching: Searching
    catalogue: Catalogue = CATALOGUE

    @property
    def administrator(self) -> Caller:
        """An administrator's session."""
        return Caller(Kind.ADMINISTRATOR, self.project, "setup")

    async def person(self, id: str) -> User:
        """Who that is to us, tombstones too."""
        return await self.db.read(users.get, self.project, id)

    async def log_in(self, id: str) -> Login:
        """This person signs in."""
        return await self.licensing.log_in(self.project, Subject(user_id=id), "key:test")

    async def run(self) -> RunView:
        """The newest run of the project."""
        newest, *_ = await self.syncing.runs(self.project)
        return await self.syncing.run(self.project, newest.id)

    async def records(self) -> list[Record]:
        """The lines of the newest run."""
        newest, *_ = await self.syncing.runs(self.project)
        return [line for _, line in await self.syncing.records(self.project, newest.id)]

    async def rows(self, sql: str, **named: Any) -> list[dict[str, Any]]:
        """What a SELECT finds; `:project` is this one."""

        def asked(tx: Transaction) -> list[dict[str, Any]]:
            return [dict(row) for row in tx.all(sql, project=self.project, **named)]

        return await self.db.read(asked)

    async def directory(self, name: str = "Directory", **settings: Any) -> tuple[Directory, str]:
        """A new directory and its token."""
        return await self.configuring.add(self.project, name, by="operator", **settings)

    def scim(self, base_url: str = "http://127.0.0.1") -> Scim:
        """The SCIM face below `base_url`."""
        return Scim(self.callers, self.hosting(base_url), SEAL.seal, SEAL.open)

    def hosting(self, base_url: str = "http://127.0.0.1") -> Hosting:
        """What a directory is made of, served below `base_url`."""
        mappings = Mappings(self.db, self.catalogue)
        return Hosting(
            self.syncing, self.searching, self.licensing, mappings, self.catalogue, base_url
        )


async def house(db: Database, name: str = "default") -> House:
    """The services of a new project."""
    project = await db.write(projects.insert, name)
    assert project is not None
    callers = Callers(db, Hasher(b"k" * 32))
    return House(
        db,
        project.id,
        callers,
        Licensing(db),
        Configuring(db, callers, SOURCES),
        Syncing(db),
        Searching(db),
    )


def starting(at: House) -> Starting:
    """What begins runs in this house."""
    hosting = at.hosting()
    return Starting(at.db, Pulling(Keeping(hosting), SOURCES), Reapplying(hosting))


@dataclass(frozen=True, slots=True)
class Pusher:
    """An identity provider's side of one directory."""

    client: httpx.AsyncClient
    base_url: str
    token: str
    directory: Directory

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request; the body is JSON, or text as it stands."""
        said = {"authorization": f"Bearer {self.token}", "content-type": "application/scim+json"}
        content = {"content": body} if isinstance(body, str) else {"json": body} if body else {}
        return await self.client.request(
            method,
            self.base_url + path,
            headers=said | (headers or {}),
            params=params,
            **content,
        )

    async def user(self, user_name: str, /, **attributes: Any) -> dict[str, Any]:
        """Create a person; the resource as answered."""
        body = {"schemas": [USER], "userName": user_name} | attributes
        return await self.made("/Users", body)

    async def group(self, name: str, *members: str) -> dict[str, Any]:
        """Create a group; the resource as answered."""
        held = [{"value": member} for member in members]
        return await self.made(
            "/Groups", {"schemas": [GROUP], "displayName": name, "members": held}
        )

    async def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create something; the resource as answered."""
        answer = await self("POST", path, body)
        assert answer.status_code == 201, answer.text
        resource: dict[str, Any] = answer.json()
        return resource

    async def patch(self, path: str, *operations: dict[str, Any]) -> httpx.Response:
        """PATCH with these operations."""
        return await self("PATCH", path, {"schemas": [PATCH_OP], "Operations": list(operations)})

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Read something that is there."""
        answer = await self("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        resource: dict[str, Any] = answer.json()
        return resource


@asynccontextmanager
async def pushing(at: House, name: str = "Directory", **settings: Any) -> AsyncIterator[Pusher]:
    """A new directory of the house, served on loopback."""
    directory, token = await at.directory(name, **settings)
    async with served(at) as base_url, httpx.AsyncClient() as client:
        yield Pusher(client, f"{base_url}/scim/v2/{directory.id}", token, directory)


@asynccontextmanager
async def calling(at: House, name: str = "Directory", **settings: Any) -> AsyncIterator[Pusher]:
    """A new directory of the house, called without a socket."""
    directory, token = await at.directory(name, **settings)
    base_url = "http://127.0.0.1"
    transport = httpx.ASGITransport(at.scim(base_url).endpoints())
    async with httpx.AsyncClient(transport=transport) as client:
        yield Pusher(client, f"{base_url}/scim/v2/{directory.id}", token, directory)


@asynccontextmanager
async def served(at: House) -> AsyncIterator[str]:
    """The house's SCIM face on a port of its own; its base URL."""
    config = uvicorn.Config(
        lambda scope, receive, send: app(scope, receive, send),
        port=0,
        lifespan="off",
        log_level="warning",
        interface="asgi3",
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    app = at.scim(base_url).endpoints()
    try:
        yield base_url
    finally:
        server.should_exit = True
        await running
