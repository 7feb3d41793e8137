"""How much of the database a question costs: units and statements, counted."""

from __future__ import annotations

from typing import Any

from broker.db.database import Database, Transaction, Unit


class Counting:
    """The database behind it, counting units and statements."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.units: list[str] = []
        self.statements = 0

    async def write(self, unit: Unit[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.units.append("write")
        return await self._db.write(lambda tx: unit(Counted(tx, self), *args, **kwargs))

    async def write_on_snapshot(self, unit: Unit[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.units.append("write")
        return await self._db.write_on_snapshot(lambda tx: unit(Counted(tx, self), *args, **kwargs))

    async def read(self, unit: Unit[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.units.append("read")
        return await self._db.read(unit, *args, **kwargs)

    async def peek(self, unit: Unit[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.units.append("peek")
        return await self._db.peek(unit, *args, **kwargs)

    def version(self) -> None:
        """Nothing is remembered, so every statement is counted."""

    async def close(self) -> None:
        await self._db.close()


class Counted:
    """A transaction that counts what it is asked."""

    def __init__(self, tx: Transaction, counting: Counting) -> None:
        self._tx = tx
        self._counting = counting
        self.now = tx.now
        self.for_update = tx.for_update
        self.skip_locked = tx.skip_locked

    def find(self, sql: str, **params: Any) -> Any:
        self._counting.statements += 1
        return self._tx.find(sql, **params)

    def all(self, sql: str, **params: Any) -> Any:
        self._counting.statements += 1
        return self._tx.all(sql, **params)

    def run(self, sql: str, **params: Any) -> None:
        self._counting.statements += 1
        self._tx.run(sql, **params)
