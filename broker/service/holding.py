"""Held requests: an answer waits until there is news, a minute at most (RFC 7240 `wait`)."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from broker.db.database import Database, Transaction, Unavailable
from broker.domain.callers import Caller
from broker.domain.errors import TooMany
from broker.service import admitting
from broker.store import events
from broker.store.events import Published

T = TypeVar("T")
Topic = tuple[str, str]
"""A project, and what of it is waited for: `feed`, the id of a pause, or `action:` a coupon."""

FEED = "feed"
LONGEST_S = 60.0
A_KEY = 50
LOOK_S = 5.0
WATCH_S = 0.25
AT_ONCE = 1000
log = structlog.get_logger("broker.holding")


@dataclass(slots=True)
class Holding:
    """Who waits in this process, and for what.

    One watcher a process reads which numbers the feeds have come to, however many wait; what
    another replica published is seen within a quarter of a second, what this one did at once.
    """

    db: Database
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _held: Counter[str] = field(default_factory=Counter)
    _waiting: dict[Topic, set[asyncio.Event]] = field(default_factory=lambda: defaultdict(set))
    _watcher: asyncio.Task[None] | None = None

    async def until(
        self,
        caller: Caller,
        topic: Topic,
        read: Callable[[], Awaitable[T]],
        is_news: Callable[[T], bool],
        wait_s: float,
        *,
        look_s: float = LOOK_S,
    ) -> T:
        """What `read` finds, once it is news; as it stands after `wait_s` seconds.

        It is read when the topic is told of, and every `look_s` besides. TooMany where the caller
        has 50 requests held already (safety 37); Unknown at the next look after its key was
        revoked (safety 24). Ends at once when the process drains.
        """
        ends = time.monotonic() + min(wait_s, LONGEST_S)
        async with self._waits(caller, topic) as told:
            while not is_news(found := await read()):
                left = ends - time.monotonic()
                if left <= 0 or self.closing.is_set():
                    break
                await _told(told, min(left, look_s))
                caller = await self.db.peek(admitting.still, caller)
            return found

    def tell(self, published: Iterable[Published]) -> None:
        """Wake whoever waits for what was just published."""
        for event in published:
            self.wake((event.project, FEED))
            if pause := event.data.get("pause"):
                self.wake((event.project, str(pause)))

    def wake(self, topic: Topic) -> None:
        """Let whoever waits for it look again."""
        for told in self._waiting.get(topic, ()):
            told.set()

    def close(self) -> None:
        """Answer everybody now: this process drains."""
        self.closing.set()
        self._wake_all()

    def _wake_all(self) -> None:
        for topic in self._waiting:
            self.wake(topic)

    @asynccontextmanager
    async def _waits(self, caller: Caller, topic: Topic) -> AsyncIterator[asyncio.Event]:
        if self._held[caller.id] >= A_KEY:
            raise TooMany(
                f"This key has {A_KEY} requests waiting already.",
                reason="too-many-held",
                retry_after_s=int(LOOK_S),
            )
        told = asyncio.Event()
        self._held[caller.id] += 1
        self._waiting[topic].add(told)
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        try:
            yield told
        finally:
            self._held[caller.id] -= 1
            if not self._held[caller.id]:
                del self._held[caller.id]
            self._waiting[topic].discard(told)
            if not self._waiting[topic]:
                del self._waiting[topic]

    async def _watch(self) -> None:
        """Tell of what other replicas publish, as long as somebody waits."""
        seen: dict[str, int] | None = None
        try:
            while self._waiting:
                try:
                    seen = await self._looked(seen)
                except Unavailable as error:
                    log.warning("feeds not read", why=str(error))  # and looked at again
                await asyncio.sleep(WATCH_S)
        finally:
            self._watcher = None

    async def _looked(self, seen: dict[str, int] | None) -> dict[str, int]:
        """The numbers the feeds have come to, once those who wait were told of what is new."""
        heads = await self.db.read(events.heads)
        if seen is None:  # what was published while nobody watched may be what somebody waits for
            self._wake_all()
            return heads
        for project in heads.keys() & {project for project, _ in self._waiting}:
            if heads[project] > seen.get(project, 0):
                found = await self.db.read(_since, project, seen.get(project, 0))
                self.tell(found)
                heads[project] = found[-1].sequence if found else heads[project]
        return heads


async def _told(told: asyncio.Event, wait_s: float) -> None:
    try:
        await asyncio.wait_for(told.wait(), wait_s)
    except TimeoutError:
        return
    told.clear()


def _since(tx: Transaction, project: str, after: int) -> list[Published]:
    return events.feed(tx, project, after, AT_ONCE)
