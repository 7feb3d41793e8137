"""Webhooks: who is told of events, how that is signed, and when it is tried again."""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from broker.domain import events
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND

LADDER = (5 * SECOND, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)
"""How long an event waits for its next try, the last step again and again."""
GIVEN_UP = 3 * DAY
REST = LADDER[:3]
"""How long a receiver that fails is left alone."""
FAILURES = 50
ROTATION = DAY
PREFIX = "whsec_"
PING = "webhook.ping"


class State(StrEnum):
    """What becomes of a webhook's events: told; kept until it is enabled, after 50 failures; only
    what already waits is kept, after a 410; gone.
    """

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver. `types` are patterns such as `pause.*`; secrets are sealed, the old one good
    until `old_secret_until`. `failures` are in a row; after one, nothing before `rests_until`.
    """

    id: str
    project: str
    url: str
    types: tuple[str, ...]
    secret: bytes | None
    created_by: str
    created_at: int
    changed_at: int
    old_secret: bytes | None = None
    old_secret_until: int | None = None
    state: State = State.ENABLED
    reason: str | None = None
    failures: int = 0
    rests_until: int | None = None
    version: int = 1

    def listens(self, type: str, data: Mapping[str, Any]) -> bool:
        """Whether it is told of an event; a ping is for the one webhook that is tried."""
        if type == PING:
            return bool(data["webhook"] == self.id)
        return any(events.fits(type, pattern) for pattern in self.types)

    def may_be_called(self, now: int) -> bool:
        """Whether something that is due may be sent."""
        return self.state is State.ENABLED and (self.rests_until or 0) <= now

    def resting(self, until: int) -> "Webhook":
        """Nobody else tries it before then."""
        return replace(self, rests_until=until)

    def taken(self) -> "Webhook":
        """The receiver answered 2xx."""
        return replace(self, failures=0, rests_until=None)

    def failed(self, reason: str, now: int) -> "Webhook":
        """It did not; 50 times in a row pause it."""
        failures = self.failures + 1
        if failures >= FAILURES:
            return replace(self, failures=failures).turned(State.PAUSED, now, reason)
        rest = REST[min(failures, len(REST)) - 1]
        return replace(self, failures=failures, rests_until=now + rest)

    def turned(self, state: State, now: int, reason: str | None = None) -> "Webhook":
        """Switched on, which forgets what failed, or off with the reason."""
        failures = 0 if state is State.ENABLED else self.failures
        turned = replace(self, state=state, reason=reason, failures=failures, rests_until=None)
        return turned.changed(now)

    def changed(self, now: int, **said: Any) -> "Webhook":
        """The next version, with what was said."""
        return replace(self, **said, changed_at=now, version=self.version + 1)


class DeliveryState(StrEnum):
    """What became of an event for one webhook."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a webhook. `attempt` counts the tries and is their fence; `status` and
    `error` are what came of the last: what the receiver answered, or why there is no answer.
    """

    n: int
    project: str
    webhook: str
    event: str
    state: DeliveryState
    due_at: int
    attempt: int
    status: int | None
    error: str | None
    created_at: int
    ended_at: int | None


def next_try(attempt: int, since: int, now: int, spread: float) -> int | None:
    """When what failed for the `attempt`th time is due again; None once three days are over that
    began with `since`, and with them the ladder.

    `spread`, from 0 to 1, adds up to a tenth, so that what failed together does not come together.
    """
    begun = next((step for step in LADDER if step > now - since), DAY)
    wait = min(begun, LADDER[min(attempt, len(LADDER)) - 1])
    due = now + wait + int(wait * spread / 10)
    return due if due <= since + GIVEN_UP else None


def new_secret() -> str:
    """A secret of 256 bits as Standard Webhooks writes it."""
    return PREFIX + base64.b64encode(os.urandom(32)).decode()


def signed(secrets: Iterable[str], id: str, now: int, body: bytes) -> dict[str, str]:
    """The headers that let the receiver check a message, by each of these secrets (Standard
    Webhooks 1.0): `webhook-id`, `webhook-timestamp` in seconds, `webhook-signature`.
    """
    at = str(now // SECOND)
    content = f"{id}.{at}.".encode() + body
    signatures = [
        base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()
        for secret in secrets
    ]
    listed = " ".join(f"v1,{signature}" for signature in signatures)
    return {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": listed}


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))
