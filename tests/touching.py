"""How much of its tables an engine touches for a unit, by the engine's own count.

The rows that come back say nothing of those an engine looked at on the way. SQLite counts the
instructions of its machine, PostgreSQL the rows and index entries it fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from broker.db.database import Database, Transaction, Unit
from broker.db.sqlite import SqliteTransaction

P = ParamSpec("P")
T = TypeVar("T")

EVERY = 10
_FETCHED = """
SELECT CAST(coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0)
            + coalesce((SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid))
                          FROM pg_stat_user_indexes), 0) AS bigint) AS touched
  FROM pg_stat_xact_user_tables
"""


@dataclass(slots=True)
class Touching:
    """The database itself; `touched` is what each unit cost, in order."""

    inner: Database
    touched: list[int] = field(default_factory=list)

    async def write(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.write(self._counted, lambda tx: unit(tx, *args, **kwargs))

    async def write_on_snapshot(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.write_on_snapshot(
            self._counted, lambda tx: unit(tx, *args, **kwargs)
        )

    async def read(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.read(self._counted, lambda tx: unit(tx, *args, **kwargs))

    async def peek(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.peek(self._counted, lambda tx: unit(tx, *args, **kwargs))

    def version(self) -> None:
        """Nothing is remembered, so every statement is seen."""

    async def close(self) -> None:
        await self.inner.close()

    def _counted(self, tx: Transaction, unit: Callable[[Transaction], T]) -> T:
        if isinstance(tx, SqliteTransaction):
            return self._steps(tx, unit)
        before = _fetched(tx)  # the server tells what it has counted about once a second
        done = unit(tx)
        self.touched.append(_fetched(tx) - before)
        return done

    def _steps(self, tx: SqliteTransaction, unit: Callable[[Transaction], T]) -> T:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += EVERY

        tx._connection.set_progress_handler(step, EVERY)
        try:
            return unit(tx)
        finally:
            tx._connection.set_progress_handler(None, 0)
            self.touched.append(steps)


def _fetched(tx: Transaction) -> int:
    row = tx.find(_FETCHED)
    assert row is not None
    return int(row["touched"])
