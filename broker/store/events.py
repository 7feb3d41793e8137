"""What happened, for those who listen: thin rows, ids and states, nothing secret."""

import orjson

from broker.db.database import Transaction
from broker.domain import ids


def append(tx: Transaction, project: str, type: str, **data: object) -> None:
    """Write an event in the transaction of its cause; it is delivered later."""
    sql = """
        INSERT INTO events (id, project_id, type, data, at)
        VALUES (:id, :project, :type, :data, :at)
    """
    tx.run(
        sql,
        id=ids.new("evt"),
        project=project,
        type=type,
        data=orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode(),
        at=tx.now,
    )
