"""Directories deleted: at once and for good, all but the people, who are detached (R113, R115)."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain import names
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE
from broker.domain.errors import Problem
from broker.domain.runs import Ending
from broker.service.configuring import hold
from broker.service.licensing import Licensing
from broker.service.syncing import ending
from broker.service.withholding import Withholding
from broker.store import (
    audit,
    callers,
    detached,
    directories,
    events,
    jobs,
    licenses,
    pages,
    projects,
    protected,
    runs,
)
from broker.store.jobs import Job
from broker.store.pages import Where
from broker.store.resources import Shelf

JOB = "directory.clear"
AT_ONCE = 200
UNDER_WAY = MINUTE
"""Longer than any push takes that came before the directory was deleted and ends after it."""


@dataclass(frozen=True, slots=True)
class Removing:
    """Deletes a directory; what it said is removed piece by piece behind it."""

    db: Database
    licensing: Licensing

    async def affected(self, caller: Caller, id: str) -> dict[str, int]:
        """What deleting it would end: `{"people", "groups", "tokens"}`; people are detached."""
        caller.require("directories:read")
        return await self.db.read(_affected, caller.project, id)

    async def delete(
        self, caller: Caller, id: str, name: str, *, version: int | None = None
    ) -> None:
        """Delete a directory for good: tokens are refused, its run ends, secrets, mapping and
        schedule are gone, its people are detached (R9, R113, R115).

        `name` is its name, typed once more; Invalid where it differs.
        """
        caller.require("directories:write")
        await self.db.write(self._deleting, caller, id, name, version)

    async def clear(self, job: Job) -> None:
        """Remove what a deleted directory said, some at a time."""
        project, id = job.project or "", str(job.data["directory"])
        while await self.db.write(_clearing, job, project, id):
            pass

    def _deleting(
        self, tx: Transaction, caller: Caller, id: str, name: str, version: int | None
    ) -> None:
        project, by = caller.project, caller.actor
        directory = hold(tx, caller, id, version)
        if names.key(name) != directory.name_key:
            detail = "Type the name of the directory as it is."
            raise Problem("/name", "name_mismatch", detail).alone()
        licenses.lock(tx, project)  # before any person, as everywhere
        told = _affected(tx, project, id)
        Withholding(self.licensing).abandoned(tx, directory, by)
        while (going := runs.current(tx, project, id)) is not None:
            ending(tx, going, Ending.DELETED)
        detached.detach(tx, project, id, projects.get(tx, project).oidc_issuer)
        protected.erase(tx, project, id)
        directories.bury(tx, directory)
        for due in (tx.now, tx.now + UNDER_WAY):
            jobs.add(tx, JOB, project, due=due, directory=id)
        audit.append(tx, project, by, "directory.deleted", id, **told)
        events.append(tx, project, "directory.deleted", directory=id, people=told["people"])


def _affected(tx: Transaction, project: str, id: str) -> dict[str, int]:
    directories.get(tx, project, id)
    return {
        "people": detached.count(tx, project, id),
        "groups": pages.count(tx, Shelf(project, id, "Group"), Where()),
        "tokens": len(callers.living(tx, project, id)),
    }


def _clearing(tx: Transaction, job: Job, project: str, directory: str) -> bool:
    """Some of it; whether there may be more. People who came last are detached as the others."""
    jobs.extend(tx, job)
    detached.detach(tx, project, directory, projects.get(tx, project).oidc_issuer)
    return detached.clear(tx, project, directory, AT_ONCE)
