"""What happened, for those who listen: thin rows, ids and states, nothing secret."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from broker.db.database import Row, Transaction
from broker.domain import ids
from broker.store import rows


class Happened(NamedTuple):
    """An event of one person: when, of what type, by which row and because of whom or what
    (`directory`, `admin`, `key`, `queue`, …); None where it does not say.
    """

    at: int
    type: str
    row: str | None
    cause: str | None


def append(tx: Transaction, /, project: str, type: str, **data: object) -> str:
    """Write an event in the transaction of its cause; its id. It is published behind the commit.

    Types and their members are those of `domain/events.py`; the person a `user.…` event is about
    is found by it.
    """
    id = ids.new("evt")
    sql = """
        INSERT INTO events (id, project_id, type, user_id, data, at)
        VALUES (:id, :project, :type, :user, :data, :at)
    """
    tx.run(
        sql,
        id=id,
        project=project,
        type=type,
        user=data["user_id"] if type.startswith("user.") else None,
        data=orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode(),
        at=tx.now,
    )
    return id


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


def unpublished(tx: Transaction) -> list[str]:
    """The projects in which events wait for their numbers."""
    sql = "SELECT DISTINCT project_id FROM events WHERE sequence IS NULL"
    return [row["project_id"] for row in tx.all(sql)]


def heads(tx: Transaction) -> dict[str, int]:
    """The last number that was published, by project."""
    return {row["id"]: row["events"] for row in tx.all("SELECT id, events FROM projects")}


def span(tx: Transaction, project: str) -> tuple[int, int]:
    """The numbers of the oldest event that is kept and of the newest there ever was; 0: none."""
    sql = """
        SELECT sequence FROM events
         WHERE project_id = :project AND sequence > 0 ORDER BY sequence LIMIT 1
    """
    oldest = tx.find(sql, project=project)
    row = tx.find("SELECT events FROM projects WHERE id = :project", project=project)
    return oldest["sequence"] if oldest else 0, row["events"] if row else 0


def find(tx: Transaction, project: str, id: str) -> Published | None:
    """A published event, as long as it is kept."""
    sql = """
        SELECT * FROM events WHERE project_id = :project AND id = :id AND sequence IS NOT NULL
    """
    row = tx.find(sql, project=project, id=id)
    return _published(row, row["sequence"]) if row else None


def feed(
    tx: Transaction,
    project: str,
    after: int,
    limit: int,
    *,
    until: int | None = None,
    types: Sequence[str] = (),
) -> list[Published]:
    """Events behind `after`, and up to `until`, in order; of these types, where any is named."""
    names, named = rows.listed(types, "type")
    sql = f"""
        SELECT * FROM events
         WHERE project_id = :project AND sequence > :after
           {"" if until is None else "AND sequence <= :until"}
           {f"AND type IN ({names})" if types else ""}
         ORDER BY sequence LIMIT :limit
    """
    found = tx.all(sql, project=project, after=after, until=until, limit=limit, **named)
    return [_published(row, row["sequence"]) for row in found]


def _published(row: Row, sequence: int) -> Published:
    data = orjson.loads(row["data"])
    return Published(row["id"], row["project_id"], sequence, row["type"], data, row["at"])


_UNPUBLISHED = """
    SELECT * FROM events WHERE project_id = :project AND sequence IS NULL ORDER BY n LIMIT :limit
"""
