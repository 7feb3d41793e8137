"""Pushes that end more people's access than one run may: it ends at once, and what cannot be undone
waits for an administrator (R5, R6, T16).
"""

from dataclasses import dataclass, replace

from broker.db.database import Transaction
from broker.domain.directories import Directory
from broker.domain.effects import After
from broker.domain.runs import Record, Result
from broker.domain.users import SUSPENSION_HELD, Event, Status, User
from broker.service.licensing import Licensing
from broker.store import jobs, leavers, licenses, pages, projects, users
from broker.store.pages import Where
from broker.store.resources import Shelf

HELD = {
    Event.DIRECTORY_INACTIVE: Event.SUSPENSION_HELD,
    Event.DELETED: Event.DELETION_HELD,
}
"""What happens in place of an ending that is held."""


@dataclass(frozen=True, slots=True)
class Withholding:
    """Holds erasures, and licenses that would go to the next; units for the cases that use it.

    Where a directory's `Holding.pushes` is off, nothing here costs a statement.
    """

    licensing: Licensing

    def ending(
        self, tx: Transaction, directory: Directory, user_id: str, event: Event, by: str
    ) -> After:
        """The directory ends a person's access (inactive, or deleted): by the row R5 where that
        is one more than it may.
        """
        if directory.holding.pushes:
            licenses.lock(tx, directory.project)  # one by one, or two would count the same people
            if _is_one_too_many(tx, directory, user_id):
                event = HELD[event]
            if event is not Event.DIRECTORY_INACTIVE:
                _overtaken(tx, directory.project, user_id, by)
        return self.licensing.happening(tx, directory.project, user_id, event, by)

    def returning(self, tx: Transaction, user: User, by: str) -> After:
        """The directory calls a person active (U12 to U14), whom it may have held until now."""
        if user.status_reason == SUSPENSION_HELD:
            _overtaken(tx, user.project, user.id, by)
        return self.licensing.happening(tx, user.project, user.id, Event.DIRECTORY_ACTIVE, by)

    def created_again(self, tx: Transaction, user: User, by: str) -> None:
        """The directory creates anew whom it deleted: the deletion that was held is carried out
        first (U15), so that what follows is U16.
        """
        self.licensing.happening(tx, user.project, user.id, Event.DELETED, by)
        _overtaken(tx, user.project, user.id, by)

    def abandoned(self, tx: Transaction, directory: Directory, by: str) -> None:
        """The directory is deleted and nobody decides any more (R9): whom it held stays suspended,
        nothing is erased, and the licenses are free. Comes before its people are detached.
        """
        licenses.lock(tx, directory.project)  # before any person, as everywhere
        for id in leavers.undecided(tx, directory.project, directory.id):
            self.licensing.happening(tx, directory.project, id, Event.RELEASED, by)

    def concerns(self, tx: Transaction, project: str, record: Record) -> bool:
        """Whether a record of a run that is no push run was held by a push into it, or by one that
        was tried again.
        """
        user = users.find(tx, project, record.resource_id or "")
        return user is not None and (
            user.is_withheld or user.deletion_is_held or user.status_reason == SUSPENSION_HELD
        )

    def released(self, tx: Transaction, project: str, record: Record, by: str) -> Result:
        """An administrator agrees with a held change of a push: it is carried out, and its license
        goes to whoever is next (U6, U15). What the record's result is now.
        """
        event = Event.DELETED if record.held is Result.DELETED else Event.RELEASED
        self._decided(tx, project, record, event, by)
        return record.held or Result.SUSPENDED

    def rejected(self, tx: Transaction, project: str, record: Record, by: str) -> Result:
        """An administrator disagrees: the person comes back without a license (U12, U14), and the
        one that was withheld is free. What the record's result is now.
        """
        user = self._decided(tx, project, record, Event.KEPT, by)
        if user is not None and record.held is Result.DELETED:
            issuer = projects.get(tx, project).oidc_issuer
            users.change(tx, replace(user, detached_issuer=issuer))  # adopted, it is the same one
        return Result.SKIPPED

    def _decided(
        self, tx: Transaction, project: str, record: Record, event: Event, by: str
    ) -> User | None:
        """The person as decided; None, where they were deleted in the meantime: nobody comes back
        from that.
        """
        licenses.lock(tx, project)  # before any person, as everywhere
        user = users.lock(tx, project, record.resource_id or "")
        if user.status is Status.DELETED:
            return None
        return self.licensing.happening(tx, project, user.id, event, by).user


def _is_one_too_many(tx: Transaction, directory: Directory, user_id: str) -> bool:
    """Whether this person's end is beyond what the directory's run may do by itself (R5)."""
    leaving = leavers.of_directory(tx, directory.project, directory.id, but=user_id)
    here = pages.count(tx, Shelf(directory.project, directory.id, "User"), Where())
    most = directory.holding.most(here + leaving.deleted)
    return leaving.is_waiting or leaving.people + 1 > most


def _overtaken(tx: Transaction, project: str, user_id: str, by: str) -> None:
    """A held run of whose changes none is left has nothing to wait for any more."""
    for run in leavers.overtake(tx, project, user_id, by):
        jobs.add(tx, "decided", project, run=run)
