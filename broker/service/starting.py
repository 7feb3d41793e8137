"""Sync now, and what a schedule does: one door through which runs are begun (R109, R110, R7)."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.errors import Conflict
from broker.domain.runs import Run, Trigger
from broker.service.occupied import occupied
from broker.service.pulling import Pulling
from broker.service.reapplying import Reapplying
from broker.store import audit, directories, runs


@dataclass(frozen=True, slots=True)
class Starting:
    """Begins a pull where there is a source, and a re-apply where there is none (T8)."""

    db: Database
    pulling: Pulling
    reapplying: Reapplying

    async def sync(self, caller: Caller, id: str) -> Run:
        """Begin a run now (R110); the run as it begins.

        Conflict: `directory-disabled`, `run-running` or `run-held`, with that run (R7).
        """
        caller.require("directories:write")
        return await self.db.write(self._syncing, caller, id)

    def begin(self, tx: Transaction, directory: Directory, trigger: Trigger, by: str) -> str:
        """Begin a run of a locked directory, in the caller's transaction; its id. Conflict."""
        if not directory.is_enabled:
            raise Conflict(
                "The directory is disabled: nothing is fetched and pushes are refused.",
                reason="directory-disabled",
                next="Enable it, then sync.",
            )
        if runs.current(tx, directory.project, directory.id) is not None:
            raise occupied(tx, directory)
        begin = self.pulling.begin if directory.source else self.reapplying.begin
        return begin(tx, directory, trigger, by)

    def _syncing(self, tx: Transaction, caller: Caller, id: str) -> Run:
        directory = directories.lock(tx, caller.project, id)
        run = self.begin(tx, directory, Trigger.MANUAL, caller.actor)
        audit.append(tx, caller.project, caller.actor, "directory.synced", id, run=run)
        begun = runs.find(tx, caller.project, run)
        assert begun is not None
        return begun
