"""AuthenticateUser while it is asked: what was expected, who proved it; gone after its time."""

from dataclasses import asdict

import orjson

from broker.db.database import Row, Transaction
from broker.domain.actions import Action, Expected, State, Verdict
from broker.domain.errors import NotFound


def insert(tx: Transaction, action: Action) -> None:
    """Keep a new action under its coupon."""
    tx.run(
        """
        INSERT INTO actions (project_id, coupon, key_id, state, request, answer, user_id,
                             return_url, code_hash, version, created_at, expires_at)
        VALUES (:project, :coupon, :key, :state, :request, :answer, :user,
                :return_url, :code_hash, :version, :created_at, :expires_at)
        """,
        key=action.key,
        return_url=action.return_url,
        created_at=action.created_at,
        expires_at=action.expires_at,
        **_columns(action),
    )


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
    tx.run(
        """
        UPDATE actions
           SET state = :state, request = :request, answer = :answer, user_id = :user,
               code_hash = :code_hash, version = :version
         WHERE project_id = :project AND coupon = :coupon
        """,
        **_columns(action),
    )


def end_all(tx: Transaction, project: str, user_id: str) -> None:
    """A person who was suspended or deleted completes nothing they had begun (safety 8)."""
    tx.run(
        """
        UPDATE actions
           SET state = 'expired', request = '{}', code_hash = NULL, version = version + 1
         WHERE project_id = :project AND user_id = :user AND state IN ('pending', 'proven')
        """,
        project=project,
        user=user_id,
    )


def is_signed_in_since(tx: Transaction, project: str, session_hash: str, since: int) -> bool:
    """Whether this living session began after `since`: a cookie from before proves nothing."""
    row = tx.find(
        """
        SELECT hash FROM sessions
         WHERE project_id = :project AND hash = :hash AND created_at >= :since
           AND ended_at IS NULL AND expires_at > :now
        """,
        project=project,
        hash=session_hash,
        since=since,
        now=tx.now,
    )
    return row is not None


def sweep(tx: Transaction) -> None:
    """Erase the actions of any project whose time is over: transient, as R87 says."""
    tx.run("DELETE FROM actions WHERE expires_at <= :now", now=tx.now)


def _columns(action: Action) -> dict[str, object]:
    """What an insert and a change both write; what was asked goes once it is answered (R87)."""
    asked: dict[str, object] = {}
    if action.state in (State.PENDING, State.PROVEN):
        asked["expected"] = [[one.suffix, one.logon] for one in action.expected]
        asked["suffixes"] = list(action.suffixes)
    verdict = action.verdict
    return {
        "project": action.project,
        "coupon": action.coupon,
        "state": action.state,
        "request": orjson.dumps(asked).decode(),
        "answer": orjson.dumps(asdict(verdict)).decode() if verdict else None,
        "user": action.user,
        "code_hash": action.code_hash,
        "version": action.version,
    }


def _action(row: Row) -> Action:
    asked = orjson.loads(row["request"])
    return Action(
        project=row["project_id"],
        coupon=row["coupon"],
        key=row["key_id"],
        state=State(row["state"]),
        expected=tuple(Expected(*pair) for pair in asked.get("expected", ())),
        suffixes=tuple(asked.get("suffixes", ())),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        return_url=row["return_url"],
        user=row["user_id"],
        code_hash=row["code_hash"],
        verdict=_verdict(row["answer"]) if row["answer"] else None,
        version=row["version"],
    )


def _verdict(text: str) -> Verdict:
    said = orjson.loads(text)
    return Verdict(said["items"], said["reason"], said["user"], tuple(said["unmapped"]))
