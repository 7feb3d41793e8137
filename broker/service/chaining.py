"""The audit's chain, made behind the commit: within it, replicas would wait in line (safety 34)."""

import hashlib
from dataclasses import dataclass

import structlog

from broker.db.database import Database, Transaction
from broker.store import chain

AT_ONCE = 500
log = structlog.get_logger("broker.audit")


@dataclass(frozen=True, slots=True)
class Chaining:
    """Each hash covers the one before it and the digest of its row."""

    db: Database

    async def chain(self) -> int:
        """Chain what was committed; how many rows. Duplicate where another replica was first."""
        if not await self.db.read(chain.unchained, 1):
            return 0
        return await self.db.write(_chaining)

    async def tell(self) -> None:
        """Let the head leave the database as a log line, so that a cut chain is noticed."""
        count, hash = await self.db.read(chain.head)
        log.info("audit head", count=count, hash=hash)


def _chaining(tx: Transaction) -> int:
    length, hash = chain.head(tx)
    found = chain.unchained(tx, AT_ONCE)
    for position, row in enumerate(found, length + 1):
        hash = hashlib.sha256(f"{hash}{row['digest']}".encode()).hexdigest()
        chain.append(tx, position, row["n"], hash)
    return len(found)
