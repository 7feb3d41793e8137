"""Runs that hear nothing new, done by a worker: re-applies, retries, decisions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from broker.db.database import Transaction
from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.runs import Kind, Record, Trigger
from broker.service.deciding import Deciding
from broker.service.drafting import Drafting
from broker.service.mapping import Mappings
from broker.service.reapplying import Reapplying
from broker.service.syncing import RunView, ending
from broker.service.working import Handler, Worker
from broker.store import directories, runs
from tests.pushing import House, Pusher
from tests.waiting import until

OPEN = """
    SELECT id FROM jobs
     WHERE project_id = :project AND done_at IS NULL AND dead_at IS NULL AND due_at <= :now
"""


@dataclass(frozen=True, slots=True)
class Runner:
    """An administrator's side of one directory that is pushed to."""

    house: House
    id: str
    reapplying: Reapplying

    @classmethod
    def of(cls, house: House, push: Pusher) -> Runner:
        return cls(house, push.directory.id, Reapplying(house.hosting()))

    @property
    def caller(self) -> Caller:
        return self.house.administrator

    @property
    def handlers(self) -> dict[str, Handler]:
        deciding = Deciding(self.house.hosting())
        again = self.reapplying
        return {"reapply": again.reapply, "retry": again.retried, "decided": deciding.carry_out}

    async def directory(self) -> Directory:
        """As it is now."""
        return await self.house.db.read(directories.get, self.house.project, self.id)

    async def set(self, **columns: Any) -> None:
        """Configure the directory, without the forms of its faces."""
        given = ", ".join(f"{name} = :{name}" for name in columns)
        await self.house.db.write(
            lambda tx: tx.run(
                f"UPDATE directories SET {given} WHERE project_id = :project AND id = :id",
                project=self.house.project,
                id=self.id,
                **columns,
            )
        )

    async def mapping(self, *rules: dict[str, Any], **also: Any) -> None:
        """Save a mapping for the directory."""
        drafting = Drafting(self.house.db, Mappings(self.house.db, self.house.catalogue))
        await drafting.save(self.caller, self.id, {"rules": list(rules), **also}, None)

    async def begin(self) -> str:
        """Sync now; the run's id."""
        directory = await self.directory()
        begin = self.reapplying.begin
        return await self.house.db.write(begin, directory, Trigger.MANUAL, "admin:setup")

    async def sync(self) -> RunView:
        """A whole re-apply run, the window of pushes closed before it."""
        await self.close()
        run = await self.begin()
        await self.work()
        return await self.view(run)

    async def close(self) -> None:
        """End an open window of pushes, as silence does."""

        def ended(tx: Transaction) -> None:
            run = runs.current(tx, self.house.project, self.id)
            if run is not None and run.kind is Kind.PUSH:
                ending(tx, run)

        await self.house.db.write(ended)

    async def work(self) -> None:
        """Do every job that is due."""
        worker = Worker(self.house.db, self.handlers)
        task = asyncio.create_task(worker.run())

        async def nothing_left() -> bool:
            now = await self.house.db.read(lambda tx: tx.now)
            return not await self.house.rows(OPEN, now=now)

        try:
            await until(nothing_left, within_s=60)
        finally:
            worker.stop()
            await task

    async def view(self, run: str) -> RunView:
        return await self.house.syncing.run(self.house.project, run)

    async def lines(self, run: str) -> list[Record]:
        """The records of a run."""
        found = await self.house.syncing.records(self.house.project, run, limit=10_000)
        return [record for _, record in found]
