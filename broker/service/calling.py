"""Calling: events leave for the receivers of webhooks, signed, each at least once."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import structlog

from broker.db.database import Database, Transaction, Unavailable
from broker.db.seal import Seal, Unreadable
from broker.domain.clock import MINUTE
from broker.domain.webhooks import Delivery, DeliveryState, State, Webhook, next_try, signed
from broker.service.publishing import shown
from broker.store import audit, deliveries, events, webhooks
from broker.store.deliveries import Place
from broker.store.events import Published
from providers.egress import Egress
from providers.errors import ProviderError

HANDFUL = 4
AT_ONCE = 20  # receivers; four connections each leave room in the pool of 100
TURN_S = 2.0
GONE = 410
log = structlog.get_logger("broker.webhooks")


@dataclass(frozen=True, slots=True)
class Call:
    """One try: what is sent to whom, as both stood when it was claimed."""

    webhook: Webhook
    delivery: Delivery
    event: Published
    now: int


@dataclass(slots=True)
class Lines:
    """Who is being called by this process; nobody new once it ends."""

    busy: dict[Place, asyncio.Task[None]] = field(default_factory=dict)
    is_ending: bool = False


@dataclass(frozen=True, slots=True)
class Calling:
    """Each receiver is called beside the worker and beside every other, so a slow one holds up
    nobody. One that fails is tried once at a time, until it answers; any number of replicas may
    call. A process that dies before it wrote an answer down leads to another try with the same id.
    """

    db: Database
    seal: Seal
    egress: Egress
    spread: Callable[[], float] = random.random
    lines: Lines = field(default_factory=Lines)

    async def begin(self) -> None:
        """Call whoever something is due to and nobody here is calling."""
        busy = self.lines.busy
        places = await self.db.peek(deliveries.due)
        random.shuffle(places)  # where there are more than it calls at once, each has its chance
        for place in places:
            if self.lines.is_ending or len(busy) >= AT_ONCE:
                return
            if place not in busy:
                busy[place] = asyncio.create_task(self._turn(place))

    async def landed(self) -> None:
        """Claim nothing more, and wait for the calls that are on their way."""
        self.lines.is_ending = True
        await asyncio.gather(*self.lines.busy.values(), return_exceptions=True)

    async def _turn(self, place: Place) -> None:
        """Tell one receiver what is due, a handful at a time; after a while others have theirs."""
        until = time.monotonic() + TURN_S
        try:
            while not self.lines.is_ending and time.monotonic() < until:
                calls = await self.db.write(_claiming, place)
                if not calls:
                    return
                await asyncio.gather(*map(self._call, calls))
        except Unavailable as error:
            log.warning("deliveries left to their leases", webhook=place.webhook, why=str(error))
        except Exception as error:
            log.error("delivery failed", webhook=place.webhook, exc_info=error)
        finally:
            del self.lines.busy[place]

    async def _call(self, call: Call) -> None:
        """One try, with the guard's look at the address (safety 20: never through a relay)."""
        status: int | None = None
        code: str | None = None
        try:
            body = orjson.dumps(shown(call.event))
            headers = signed(self._secrets(call), call.event.id, call.now, body)
            headers["Content-Type"] = "application/json"
            status = await self.egress.status(call.webhook.url, body, headers=headers)
        except ProviderError as error:
            code = error.provider_code
        except Unreadable as error:
            log.error("webhook's secret not opened", webhook=call.webhook.id, why=str(error))
            await self.db.write(_later, call)
            return
        if status is not None and 200 <= status < 300:
            await self.db.write(_taken, call, status)
            return
        log.info("webhook failed", webhook=call.webhook.id, status=status, code=code)
        await self.db.write(_failed, call, status, code, self.spread())

    def _secrets(self, call: Call) -> list[str]:
        """The secrets that sign now, opened: the newest, and the one before for a day."""
        webhook = call.webhook
        kept = {"secret": webhook.secret}
        if (webhook.old_secret_until or 0) > call.now:
            kept["old_secret"] = webhook.old_secret
        place = (webhook.project, "webhooks", webhook.id)
        return [self.seal.open(each, *place, name).decode() for name, each in kept.items() if each]


def _claiming(tx: Transaction, place: Place) -> list[Call]:
    """What is due, leased; one alone where the last try failed, and nothing while it rests."""
    webhook = webhooks.find(tx, *place, lock=True)
    if webhook is None or not webhook.may_be_called(tx.now):
        return []
    claimed = deliveries.claim(tx, place, 1 if webhook.failures else HANDFUL)
    if claimed and webhook.failures:
        webhooks.change(tx, webhook.resting(tx.now + deliveries.LEASE))
    calls = []
    for delivery in claimed:
        event = events.find(tx, place.project, delivery.event)
        if event is None:
            deliveries.ended(tx, delivery, DeliveryState.FAILED, None, "event-gone")
        else:
            calls.append(Call(webhook, delivery, event, tx.now))
    return calls


def _taken(tx: Transaction, call: Call, status: int) -> None:
    deliveries.ended(tx, call.delivery, DeliveryState.DELIVERED, status, None)
    if call.webhook.failures and (webhook := _as_called(tx, call)):
        webhooks.change(tx, webhook.taken())


def _failed(
    tx: Transaction, call: Call, status: int | None, code: str | None, spread: float
) -> None:
    """Up the ladder; what it means for the webhook is counted once for all that failed together."""
    webhook, delivery = _as_called(tx, call), call.delivery
    # What waited for a webhook to be enabled has its three days from then on.
    since = max(delivery.created_at, call.webhook.changed_at)
    due = next_try(delivery.attempt, since, tx.now, spread)
    if status == GONE:
        deliveries.put_off(tx, delivery, tx.now, status, code)
    elif due is None:
        deliveries.ended(tx, delivery, DeliveryState.FAILED, status, code)
    else:
        deliveries.put_off(tx, delivery, due, status, code)
    if webhook is None:
        return
    reason = code or f"status-{status}"
    now = webhook.failed(reason, tx.now)
    if status == GONE:
        now = webhook.turned(State.DISABLED, tx.now, reason)
    webhooks.change(tx, now)
    if now.state is not State.ENABLED:
        type, said = f"webhook.{now.state}", {"webhook": webhook.id, "reason": reason}
        audit.append(tx, webhook.project, "broker", type, webhook.id, reason=reason)
        events.append(tx, webhook.project, type, **said)


def _later(tx: Transaction, call: Call) -> None:
    """No try: a key is missing, and that is no fault of the receiver's (promise 12)."""
    deliveries.put_off(tx, call.delivery, tx.now + MINUTE, None, "key-missing")


def _as_called(tx: Transaction, call: Call) -> Webhook | None:
    """The webhook, held, unless another try or an administrator changed it since the call began."""
    before = call.webhook
    webhook = webhooks.find(tx, before.project, before.id, lock=True)
    if webhook is None or webhook.version != before.version:
        return None
    return webhook if webhook.failures == before.failures else None
