"""Values that one resource of a type may hold and no other (uniqueness, RFC 7643 section 7)."""

from collections.abc import Iterable
from hashlib import sha256

from broker.db.database import Transaction
from broker.store.resources import Shelf


def hold(tx: Transaction, shelf: Shelf, n: int, values: Iterable[tuple[str, str]]) -> str | None:
    """Let the resource `n` hold these (path, key) and no others; the path of one that is taken.

    Of two that come at once one waits for the other, and hears of it.
    """
    tx.run(
        "DELETE FROM uniques WHERE project_id = :project AND resource_n = :n",
        n=n,
        project=shelf.project,
    )
    for path, key in sorted(values):
        held = tx.find(
            """
            INSERT INTO uniques (project_id, directory_id, type, path, value, resource_n)
            VALUES (:project, :directory, :type, :path, :value, :n)
            ON CONFLICT DO NOTHING RETURNING path
            """,
            **shelf.named,
            path=path,
            value=sha256(key.encode()).hexdigest(),  # a key of any length fits an index
            n=n,
        )
        if held is None:
            return path
    return None
