"""Webhooks as administrators set them up: made, changed, tried, and what they were told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.domain import events as kinds
from broker.domain import ids
from broker.domain.callers import Caller, Kind
from broker.domain.errors import Conflict, Forbidden, Problem, Stale
from broker.domain.webhooks import ROTATION, Delivery, DeliveryState, State, Webhook, new_secret
from broker.store import audit, deliveries, events, webhooks
from providers.egress import Egress
from providers.errors import HostRefused
from providers.places import origin_of_url

A_PROJECT = 20
URL_LIMIT = 2048


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Each verb that changes is an administrator's, one transaction, and in the audit.

    They take the `version` the caller has seen, or None for any: Stale where it moved on.
    """

    db: Database
    seal: Seal
    egress: Egress

    async def every(self, caller: Caller) -> list[Webhook]:
        """All of the project, in the order in which they were made; to a key with the origin of
        their addresses alone, which may hold a secret.

        Forbidden, as whatever is read here, to a key that is limited to connectors (safety 22).
        """
        found = await self.db.read(webhooks.every, _unlimited(caller).project)
        return [_seen(caller, each) for each in found]

    async def get(self, caller: Caller, id: str) -> Webhook:
        """One of the project, as in the list; NotFound."""
        return _seen(caller, await self.db.read(webhooks.get, _unlimited(caller).project, id))

    async def add(self, caller: Caller, url: str, types: Sequence[str]) -> tuple[Webhook, str]:
        """A new one and its secret, shown this once; Invalid where `url` is no place to send to.

        It is told of what is published from now on. Conflict beyond 20 in a project.
        """
        self._look_at(url, types)
        return await self.db.write(self._adding, caller, url, tuple(types))

    async def change(
        self,
        caller: Caller,
        id: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        version: int | None = None,
    ) -> Webhook:
        """Another address, or other types, from now on; what waits goes to the new address."""
        self._look_at(url, types)
        said: dict[str, Any] = {} if url is None else {"url": url}
        said |= {} if types is None else {"types": tuple(types)}
        return await self.db.write(_changing, caller, id, said, version)

    async def remove(self, caller: Caller, id: str, *, version: int | None = None) -> None:
        """End it; what waits is told to nobody, and its secrets are erased."""
        await self.db.write(_removing, caller, id, version)

    async def enable(self, caller: Caller, id: str) -> Webhook:
        """Send to it again, beginning with what waited."""
        return await self.db.write(_enabling, caller, id)

    async def rotate(self, caller: Caller, id: str) -> tuple[Webhook, str]:
        """A new secret, shown this once; for a day messages are signed by both. The last two count:
        another one within that day ends the first.
        """
        return await self.db.write(self._rotating, caller, id)

    async def ping(self, caller: Caller, id: str) -> str:
        """Let it be told of `webhook.ping`, whatever its types; the event's id. Conflict where
        nothing is sent to it now.
        """
        return await self.db.write(_pinging, caller, id)

    async def deliveries(
        self,
        caller: Caller,
        id: str,
        states: Collection[DeliveryState],
        *,
        before: int | None,
        limit: int,
    ) -> list[Delivery]:
        """What it was told and is still to be told, the newest first; NotFound."""
        return await self.db.read(_told, _unlimited(caller).project, id, states, before, limit)

    async def redeliver(self, caller: Caller, id: str, n: int) -> Delivery:
        """Tell it once more, under the same id; NotFound where the event is kept no longer."""
        return await self.db.write(_telling_again, caller, id, n)

    def _look_at(self, url: str | None, types: Sequence[str] | None) -> None:
        """Invalid for an address that is never sent to, and for types that there are not."""
        if url is not None:
            try:
                self.egress.check(url)
            except HostRefused as error:
                text = f"Events are sent by https: {error.provider_text}."
                raise Problem("/url", "url_refused", text).alone() from None
            if "#" in url:
                raise Problem("/url", "url_refused", "A fragment is sent to nobody.").alone()
        if types is not None:
            kinds.chosen(types, "/types")

    def _adding(
        self, tx: Transaction, caller: Caller, url: str, types: tuple[str, ...]
    ) -> tuple[Webhook, str]:
        project, id = caller.project, ids.new("whk")
        if len(webhooks.held(tx, project)) >= A_PROJECT:
            raise Conflict(
                f"A project has {A_PROJECT} webhooks at most.",
                reason="too-many-webhooks",
                next="Delete one, or let one receiver listen to more types.",
            )
        secret = new_secret()
        made = Webhook(
            id=id,
            project=project,
            url=url,
            types=types,
            secret=self._sealed(project, id, "secret", secret),
            created_by=caller.actor,
            created_at=tx.now,
            changed_at=tx.now,
        )
        webhooks.insert(tx, made)
        audit.append(tx, project, caller.actor, "webhook.added", id)
        return made, secret

    def _rotating(self, tx: Transaction, caller: Caller, id: str) -> tuple[Webhook, str]:
        before = webhooks.get(tx, caller.project, id, lock=True)
        place = (caller.project, "webhooks", id)
        old = self.seal.open(before.secret or b"", *place, "secret").decode()
        secret = new_secret()
        rotated = before.changed(
            tx.now,
            secret=self._sealed(caller.project, id, "secret", secret),
            old_secret=self._sealed(caller.project, id, "old_secret", old),
            old_secret_until=tx.now + ROTATION,
        )
        webhooks.change(tx, rotated)
        audit.append(tx, caller.project, caller.actor, "webhook.rotated", id)
        return rotated, secret

    def _sealed(self, project: str, id: str, column: str, secret: str) -> bytes:
        return self.seal.seal(secret.encode(), project, "webhooks", id, column)


