"""AuthenticateUser while it is asked: what was expected, who proved it; gone after its time."""

from typing import Any

import orjson

from broker.db.database import Row, Transaction
from broker.domain.actions import Action, Expected, State, Verdict
from broker.domain.errors import NotFound
from broker.store.shapes import Shape


def insert(tx: Transaction, action: Action) -> None:
    """Keep a new action under its coupon."""
    sql = f"""
        INSERT INTO actions (project_id, request, answer, {_SHAPE.columns})
        VALUES (:project, :request, :answer, {_SHAPE.values})
    """
    tx.run(sql, **_parameters(action))


def find(tx: Transaction, project: str, coupon: int, *, lock: bool = False) -> Action | None:
    """The action of that coupon; with `lock` nobody else changes it until the unit ends."""
    sql = "SELECT * FROM actions WHERE project_id = :project AND coupon = :coupon"
    row = tx.find(sql + tx.for_update if lock else sql, project=project, coupon=coupon)
    return _action(row) if row else None


def get(tx: Transaction, project: str, coupon: int, *, lock: bool = False) -> Action:
    """The action of that coupon; NotFound where there is none, or its time is over (R87)."""
    action = find(tx, project, coupon, lock=lock)
    if action is None or action.expires_at <= tx.now:
        raise NotFound()
    return action


def change(tx: Transaction, action: Action) -> None:
    """Keep what became of an action that this unit holds."""
    sql = f"""
        UPDATE actions SET request = :request, answer = :answer, {_SHAPE.changes}
         WHERE project_id = :project AND coupon = :coupon
    """
    tx.run(sql, **_parameters(action))


def end_all(tx: Transaction, project: str, user_id: str) -> None:
    """A person who was suspended or deleted completes nothing they had begun, and what they had
    completed counts no more (safety 8).
    """
    sql = """
        UPDATE actions SET state = 'expired', code_hash = NULL, version = version + 1
         WHERE project_id = :project AND user_id = :user AND state <> 'expired'
    """
    tx.run(sql, project=project, user=user_id)


def is_signed_in_since(tx: Transaction, project: str, session_hash: str, since: int) -> bool:
    """Whether the person of this living session was asked anew who they are after `since`: neither
    a cookie from before proves that they are there, nor an issuer that knew them already.
    """
    sql = """
        SELECT hash FROM sessions
         WHERE project_id = :project AND hash = :hash AND anew_since >= :since
           AND ended_at IS NULL AND expires_at > :now
    """
    return tx.find(sql, project=project, hash=session_hash, since=since, now=tx.now) is not None


def sweep(tx: Transaction) -> None:
    """Erase the actions of any project whose time is over: transient, as R87 says."""
    tx.run("DELETE FROM actions WHERE expires_at <= :now", now=tx.now)


_SHAPE = Shape(
    Action,
    apart=("expected", "suffixes", "verdict"),
    fixed=("coupon", "key", "return_url", "created_at", "expires_at"),
)


def _parameters(action: Action) -> dict[str, Any]:
    """The columns of an action; what was asked goes once it is answered (R87)."""
    asked: dict[str, object] = {}
    if action.state in (State.PENDING, State.PROVEN):
        asked["expected"] = [[one.suffix, one.logon] for one in action.expected]
        asked["suffixes"] = list(action.suffixes)
    answer = orjson.dumps(action.verdict).decode() if action.verdict else None
    return _SHAPE.parameters(action) | {"request": orjson.dumps(asked).decode(), "answer": answer}


def _action(row: Row) -> Action:
    asked = orjson.loads(row["request"])
    return _SHAPE.read(
        row,
        expected=tuple(Expected(*pair) for pair in asked.get("expected", ())),
        suffixes=tuple(asked.get("suffixes", ())),
        verdict=_verdict(row["answer"]) if row["answer"] else None,
    )


def _verdict(text: str) -> Verdict:
    said = orjson.loads(text)
    return Verdict(said["items"], said["reason"], said["user"], tuple(said["unmapped"]))
