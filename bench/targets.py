"""A server under load: where it is, what it uses, which users and groups it holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from bench import bodies
from bench.usage import Usage, used

CONNECTIONS = 8
PATIENCE_S = 60.0
OUTSIDERS = 200
"""Users that no group starts with, so that a workload has somebody to put in."""
BATCH = 500


class NotMeasured(Exception):
    """This server cannot do this; the message says why."""


@dataclass(frozen=True, slots=True)
class Known:
    """A user that the server holds."""

    id: str
    name: str
    """Without its domain: `pre7` of `pre7@example.com`."""


@dataclass(slots=True)
class Target:
    """A server that answers SCIM at `url`, and what we have put into it."""

    name: str
    url: str
    token: str
    pids: frozenset[int]
    users: list[Known] = field(default_factory=list)
    groups: dict[int, str] = field(default_factory=dict)
    """Size -> id."""
    media_type: str = "application/scim+json"

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": self.media_type,
            "Accept": f"{self.media_type}, application/json",
        }

    @property
    def usage(self) -> Usage:
        """What it has used so far, its database counted where that is a process of its own."""
        return used(self.pids)

    def path(self, path: str) -> str:
        """The path on its host of a path below its SCIM root."""
        return urlsplit(self.url).path + path

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client whose paths are relative to the SCIM root."""
        async with httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            timeout=PATIENCE_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=CONNECTIONS),
        ) as client:
            yield client

    async def json(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's document, None where it is empty; NotMeasured unless it is a success."""
        async with self.client() as client:
            return await answer(client, method, path, body)

    async def total(self) -> int:
        """How many users it says it holds."""
        return int((await self.json("GET", "/Users?startIndex=1&count=1"))["totalResults"])

    async def create(self, names: Iterable[str], *, in_bulk: int = 0) -> float:
        """Make users of these names, `in_bulk` a request or one by one; the seconds it took."""
        started = time.monotonic()
        every = iter(names)

        async def work(client: httpx.AsyncClient) -> None:
            while some := list(islice(every, in_bulk or 1)):
                make = _in_bulk if in_bulk else _one
                self.users.extend(await make(client, some))

        await self._together(work)
        return time.monotonic() - started

    async def group(self, size: int) -> str:
        """The id of a group of that size, made where there is none yet."""
        if size not in self.groups:
            members = [user.id for user in self.users[OUTSIDERS : OUTSIDERS + size]]
            if len(members) < size:
                raise NotMeasured(f"{len(self.users)} users are too few for a group of {size}")
            made = await self.json("POST", "/Groups", bodies.group(f"group-of-{size}"))
            path = f"/Groups/{made['id']}"
            for at in range(0, size, BATCH):
                await self.json("PATCH", path, bodies.adding(*members[at : at + BATCH]))
            self.groups[size] = str(made["id"])
        return self.groups[size]

    async def _together(self, work: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        async with self.client() as client:
            await asyncio.gather(*(work(client) for _ in range(CONNECTIONS)))


def named(user_name: str) -> str:
    """The path of the filter for a user name."""
    return filtered(f'userName eq "{user_name}"')


def filtered(filter: str) -> str:
    """The path of a filter over users."""
    return "/Users?filter=" + quote(filter)


async def answer(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """The answer's document, None where it is empty; NotMeasured unless it is a success."""
    try:
        got = await client.request(method, path, json=body)
    except httpx.HTTPError as error:
        raise NotMeasured(f"{method} {path[:60]}: {type(error).__name__}") from error
    if not got.is_success:
        raise NotMeasured(f"{method} {path[:60]}: {got.status_code} {got.text[:160]}")
    return got.json() if got.content else None


async def _one(client: httpx.AsyncClient, names: list[str]) -> list[Known]:
    made = await answer(client, "POST", "/Users", bodies.user(names[0]))
    return [Known(str(made["id"]), names[0])]


async def _in_bulk(client: httpx.AsyncClient, names: list[str]) -> list[Known]:
    """A Bulk names what it made by its location."""
    done = (await answer(client, "POST", "/Bulk", bodies.bulk(names)))["Operations"]
    if wrong := [each for each in done if each["status"] != "201"]:
        raise NotMeasured(f"a bulk did not create: {str(wrong[0])[:160]}")
    return [
        Known(each["location"].rpartition("/")[2], names[int(each["bulkId"].removeprefix("b"))])
        for each in done
    ]
