"""How long things are kept: one table of days, looked at once an hour."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.clock import DAY
from broker.store import aging, projects, records, runs

AT_ONCE = 500


def _runs(tx: Transaction, project: str, before: int, limit: int) -> bool:
    """Remove records of the oldest run that still has some; what they came to stays with it."""
    for run in runs.past(tx, project, before, 1):
        runs.summarize(tx, project, run)
        records.remove(tx, project, run, limit)
        return True
    return False


Removing = Callable[[Transaction, str, int, int], bool]
DAYS: Mapping[Removing, int] = {
    aging.decisions: 400,
    aging.events: 30,
    aging.deliveries: 30,
    aging.old_secrets: 0,
    _runs: 180,
    aging.sessions: 30,
    aging.jobs: 7,
    aging.replays: 0,  # an Idempotency-Key: each says itself when it is forgotten
}
"""Raw documents are kept until they are replaced, letters and the audit for good."""


@dataclass(frozen=True, slots=True)
class Retaining:
    """Removes what is past its days, a chunk a transaction: nobody waits long for it."""

    db: Database

    async def sweep(self) -> None:
        """Remove everything that is past its days now, in all projects."""
        for project in await self.db.read(projects.every):
            for remove, days in DAYS.items():
                while await self.db.write(_removing, remove, project.id, days):
                    pass


def _removing(tx: Transaction, remove: Removing, project: str, days: int) -> bool:
    return remove(tx, project, tx.now - days * DAY, AT_ONCE)
