"""How often each person, or each connector, came to what: lines of decisions, counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain.clock import HOUR
from broker.store import decisions


@dataclass(frozen=True, slots=True)
class Count:
    """What one person, or one connector ("" for none), came to: each line once."""

    who: str
    run_as_user: int
    run_as_connector: int
    asked: int
    paused: int
    waited: int
    errors: int
    lines: int


def counted(
    tx: Transaction,
    project: str,
    by: str,
    *,
    key: str | None = None,
    names: Sequence[str] = (),
    since: int | None = None,
    until: int | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[Count]:
    """Lines from `since` to before `until`, counted by `user` or `connector`, those behind `after`;
    `key` and `names` are those of `decisions.seen_by`.
    """
    seen, theirs = decisions.seen_by(key, names)
    wanted = {
        "l.at >= :since": since,
        "l.n >= :first": None if since is None else _first(tx, project, since - HOUR),
        "l.at < :until": until,
        "l.n < :last": None if until is None else _first(tx, project, until + HOUR),
        f"COALESCE(l.{by}_id, '') > :after": after,
    }
    narrowed = seen + "".join(f" AND {each}" for each, value in wanted.items() if value is not None)
    given = {each.rpartition(":")[2]: value for each, value in wanted.items()}
    sql = f"""
        SELECT COALESCE(l.{by}_id, '') AS who, {_OUTCOMES}
          FROM decision_lines l
          JOIN decisions d ON d.project_id = l.project_id AND d.id = l.decision_id
         WHERE l.project_id = :project {narrowed}
         GROUP BY COALESCE(l.{by}_id, '') ORDER BY who LIMIT :limit
    """
    return [Count(**row) for row in tx.all(sql, project=project, limit=limit, **given, **theirs)]


def _first(tx: Transaction, project: str, at: int) -> int:
    """The number of the project's first line at or after that time, one past the last where there
    is none: found by halves, because lines are numbered as they come, but for replicas' clocks.
    An index on time would cost every resolve.
    """
    sql = "SELECT n FROM decision_lines WHERE project_id = :project ORDER BY n DESC LIMIT 1"
    newest = tx.find(sql, project=project)
    low, high = 0, int(newest["n"]) + 1 if newest else 0
    sql = """
        SELECT n, at FROM decision_lines
         WHERE project_id = :project AND n >= :n ORDER BY n LIMIT 1
    """
    while low < high:
        middle = (low + high) // 2
        found = tx.find(sql, project=project, n=middle)
        if found is None or found["at"] >= at:
            high = middle
        else:
            low = int(found["n"]) + 1
    return low


_OUTCOMES = """
    count(CASE WHEN l.outcome = 'run' AND l.identity = 'user' THEN 1 END) AS run_as_user,
    count(CASE WHEN l.outcome = 'run' AND l.identity = 'connector' THEN 1 END)
        AS run_as_connector,
    count(CASE WHEN l.outcome = 'ask' THEN 1 END) AS asked,
    count(CASE WHEN l.outcome = 'pause' THEN 1 END) AS paused,
    count(CASE WHEN l.outcome = 'wait' THEN 1 END) AS waited,
    count(CASE WHEN l.outcome = 'error' THEN 1 END) AS errors,
    count(*) AS lines
"""
