"""A flow engine that never gives up: it asks until it is answered, and writes down each run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from broker.client import (
    Answer,
    Broker,
    Claim,
    Event,
    Later,
    Parked,
    Paused,
    PauseState,
    Resolved,
    Step,
    Wrong,
)

T = TypeVar("T")
HANDS = 8
"""How many steps an engine asks about at a time."""


@dataclass(slots=True)
class Engine:
    """What an engine keeps: every answer it got, where it parked which step, what it really ran.

    `seen` are the events it read, by number.
    """

    broker: Broker
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    parked: dict[str, str] = field(default_factory=dict)
    ran: Counter[str] = field(default_factory=Counter)
    seen: list[Event] = field(default_factory=list)
    busy: int = 0
    hands: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HANDS))

    async def ask(self, step: Step) -> None:
        """Run a step, or park it."""
        async with self.hands:
            answer = await patiently(lambda: self.broker.resolve(step))
        self.answers.append((step.id, answer))
        match answer:
            case Resolved():
                self.ran[step.id] += 1
            case Paused(pause=Parked() as pause):
                self.parked[pause.id] = step.id

    async def follow(self) -> None:
        """Read the feed for ever, and resume what is ready."""
        while True:
            with suppress(Later):
                after = self.seen[-1].sequence if self.seen else 0
                async for event in self.broker.events(after=after):
                    self.seen.append(event)
                    if event.type == "pause.ready":
                        await self.resume(event.data["pause"])

    async def resume(self, pause: str) -> None:
        """Claim a pause, run its step, say so. Where another was first it is left be, and where an
        answer was lost: then nobody ran it, and the pause is ready again after its silence (P8).
        """
        self.busy += 1
        try:
            claim = await patiently(lambda: self.broker.claim(pause))
            if claim.token is not None:
                await self._run(claim)
        except Wrong as error:
            if error.problem.status != 409:
                raise
        finally:
            self.busy -= 1

    async def _run(self, claim: Claim) -> None:
        self.answers.append((self.parked.get(claim.pause, ""), claim.answer))
        self.ran[claim.pause] += 1
        try:
            await patiently(lambda: self.broker.result(claim, "ran"))
        except Wrong:  # said already, by a try that was not answered in time
            now = await patiently(lambda: self.broker.pause(claim.pause))
            assert now.state is PauseState.RESUMED, now


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """The answer, however often the broker is not there."""
    while True:
        try:
            return await call()
        except Later as later:
            await asyncio.sleep(min(later.retry_after_s, 1.0))
