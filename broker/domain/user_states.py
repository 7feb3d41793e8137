"""What happens to a person: status and license as one table (rows U1 to U18 of the semantics)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from broker.domain import becoming, effects
from broker.domain.becoming import Moment
from broker.domain.effects import After, Effect
from broker.domain.errors import Conflict
from broker.domain.licenses import Licenses
from broker.domain.users import Event, Status, SuspendedBy, User


class Unadopted(Conflict):
    """Nobody lets a person in for whom no directory speaks (safety 12)."""

    def __init__(self) -> None:
        super().__init__(
            "This person has no directory any more.",
            reason="user-detached",
            next="Adopt this person into a directory first.",
        )


def after(
    user: User,
    event: Event,
    *,
    now: int,
    licenses: Licenses | None = None,
    ahead: int = 0,
    reason: str | None = None,
) -> After:
    """This person once `event` has happened; Conflict where the table has no row.

    `licenses` is the project's row under its lock: events that may take a license (logged in,
    promoted, activated, licensed) need it. `ahead` counts those who wait longer than this person,
    `reason` is an administrator's word for a suspension. The answer's `effects` are what the
    caller does in the same transaction.
    """
    if licenses is None and event in TAKES_LICENSE:
        raise ValueError(f"a person cannot be {event} without the project's licenses")
    moment = Moment(now, licenses or Licenses(user.project, 0), ahead, reason)
    for row in TABLE:
        if row.event is event and user.status in row.origin and row.guard(user, moment):
            changed = row.change(user, moment)
            if changed != user:
                changed = replace(changed, version=user.version + 1, changed_at=now)
            bypassed = ahead if row.number == "U7" else 0
            return After(row.number, changed, effects.between(user, changed), bypassed)
    raise Conflict(f"A person who is {user.status} cannot be {event}", reason=f"user-{user.status}")


def provisioned(user: User, *, now: int, tombstones: Iterable[User] = ()) -> After:
    """A person a directory pushed for the first time, never active (U1, U2, R123).

    `user` is the new record as mapped: invited, with `idp_active` as the directory said. The
    `tombstones` are deleted people with the same externalId or userName key (U16): where an
    administrator had suspended one of them, this one comes back suspended (safety 6).
    """
    moment = Moment(now, Licenses(user.project, 0))
    before = tuple(tombstones)
    row = "U16" if before else "U1" if user.idp_active else "U2"
    barred = next((one for one in before if one.suspended_by is SuspendedBy.ADMIN), None)
    if barred is not None:
        changed = becoming.suspend_by_admin(user, replace(moment, reason=barred.status_reason))
    elif user.idp_active:
        changed = becoming.invite(user, moment)
    else:
        changed = becoming.suspend_by_directory(user, moment)
    invited = changed.status is Status.INVITED
    return After(row, changed, frozenset({Effect.INVITE} if invited else ()))


def left_behind(user: User, id: str, *, now: int) -> User:
    """The tombstone, under an id of its own, of names that this person goes on without (safety 6):
    an administrator suspended them, and a name keeps that.
    """
    tombstone = becoming.delete(user, Moment(now, Licenses(user.project, 0)))
    return replace(tombstone, id=id, version=1, created_at=now, changed_at=now)


def _always(_user: User, _moment: Moment) -> bool:
    return True


def _comes_first(user: User, moment: Moment) -> bool:
    """Nobody waits longer: only where promotion is manual may somebody, beside a free license."""
    return user.is_exempt or (moment.licenses.has_free and not moment.licenses.queued)


def _may_be_active(user: User, moment: Moment) -> bool:
    return moment.licenses.has_free or user.is_exempt


def _may_take(_user: User, moment: Moment) -> bool:
    return moment.licenses.has_free


def _passes_others(_user: User, moment: Moment) -> bool:
    return moment.licenses.strict and moment.ahead > 0


def _by_admin(user: User, _moment: Moment) -> bool:
    return user.is_barred


def _returns(user: User, _moment: Moment) -> bool:
    return user.was_active and not user.is_barred


def _starts(user: User, _moment: Moment) -> bool:
    return not user.was_active and not user.is_barred


def _is_held(user: User, _moment: Moment) -> bool:
    return user.is_held


def _is_undecided(user: User, _moment: Moment) -> bool:
    return user.deletion_is_held


def _is_detached(user: User, _moment: Moment) -> bool:
    return user.is_detached


def _refuse_detached(_user: User, _moment: Moment) -> User:
    raise Unadopted()


def _refuse_exhausted(_user: User, moment: Moment) -> User:
    raise Conflict(
        f"No license is free: {moment.licenses.sentence}",
        reason="license-exhausted",
        next="Free a license, or raise the capacity.",
    )


def _refuse_bypass(_user: User, moment: Moment) -> User:
    raise Conflict(
        f"{moment.ahead} wait longer, and this project gives licenses strictly in order",
        reason="queue-order",
        next="Activate whoever is first in the queue.",
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: on this event, in one of these states, where the guard holds."""

    number: str
    event: Event
    origin: frozenset[Status]
    guard: Callable[[User, Moment], bool]
    change: Callable[[User, Moment], User]


