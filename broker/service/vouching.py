"""A calling service vouches for one person and one link: a connect session (safety 16)."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller
from broker.domain.errors import Conflict, NotFound
from broker.domain.links import Purpose
from broker.service.callers import Callers
from broker.store import connectors, links, users


@dataclass(frozen=True, slots=True)
class Vouching:
    """Each public verb is one transaction."""

    db: Database
    callers: Callers

    async def connect_session(self, caller: Caller, user_id: str, link_id: str) -> tuple[str, int]:
        """The secret of an address that opens this link as this person once, and when it ends.

        NotFound unless the link was made for exactly this person; Conflict where the link is over
        or the person is not active. No evidence for AuthenticateUser, and no way into the wizard.
        """
        caller.require("sessions:write")
        return await self.db.write(self._vouching, caller, user_id, link_id)

    async def project_of(self, link_id: str) -> str:
        """Whose identity provider may say who opens this link; NotFound."""
        found = await self.db.read(links.project_of, link_id)
        if found is None:
            raise NotFound()
        return found

    def _vouching(
        self, tx: Transaction, caller: Caller, user_id: str, link_id: str
    ) -> tuple[str, int]:
        link = links.get(tx, caller.project, link_id)
        if link.purpose is not Purpose.CONNECT or link.user != user_id:
            raise NotFound()
        caller.require_connector(connectors.get(tx, caller.project, link.connector or "").name)
        if not link.is_open or link.expires_at <= tx.now:
            raise Conflict("This link was used, replaced or is over.", reason="link-over")
        if not users.get(tx, caller.project, user_id).is_active:
            raise Conflict("This person is not active.", reason="user-not-active")
        return self.callers.connect_ticket(tx, caller, user_id, link_id)
