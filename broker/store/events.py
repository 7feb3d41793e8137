"""What happened, for those who listen: thin rows, ids and states, nothing secret."""

from typing import NamedTuple

import orjson

from broker.db.database import Transaction
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
