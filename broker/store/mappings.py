"""Versions of mappings: each is written once and stays; the directory names the one in force."""

from typing import Any, NamedTuple

from broker.db.database import Transaction
from broker.domain.errors import NotFound
from broker.store.shapes import JSON


class Kept(NamedTuple):
    """One version as it was saved, at `created_at` (microseconds) by `created_by`."""

    version: int
    mapping: dict[str, Any]
    created_at: int | None = None
    created_by: str | None = None


DEFAULT = Kept(0, {})
"""What a directory has before anybody saved one: the identity for declared attributes."""


def get(tx: Transaction, project: str, directory: str, version: int) -> Kept:
    """That version of a directory's mapping, 0 the default; NotFound."""
    if version == DEFAULT.version:
        return DEFAULT
    sql = """
        SELECT version, mapping, created_at, created_by FROM mappings
         WHERE project_id = :project AND directory_id = :directory AND version = :version
    """
    row = tx.find(sql, project=project, directory=directory, version=version)
    if row is None:
        raise NotFound()
    return Kept(row["version"], JSON.read(row["mapping"]), row["created_at"], row["created_by"])


def add(
    tx: Transaction,
    project: str,
    directory: str,
    mapping: dict[str, Any],
    by: str,
    seen: int | None,
) -> Kept | None:
    """The next version, in force from now on; None where the one in force is not `seen`."""
    sql = """
        UPDATE directories SET mapping_version = mapping_version + 1
         WHERE project_id = :project AND id = :id AND state <> 'deleted'
           AND (CAST(:seen AS bigint) IS NULL OR mapping_version = :seen)
        RETURNING mapping_version
    """
    row = tx.find(sql, project=project, id=directory, seen=seen)
    if row is None:
        return None
    made = Kept(row["mapping_version"], mapping, tx.now, by)
    sql = """
        INSERT INTO mappings (project_id, directory_id, version, mapping, created_at, created_by)
        VALUES (:project, :directory, :version, :mapping, :now, :by)
    """
    tx.run(
        sql,
        project=project,
        directory=directory,
        version=made.version,
        mapping=JSON.kept(mapping),
        now=tx.now,
        by=by,
    )
    return made
