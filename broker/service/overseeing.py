"""Overseeing: what an administrator has to see wherever they look."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.directories import Directory
from broker.domain.users import DETACHED_LIMIT
from broker.domain.webhooks import State, Webhook
from broker.store import directories, notices, webhooks
from broker.store.notices import Waiting


@dataclass(frozen=True, slots=True)
class Notices:
    """What stands above every page until somebody has seen to it; `now` is when they looked.

    `detached` are people whose directory was deleted, `letters` those that cannot leave,
    `troubled` directories that cannot be read, `stopped` webhooks that nothing is sent to.
    """

    now: int
    detached: Waiting | None = None
    letters: Waiting | None = None
    troubled: Sequence[Directory] = ()
    stopped: Sequence[Webhook] = ()

    @property
    def detached_until(self) -> int:
        """When the first of the detached people is suspended (safety 12)."""
        return (self.detached.since if self.detached else self.now) + DETACHED_LIMIT


@dataclass(frozen=True, slots=True)
class Overseeing:
    """`delivers` says that letters leave: there is a mail server."""

    db: Database
    delivers: bool

    async def notices(self, project: str) -> Notices:
        """What waits for an administrator of the project."""
        return await self.db.read(self._notices, project)

    def _notices(self, tx: Transaction, project: str) -> Notices:
        return Notices(
            now=tx.now,
            detached=notices.detached(tx, project),
            letters=None if self.delivers else notices.letters(tx, project),
            troubled=[each for each in directories.every(tx, project) if each.trouble],
            stopped=webhooks.every(tx, project, State.PAUSED, State.DISABLED),
        )
