"""Sync runs, their records and warnings: what they came to is counted from the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

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


def going(tx: Transaction, project: str, id: str) -> Run | None:
    """The running run of that id, without its counts, nobody else's to end until this unit does;
    None where it is over. Pushes join it all the same.
    """
    sql = """
        SELECT runs.*, started_at AS last_at FROM runs
         WHERE project_id = :project AND id = :id AND state = 'running'
    """
    return _SHAPE.one(tx.find(sql + tx.for_update, project=project, id=id))


def go_on(
    tx: Transaction,
    project: str,
    id: str,
    place: str | None,
    *,
    unchanged: int = 0,
    expected: int | None = None,
    message: str | None = None,
) -> None:
    """Keep where a run goes on (R10), what it found unchanged on the way, and why it waits now."""
    sql = """
            UPDATE runs SET place = :place, unchanged = unchanged + :unchanged, message = :message,
                            expected = COALESCE(CAST(:expected AS bigint), expected)
             WHERE project_id = :project AND id = :id
    """
    more = {"unchanged": unchanged, "expected": expected, "message": message}
    tx.run(sql, project=project, id=id, place=place, **more)


def begin_anew(tx: Transaction, project: str, id: str, mapping_version: int) -> None:
    """Let a run go through everything once more, under another version of the mapping."""
    sql = """
            UPDATE runs SET place = NULL, unchanged = 0, mapping_version = :mapping
             WHERE project_id = :project AND id = :id
    """
    tx.run(sql, project=project, id=id, mapping=mapping_version)


def stop(tx: Transaction, project: str, id: str) -> None:
    """Ask a running run to end after the record it is at."""
    sql = """
            UPDATE runs SET stopping = 1
             WHERE project_id = :project AND id = :id AND state = 'running'
    """
    tx.run(sql, project=project, id=id)


def hold(
    tx: Transaction, project: str, id: str, reason: Ending | None = None, message: str | None = None
) -> bool:
    """Let a run wait for a decision about the changes it holds (R5); False where it is over."""
    sql = """
            UPDATE runs SET state = 'held', held_at = :now, reason = :reason, message = :message
             WHERE project_id = :project AND id = :id AND state = 'running' RETURNING id
    """
    why = {"reason": reason.value if reason else None, "message": message}
    return bool(tx.find(sql, project=project, id=id, now=tx.now, **why))


def decide(tx: Transaction, project: str, id: str, by: str) -> bool:
    """Name who decides about what a run holds (R6), and lock it; False where it holds nothing."""
    sql = """
            UPDATE runs SET decided_by = :by
             WHERE project_id = :project AND id = :id AND state = 'held' RETURNING id
    """
    return bool(tx.find(sql, project=project, id=id, by=by))


def end(
    tx: Transaction, project: str, id: str, reason: Ending | None = None, message: str | None = None
) -> bool:
    """End a run, running or held; False where it has ended already."""
    sql = """
            UPDATE runs SET state = 'ended', ended_at = :now, message = COALESCE(:message, message),
                            reason = COALESCE(:reason, reason)
             WHERE project_id = :project AND id = :id AND state <> 'ended' RETURNING id
    """
    why = {"reason": reason.value if reason else None, "message": message}
    return bool(tx.find(sql, project=project, id=id, now=tx.now, **why))


def current(tx: Transaction, project: str, directory: str) -> Run | None:
    """The run of a directory that is not over, running before held, without its counts."""
    sql = """
        SELECT runs.*, started_at AS last_at FROM runs
         WHERE project_id = :project AND directory_id = :directory AND state <> 'ended'
         ORDER BY state DESC, id DESC LIMIT 1
    """
    return _SHAPE.one(tx.find(sql, project=project, directory=directory))


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
    if kept := _summary(tx.find(_FIND, project=project, id=id)):
        return [Issue(**each) for each in kept["issues"]]
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


def past(tx: Transaction, project: str, before: int, limit: int = 50) -> list[str]:
    """Runs that ended before then and still have their records; the oldest first."""
    sql = """
        SELECT id FROM runs
         WHERE project_id = :project AND ended_at < :before
           AND EXISTS (SELECT 1 FROM records
                        WHERE records.project_id = :project AND run_id = runs.id)
         ORDER BY id LIMIT :limit
    """
    return [row["id"] for row in tx.all(sql, project=project, before=before, limit=limit)]


def summarize(tx: Transaction, project: str, id: str) -> None:
    """Keep what the records of an ended run came to, for the time when they are gone."""
    run = find(tx, project, id)
    if run is None:
        return
    kept = {
        "counts": asdict(run.counts),
        "warnings": run.warnings,
        "issues": [asdict(each) for each in issues(tx, project, id)],
    }
    sql = """
            UPDATE runs SET summary = :kept
             WHERE project_id = :project AND id = :id AND summary IS NULL
    """
    tx.run(sql, project=project, id=id, kept=orjson.dumps(kept).decode())


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
    return [_whole(row, counts.get(row["id"], {}), warnings.get(row["id"], 0)) for row in found]


def _whole(row: Row, counted: Mapping[str, int], warnings: int) -> Run:
    """A run with its counts: what was found as it was is counted beside the records, and a summary
    stands in for records that are past their days.
    """
    if kept := _summary(row):
        return _SHAPE.read(row, counts=Counts(**kept["counts"]), warnings=kept["warnings"])
    unchanged = counted.get("unchanged", 0) + row["unchanged"]
    counts = Counts(**{**counted, "unchanged": unchanged})
    return _SHAPE.read(row, counts=counts, warnings=warnings)


def _summary(row: Row | None) -> dict[str, Any] | None:
    return orjson.loads(row["summary"]) if row and row["summary"] else None
