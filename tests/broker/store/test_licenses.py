"""The allocator: one row a project, locked by whoever gives or takes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.db.database import Database, Transaction
from broker.domain.errors import NotFound
from broker.domain.licenses import Promotion
from broker.store import licenses, projects
from tests.broker.store.people import kept, waiting


async def test_a_new_project_has_no_limit(db: Database) -> None:
    """building.md: capacity is null, promotion automatic, nothing held, nobody waits."""
    project = await db.write(projects.insert, "one")
    assert project is not None
    found = await db.read(licenses.get, project.id)
    assert (found.capacity, found.held, found.queued) == (None, 0, 0)
    assert (found.promotion, found.strict, found.next_seq) == (Promotion.AUTO, False, 1)
    with pytest.raises(NotFound):
        await db.write(licenses.lock, "prj_none")


async def test_what_is_changed_is_what_comes_back(db: Database) -> None:
    """Capacity, held, the last number, promotion and order survive; who waits is counted."""
    project = await db.write(projects.insert, "one")
    assert project is not None
    before = await db.read(licenses.get, project.id)
    after = replace(
        before, capacity=7, held=3, queue_last=9, promotion=Promotion.MANUAL, strict=True
    )
    await db.write(licenses.change, after)
    await db.write(kept, replace(waiting("kim", 9), project=project.id))
    assert await db.write(licenses.lock, project.id) == replace(after, queued=1)


async def test_nobody_gives_the_same_license(db: Database) -> None:
    """The lock is the order: 40 units that each take one, at once, take 40."""
    project = await db.write(projects.insert, "one")
    assert project is not None

    def taking(tx: Transaction) -> int:
        row = licenses.lock(tx, project.id)
        licenses.change(tx, replace(row, held=row.held + 1))
        return row.held

    seen = await asyncio.gather(*(db.write(taking) for _ in range(40)))
    assert sorted(seen) == list(range(40))