def _unlimited(caller: Caller) -> Caller:
    """The caller; a webhook is told of every connector."""
    if caller.connectors:
        raise Forbidden(
            f"The key {caller.name or caller.id} is for some connectors only.",
            reason="connector-not-allowed",
            next="Use a key that is not limited to connectors.",
        )
    return caller


def _seen(caller: Caller, webhook: Webhook) -> Webhook:
    if caller.kind is Kind.ADMINISTRATOR:
        return webhook
    return replace(webhook, url=origin_of_url(webhook.url) or "")


def _changing(
    tx: Transaction, caller: Caller, id: str, said: dict[str, Any], version: int | None
) -> Webhook:
    before = _held(tx, caller, id, version)
    changed = before.changed(tx.now, **said)
    if changed.url != before.url:
        changed = changed.taken()  # what failed was another receiver
    webhooks.change(tx, changed)
    audit.append(tx, caller.project, caller.actor, "webhook.changed", id, changed=sorted(said))
    return changed


def _removing(tx: Transaction, caller: Caller, id: str, version: int | None) -> None:
    gone = _held(tx, caller, id, version).turned(State.DELETED, tx.now)
    webhooks.change(tx, gone.changed(tx.now, secret=None, old_secret=None, old_secret_until=None))
    deliveries.drop(tx, caller.project, id)
    audit.append(tx, caller.project, caller.actor, "webhook.deleted", id)


def _enabling(tx: Transaction, caller: Caller, id: str) -> Webhook:
    before = _held(tx, caller, id, None)
    if before.state is State.ENABLED:
        return before
    enabled = before.turned(State.ENABLED, tx.now)
    webhooks.change(tx, enabled)
    deliveries.hasten(tx, caller.project, id)
    audit.append(tx, caller.project, caller.actor, "webhook.enabled", id)
    return enabled


def _pinging(tx: Transaction, caller: Caller, id: str) -> str:
    if _held(tx, caller, id, None).state is not State.ENABLED:
        raise Conflict(
            "Nothing is sent to this webhook now.",
            reason="webhook-not-enabled",
            next=f"POST /v1/webhooks/{id}/enable, once its receiver answers again.",
        )
    audit.append(tx, caller.project, caller.actor, "webhook.pinged", id)
    return events.append(tx, caller.project, "webhook.ping", webhook=id)


def _told(
    tx: Transaction,
    project: str,
    id: str,
    states: Collection[DeliveryState],
    before: int | None,
    limit: int,
) -> list[Delivery]:
    webhooks.get(tx, project, id)
    return deliveries.page(tx, project, id, states, before, limit)


def _telling_again(tx: Transaction, caller: Caller, id: str, n: int) -> Delivery:
    _held(tx, caller, id, None)
    found = deliveries.again(tx, caller.project, id, n)
    audit.append(tx, caller.project, caller.actor, "webhook.redelivered", id, delivery=n)
    return found


def _held(tx: Transaction, caller: Caller, id: str, version: int | None) -> Webhook:
    webhook = webhooks.get(tx, caller.project, id, lock=True)
    if version not in (None, webhook.version):
        raise Stale(reason="webhook-changed", next="Read the webhook again.")
    return webhook
