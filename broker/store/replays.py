"""Requests that carried an Idempotency-Key: each is carried out once, and its answer kept a day."""

from dataclasses import dataclass

from broker.db.database import Row, Transaction
from broker.domain.clock import DAY

LIFETIME = DAY


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it is recognized again: whose, to where, under which key, saying what."""

    project: str
    caller: str
    route: str
    key: str
    hash: str


def begin(tx: Transaction, sent: Sent) -> bool:
    """Keep that this request is under way; False where its key was used within a day."""
    sql = """
        INSERT INTO replays (project_id, key_id, route, key, body_hash, created_at, expires_at)
        VALUES (:project, :caller, :route, :key, :hash, :now, :expires_at)
        ON CONFLICT (key_id, route, key) DO UPDATE
           SET body_hash = excluded.body_hash, status = NULL, answer = NULL,
               created_at = excluded.created_at, expires_at = excluded.expires_at
         WHERE replays.project_id = excluded.project_id AND replays.expires_at <= :now
        RETURNING key
    """
    row = tx.find(
        sql,
        project=sent.project,
        caller=sent.caller,
        route=sent.route,
        key=sent.key,
        hash=sent.hash,
        now=tx.now,
        expires_at=tx.now + LIFETIME,
    )
    return row is not None


def find(tx: Transaction, sent: Sent) -> Row | None:
    """What is kept under the key: `body_hash`, `status` (None: still running), `answer`."""
    sql = f"SELECT body_hash, status, answer, created_at FROM replays WHERE {_THIS}"
    return tx.find(sql, project=sent.project, caller=sent.caller, route=sent.route, key=sent.key)


def finish(tx: Transaction, sent: Sent, status: int, answer: bytes) -> None:
    """Keep how the request was answered."""
    sql = f"UPDATE replays SET status = :status, answer = :answer WHERE {_THIS}"
    tx.run(
        sql,
        project=sent.project,
        caller=sent.caller,
        route=sent.route,
        key=sent.key,
        status=status,
        answer=answer,
    )


def forget(tx: Transaction, sent: Sent) -> None:
    """Let the key be used again: nothing was done."""
    sql = f"DELETE FROM replays WHERE {_THIS} AND status IS NULL"
    tx.run(sql, project=sent.project, caller=sent.caller, route=sent.route, key=sent.key)


_THIS = "project_id = :project AND key_id = :caller AND route = :route AND key = :key"
