"""A request that is sent twice under one Idempotency-Key is carried out once."""

import hashlib
from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE
from broker.domain.errors import Conflict, Invalid
from broker.store import replays
from broker.store.replays import Sent as Sent

LONGEST = 5 * MINUTE
"""No request takes longer: one that has not ended by then was in a process that died."""


class UnderWay(Conflict):
    """The first request with this key is still running."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Kept:
    """How a request was answered; `answer` is whatever the face needs to say so again."""

    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Replaying:
    """Remembers requests for a day, by caller, method, path and key; what they said by its hash."""

    db: Database
    hasher: Hasher

    def sent(self, caller: Caller, route: str, key: str, said: bytes) -> Sent:
        """The request as it is recognized again. The hash is keyed: what was said is not kept."""
        hash = self.hasher(hashlib.sha256(said).hexdigest())
        return Sent(caller.project, caller.session or caller.id, route, key, hash)

    async def begin(self, sent: Sent) -> Kept | None:
        """How it was answered before; None where this is the first, to be carried out now.

        Invalid `idempotency-key-reused` where the key came with something else, UnderWay while
        the first one runs, Conflict `outcome-unknown` where it never ended: then nobody knows
        whether it was done, and twice would be worse.
        """
        return await self.db.write(_beginning, sent)

    async def finish(self, sent: Sent, kept: Kept) -> None:
        """Keep its answer."""
        await self.db.write(replays.finish, sent, kept.status, kept.answer)

    async def forget(self, sent: Sent) -> None:
        """Nothing was done, so that the same key may try again."""
        await self.db.write(replays.forget, sent)


def _beginning(tx: Transaction, sent: Sent) -> Kept | None:
    if replays.begin(tx, sent):
        return None
    found = replays.find(tx, sent)
    if found is None:  # the first one was forgotten in this moment
        raise UnderWay(reason="request-under-way")
    if found["body_hash"] != sent.hash:
        raise Invalid(
            "This Idempotency-Key came with another request.",
            reason="idempotency-key-reused",
            next="Send a new request with a new key.",
        )
    if found["status"] is not None:
        return Kept(found["status"], bytes(found["answer"]))
    if tx.now - found["created_at"] < LONGEST:
        raise UnderWay(reason="request-under-way")
    raise Conflict(
        "The first request with this key never ended; nobody knows whether it was done.",
        reason="outcome-unknown",
        next="Look whether it was done; if not, send it with a new key.",
    )
