"""The audit's chain, made behind the commit (safety 34, promise 21)."""

from __future__ import annotations

import asyncio
import hashlib

import structlog

from broker.db.database import Database, Duplicate, Transaction
from broker.service.chaining import Chaining
from broker.store import audit, chain, events, projects


def verified(tx: Transaction) -> int:
    """How many rows the chain holds, after computing every hash again."""
    hash = ""
    rows = tx.all(
        """
        SELECT position, hash, digest FROM audit_chain JOIN audit ON audit.n = audit_chain.audit_n
         ORDER BY position
        """
    )
    for place, row in enumerate(rows, 1):
        hash = hashlib.sha256(f"{hash}{row['digest']}".encode()).hexdigest()
        assert (row["position"], row["hash"]) == (place, hash)
    return len(rows)


async def act(db: Database, *actions: str) -> None:
    """Acts that are in the audit."""
    for action in actions:
        await db.write(_acting, action)


def _acting(tx: Transaction, action: str) -> None:
    audit.append(tx, "prj_1", "key:test", action)


async def test_each_row_is_chained_once(db: Database) -> None:
    """Committed rows are chained in order; a second look finds nothing to do."""
    await act(db, "a", "b", "c")
    assert await Chaining(db).chain() == 3
    assert await Chaining(db).chain() == 0
    await act(db, "d")
    assert await Chaining(db).chain() == 1
    assert await db.read(verified) == 4
    assert (await db.read(chain.head))[0] == 4


async def test_a_row_that_commits_late_is_not_forgotten(db: Database) -> None:
    """A row numbered before one that was chained already is chained behind it."""
    await act(db, "a", "b", "c")

    def only_the_last(tx: Transaction) -> None:
        (*_, last) = chain.unchained(tx, 10)
        hash = hashlib.sha256(str(last["digest"]).encode()).hexdigest()
        chain.append(tx, 1, last["n"], hash)

    await db.write(only_the_last)
    assert await Chaining(db).chain() == 2
    assert await db.read(verified) == 3


async def test_replicas_make_one_chain(db: Database) -> None:
    """Many at once: one wins, the others hear Duplicate, and the chain holds."""
    await act(db, *"abcdefgh")
    results = await asyncio.gather(
        *(Chaining(db).chain() for _ in range(4)), return_exceptions=True
    )
    assert all(isinstance(each, int | Duplicate) for each in results)
    assert await db.read(verified) == 8


async def test_the_head_leaves_the_database(db: Database) -> None:
    """Safety 34: count and hash are a log line and an event of the default project, so that
    whoever cuts the chain is found out.
    """
    project = await db.write(projects.insert, projects.DEFAULT)
    assert project is not None
    await act(db, "a", "b")
    await Chaining(db).chain()
    with structlog.testing.capture_logs() as lines:
        await Chaining(db).tell()
    (line,) = lines
    assert (line["count"], line["hash"]) == await db.read(chain.head)
    [told] = await db.write(events.publish, project.id)
    assert (told.type, told.data) == ("audit.head", {"count": 2, "hash": line["hash"]})
