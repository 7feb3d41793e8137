"""Who ran as whom: one decision an attempt, one line each time it was looked at; append only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker.db.database import Row, Transaction
from broker.domain import ids
from broker.domain.errors import NotFound
from broker.store import rows
from broker.store.shapes import JSON, Form, Shape


@dataclass(frozen=True, slots=True)
class Decision:
    """What a key asked of one attempt of one step; `version` counts its lines."""

    id: str
    project: str
    key: str
    execution: str
    step: str
    attempt: int
    question_hash: str
    question: bytes
    version: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Line:
    """One look at a decision and its answer: ids and codes, never a credential.

    `credential` says that one left. `user` is the subject, whoever it ran as. `facts` is what the
    table was asked, anything JSON can hold.
    """

    version: int
    row: str
    outcome: str
    status: str | None
    connector: str
    reason: str | None = None
    identity: str | None = None
    user: str | None = None
    provider_account: str | None = None
    token_version: int | None = None
    credential: bool = False
    fallback: bool = False
    warning: str | None = None
    pause: str | None = None
    link: str | None = None
    facts: Any = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Earlier:
    """What this attempt is about for good: the connector and the person it was first found to mean
    (safety 23); and whether it ran as the person (F20).
    """

    connector: str | None = None
    user: str | None = None
    ran_as_user: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """A line together with the attempt it belongs to, as the ran-as report shows it."""

    n: int
    decision: str
    key: str
    execution: str
    step: str
    attempt: int
    line: Line


def ask(
    tx: Transaction,
    project: str,
    key: str,
    execution: str,
    step: str,
    attempt: int,
    question: bytes,
    question_hash: str,
) -> Decision:
    """The decision of this attempt, one version on, locked; what it was first asked stays.

    Its `question` is the one given: where that is another, the hash says so.
    """
    sql = """
        INSERT INTO decisions (id, project_id, key_id, execution, step, attempt, question_hash,
                               question, created_at)
        VALUES (:id, :project, :key, :execution, :step, :attempt, :hash, :question, :now)
        ON CONFLICT (project_id, key_id, execution, step, attempt)
        DO UPDATE SET version = decisions.version + 1
        RETURNING id, question_hash, version, created_at
    """
    attempted = {"execution": execution, "step": step, "attempt": attempt}
    asked: dict[str, Any] = {"project": project, "key": key, **attempted}
    text = question.decode()
    row = tx.find(sql, id=ids.new("dec"), hash=question_hash, question=text, now=tx.now, **asked)
    assert row is not None  # an upsert answers with its row
    return Decision(question=question, **asked, **row)


def asked(
    tx: Transaction,
    project: str,
    key: str,
    execution: str,
    step: str,
    attempt: int,
    *,
    lock: bool = False,
) -> Decision | None:
    """What this attempt was first asked; None where nobody asked; `lock` keeps it as it is."""
    sql = """
        SELECT * FROM decisions
         WHERE project_id = :project AND key_id = :key AND execution = :execution
           AND step = :step AND attempt = :attempt
    """
    row = tx.find(
        sql + tx.for_update if lock else sql,
        project=project,
        key=key,
        execution=execution,
        step=step,
        attempt=attempt,
    )
    return _DECISION.one(row)


def ask_again(tx: Transaction, project: str, id: str) -> Decision:
    """The same decision, one version on, locked; NotFound where there is none."""
    sql = """
        UPDATE decisions SET version = version + 1
         WHERE project_id = :project AND id = :id RETURNING *
    """
    row = tx.find(sql, project=project, id=id)
    if row is None:
        raise NotFound()
    return _DECISION.read(row)


def find(tx: Transaction, project: str, id: str) -> Decision | None:
    """The decision of that id."""
    sql = "SELECT * FROM decisions WHERE project_id = :project AND id = :id"
    return _DECISION.one(tx.find(sql, project=project, id=id))


def earlier(tx: Transaction, project: str, decision: Decision) -> Earlier:
    """What the earlier lines of this attempt say; nothing where it is asked for the first time."""
    if decision.version == 1:
        return Earlier()
    sql = """
        SELECT (SELECT connector_id FROM decision_lines
                 WHERE project_id = :project AND decision_id = :decision AND connector_id <> ''
                 ORDER BY version LIMIT 1) AS connector,
               (SELECT user_id FROM decision_lines
                 WHERE project_id = :project AND decision_id = :decision AND user_id IS NOT NULL
                 ORDER BY version LIMIT 1) AS person,
               (SELECT 1 FROM decision_lines
                 WHERE project_id = :project AND decision_id = :decision
                   AND outcome = 'run' AND identity = 'user' LIMIT 1) AS ran
    """
    row = tx.find(sql, project=project, decision=decision.id)
    return Earlier(row["connector"], row["person"], row["ran"] is not None) if row else Earlier()


def append(tx: Transaction, project: str, decision: str, line: Line) -> None:
    """Write down one answer, in the transaction that found it."""
    sql = f"""
        INSERT INTO decision_lines (project_id, decision_id, {_LINE.columns})
        VALUES (:project, :decision, {_LINE.values})
    """
    held = _LINE.parameters(line) | {"at": tx.now}
    tx.run(sql, **held, project=project, decision=decision)


def lines(tx: Transaction, project: str, decision: str) -> list[Line]:
    """Every look at a decision, the first one first."""
    sql = """
        SELECT * FROM decision_lines
         WHERE project_id = :project AND decision_id = :decision ORDER BY version
    """
    return _LINE.each(tx.all(sql, project=project, decision=decision))


def page(
    tx: Transaction,
    project: str,
    *,
    user: str | None = None,
    key: str | None = None,
    names: Sequence[str] = (),
    execution: str | None = None,
    warned: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[Ran]:
    """The ran-as report, newest line first (R2): of one person, one execution, or all; with
    `warned` only lines that carry a warning. `key` and `names` are those of `seen_by`.
    """
    seen, theirs = seen_by(key, names)
    wanted = {
        "l.user_id = :user": user,
        "d.execution = :execution": execution,
        "l.n < :before": before,
        "l.warning IS NOT NULL": warned or None,
    }
    narrowed = seen + "".join(f" AND {each}" for each, value in wanted.items() if value is not None)
    sql = f"""
        SELECT l.*, d.key_id, d.execution, d.step, d.attempt
          FROM decision_lines l
          JOIN decisions d ON d.project_id = l.project_id AND d.id = l.decision_id
         WHERE l.project_id = :project {narrowed}
         ORDER BY l.n DESC LIMIT :limit
    """
    given = {"user": user, "execution": execution, "before": before, **theirs}
    found = tx.all(sql, project=project, limit=limit, **given)
    return [_RAN.read(row, line=_LINE.read(row)) for row in found]


def seen_by(key: str | None, names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """What narrows lines `l` of decisions `d` to what the key asked, with what was asked at the
    connectors of these name keys; None is all of them.
    """
    if key is None:
        return "", {}
    called, keys = rows.listed(names, "name")
    named = f"SELECT id FROM connectors WHERE project_id = :project AND name_key IN ({called})"
    also = f" OR l.connector_id IN ({named})" if names else ""
    return f" AND (d.key_id = :key{also})", {"key": key, **keys}


def used(tx: Transaction, project: str, user: str, since: int) -> list[Row]:
    """What ran as the person from then on, by connector and key, the latest first.

    `steps` counts decisions, `question` is the last one's, `service` the key's name.
    """
    sql = """
        SELECT by_key.*, d.question, k.name AS service
          FROM (SELECT l.connector_id, d.key_id, count(DISTINCT d.id) AS steps,
                       count(DISTINCT d.execution) AS executions, max(l.at) AS last,
                       max(l.n) AS newest
                  FROM decision_lines l
                  JOIN decisions d ON d.project_id = l.project_id AND d.id = l.decision_id
                 WHERE l.project_id = :project AND l.user_id = :user AND l.at >= :since
                   AND l.outcome = 'run' AND l.identity = 'user'
                 GROUP BY l.connector_id, d.key_id) AS by_key
          JOIN decision_lines l ON l.project_id = :project AND l.n = by_key.newest
          JOIN decisions d ON d.project_id = :project AND d.id = l.decision_id
          LEFT JOIN api_keys k ON k.project_id = :project AND k.id = by_key.key_id
         ORDER BY by_key.newest DESC
    """
    return tx.all(sql, project=project, user=user, since=since)


_DECISION = Shape(Decision, forms={"question": Form(bytes.decode, str.encode)})


_LINE = Shape(Line, forms={"facts": JSON})
_RAN = Shape(Ran, apart=("line",))
