"""`broker migrate`: look where a database stands, and bring it to the newest revision."""

import asyncio
from dataclasses import dataclass
from typing import Any

from broker import bootstrap, premises
from broker.config import Settings
from broker.db import migrate, revision


@dataclass(frozen=True, slots=True)
class State:
    """Where a database stands, and where this code wants it; `at` None was never migrated."""

    at: str | None
    newest: str

    @property
    def is_behind(self) -> bool:
        """Whether something is left to do."""
        return bootstrap.is_behind(self.at)

    @property
    def json(self) -> dict[str, Any]:
        """For programs."""
        return {"revision": self.at, "newest": self.newest, "behind": self.is_behind}

    @property
    def words(self) -> str:
        """For people."""
        if self.is_behind:
            return f"The database is at {self.at or 'nothing'}, {self.newest} is the newest."
        return f"The database is at {self.at}: nothing to do."


def state(settings: Settings) -> State:
    """Where the database stands now."""
    premises.open_folder(settings.data)
    return State(asyncio.run(_revision(settings)), revision.newest())


def done(settings: Settings) -> State:
    """Where the database stands once it is migrated; Locked where another process is at it."""
    migrate.upgrade(settings.database)
    return state(settings)


async def _revision(settings: Settings) -> str | None:
    db = await bootstrap.database_of(settings)
    try:
        return await bootstrap.revision_of(db, settings)
    finally:
        await db.close()
