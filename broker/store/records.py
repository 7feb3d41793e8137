"""Records of a run: one line for each push that named a resource, and the warnings on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.db.database import Row, Transaction
from broker.domain.mapping import Warning
from broker.domain.runs import Change, Record, Result
from broker.store import rows
from broker.store.shapes import Form, Shape

LONGEST = 256
"""Characters of an attribute's name in a warning, which an index counts."""


def append(
    tx: Transaction, project: str, directory: str, record: Record, code: str | None = None
) -> int | None:
    """Add a record, with its warnings, to the directory's running run; its number, None where none
    runs.

    One statement finds the run, whatever `record.run` says, and writes the line. No lock is held
    on the run: pushes of one directory do not stand in line for it, and one that was under way
    while the run ended is a record of that run.
    """
    row = tx.find(
        """
        INSERT INTO records (project_id, run_id, kind, resource_id, external_id, name, result,
                             code, message, next, changes, at, raw, held, steps)
        SELECT project_id, id, :kind, :resource, :external, :name, :result,
               :code, :message, :next, :changes, :at, :raw, :held, :steps
          FROM runs
         WHERE project_id = :project AND directory_id = :directory AND state = 'running'
        RETURNING n, run_id
        """,
        project=project,
        directory=directory,
        kind=record.kind,
        resource=record.resource_id,
        external=record.external_id,
        name=record.name,
        result=record.result.value,
        code=code,
        message=record.message,
        next=record.next,
        changes=orjson.dumps(record.changes).decode(),
        at=record.at,
        raw=record.raw,
        held=record.held and record.held.value,
        steps=orjson.dumps(record.steps).decode() if record.steps else None,
    )
    if row is None:
        return None
    _warn(tx, project, row["run_id"], row["n"], record.warnings)
    return int(row["n"])


def page(
    tx: Transaction,
    project: str,
    run: str,
    *,
    after: int,
    limit: int,
    troubled: bool = False,
    result: Result | None = None,
) -> list[tuple[int, Record]]:
    """Records of a run with their numbers, in order, from the first number above `after`.

    `troubled` leaves out those without a warning that did not fail, `result` all others.
    """
    found = tx.all(
        f"""
        SELECT * FROM records
         WHERE project_id = :project AND run_id = :run AND n > :after
           {_TROUBLED if troubled else ""}
           {"AND result = :result" if result else ""}
         ORDER BY n
         LIMIT :limit
        """,
        project=project,
        run=run,
        after=after,
        limit=limit,
        result=result and result.value,
    )
    return read(tx, project, found)


def last(tx: Transaction, project: str, run: str) -> Record | None:
    """The newest record of a run, without its warnings (R105)."""
    sql = """
        SELECT * FROM records WHERE project_id = :project AND run_id = :run
         ORDER BY n DESC LIMIT 1
    """
    row = tx.find(sql, project=project, run=run)
    return _record(row, ()) if row else None


def explain(tx: Transaction, project: str, run: str, steps: Sequence[Mapping[str, Any]]) -> None:
    """Keep with the records of a run how it came to them, step by step."""
    sql = "UPDATE records SET steps = :steps WHERE project_id = :project AND run_id = :run"
    tx.run(sql, project=project, run=run, steps=orjson.dumps(steps).decode())


def remove(tx: Transaction, project: str, run: str, limit: int) -> bool:
    """Remove this many records of a run, with their warnings; False where none is left."""
    numbers = [
        row["n"]
        for row in tx.all(
            """
            SELECT n FROM records WHERE project_id = :project AND run_id = :run
             ORDER BY n LIMIT :limit
            """,
            project=project,
            run=run,
            limit=limit,
        )
    ]
    for some in rows.chunks(numbers):
        listed, named = rows.listed(some)
        for table, column in (("record_warnings", "record_n"), ("records", "n")):
            sql = f"DELETE FROM {table} WHERE project_id = :project AND {column} IN ({listed})"
            tx.run(sql, project=project, **named)
    return len(numbers) == limit


def read(tx: Transaction, project: str, found: Sequence[Row]) -> list[tuple[int, Record]]:
    """These rows of `records` with their numbers and warnings."""
    warnings = _warnings(tx, project, [row["n"] for row in found])
    return [(row["n"], _record(row, tuple(warnings.get(row["n"], ())))) for row in found]


_TROUBLED = """
           AND (result = 'failed' OR EXISTS (
                SELECT 1 FROM record_warnings
                 WHERE record_warnings.project_id = :project AND record_n = records.n))
"""


def _warn(
    tx: Transaction, project: str, run: str, record: int, warnings: Sequence[Warning]
) -> None:
    for some in rows.chunks(warnings):
        lines, values = rows.valued(
            "(:project, :run, :record, {code}, {attribute}, {text})",
            [{"code": w.code, "attribute": w.attribute[:LONGEST], "text": w.text} for w in some],
        )
        tx.run(
            f"""
            INSERT INTO record_warnings (project_id, run_id, record_n, code, attribute, text)
            VALUES {lines}
            """,
            project=project,
            run=run,
            record=record,
            **values,
        )


def _warnings(tx: Transaction, project: str, records: Sequence[int]) -> dict[int, list[Warning]]:
    found: dict[int, list[Warning]] = {}
    for some in rows.chunks(records):
        listed, numbers = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT record_n, code, attribute, text FROM record_warnings
             WHERE project_id = :project AND record_n IN ({listed})
             ORDER BY n
            """,
            project=project,
            **numbers,
        ):
            warning = Warning(row["attribute"], row["text"], row["code"])
            found.setdefault(row["record_n"], []).append(warning)
    return found


def _record(row: Row, warnings: tuple[Warning, ...]) -> Record:
    return _SHAPE.read(row, run=row["run_id"], warnings=warnings)


_SHAPE = Shape(
    Record,
    apart=("run", "warnings"),
    named={"decision": "decision"},  # a word, not the id of a resolve's decision
    forms={
        "changes": Form(orjson.dumps, lambda kept: tuple(Change(**c) for c in orjson.loads(kept))),
        "steps": Form(orjson.dumps, lambda kept: tuple(orjson.loads(kept)) if kept else ()),
    },
)
