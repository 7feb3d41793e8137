"""A flow engine before the whole service, and the rows behind its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from broker.demo.grants import App
from broker.demo.simulator import Simulator
from broker.domain.connectors import Connector
from broker.domain.users import Status, User
from broker.wiring import Broker
from providers.egress import Egress
from tests.clocks import MovableClock
from tests.faces import Faces, faces
from tests.stepping import CLIENT, CLIENT_SECRET, KIM, World

NAMED = {"user_name": KIM}


@dataclass(frozen=True, slots=True)
class Asking:
    """What the engine asks over HTTP; `at` makes the people and connectors it asks about."""

    on: Faces
    at: World
    headers: dict[str, str]

    async def post(self, path: str, said: Any, **more: Any) -> httpx.Response:
        """One post of the engine, or of another key."""
        return await self.on.client.post(path, json=said, **({"headers": self.headers} | more))

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """What the engine reads there."""
        answer = await self.on.client.get(path, params=params, headers=self.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def resolve(self, subject: dict[str, str] | None, **more: Any) -> httpx.Response:
        """The one question; `more` as `question` takes it."""
        return await self.post("/v1/resolve", question(subject, **more))

    async def decided(self, subject: dict[str, str] | None, **more: Any) -> dict[str, Any]:
        """The answer to it, once it is one."""
        answer = await self.resolve(subject, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def batch(self, *items: Any, **more: Any) -> dict[str, Any]:
        """The answers to a batch."""
        answer = await self.post("/v1/resolve/batch", {"items": items} | more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def explained(self, subject: dict[str, str] | None, **more: Any) -> dict[str, Any]:
        """The explanation of the question; `assume` is among `more`."""
        answer = await self.post("/v1/resolve/explain", question(subject, **more))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def kim(self, connector: Connector, status: Status = Status.ACTIVE, **token: Any) -> User:
        """Kim, who is signed in there; `token` says what is different about what she holds."""
        user = await self.at.person(KIM, status)
        await self.at.connect(connector, user, **token)
        return user


def question(
    subject: dict[str, str] | None,
    *,
    connector: str = "salesforce",
    step: str = "s4",
    type: str = "retrieve_data",
    execution: str = "r-1",
    attempt: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """A question as it is sent."""
    return {
        "connector": connector,
        "step": {"id": step, "type": type},
        "execution": {"id": execution, "attempt": attempt},
        "subject": subject,
    } | more


def world(broker: Broker, project: str, simulator: Simulator) -> World:
    """The rows of a service, and the programs around it."""
    vault = broker.vault
    return World(
        db=broker.db,
        simulator=simulator,
        egress=Egress(),
        project=project,
        seal=vault.programs.seal,
        hasher=vault.hasher,
        programs=vault.programs,
        vault=vault,
        authorizing=broker.authorizing,
        resolving=broker.resolving,
        pausing=broker.pausing,
        authenticating=broker.authenticating,
    )


@asynccontextmanager
async def asking(url: str, simulator: Simulator, clock: MovableClock) -> AsyncIterator[Asking]:
    """A service beside the pretend programs, and an engine with a key for everything."""
    simulator.salesforce.register(App(CLIENT, CLIENT_SECRET))
    async with faces(url, clock=clock, simulator_url=simulator.base_url) as on:
        at = world(on.broker, on.project, simulator)
        try:
            yield Asking(on, at, await on.key())
        finally:
            await at.egress.aclose()
