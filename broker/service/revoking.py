"""Telling a provider that a grant is over: one try; the job repeats for a day (K12, K13)."""

from dataclasses import dataclass

import structlog

from broker.db.database import Database, Transaction
from broker.db.seal import Unreadable
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.service.programs import Programs
from broker.service.working import Later
from broker.store import connectors
from broker.store.jobs import Job
from providers.capabilities import CanRevoke
from providers.errors import ProviderError, TryLater
from providers.secret import Secret

log = structlog.get_logger("broker.revoking")


@dataclass(frozen=True, slots=True)
class Revoking:
    """Handles `revoke` jobs; our own secret was erased when the job was made."""

    db: Database
    programs: Programs

    async def revoke(self, job: Job) -> None:
        """Revoke the token of the job where it was given, and nowhere else (safety 18).

        Later where the provider is disturbed. A provider that knows no revocation, or refuses,
        is left at that: we hold the token no more once the job ends.
        """
        if job.project is None or job.secret is None:
            return
        connector, now = await self.db.read(_connector, job)
        if now >= int(job.data["until"]):
            log.warning("grant not revoked", connector=connector.id, why="a day is over")
            return
        provider = self.programs.provider(connector.type)
        registration = self.programs.at(connector, str(job.data["origin"]))
        if registration is None or not isinstance(provider, CanRevoke):
            return
        try:
            await provider.revoke(registration, self._opened(job.project, job.secret, job))
        except TryLater as error:
            after = error.retry_after_s
            raise Later(error.provider_code, after=after * SECOND if after else None) from error
        except (ProviderError, Unreadable) as error:
            log.warning("grant not revoked", connector=connector.id, why=str(error))

    def _opened(self, project: str, secret: bytes, job: Job) -> Secret:
        """Sealed for the set it left, whose id only this job carries now."""
        id = str(job.data["token_set"])
        plain = self.programs.seal.open(secret, project, "tokens", id, "refresh_token")
        return Secret(plain.decode())


def _connector(tx: Transaction, job: Job) -> tuple[Connector, int]:
    id = str(job.data["connector"])
    return connectors.get(tx, job.project or "", id, gone=True), tx.now
