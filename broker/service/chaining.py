"""The audit's chain, made behind the commit: within it, replicas would wait in line (safety 34)."""

import hashlib
from dataclasses import dataclass

import structlog

from broker.db.database import Database, Transaction
from broker.store import chain, events, projects

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
        """Let the head leave the database, so that a cut chain is noticed: as a log line, and as an
        event of the default project, whose administrators are the operator's.
        """
        count, hash = await self.db.write(_telling)
        log.info("audit head", count=count, hash=hash)


def _telling(tx: Transaction) -> tuple[int, str]:
    count, hash = chain.head(tx)
    if (project := projects.named(tx, projects.DEFAULT)) is not None:
        events.append(tx, project.id, "audit.head", count=count, hash=hash)
    return count, hash


def _chaining(tx: Transaction) -> int:
    length, hash = chain.head(tx)
    found = chain.unchained(tx, AT_ONCE)
    for position, row in enumerate(found, length + 1):
        hash = hashlib.sha256(f"{hash}{row['digest']}".encode()).hexdigest()
        chain.append(tx, position, row["n"], hash)
    return len(found)
