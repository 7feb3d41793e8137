"""The allocator of licenses: one row a project, whose lock is the order of the queue."""

from broker.db.database import Row, Transaction
from broker.domain.errors import NotFound
from broker.domain.licenses import Licenses
from broker.store import queue
from broker.store.shapes import Shape


def lock(tx: Transaction, project: str) -> Licenses:
    """The project's licenses, nobody else's to give until this transaction ends; NotFound.

    Taken before any person is locked: that order is the same everywhere. Who waits is counted
    in a statement of its own, so that it sees what was committed while the lock was awaited.
    """
    return _licenses(tx, project, tx.find(_FIND + tx.for_update, project=project))


def get(tx: Transaction, project: str) -> Licenses:
    """The project's licenses as they are; NotFound."""
    return _licenses(tx, project, tx.find(_FIND, project=project))


def change(tx: Transaction, licenses: Licenses) -> None:
    """Keep capacity, held and the last number given; `lock` comes first."""
    sql = f"UPDATE licenses SET {_SHAPE.changes} WHERE project_id = :project"
    tx.run(sql, **_SHAPE.parameters(licenses))


_SHAPE = Shape(Licenses, apart=("queued",))
_FIND = "SELECT * FROM licenses WHERE project_id = :project"


def _licenses(tx: Transaction, project: str, row: Row | None) -> Licenses:
    if row is None:
        raise NotFound()
    return _SHAPE.read(row, queued=queue.length(tx, project))
