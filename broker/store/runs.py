"""Sync runs, their records and warnings: what they came to is counted from the rows."""

from collections.abc import Mapping, Sequence

from broker.db.database import Row, Transaction
from broker.domain import ids
from broker.domain.clock import SECOND
from broker.domain.runs import Counts, Ending, Issue, Kind, Run, Trigger
from broker.store import rows
from broker.store.shapes import Shape


def open(
    tx: Transaction,
    project: str,
    directory: str,
    trigger: Trigger,
    kind: Kind = Kind.PUSH,
    *,
    by: str = "",
    mapping_version: int = 0,
    expected: int | None = None,
) -> str | None:
    """Begin a run; its id, or None where one is running already: there is one a directory (R1)."""
    sql = """
            INSERT INTO runs (id, project_id, directory_id, kind, trigger, started_by, state,
                              started_at, mapping_version, expected)
            VALUES (:id, :project, :directory, :kind, :trigger, :by, 'running',
                    :now, :mapping, :expected)
            ON CONFLICT DO NOTHING RETURNING id
    """
    row = tx.find(
        sql,
        id=ids.new("run"),
        project=project,
        directory=directory,
        kind=kind.value,
        trigger=trigger.value,
        by=by,
        now=tx.now,
        mapping=mapping_version,
        expected=expected,
    )
    return row["id"] if row else None


def count(tx: Transaction, project: str, directory: str, seen: Mapping[str, int]) -> bool:
    """Add requests that are no records (`reads`, `refused`, `unreadable`) to the running run;
    False where none runs.
    """
    sql = """
            UPDATE runs SET reads = reads + :reads, refused = refused + :refused,
                            unreadable = unreadable + :unreadable
             WHERE project_id = :project AND directory_id = :directory AND state = 'running'
            RETURNING id
    """
    return bool(
        tx.find(
            sql,
            project=project,
            directory=directory,
            reads=seen.get("reads", 0),
            refused=seen.get("refused", 0),
            unreadable=seen.get("unreadable", 0),
        )
    )


def running(tx: Transaction) -> list[tuple[Run, int]]:
    """Every push run that is open, in all projects, without its counts; with its window, in
    microseconds.
    """
    sql = f"""
        SELECT runs.*, {_LAST_AT} AS last_at, directories.window_s
          FROM runs
          JOIN directories ON directories.project_id = runs.project_id
                          AND directories.id = runs.directory_id
         WHERE runs.state = 'running' AND runs.kind = 'push'
    """
    found = tx.all(sql)
    return [(_SHAPE.read(row), row["window_s"] * SECOND) for row in found]


def end(tx: Transaction, project: str, id: str, reason: Ending | None = None) -> bool:
    """End a run; False where it has ended already."""
    sql = """
            UPDATE runs SET state = 'ended', ended_at = :now, reason = :reason
             WHERE project_id = :project AND id = :id AND state = 'running' RETURNING id
    """
    return bool(
        tx.find(sql, project=project, id=id, reason=reason.value if reason else None, now=tx.now)
    )


def find(tx: Transaction, project: str, id: str) -> Run | None:
    """The run of that id, with its counts."""
    return next(iter(_counted(tx, project, tx.all(_FIND, project=project, id=id))), None)


def page(
    tx: Transaction, project: str, directory: str | None, *, before: str | None, limit: int
) -> list[Run]:
    """Runs, the newest first, from the first one older than the run `before` (R107)."""
    sql = f"""
        SELECT runs.*, {_LAST_AT} AS last_at FROM runs
         WHERE project_id = :project
           {"AND directory_id = :directory" if directory else ""}
           {"AND id < :before" if before else ""}
         ORDER BY id DESC
         LIMIT :limit
    """
    found = tx.all(sql, project=project, directory=directory, before=before, limit=limit)
    return _counted(tx, project, found)


def last(tx: Transaction, project: str, directory: str) -> Run | None:
    """The newest run of a directory (R106)."""
    return next(iter(page(tx, project, directory, before=None, limit=1)), None)


def issues(tx: Transaction, project: str, id: str, limit: int = 100) -> list[Issue]:
    """Equal warnings and equal failures of one run, each shown once, the most frequent first."""
    sql = """
        SELECT code, attribute, count(*) AS times FROM record_warnings
         WHERE project_id = :project AND run_id = :run
         GROUP BY code, attribute
        UNION ALL
        SELECT COALESCE(code, 'failed'), NULL, count(*) AS times FROM records
         WHERE project_id = :project AND run_id = :run AND result = 'failed'
         GROUP BY code
         ORDER BY times DESC
         LIMIT :limit
    """
    found = tx.all(sql, project=project, run=id, limit=limit)
    return [Issue(row["code"], row["attribute"], row["times"]) for row in found]


_SHAPE = Shape(Run, apart=("counts", "warnings"))
_LAST_AT = """COALESCE((SELECT at FROM records
                          WHERE records.project_id = runs.project_id AND records.run_id = runs.id
                          ORDER BY records.n DESC LIMIT 1), runs.started_at)"""
_FIND = f"""
    SELECT runs.*, {_LAST_AT} AS last_at FROM runs
     WHERE project_id = :project AND id = :id
"""


def _counted(tx: Transaction, project: str, found: Sequence[Row]) -> list[Run]:
    """These runs with what their records and warnings come to: two statements for all of them."""
    counts: dict[str, dict[str, int]] = {}
    warnings: dict[str, int] = {}
    for some in rows.chunks([row["id"] for row in found]):
        listed, named = rows.listed(some)
        sql = f"""
            SELECT run_id, result, count(*) AS times FROM records
             WHERE project_id = :project AND run_id IN ({listed})
             GROUP BY run_id, result
        """
        for row in tx.all(sql, project=project, **named):
            counts.setdefault(row["run_id"], {})[row["result"]] = row["times"]
        sql = f"""
            SELECT run_id, count(*) AS times FROM record_warnings
             WHERE project_id = :project AND run_id IN ({listed})
             GROUP BY run_id
        """
        for row in tx.all(sql, project=project, **named):
            warnings[row["run_id"]] = row["times"]
    return [
        _SHAPE.read(
            row, counts=Counts(**counts.get(row["id"], {})), warnings=warnings.get(row["id"], 0)
        )
        for row in found
    ]
