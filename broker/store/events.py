"""What happened, for those who listen: thin rows, ids and states, nothing secret."""

import orjson

from broker.db.database import Transaction
from broker.domain import ids


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
