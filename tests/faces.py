"""The whole service in one process, without a socket: its faces, a client, keys and sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from broker import app, wiring
from broker.config import Settings
from broker.db.database import Clock, system_clock
from broker.domain.callers import SCOPES
from broker.wiring import Broker
from tests import canaries

BASE_URL = "http://127.0.0.1:8080"
KEYS = canaries.key("test")
BROWSER = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@dataclass(slots=True)
class Faces:
    """A broker and whoever calls it; `seen` holds route, method and status of every answer."""

    broker: Broker
    client: httpx.AsyncClient
    project: str
    seen: list[tuple[str, str, int]] = field(default_factory=list)

    async def key(self, *scopes: str, project: str | None = None, **limits: Any) -> dict[str, str]:
        """The header of a new API key with these scopes, all where none is named."""
        _, key = await self.broker.callers.add_key(
            project or self.project, "test", scopes or SCOPES, by="test", **limits
        )
        return {"Authorization": f"Bearer {key}"}

    async def other_project(self) -> str:
        """The id of another project."""
        return (await self.broker.projects.add("other", by="test")).id

    async def administrator(self) -> httpx.AsyncClient:
        """The client with an administrator's session in its jar; a browser."""
        secret = await self.broker.callers.setup_link(self.project)
        answer = await self.client.post(f"/setup/{secret}", headers=BROWSER)
        assert answer.status_code == 303, answer.text
        return self.client

    async def push(self, names: Iterable[str]) -> dict[str, str]:
        """A directory that pushed people of these user names: name -> id."""
        made, token = await self.broker.configuring.add(self.project, "Acme", by="test", window_s=1)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        ids = {}
        for name in names:
            body = {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "userName": name,
                "externalId": f"x-{name}",
            }
            url = f"/scim/v2/{made.id}/Users"
            answer = await self.client.post(url, json=body, headers=headers)
            assert answer.status_code == 201, answer.text
            ids[name] = answer.json()["id"]
        return ids


def settings(url: str, **said: Any) -> Settings:
    """Settings of a test's broker."""
    return Settings(
        database_url=SecretStr(url), encryption_keys=SecretStr(KEYS), log_level="warning", **said
    )


@asynccontextmanager
async def faces(
    url: str, *, clock: Clock = system_clock, base_url: str = BASE_URL, **said: Any
) -> AsyncIterator[Faces]:
    """The service on the migrated database at `url`, without its worker."""
    seen: list[tuple[str, str, int]] = []
    async with wiring.opened(settings(url, **said), base_url, clock=clock) as broker:
        door = app.create(
            broker,
            seen=lambda route, method, status, _: seen.append((route, method, status)),
            with_worker=False,
        )
        transport = httpx.ASGITransport(door)
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            project = await broker.projects.named("default")
            yield Faces(broker, client, project.id, seen)
