"""Work that must happen later: rows written in the transaction of their cause, claimed by lease."""

from dataclasses import dataclass
from typing import Any

import orjson

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.clock import MINUTE, SECOND
from broker.store.shapes import Shape

LEASE = MINUTE
BACKOFF = (SECOND, 2 * SECOND, 4 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE)


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job; `attempt` is its fence: a lease that ran out cannot report."""

    id: str
    project: str | None
    kind: str
    data: dict[str, Any]
    secret: bytes | None
    attempt: int


def add(
    tx: Transaction,
    kind: str,
    project: str | None = None,
    *,
    id: str | None = None,
    once: str | None = None,
    due: int | None = None,
    secret: bytes | None = None,
    **data: object,
) -> None:
    """Queue a job for `due` (now, where not given); one open job for each `once`.

    `secret` stays sealed for the token set it left, which `data` names as `token_set` (K12).
    """
    sql = """
        INSERT INTO jobs (id, project_id, kind, data, secret, once, due_at, created_at)
        VALUES (:id, :project, :kind, :data, :secret, :once, :due, :now)
        ON CONFLICT DO NOTHING
    """
    tx.run(
        sql,
        id=id or ids.new("job"),
        project=project,
        kind=kind,
        data=orjson.dumps(data).decode(),
        secret=secret,
        once=once,
        due=due if due is not None else tx.now,
        now=tx.now,
    )


def is_due(tx: Transaction) -> bool:
    """Whether a claim would find something; reading is cheaper than claiming."""
    return tx.find(_DUE, now=tx.now) is not None


def claim(tx: Transaction) -> Job | None:
    """The job that is due the longest, leased for a minute; None where nothing is due."""
    row = tx.find(_DUE + tx.skip_locked, now=tx.now)
    if row is None:
        return None
    sql = """
        UPDATE jobs SET lease_until = :until, attempt = attempt + 1
         WHERE id = :id
        RETURNING id, project_id, kind, data, secret, attempt
    """
    return _SHAPE.one(tx.find(sql, id=row["id"], until=tx.now + LEASE))


def extend(tx: Transaction, job: Job) -> bool:
    """One minute more; False where another has taken it meanwhile: then nothing may be written."""
    sql = """
        UPDATE jobs SET lease_until = :until
         WHERE id = :id AND attempt = :attempt AND done_at IS NULL AND dead_at IS NULL
        RETURNING id
    """
    held = tx.find(sql, id=job.id, attempt=job.attempt, until=tx.now + LEASE)
    return held is not None


def done(tx: Transaction, job: Job) -> None:
    """It happened; its secret is erased."""
    sql = """
        UPDATE jobs SET done_at = :now, secret = NULL, lease_until = NULL
         WHERE id = :id AND attempt = :attempt
    """
    tx.run(sql, id=job.id, attempt=job.attempt, now=tx.now)


def later(tx: Transaction, job: Job, error: str, *, after: int | None = None) -> None:
    """It did not work this time; try again in `after` microseconds, or up the ladder."""
    wait = after if after is not None else BACKOFF[min(job.attempt, len(BACKOFF)) - 1]
    sql = """
        UPDATE jobs SET due_at = :due, lease_until = NULL, error = :error
         WHERE id = :id AND attempt = :attempt
    """
    tx.run(sql, id=job.id, attempt=job.attempt, due=tx.now + wait, error=error)


def is_open(tx: Transaction, project: str, kind: str, connector: str) -> bool:
    """Whether a job of that kind, which names the connector in its data, is still to be done."""
    sql = """
        SELECT id FROM jobs
         WHERE project_id = :project AND kind = :kind AND data LIKE :named
           AND done_at IS NULL AND dead_at IS NULL
         LIMIT 1
    """
    named = f'%"connector":"{connector}"%'
    return tx.find(sql, project=project, kind=kind, named=named) is not None


def hurry(tx: Transaction, project: str, once: str) -> None:
    """Let the open job of that name be claimed now, also where somebody has it: a lease is over."""
    sql = """
        UPDATE jobs SET due_at = :now, lease_until = NULL, attempt = attempt + 1
         WHERE project_id = :project AND once = :once AND done_at IS NULL AND dead_at IS NULL
    """
    tx.run(sql, project=project, once=once, now=tx.now)


def dead(tx: Transaction, job: Job, error: str) -> None:
    """It will not happen; its secret is erased."""
    sql = """
        UPDATE jobs SET dead_at = :now, secret = NULL, lease_until = NULL, error = :error
         WHERE id = :id AND attempt = :attempt
    """
    tx.run(sql, id=job.id, attempt=job.attempt, now=tx.now, error=error)


_DUE = """
    SELECT id FROM jobs
     WHERE done_at IS NULL AND dead_at IS NULL AND due_at <= :now
       AND (lease_until IS NULL OR lease_until < :now)
     ORDER BY due_at
     LIMIT 1
"""


_SHAPE = Shape(Job)
