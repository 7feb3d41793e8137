"""Managing users: who they are to us, why they are (not) active, their logons, their own flag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from broker.db.database import Database, Transaction
from broker.domain import names
from broker.domain.callers import Caller
from broker.domain.errors import Conflict, Problem
from broker.domain.users import Status, User, why
from broker.service.programs import Programs
from broker.store import (
    audit,
    connectors,
    events,
    invitations,
    letters,
    licenses,
    logons,
    members,
    queue,
    users,
)
from broker.store.events import Happened

EVENTS = 20
"""As many are shown of a person."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person as services and administrators see them; `place` only while they wait, and the
    events behind `why`, the newest first.
    """

    user: User
    place: int | None
    why: str
    logons: Mapping[str, str]
    events: Sequence[Happened] = ()


@dataclass(frozen=True, slots=True)
class Managing:
    """Each public verb is one transaction."""

    db: Database
    programs: Programs

    async def page(
        self,
        caller: Caller,
        *,
        status: Status | None = None,
        directory: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[User]:
        """People of the caller's project by id, those behind `after`; no tombstones unasked."""
        caller.require("users:read")
        return await self.db.read(
            users.page, caller.project, after=after, limit=limit, status=status, directory=directory
        )

    async def get(self, caller: Caller, id: str) -> Person:
        """One person; NotFound."""
        caller.require("users:read")
        return await self.db.read(_person, caller.project, id)

    async def set_logons(self, caller: Caller, id: str, given: Mapping[str, str]) -> Person:
        """These application logons and no others (safety 9).

        Invalid for a suffix that is not declared, Conflict where somebody else has the logon.
        Only an administrator changes one that a connector mints tokens by (safety 20).
        """
        caller.require("logons:write")
        return await self.db.write(self._setting_logons, caller, id, given)

    async def set_user_authentication(
        self, caller: Caller, ids: Sequence[str], *, enabled: bool
    ) -> int:
        """Whether steps may run as these people (row F5); NotFound where one is missing."""
        caller.require("users:admin")
        return await self.db.write(_switching, caller, sorted(set(ids)), enabled)

    async def set_group_user_authentication(
        self, caller: Caller, group: str, *, enabled: bool
    ) -> int:
        """The same for whoever is a member of a group now; how many they are."""
        caller.require("users:admin")

        def switching(tx: Transaction) -> int:
            ids = members.people_of(tx, caller.project, group)
            return _switching(tx, caller, sorted(ids), enabled)

        return await self.db.write(switching)

    def _setting_logons(
        self, tx: Transaction, caller: Caller, id: str, given: Mapping[str, str]
    ) -> Person:
        user = users.lock(tx, caller.project, id)
        declared = logons.declared(tx, caller.project)
        wanted = {_declared(declared, suffix): value for suffix, value in given.items()}
        kept = logons.of_user(tx, caller.project, user.id)
        changed = {suffix for suffix, _ in wanted.items() ^ kept.items()}
        if self._minting(tx, caller.project) & {suffix.casefold() for suffix in changed}:
            caller.require_administrator()
        for suffix in kept:
            if suffix not in wanted:
                logons.drop(tx, caller.project, user.id, suffix)
        for suffix, value in wanted.items():
            names.logon(value, pointer=f"/logons/{suffix}")
            if not logons.put(tx, caller.project, user.id, suffix, value):
                raise Conflict(f"Somebody else has this logon of {suffix}.", reason="logon-taken")
        audit.append(tx, caller.project, caller.actor, "user.logons", id, suffixes=sorted(wanted))
        return _person(tx, caller.project, id)

    def _minting(self, tx: Transaction, project: str) -> set[str]:
        """The suffixes, casefolded, by which connectors of the project mint people's tokens."""
        every = connectors.every(tx, project)
        return {self.programs.person_suffix(connector).casefold() for connector in every}


def _person(tx: Transaction, project: str, id: str) -> Person:
    user = users.get(tx, project, id)
    place, is_free = None, False
    if user.queue_seq is not None:
        place = queue.length(tx, project, before=user.queue_seq) + 1
        is_free = licenses.get(tx, project).has_free
    ends, undelivered = None, None
    if user.awaits_acceptance:
        ends, undelivered = invitations.link_ends(tx, user), letters.failure(tx, user)
    return Person(
        user=user,
        place=place,
        why=why(
            user,
            now=tx.now,
            place=place,
            is_free=is_free,
            link_ends=ends,
            undelivered=undelivered,
        ),
        logons=logons.of_user(tx, project, id),
        events=events.of_user(tx, project, id, EVENTS),
    )


def _declared(declared: Mapping[str, str], suffix: str) -> str:
    """The suffix as it was declared, whatever its case here; Invalid where it was not."""
    if (spelt := declared.get(suffix.casefold())) is not None:
        return spelt
    near = get_close_matches(suffix, declared.values(), 1)
    detail = f"The suffix {suffix} is not declared."
    raise Problem(f"/logons/{suffix}", "unknown_suffix", detail, *near).alone(
        next="An administrator declares suffixes with PUT /v1/project."
    )


def _switching(tx: Transaction, caller: Caller, ids: Sequence[str], enabled: bool) -> int:
    licenses.lock(tx, caller.project)  # before people, as everywhere
    for id in ids:
        user = users.lock(tx, caller.project, id)
        if user.user_authentication is not enabled:
            users.change(tx, replace(user, user_authentication=enabled))
    action = "user.user_authentication"
    target = ids[0] if len(ids) == 1 else None
    audit.append(tx, caller.project, caller.actor, action, target, enabled=enabled, count=len(ids))
    return len(ids)