INVITED = frozenset({Status.INVITED})
QUEUED = frozenset({Status.QUEUED})
ACTIVE = frozenset({Status.ACTIVE})
SUSPENDED = frozenset({Status.SUSPENDED})
NOT_YET = INVITED | QUEUED
IN_USE = NOT_YET | ACTIVE
LIVING = IN_USE | SUSPENDED

TAKES_LICENSE = frozenset({Event.LOGGED_IN, Event.PROMOTED, Event.ACTIVATED, Event.LICENSED})

# The first row that fits answers. U1, U2 and U16 are `provisioned`; U17 is `Licenses.free`: a
# capacity below use evicts nobody. A deleted person is in no row: nothing brings one back.
TABLE = (
    Row("safety 12", Event.LOGGED_IN, IN_USE, _is_detached, _refuse_detached),
    Row("safety 12", Event.ACTIVATED, NOT_YET, _is_detached, _refuse_detached),
    Row("safety 12", Event.INVITED_AGAIN, INVITED, _is_detached, _refuse_detached),
    Row("U3", Event.LOGGED_IN, INVITED, _comes_first, becoming.activate),
    Row("U4", Event.LOGGED_IN, INVITED, _always, becoming.queue),
    Row("U5", Event.LOGGED_IN, QUEUED | ACTIVE, _always, becoming.same),
    Row("U6", Event.PROMOTED, QUEUED, _may_be_active, becoming.activate),
    Row("U8", Event.PROMOTED, QUEUED, _always, _refuse_exhausted),
    Row("U7", Event.ACTIVATED, NOT_YET, _passes_others, _refuse_bypass),
    Row("U7", Event.ACTIVATED, NOT_YET, _may_be_active, becoming.activate),
    Row("U8", Event.ACTIVATED, NOT_YET, _always, _refuse_exhausted),
    Row("U9", Event.DIRECTORY_INACTIVE, ACTIVE, _always, becoming.suspend_by_directory),
    Row("U10", Event.DIRECTORY_INACTIVE, NOT_YET, _always, becoming.suspend_by_directory),
    Row("R5", Event.SUSPENSION_HELD, IN_USE, _always, becoming.hold_suspension),
    Row("R5", Event.DELETION_HELD, LIVING, _always, becoming.hold_deletion),
    Row("R6", Event.RELEASED, LIVING, _always, becoming.release),
    Row("U12", Event.KEPT, SUSPENDED, _returns, becoming.keep),
    Row("U14", Event.KEPT, SUSPENDED, _starts, becoming.keep),
    Row("R6", Event.KEPT, LIVING, _always, becoming.keep),
    Row("U11", Event.SUSPENDED, LIVING, _always, becoming.suspend_by_admin),
    Row("U11", Event.REINSTATED, SUSPENDED, _by_admin, becoming.lift),
    Row("U13", Event.DIRECTORY_ACTIVE, SUSPENDED, _is_undecided, becoming.say_active),
    Row("U12", Event.DIRECTORY_ACTIVE, SUSPENDED, _returns, becoming.invite_back),
    Row("U14", Event.DIRECTORY_ACTIVE, SUSPENDED, _starts, becoming.invite),
    Row("U13", Event.DIRECTORY_ACTIVE, LIVING, _always, becoming.say_active),
    Row("U13", Event.DIRECTORY_INACTIVE, SUSPENDED, _always, becoming.say_inactive),
    Row("U13", Event.SUSPENSION_HELD, SUSPENDED, _always, becoming.say_inactive),
    Row("U15", Event.DELETED, LIVING, _always, becoming.delete),
    Row("U18", Event.INVITED_AGAIN, INVITED, _always, becoming.invite),
    Row("safety 12", Event.DETACHED_TOO_LONG, IN_USE, _is_detached, becoming.suspend_detached),
    Row("D3", Event.EXEMPTED, QUEUED, _always, becoming.exempt_and_activate),
    Row("D3", Event.EXEMPTED, LIVING, _always, becoming.exempt),
    Row("D3", Event.LICENSED, ACTIVE, _is_held, becoming.same),
    Row("D3", Event.LICENSED, ACTIVE, _may_take, becoming.take_license),
    Row("D3", Event.LICENSED, ACTIVE, _always, _refuse_exhausted),
    Row("D3", Event.LICENSED, LIVING, _always, becoming.need_license),
)
