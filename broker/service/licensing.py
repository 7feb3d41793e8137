"""Who is in: invitations, licenses and the queue for them; the one door through which all change.

Whatever asks for a license (a login, an administrator, the queue itself) takes the project's row
of licenses first, then the person: so the order of the queue is the order of that lock, on both
engines and with any number of replicas.
"""

from dataclasses import dataclass, replace

from broker.db.database import Database, Transaction
from broker.domain import effects, user_states
from broker.domain.callers import Caller
from broker.domain.effects import After, Effect
from broker.domain.errors import Conflict, Invalid, NotFound
from broker.domain.licenses import Licenses, Promotion
from broker.domain.subjects import Subject
from broker.domain.users import Event, User, why
from broker.service import consequences
from broker.store import audit, licenses, queue, tombstones, users

UNKNOWN_PERSON = "Nobody here has that name."


@dataclass(frozen=True, slots=True)
class Login:
    """What a login came to: the person, their place while they wait, and a sentence for them."""

    user: User
    place: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Somebody who waits, at which place (1 is next), since when, and why in one sentence."""

    user: User
    place: int
    why: str

    @property
    def since(self) -> int | None:
        """When they came to this place."""
        return self.user.queued_at


@dataclass(frozen=True, slots=True)
class Licensing:
    """Gives licenses first come, first served (R125), and takes them back with all that hangs on
    them, in one transaction (safety 8).
    """

    db: Database

    async def log_in(self, project: str, subject: Subject, by: str) -> Login:
        """This person has just signed in (U3 to U5); NotFound, or Conflict where they may not,
        `user-detached` while no directory speaks for them (safety 12).
        """
        return await self.db.write(self._logging_in_as, project, subject, by)

    def logging_in(self, tx: Transaction, project: str, user_id: str, by: str) -> Login:
        """The same in the caller's transaction."""
        user = users.get(tx, project, user_id)
        if (
            user.is_active and not user.is_detached
        ):  # most logins change nothing and wait for nobody
            return Login(user, None, "You are active.")
        if user.is_gone:
            raise Conflict(
                "Your access has ended; ask your account admin.", reason=f"user-{user.status}"
            )
        user = self.happening(tx, project, user_id, Event.LOGGED_IN, by).user
        if user.queue_seq is None:
            return Login(user, None, "You are active now.")
        place = queue.length(tx, project, before=user.queue_seq) + 1
        return Login(
            user,
            place,
            f"No license is free for you yet. You are number {place} in the queue; "
            "ask your account admin for a license.",
        )

    async def activate(self, caller: Caller, user_id: str) -> User:
        """An administrator lets the person in (U7); Conflict `license-exhausted` (U8)."""
        return await self._by_hand(caller, user_id, Event.ACTIVATED)

    async def suspend(self, caller: Caller, user_id: str, reason: str | None = None) -> User:
        """An administrator ends the person's access; no sync brings it back (U11)."""
        return await self._by_hand(caller, user_id, Event.SUSPENDED, reason)

    async def reinstate(self, caller: Caller, user_id: str) -> User:
        """An administrator lifts what one did (U11); only in a session of their own (safety 27)."""
        caller.require_administrator()
        return await self._by_hand(caller, user_id, Event.REINSTATED)

    async def invite(self, caller: Caller, user_id: str) -> User:
        """Invite the person again, with a new letter; the link of the old one is dead (U18)."""
        return await self._by_hand(caller, user_id, Event.INVITED_AGAIN)

    async def exempt(self, caller: Caller, user_id: str, *, licensed: bool) -> User:
        """Whether the person needs a license: for an administrator to say (D3, safety 10)."""
        caller.require_administrator()
        event = Event.LICENSED if licensed else Event.EXEMPTED
        return await self._by_hand(caller, user_id, event)

    async def capacity(
        self,
        caller: Caller,
        capacity: int | None,
        *,
        promotion: Promotion | None = None,
        strict: bool | None = None,
    ) -> Licenses:
        """How many may be active, None for any number; promotes while some are free (U6)."""
        caller.require("users:admin")
        if capacity is not None and capacity < 0:
            raise Invalid("The capacity must be 0 or more, or null.", reason="invalid-capacity")
        return await self.db.write(self._sizing, caller, capacity, promotion, strict)

    async def state(self, project: str) -> Licenses:
        """Capacity, held, withheld, free, over-allocated and queued."""
        return await self.db.read(licenses.get, project)

    async def queue(self, project: str, *, after: int = 0, limit: int = 100) -> list[Queued]:
        """Those who wait, in order, from the first place after `after` (R129)."""
        return await self.db.read(_queue, project, after, limit)

    async def exempted(self, project: str) -> int:
        """How many active people need no license (safety 10)."""
        return await self.db.read(users.exempt, project)

    def happening(
        self,
        tx: Transaction,
        project: str,
        user_id: str,
        event: Event,
        by: str,
        *,
        reason: str | None = None,
    ) -> After:
        """Something happens to a person, and to others because of it; Conflict where it cannot."""
        row = licenses.lock(tx, project)
        user = users.lock(tx, project, user_id)
        ahead = 0
        if event is Event.ACTIVATED:
            ahead = queue.length(tx, project, before=user.queue_seq)
        after = user_states.after(user, event, now=tx.now, licenses=row, ahead=ahead, reason=reason)
        consequences.count(tx, row, self._applying(tx, user, after, by, row))
        if event is Event.REINSTATED:
            tombstones.lift(tx, after.user)
        return after

    def promoting(self, tx: Transaction, row: Licenses) -> Licenses:
        """Give free licenses to those who wait longest (U6); the row is locked by the caller."""
        while row.may_promote and (head := queue.head(tx, row.project)) is not None:
            after = user_states.after(head, Event.PROMOTED, now=tx.now, licenses=row)
            row = self._applying(tx, head, after, consequences.PROMOTED_BY, row)
        return row

    def _applying(
        self, tx: Transaction, before: User, after: After, by: str, row: Licenses
    ) -> Licenses:
        """Write what became of a locked person, and all it asks of others (safety 7, 8); the
        licenses as they are then, for the caller to keep.
        """
        user, asked = after.user, after.effects
        if user != before:
            users.change(tx, user)
        consequences.carry_out(tx, user, asked)
        consequences.announce(tx, before, after, by)
        row = effects.counted(row, asked)
        return self.promoting(tx, row) if Effect.PROMOTE in asked else row

    async def _by_hand(
        self, caller: Caller, user_id: str, event: Event, reason: str | None = None
    ) -> User:
        caller.require("users:admin")
        return await self.db.write(self._acting, caller, user_id, event, reason)

    def _acting(
        self, tx: Transaction, caller: Caller, user_id: str, event: Event, reason: str | None
    ) -> User:
        after = self.happening(tx, caller.project, user_id, event, caller.actor, reason=reason)
        audit.append(
            tx,
            caller.project,
            caller.actor,
            f"user.{event.name.lower()}",
            user_id,
            row=after.row,
            queue_bypass=after.bypassed,
        )
        return after.user

    def _logging_in_as(self, tx: Transaction, project: str, subject: Subject, by: str) -> Login:
        user = users.by_subject(tx, project, subject)
        if user is None:
            raise NotFound(UNKNOWN_PERSON, reason="unknown-subject")
        return self.logging_in(tx, project, user.id, by)

    def _sizing(
        self,
        tx: Transaction,
        caller: Caller,
        capacity: int | None,
        promotion: Promotion | None,
        strict: bool | None,
    ) -> Licenses:
        before = licenses.lock(tx, caller.project)
        row = replace(
            before,
            capacity=capacity,
            promotion=promotion or before.promotion,
            strict=before.strict if strict is None else strict,
        )
        row = consequences.count(tx, before, self.promoting(tx, row))
        audit.append(
            tx, caller.project, caller.actor, "licenses.changed", capacity=capacity, held=row.held
        )
        return row


def _queue(tx: Transaction, project: str, after: int, limit: int) -> list[Queued]:
    is_free = licenses.get(tx, project).has_free
    return [
        Queued(user, place, why(user, now=tx.now, place=place, is_free=is_free))
        for place, user in enumerate(queue.page(tx, project, skip=after, limit=limit), after + 1)
    ]
