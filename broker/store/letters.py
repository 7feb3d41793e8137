"""Letters on their way to people: written with their cause, sent later, each once."""

import orjson

from broker.db.database import Transaction
from broker.domain import ids


def add(
    tx: Transaction, project: str, user_id: str, template: str, *, once: str, **data: object
) -> None:
    """Write a letter to the person, unless one of that name was written before."""
    sql = """
        INSERT INTO letters (id, project_id, user_id, template, once, state, data, created_at,
                             due_at)
        VALUES (:id, :project, :user, :template, :once, 'waiting', :data, :now, :now)
        ON CONFLICT DO NOTHING
    """
    tx.run(
        sql,
        id=ids.new("ltr"),
        project=project,
        user=user_id,
        template=template,
        once=once,
        data=orjson.dumps(data).decode(),
        now=tx.now,
    )
