"""A flow engine whose steps wait for one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from broker.db.database import Transaction
from broker.domain.callers import Caller
from broker.domain.connectors import Connector
from broker.domain.pauses import Pause
from broker.domain.users import User
from broker.service.pausing import Claim
from broker.store import pauses
from tests.stepping import KIM, PAUSE, World, asked


@dataclass(frozen=True, slots=True)
class Scene:
    """One person, one connector with the policy pause, and the engine's key."""

    at: World
    connector: Connector
    user: User
    engine: Caller

    @classmethod
    async def made(cls, at: World) -> Scene:
        """The scene, set."""
        return cls(at, await at.connector(**PAUSE), await at.person(KIM), await at.key())

    async def wait(self, **more: Any) -> Pause:
        """A step that waits, as its row is."""
        answer = await self.at.resolving.resolve(self.engine, asked({"user_name": KIM}, **more))
        assert (answer.decision.row, answer.decision.status) == ("F11", "Authentication needed")
        assert answer.pause is not None
        return await self.now(answer.pause)

    async def sign_in(
        self, connector: Connector | None = None, *, as_user: str | None = None, **more: Any
    ) -> list[Pause]:
        """The person signs in: the token, and everybody who waits for it, in one transaction."""
        connector = connector or self.connector
        answer = self.at.approved(as_user or self.user.user_name)

        def signing_in(tx: Transaction) -> list[Pause]:
            self.at.granting(tx, connector, self.user, answer, more)
            return pauses.readying(tx, self.at.project, self.user.id, connector.id)

        return await self.at.db.write(signing_in)

    async def now(self, pause: Pause) -> Pause:
        """The pause as it is kept."""
        return await self.at.db.read(pauses.get, self.at.project, pause.id)

    async def claim(self, pause: Pause) -> Claim:
        """A claim by the key that waits."""
        return await self.at.pausing.claim(self.engine, pause.id)

    async def told(self, type: str) -> list[dict[str, Any]]:
        """The events of a type."""
        said = "SELECT data FROM events WHERE type = :type ORDER BY n"
        rows = await self.at.rows(said, type=type)
        return [orjson.loads(row["data"]) for row in rows]
