"""The protected fields of a connector that is deleted: gone once nothing is to be revoked (C11)."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.clock import DAY
from broker.service.working import Later
from broker.store import jobs, protected
from broker.store.jobs import Job

JOB = "forget"
WHY = "grants are still to be revoked"


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Handles `forget` jobs: some programs ask who revokes (RFC 7009 §2.1), so these come last."""

    db: Database

    async def forget(self, job: Job) -> None:
        """Erase them; Later while a grant of the connector is to be revoked, for a day at most."""
        if not await self.db.write(self._forgotten, job):
            raise Later(WHY)

    def _forgotten(self, tx: Transaction, job: Job) -> bool:
        project, connector = job.project or "", str(job.data["connector"])
        is_time = tx.now >= int(job.data["until"])
        if not is_time and jobs.is_open(tx, project, "revoke", connector):
            return False
        protected.erase(tx, project, connector)
        return True


def forget(tx: Transaction, project: str, connector: str) -> None:
    """Erase what was protected: at once, or by a job where grants are to be revoked with it."""
    if jobs.is_open(tx, project, "revoke", connector):
        jobs.add(tx, JOB, project, connector=connector, until=tx.now + DAY)
    else:
        protected.erase(tx, project, connector)
