"""Evidence that was shown, kept as digests."""

from __future__ import annotations

import asyncio

from broker.db.database import Database
from broker.store import evidence


async def test_first_use(db: Database) -> None:
    """Safety 28: of many who show one id_token one is the first; another project has its own."""
    found = await asyncio.gather(
        *(db.write(evidence.first_use, "prj_1", "digest", 2**60) for _ in range(8))
    )
    assert sorted(found) == [False] * 7 + [True]
    assert await db.write(evidence.first_use, "prj_2", "digest", 2**60)


async def test_sweep(db: Database) -> None:
    """Safety 28: what is too old to be taken anyway is forgotten, and nothing younger."""
    await db.write(evidence.first_use, "prj_1", "old", 1)
    await db.write(evidence.first_use, "prj_1", "young", 2**60)
    await db.write(evidence.sweep)
    assert await db.write(evidence.first_use, "prj_1", "old", 2**60)
    assert not await db.write(evidence.first_use, "prj_1", "young", 2**60)
