"""A database that remembers what it was asked: statements, rows, and the plans behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from broker.db.database import Database, Row, Transaction, Unit

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One statement, its parameters, and how many rows came back."""

    sql: str
    named: dict[str, Any]
    rows: int

    @property
    def verb(self) -> str:
        """SELECT, INSERT, UPDATE or DELETE."""
        return self.sql.split(None, 1)[0]


@dataclass(slots=True)
class Watched:
    """The database itself; `asked` holds every statement since it was last cleared."""

    inner: Database
    asked: list[Asked] = field(default_factory=list)

    async def write(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.write(lambda tx: unit(self._seen(tx), *args, **kwargs))

    async def write_on_snapshot(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.write_on_snapshot(lambda tx: unit(self._seen(tx), *args, **kwargs))

    async def read(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.read(lambda tx: unit(self._seen(tx), *args, **kwargs))

    async def peek(self, unit: Unit[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.inner.peek(lambda tx: unit(self._seen(tx), *args, **kwargs))

    def version(self) -> None:
        """Nothing is remembered, so every statement is seen."""

    async def close(self) -> None:
        await self.inner.close()

    def clear(self) -> None:
        """Forget what was asked."""
        self.asked.clear()

    @property
    def rows(self) -> int:
        """How many rows came back in all."""
        return sum(each.rows for each in self.asked)

    async def plans(self) -> list[str]:
        """How the engine goes about each question, had it the choice of every index."""
        return await self.inner.read(
            _explained, [a for a in self.asked if a.verb in ("SELECT", "WITH")]
        )

    def _seen(self, tx: Transaction) -> Transaction:
        return WatchedTransaction(tx, self.asked, tx.now, tx.for_update, tx.skip_locked)


@dataclass(slots=True)
class WatchedTransaction:
    """A transaction that writes down what goes through it."""

    inner: Transaction
    asked: list[Asked]
    now: int
    for_update: str
    skip_locked: str

    def find(self, sql: str, **params: Any) -> Row | None:
        row = self.inner.find(sql, **params)
        self.asked.append(Asked(sql, params, int(row is not None)))
        return row

    def all(self, sql: str, **params: Any) -> list[Row]:
        found = self.inner.all(sql, **params)
        self.asked.append(Asked(sql, params, len(found)))
        return found

    def run(self, sql: str, **params: Any) -> None:
        self.inner.run(sql, **params)
        self.asked.append(Asked(sql, params, 0))


def scans(plan: str) -> bool:
    """Whether a plan looks at a whole table. A whole index is a whole table too."""
    return "Seq Scan" in plan or any(
        line.startswith("SCAN") and "CONSTANT ROW" not in line for line in plan.splitlines()
    )


def _explained(tx: Transaction, asked: list[Asked]) -> list[str]:
    if not tx.for_update:
        return [
            "\n".join(
                row["detail"] for row in tx.all("EXPLAIN QUERY PLAN " + each.sql, **each.named)
            )
            for each in asked
        ]
    # A planner that has seen three rows prefers to look at all of them.
    tx.run("SET LOCAL enable_seqscan = off")
    return [
        "\n".join(row["QUERY PLAN"] for row in tx.all("EXPLAIN " + each.sql, **each.named))
        for each in asked
    ]
