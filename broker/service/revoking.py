"""Telling a provider that a grant is over: one try; the job repeats for a day (K12, K13)."""

from contextlib import suppress
from dataclasses import dataclass

import structlog

from broker.db.database import Database, Transaction
from broker.db.seal import Unreadable
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.service.programs import Programs, Unregistered
from broker.service.working import Later
from broker.store import connectors
from broker.store.jobs import Job
from providers.capabilities import CanRevoke, Registration
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
        connector, registration = await self.db.write(self._ready, job)
        provider = self.programs.registry.find(connector.type)
        if registration is None or not isinstance(provider, CanRevoke):
            return
        try:
            await provider.revoke(registration, self._opened(job.project, job.secret, job))
        except TryLater as error:
            after = error.retry_after_s
            raise Later(error.provider_code, after=after * SECOND if after else None) from error
        except (ProviderError, Unreadable) as error:
            log.warning("grant not revoked", connector=connector.id, why=str(error))

    def _ready(self, tx: Transaction, job: Job) -> tuple[Connector, Registration | None]:
        """Who we are where the token was given: with our secret while the connector has it, as
        a deleted one does until then: some programs ask who revokes. None once a day is over, and
        where the operator's file describes the program no more.
        """
        connector = connectors.get(tx, job.project or "", str(job.data["connector"]), gone=True)
        if tx.now >= int(job.data["until"]):
            log.warning("grant not revoked", connector=connector.id, why="a day is over")
            return connector, None
        if self.programs.registry.find(connector.type) is None:
            return connector, None
        given_at = str(job.data["origin"])
        if connector.origin == given_at:
            with suppress(Unregistered, Unreadable):
                return connector, self.programs.registration(tx, connector, purpose="revoke")
        return connector, self.programs.at(connector, given_at)

    def _opened(self, project: str, secret: bytes, job: Job) -> Secret:
        """Sealed for the set it left, whose id only this job carries now."""
        id = str(job.data["token_set"])
        plain = self.programs.seal.open(secret, project, "tokens", id, "refresh_token")
        return Secret(plain.decode())
