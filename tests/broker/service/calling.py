"""A project whose events leave for receivers, with its worker's rounds turned by hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from broker.db.database import Database
from broker.db.seal import Seal
from broker.domain.callers import Caller, Kind
from broker.domain.events import KINDS
from broker.domain.webhooks import Delivery, DeliveryState, Webhook
from broker.service.calling import Calling
from broker.service.holding import Holding
from broker.service.publishing import Publishing
from broker.service.webhooks import Webhooks
from broker.store import events, projects
from broker.wiring import LOOPBACK
from providers.egress import Egress
from tests.broker.service.outside import KEYS

SEAL = Seal(KEYS)


@dataclass(frozen=True, slots=True)
class Office:
    """Events go in, and out to whoever listens."""

    db: Database
    caller: Caller
    publishing: Publishing
    webhooks: Webhooks
    calling: Calling

    @property
    def project(self) -> str:
        """Whose events they are."""
        return self.caller.project

    async def hook(self, url: str, *types: str) -> tuple[Webhook, str]:
        """A webhook and its secret."""
        return await self.webhooks.add(self.caller, url, types or ("*",))

    async def happen(self, *types: str) -> list[str]:
        """Let something happen; the ids of the events."""
        return [
            await self.db.write(events.append, self.project, type, **about(type)) for type in types
        ]

    async def round(self) -> None:
        """One round of a worker, to its end."""
        await self.publishing.publish()
        await self.calling.begin()
        await asyncio.gather(*self.calling.lines.busy.values())

    async def told(self, webhook: Webhook, *states: DeliveryState) -> list[Delivery]:
        """What the webhook was told, the oldest first."""
        found = await self.webhooks.deliveries(
            self.caller, webhook.id, states or list(DeliveryState), before=None, limit=200
        )
        return found[::-1]

    async def now(self, webhook: Webhook) -> Webhook:
        """The webhook as it stands."""
        return await self.webhooks.get(self.caller, webhook.id)


def about(type: str) -> dict[str, str]:
    """Data that an event of the type may have."""
    return dict.fromkeys(KINDS[type].members[:1], "usr_1")


async def office(
    db: Database, egress: Egress, name: str = "default", *, seal: Seal = SEAL
) -> Office:
    """A project on the database."""
    project = await db.write(projects.insert, name)
    assert project is not None
    caller = Caller(kind=Kind.ADMINISTRATOR, project=project.id, id="adm_1")
    return Office(
        db,
        caller,
        Publishing(db, Holding(db)),
        Webhooks(db, seal, egress),
        Calling(db, seal, egress, spread=lambda: 0.0),
    )


def outward() -> Egress:
    """The way out of a rehearsal: receivers beside the service, without TLS."""
    return Egress(allow=LOOPBACK, plain=True)
