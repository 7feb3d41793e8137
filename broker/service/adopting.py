"""Detached people: whom a new directory may adopt, and what becomes of the others (safety 12)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from broker.db.database import Database, Transaction
from broker.domain import user_states
from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.errors import NotFound
from broker.domain.mapping import Profile
from broker.domain.users import DETACHED_LIMIT, Event, User
from broker.service import consequences
from broker.service.licensing import Licensing
from broker.store import (
    actions,
    audit,
    callers,
    detached,
    events,
    identities,
    licenses,
    links,
    logons,
    pauses,
    projects,
    tokens,
    users,
)

AT_ONCE = 100
OTHER_PERSON = "adopted-by-another-directory"


@dataclass(frozen=True, slots=True)
class Adopting:
    """Lets an administrator tick detached people, and ends the access of who is left too long."""

    db: Database
    licensing: Licensing

    async def detached(self, caller: Caller, *, after: str = "", limit: int = 50) -> list[User]:
        """The standing list of detached people, by id, those behind `after`."""
        caller.require("users:read")
        return await self.db.read(detached.page, caller.project, after=after, limit=limit)

    async def tick(
        self, caller: Caller, people: Sequence[str] | None, *, adoptable: bool = True
    ) -> int:
        """Whether a directory may adopt these people (None: all who are detached); how many.

        Forbidden without an administrator's session; NotFound, and nothing is ticked, where one
        is not detached.
        """
        caller.require_administrator()
        return await self.db.write(_ticking, caller, people, adoptable)

    async def sweep(self) -> int:
        """Suspend who has been detached for 30 days and adopted by nobody; how many."""
        suspended = 0
        for project in await self.db.read(projects.every):
            while found := await self.db.write(self._suspending, project.id):
                suspended += found
        return suspended

    def _suspending(self, tx: Transaction, project: str) -> int:
        licenses.lock(tx, project)  # before any person, as everywhere
        people = detached.overdue(tx, project, tx.now - DETACHED_LIMIT, AT_ONCE)
        for id in people:
            self.licensing.happening(tx, project, id, Event.DETACHED_TOO_LONG, "broker")
        return len(people)


def adopted(
    tx: Transaction, directory: Directory, profile: Profile, external_id: str | None
) -> User | None:
    """The detached person this directory may take for its new one, theirs from now on; None where
    there is none, or nobody ticked them.

    externalId counts first, then userName. Id, status, license and place in the queue stay; what
    a sign-in proved, tokens and logons only for the same issuer and externalId. Who has not
    accepted yet is invited again (U18).
    """
    project = directory.project
    if detached.adoptable(tx, project, external_id, profile.user_name) is None:
        return None  # nearly always: a look at an index that holds the ticked ones alone
    licenses.lock(tx, project)  # before any person, as everywhere
    user = detached.adoptable(tx, project, external_id, profile.user_name)
    if user is None:
        return None
    if not (same := _is_the_same(tx, user, external_id)):
        _forget(tx, user)
    taken = replace(
        user,
        directory=directory.id,
        external_id=external_id,
        profile=profile,
        detached_at=None,
        detached_issuer=None,
        adoptable=False,
        version=user.version + 1,
        changed_at=tx.now,
    )
    if taken.awaits_acceptance:
        taken = _invited_again(tx, taken)
    users.change(tx, taken)
    detached.release(tx, project, user.id)
    actor, told = f"directory:{directory.id}", {"directory": directory.id, "kept_tokens": same}
    audit.append(tx, project, actor, "user.adopted", user.id, **told)
    events.append(tx, project, "user.adopted", user_id=user.id, **told)
    return taken


def _is_the_same(tx: Transaction, user: User, external_id: str | None) -> bool:
    """Whether the same issuer speaks of the same externalId as before."""
    issuer = projects.get(tx, user.project).oidc_issuer
    named = external_id is not None and external_id == user.external_id
    return named and user.detached_issuer == issuer


def _invited_again(tx: Transaction, user: User) -> User:
    """A new epoch with its letter: the link of before was withdrawn."""
    again = user_states.after(user, Event.INVITED_AGAIN, now=tx.now)
    taken = replace(again.user, version=user.version)
    consequences.carry_out(tx, taken, again.effects)
    return taken


def _forget(tx: Transaction, user: User) -> None:
    """Drop what was proven of the person whom another issuer or externalId spoke of."""
    project, id = user.project, user.id
    tokens.drop_all(tx, project, id, OTHER_PERSON)
    pauses.cancel_all(tx, project, id, OTHER_PERSON)
    callers.end_all(tx, project, id)
    actions.end_all(tx, project, id)
    links.void_all(tx, project, id)
    logons.erase_all(tx, project, id)
    identities.erase_all(tx, project, id)


def _ticking(tx: Transaction, caller: Caller, people: Sequence[str] | None, adoptable: bool) -> int:
    wanted = None if people is None else sorted(set(people))
    ticked = detached.tick(tx, caller.project, wanted, adoptable)
    if wanted is not None and ticked < len(wanted):
        raise NotFound("One of them is not a detached person.")
    act = "users.adoptable" if adoptable else "users.not-adoptable"
    audit.append(tx, caller.project, caller.actor, act, people=ticked)
    return ticked
