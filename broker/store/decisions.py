"""Who ran as whom: one decision an attempt, one line each time it was looked at; append only."""

from dataclasses import dataclass
from typing import Any

import orjson

from broker.db.database import Row, Transaction
from broker.domain import ids
from broker.domain.errors import NotFound


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
    """The decision of this attempt, one version on, locked; what it was first asked stays."""
    row = tx.find(
        """
        INSERT INTO decisions (id, project_id, key_id, execution, step, attempt, question_hash,
                               question, created_at)
        VALUES (:id, :project, :key, :execution, :step, :attempt, :hash, :question, :now)
        ON CONFLICT (project_id, key_id, execution, step, attempt)
        DO UPDATE SET version = decisions.version + 1
        RETURNING *
        """,
        id=ids.new("dec"),
        project=project,
        key=key,
        execution=execution,
        step=step,
        attempt=attempt,
        hash=question_hash,
        question=question.decode(),
        now=tx.now,
    )
    assert row is not None  # an upsert answers with its row
    return _decision(row)


def ask_again(tx: Transaction, project: str, id: str) -> Decision:
    """The same decision, one version on, locked; NotFound where there is none."""
    row = tx.find(
        """
        UPDATE decisions SET version = version + 1
         WHERE project_id = :project AND id = :id RETURNING *
        """,
        project=project,
        id=id,
    )
    if row is None:
        raise NotFound()
    return _decision(row)


def find(tx: Transaction, project: str, id: str) -> Decision | None:
    """The decision of that id."""
    row = tx.find(
        "SELECT * FROM decisions WHERE project_id = :project AND id = :id", project=project, id=id
    )
    return _decision(row) if row else None


def ran_as_person(tx: Transaction, project: str, decision: Decision) -> bool:
    """Whether an earlier line of this attempt ran as the person (F20)."""
    if decision.version == 1:
        return False
    row = tx.find(
        """
        SELECT 1 AS one FROM decision_lines
         WHERE project_id = :project AND decision_id = :decision
           AND outcome = 'run' AND identity = 'user'
         LIMIT 1
        """,
        project=project,
        decision=decision.id,
    )
    return row is not None


def append(tx: Transaction, project: str, decision: str, line: Line) -> None:
    """Write down one answer, in the transaction that found it."""
    tx.run(
        """
        INSERT INTO decision_lines (project_id, decision_id, version, row, outcome, status, reason,
                                    identity, user_id, connector_id, provider_account,
                                    token_version, credential, fallback, warning, pause_id,
                                    link_id, facts, at)
        VALUES (:project, :decision, :version, :row, :outcome, :status, :reason,
                :identity, :user, :connector, :account,
                :token_version, :credential, :fallback, :warning, :pause,
                :link, :facts, :now)
        """,
        project=project,
        decision=decision,
        version=line.version,
        row=line.row,
        outcome=line.outcome,
        status=line.status,
        reason=line.reason,
        identity=line.identity,
        user=line.user,
        connector=line.connector,
        account=line.provider_account,
        token_version=line.token_version,
        credential=int(line.credential),
        fallback=int(line.fallback),
        warning=line.warning,
        pause=line.pause,
        link=line.link,
        facts=orjson.dumps(line.facts).decode(),
        now=tx.now,
    )


def lines(tx: Transaction, project: str, decision: str) -> list[Line]:
    """Every look at a decision, the first one first."""
    rows = tx.all(
        """
        SELECT * FROM decision_lines
         WHERE project_id = :project AND decision_id = :decision ORDER BY version
        """,
        project=project,
        decision=decision,
    )
    return [_line(row) for row in rows]


def page(
    tx: Transaction,
    project: str,
    *,
    user: str | None = None,
    key: str | None = None,
    execution: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Ran]:
    """The ran-as report, newest line first (R2): of one person, one key, one execution, or all."""
    given = {"l.user_id": user, "d.key_id": key, "d.execution": execution}
    wanted = {column: value for column, value in given.items() if value is not None}
    rows = tx.all(
        f"""
        SELECT l.*, d.key_id, d.execution, d.step, d.attempt
          FROM decision_lines l
          JOIN decisions d ON d.project_id = l.project_id AND d.id = l.decision_id
         WHERE l.project_id = :project
           {"".join(f"AND {column} = :{column[2:]} " for column in wanted)}
           {"AND l.n < :before" if before is not None else ""}
         ORDER BY l.n DESC LIMIT :limit
        """,
        project=project,
        limit=limit,
        **{column[2:]: value for column, value in wanted.items()},
        **({"before": before} if before is not None else {}),
    )
    return [
        Ran(
            n=row["n"],
            decision=row["decision_id"],
            key=row["key_id"],
            execution=row["execution"],
            step=row["step"],
            attempt=row["attempt"],
            line=_line(row),
        )
        for row in rows
    ]


def _decision(row: Row) -> Decision:
    return Decision(
        id=row["id"],
        project=row["project_id"],
        key=row["key_id"],
        execution=row["execution"],
        step=row["step"],
        attempt=row["attempt"],
        question_hash=row["question_hash"],
        question=row["question"].encode(),
        version=row["version"],
        created_at=row["created_at"],
    )


def _line(row: Row) -> Line:
    return Line(
        version=row["version"],
        row=row["row"],
        outcome=row["outcome"],
        status=row["status"],
        connector=row["connector_id"],
        reason=row["reason"],
        identity=row["identity"],
        user=row["user_id"],
        provider_account=row["provider_account"],
        token_version=row["token_version"],
        credential=bool(row["credential"]),
        fallback=bool(row["fallback"]),
        warning=row["warning"],
        pause=row["pause_id"],
        link=row["link_id"],
        facts=orjson.loads(row["facts"]),
        at=row["at"],
    )
