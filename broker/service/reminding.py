"""Reminding: a letter says that a step waits for its person, and says it again while it does."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.clock import DAY
from broker.domain.pauses import Pause, next_reminder
from broker.store import letters, pauses, users


@dataclass(frozen=True, slots=True)
class Reminding:
    """After 1, 3 and 7 days and then each week, once a person and connector, however many wait."""

    db: Database

    async def remind(self) -> int:
        """Write to everybody whose turn it is; how many people and connectors were looked at."""
        looked = 0
        while due := await self.db.peek(pauses.unreminded):
            for project, user, connector in due:
                await self.db.write(_reminding, project, user, connector)
            looked += len(due)
        return looked

    async def wants(self, project: str, user_id: str) -> bool:
        """Whether the person is reminded of steps that wait for them."""
        return await self.db.peek(users.wants_reminders, project, user_id)

    async def opt(self, project: str, user_id: str, on: bool) -> None:
        """The person's own word: remind me, or do not. The first letter of a wait comes anyway."""
        await self.db.write(users.set_reminders, project, user_id, on)


def write(tx: Transaction, pause: Pause) -> None:
    """P1: one letter a day to this person for this connector, however many of their steps wait."""
    letters.add(
        tx,
        pause.project,
        pause.user,
        "needed",
        once=f"needed/{pause.user}/{pause.connector}/{tx.now // DAY}",
        connector=pause.connector,
    )


def _reminding(tx: Transaction, project: str, user: str, connector: str) -> None:
    """The step that waits longest says when; from then on all of them are due together."""
    users.lock(tx, project, user)
    found = pauses.waiting(tx, project, connector, user)
    if not found:
        return
    oldest = found[0]
    is_due = oldest.remind_at is not None and oldest.remind_at <= tx.now
    if is_due and users.wants_reminders(tx, project, user):
        write(tx, oldest)
    pauses.remind_at(tx, project, user, connector, next_reminder(oldest.created_at, tx.now))
