"""What a pull has found so far: so that nothing counts twice, and who is missing at its end."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from broker.db.database import Transaction
from broker.store import rows


class Seen(NamedTuple):
    """One record of the source: its kind and key there, what it said, and whom it is here."""

    kind: str
    key: str
    digest: str
    resource: int | None
    """The number of the resource; None where the record came to nothing."""


def of(tx: Transaction, project: str, run: str, kind: str, keys: Sequence[str]) -> dict[str, str]:
    """Those of these keys that this run has found before: the digest of what they said."""
    found: dict[str, str] = {}
    for some in rows.chunks(keys):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT key, digest FROM seen
             WHERE project_id = :project AND run_id = :run AND kind = :kind AND key IN ({listed})
            """,
            project=project,
            run=run,
            kind=kind,
            **named,
        ):
            found[row["key"]] = row["digest"]
    return found


def keep(tx: Transaction, project: str, run: str, found: Iterable[Seen]) -> None:
    """These were found now, or again with another word."""
    for some in rows.chunks([each._asdict() for each in found]):
        lines, values = rows.valued("(:project, :run, {kind}, {key}, {digest}, {resource})", some)
        tx.run(
            f"""
            INSERT INTO seen (project_id, run_id, kind, key, digest, resource_n)
            VALUES {lines}
            ON CONFLICT (run_id, kind, key)
            DO UPDATE SET digest = excluded.digest, resource_n = excluded.resource_n
            """,
            project=project,
            run=run,
            **values,
        )


def page(
    tx: Transaction, project: str, run: str, kind: str, *, after: str, limit: int
) -> list[Seen]:
    """What was found of a kind by key, from the first key above `after`."""
    found = tx.all(
        """
        SELECT kind, key, digest, resource_n FROM seen
         WHERE project_id = :project AND run_id = :run AND kind = :kind AND key > :after
         ORDER BY key LIMIT :limit
        """,
        project=project,
        run=run,
        kind=kind,
        after=after,
        limit=limit,
    )
    return [Seen(row["kind"], row["key"], row["digest"], row["resource_n"]) for row in found]


def anew(tx: Transaction, project: str, run: str, kind: str) -> None:
    """The reading begins again: what comes of this kind is the first word, and counts no more."""
    sql = """
        UPDATE seen SET digest = ''
         WHERE project_id = :project AND run_id = :run AND kind = :kind
    """
    tx.run(sql, project=project, run=run, kind=kind)


def forget(tx: Transaction, project: str, run: str, limit: int) -> bool:
    """Some of what an ended run has found; False where nothing was left."""
    sql = """
        DELETE FROM seen
         WHERE project_id = :project AND run_id = :run
           AND (kind, key) IN (SELECT kind, key FROM seen
                                WHERE project_id = :project AND run_id = :run LIMIT :limit)
        RETURNING run_id
    """
    return bool(tx.all(sql, project=project, run=run, limit=limit))
