"""What happened, for those who listen: thin rows, ids and states, nothing secret."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from broker.db.database import Row, Transaction
from broker.domain import ids


class Happened(NamedTuple):
    """An event of one person: when, of what type, by which row and because of whom or what
    (`directory`, `admin`, `key`, `queue`, …); None where it does not say.
    """

    at: int
    type: str
    row: str | None
    cause: str | None


def append(tx: Transaction, project: str, type: str, **data: object) -> None:
    """Write an event in the transaction of its cause; it is delivered later.

    `user` in its data is the one person it is about.
    """
    sql = """
        INSERT INTO events (id, project_id, type, user_id, data, at)
        VALUES (:id, :project, :type, :user, :data, :at)
    """
    tx.run(
        sql,
        id=ids.new("evt"),
        project=project,
        type=type,
        user=data.get("user"),
        data=orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode(),
        at=tx.now,
    )


def of_user(tx: Transaction, project: str, user_id: str, limit: int) -> list[Happened]:
    """What happened to the person lately, the newest first."""
    sql = """
        SELECT at, type, data FROM events
         WHERE project_id = :project AND user_id = :user
         ORDER BY n DESC
         LIMIT :limit
    """
    found = tx.all(sql, project=project, user=user_id, limit=limit)
    said = [(row, orjson.loads(row["data"])) for row in found]
    return [Happened(row["at"], row["type"], of.get("row"), of.get("cause")) for row, of in said]


@dataclass(frozen=True, slots=True)
class Published:
    """An event with its place in the project's feed; `data` is what it was written with."""

    id: str
    project: str
    sequence: int
    type: str
    data: dict[str, Any]
    at: int


def publish(tx: Transaction, project: str, limit: int = 500) -> list[Published]:
    """Give the oldest unpublished events of a project the next numbers, in order.

    Numbers are given behind the commit, and the project's row is held meanwhile: one replica
    publishes at a time, and whoever reads by number meets no gap and nothing that comes late.
    """
    if tx.find(_UNPUBLISHED, project=project, limit=1) is None:
        return []
    held = "SELECT events FROM projects WHERE id = :project"
    row = tx.find(held + tx.for_update, project=project)
    last = row["events"] if row else 0
    found = tx.all(_UNPUBLISHED, project=project, limit=limit)
    numbered = "UPDATE events SET sequence = :sequence WHERE project_id = :project AND n = :n"
    for sequence, one in enumerate(found, last + 1):
        tx.run(numbered, project=project, n=one["n"], sequence=sequence)
    grown = "UPDATE projects SET events = :last WHERE id = :project"
    tx.run(grown, project=project, last=last + len(found))
    return [_published(one, sequence) for sequence, one in enumerate(found, last + 1)]


def heads(tx: Transaction) -> dict[str, int]:
    """The last number that was published, by project."""
    return {row["id"]: row["events"] for row in tx.all("SELECT id, events FROM projects")}


def feed(tx: Transaction, project: str, after: int, limit: int) -> list[Published]:
    """Events behind that number, in order."""
    sql = """
        SELECT * FROM events
         WHERE project_id = :project AND sequence > :after ORDER BY sequence LIMIT :limit
    """
    found = tx.all(sql, project=project, after=after, limit=limit)
    return [_published(row, row["sequence"]) for row in found]


def _published(row: Row, sequence: int) -> Published:
    data = orjson.loads(row["data"])
    return Published(row["id"], row["project_id"], sequence, row["type"], data, row["at"])


_UNPUBLISHED = """
    SELECT * FROM events WHERE project_id = :project AND sequence IS NULL ORDER BY n LIMIT :limit
"""
