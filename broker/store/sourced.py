"""A directory as its source shows it: who has which id there, who is missing, where to go on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from broker.db.database import Row, Transaction
from broker.store import rows
from broker.store.resources import COLUMNS, Resource, Shelf, of_row

MATCHES: Mapping[str, str] = {"external": "external_key", "name": "name_key", "email": "email_key"}
"""What an index finds a resource by, beside its key at the source."""


class Kept(NamedTuple):
    """A resource with what is kept beside it, and its key at the source (None: never read)."""

    resource: Resource
    extras: bytes
    key: str | None


def by_keys(tx: Transaction, shelf: Shelf, keys: Sequence[str]) -> dict[str, Kept]:
    """The resources that have these keys at the source."""
    found: dict[str, Kept] = {}
    for some in rows.chunks(keys):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"""
            SELECT {COLUMNS}, extras, source_key FROM resources
             WHERE {_SHELF} AND source_key IS NOT NULL AND source_key IN ({listed})
            """,
            **shelf.named,
            **named,
        ):
            found[row["source_key"]] = _kept(row)
    return found


def matching(tx: Transaction, shelf: Shelf, by: str, keys: Sequence[str]) -> dict[str, list[Kept]]:
    """The resources that have these keys as `external`, `name` or `email` (`MATCHES`)."""
    column = MATCHES[by]
    found: dict[str, list[Kept]] = {}
    for some in rows.chunks(keys):
        lines, named = rows.valued("({key})", [{"key": key} for key in some])
        # As a join, in this order: of an IN SQLite believes that it leads to more than a shelf has.
        for row in tx.all(
            f"""
            WITH wanted AS (VALUES {lines})
            SELECT {COLUMNS}, extras, source_key, {column} AS found_by
              FROM wanted CROSS JOIN resources
             WHERE {_SHELF} AND {column} = wanted.column1
            """,
            **shelf.named,
            **named,
        ):
            found.setdefault(row["found_by"], []).append(_kept(row))
    return found


def numbers(tx: Transaction, shelf: Shelf, ids: Sequence[str]) -> dict[str, int]:
    """The number of each of these."""
    found: dict[str, int] = {}
    for some in rows.chunks(ids):
        listed, named = rows.listed(some)
        for row in tx.all(
            f"SELECT id, n FROM resources WHERE {_OURS} AND id IN ({listed})",
            **shelf.named,
            **named,
        ):
            found[row["id"]] = row["n"]
    return found


def link(tx: Transaction, shelf: Shelf, keys: Mapping[int, str]) -> None:
    """Give the resources of these numbers their keys at the source."""
    for some in rows.chunks(list(keys)):
        listed, named = rows.listed(some)
        cases = " ".join(f"WHEN :item_{place} THEN :key_{place}" for place in range(len(some)))
        tx.run(
            f"""
            UPDATE resources SET source_key = CASE n {cases} END
             WHERE {_SHELF} AND n IN ({listed})
            """,
            **shelf.named,
            **named,
            **{f"key_{place}": keys[n] for place, n in enumerate(some)},
        )


def members(tx: Transaction, project: str, directory: str, keys: Sequence[str]) -> dict[str, str]:
    """The ids of the people and groups that have these keys at the source."""
    found: dict[str, str] = {}
    for type in ("Group", "User"):  # where both have a key, a person is meant
        for some in rows.chunks(keys):
            listed, named = rows.listed(some)
            for row in tx.all(
                f"""
                SELECT id, source_key FROM resources
                 WHERE {_SHELF} AND source_key IS NOT NULL AND source_key IN ({listed})
                """,
                **Shelf(project, directory, type).named,
                **named,
            ):
                found[row["source_key"]] = row["id"]
    return found


def absent(
    tx: Transaction, shelf: Shelf, run: str, *, after: int, limit: int, suspended_too: bool
) -> list[Row]:
    """Resources that were read from the source once and that this run has not seen: n, id,
    external_key and display, by number.

    Of people those alone who are not gone for the directory already, unless `suspended_too`.
    """
    living = "" if shelf.type != "User" or suspended_too else _LIVING
    return tx.all(
        f"""
        SELECT n, id, external_key, display FROM resources
         WHERE {_SHELF} AND n > :after AND source_key IS NOT NULL {living}
           AND NOT EXISTS (SELECT 1 FROM seen
                            WHERE seen.project_id = :project AND seen.run_id = :run
                              AND seen.resource_n = resources.n)
         ORDER BY n LIMIT :limit
        """,
        **shelf.named,
        run=run,
        after=after,
        limit=limit,
    )


def delta(tx: Transaction, project: str, directory: str) -> dict[str, Any]:
    """From where a pull finds only what changed, as it was kept; empty: everything is read."""
    sql = "SELECT delta FROM directories WHERE project_id = :project AND id = :directory"
    row = tx.find(sql, project=project, directory=directory)
    found: dict[str, Any] = orjson.loads(row["delta"]) if row and row["delta"] else {}
    return found


def keep_delta(tx: Transaction, project: str, directory: str, kept: Mapping[str, Any]) -> None:
    """Keep from where the next pull goes on."""
    sql = "UPDATE directories SET delta = :delta WHERE project_id = :project AND id = :directory"
    tx.run(sql, project=project, directory=directory, delta=orjson.dumps(kept).decode())


def trouble(tx: Transaction, project: str, directory: str, why: str | None) -> None:
    """Say why the directory cannot be read until an administrator has looked; None: it can."""
    sql = "UPDATE directories SET trouble = :why WHERE project_id = :project AND id = :directory"
    tx.run(sql, project=project, directory=directory, why=why)


_SHELF = "project_id = :project AND directory_id = :directory AND type = :type"
_OURS = "CAST(project_id AS text) = (:project) AND directory_id = :directory AND type = :type"
"""The same, in words that SQLite does not take for a way in (`store.members`)."""
_LIVING = """
           AND EXISTS (SELECT 1 FROM users
                        WHERE users.project_id = :project AND users.id = resources.id
                          AND users.idp_active = 1)
"""


def _kept(row: Row) -> Kept:
    return Kept(of_row(row), row["extras"], row["source_key"])
