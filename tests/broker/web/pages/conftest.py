"""An administrator at their desk, a directory that pushes, and a worker for what takes a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from broker.app import working
from broker.domain.callers import Caller, Kind
from broker.domain.clock import SECOND
from broker.domain.runs import Run
from tests.browsing import Page, read
from tests.clocks import MovableClock
from tests.faces import Faces
from tests.pushing import PATCH_OP, USER


@dataclass(frozen=True, slots=True)
class Desk:
    """An administrator's browser, beside an identity provider of the same project."""

    service: Faces
    clock: MovableClock
    client: httpx.AsyncClient
    directory: str
    headers: dict[str, str]

    @property
    def caller(self) -> Caller:
        """Who the administrator is to the services."""
        return Caller(Kind.ADMINISTRATOR, self.service.project, "setup")

    @property
    def here(self) -> str:
        """The page of the directory."""
        return f"/admin/directories/{self.directory}"

    async def read(self, path: str, status: int = 200) -> Page:
        """The page at a path."""
        return await read(self.client, path, status)

    async def push(self, *names: str, **more: Any) -> dict[str, str]:
        """The identity provider pushes people of these names; their ids."""
        ids = {}
        for name in names:
            answer = await self.scim(
                "POST", "/Users", {"userName": name, "externalId": name} | more
            )
            assert answer.status_code == 201, answer.text
            ids[name] = answer.json()["id"]
        return ids

    async def leave(self, ids: Iterable[str]) -> None:
        """The identity provider says that these people are not active any more."""
        gone = {"op": "replace", "path": "active", "value": False}
        for id in ids:
            body = {"schemas": [PATCH_OP], "Operations": [gone]}
            answer = await self.scim("PATCH", f"/Users/{id}", body)
            assert answer.status_code == 200, answer.text

    async def scim(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """One request of the identity provider."""
        return await self.client.request(
            method,
            f"/scim/v2/{self.directory}{path}",
            json={"schemas": [USER]} | body,
            headers=self.headers,
        )

    async def quiet(self) -> Run:
        """The push window passes in silence; the run that it closes."""
        self.clock.advance(2 * SECOND)
        await self.service.broker.syncing.close_due()
        return await self.newest()

    async def newest(self) -> Run:
        """The newest run."""
        run, *_ = await self.service.broker.syncing.runs(self.service.project)
        return run

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """The worker does what is due, once a test: one that was stopped begins no more."""
        async with working(self.service.broker):
            yield


@pytest.fixture
async def desk(service: Faces, clock: MovableClock) -> Desk:
    """A project with one directory, which has pushed nothing yet."""
    made, token = await service.broker.configuring.add(
        service.project, "Acme", by="test", window_s=1
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    return Desk(service, clock, await service.administrator(), made.id, headers)
