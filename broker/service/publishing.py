"""Publishing: events get their numbers behind the commit, and whoever listens is told of them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from broker.db.database import Database, Transaction
from broker.domain import clock
from broker.domain.callers import Caller
from broker.domain.errors import Invalid
from broker.domain.webhooks import State
from broker.service import admitting
from broker.service.holding import Holding
from broker.store import deliveries, events, webhooks
from broker.store.events import Published

AT_ONCE = 50  # each for twenty webhooks: more would hold up those who write
LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order; whoever asks for those behind `last` misses none and gets none twice.

    `is_all` says that none is behind it now.
    """

    items: list[Published]
    last: int
    is_all: bool

    @property
    def is_news(self) -> bool:
        """Whether it is worth an answer: nobody has to wait for what is behind it."""
        return bool(self.items) or not self.is_all


@dataclass(frozen=True, slots=True)
class Publishing:
    """Every replica publishes; the project's row lets one at a time (see `events.publish`)."""

    db: Database
    holding: Holding

    async def publish(self) -> int:
        """Number what was committed in any project, and tell those who wait; how many events."""
        done = 0
        for project in await self.db.peek(events.unpublished):
            going = True
            while going:
                published = await self.db.write(_publishing, project)
                self.holding.tell(published)
                done += len(published)
                going = len(published) == AT_ONCE
        return done

    async def feed(
        self, caller: Caller, after: int, *, types: Collection[str] = (), limit: int = 50
    ) -> Page:
        """Events behind the number `after`, of these types or all; for a key that is limited to
        connectors (safety 22) only what is about one of them.

        Invalid where no event has that number yet. A page of chosen types looks at 10,000 numbers:
        it may be empty and yet not all.
        """
        page = await self.db.read(_page, caller.project, after, types, limit)
        if not caller.connectors:
            return page
        about = {str(one.data["connector"]) for one in page.items if one.data.get("connector")}
        mine = await self.db.read(admitting.reached, caller, about)
        return replace(page, items=[one for one in page.items if one.data.get("connector") in mine])


def shown(event: Published) -> dict[str, Any]:
    """An event as the feed and webhooks have it: the same object."""
    return {
        "id": event.id,
        "sequence": event.sequence,
        "type": event.type,
        "timestamp": clock.rfc3339(event.at),
        "project": event.project,
        "data": event.data,
    }


def _publishing(tx: Transaction, project: str) -> list[Published]:
    """Numbers, and in the same transaction what webhooks are to be told; not those that are gone
    for their receivers (410).
    """
    published = events.publish(tx, project, AT_ONCE)
    if published:
        for webhook in webhooks.every(tx, project, State.ENABLED, State.PAUSED):
            told = [event.id for event in published if webhook.listens(event.type, event.data)]
            deliveries.add(tx, project, webhook.id, told)
    return published


def _page(tx: Transaction, project: str, after: int, types: Collection[str], limit: int) -> Page:
    first, head = events.span(tx, project)
    if after > head:
        raise Invalid(
            f"No event has the number {after} yet; the newest is {head}.",
            reason="number-not-given",
            next="The service may have been restored from a backup: begin at 0, and read again"
            " whatever you keep of it.",
        )
    until = min(head, max(after, first - 1) + LOOKED_AT) if types else head
    found = events.feed(tx, project, after, limit, until=until, types=sorted(types))
    last = found[-1].sequence if len(found) == limit else until
    return Page(found, last, is_all=last == head)
