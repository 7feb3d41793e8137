"""A running broker before its judges: one directory of it, and the token for that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.serving import Served, serve


@dataclass(frozen=True, slots=True)
class Live:
    """What a judge is told of the service: where it is, and how to get in."""

    broker: Served
    base_url: str
    """Where the directory's SCIM begins."""

    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that lets a client in."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self) -> httpx.AsyncClient:
        """A well-behaved client of the directory."""
        said = self.headers | {"Content-Type": "application/scim+json"}
        return httpx.AsyncClient(base_url=self.base_url, headers=said, timeout=60)


@asynccontextmanager
async def live(folder: Path, url: str, **settings: Any) -> AsyncIterator[Live]:
    """`broker serve` on the database at `url`, with a directory for the judge."""
    async with serve(folder, url, **settings) as broker:
        scim = (await broker.command("directory", "add", "judge"))["scim"]
        yield Live(broker, scim["base_url"], scim["token"])
