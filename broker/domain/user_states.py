"""What happens to a person: status and license as one table (rows U1 to U18 of the semantics)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from broker.domain import effects
from broker.domain.effects import After, Effect
from broker.domain.errors import Conflict
from broker.domain.licenses import Licenses
from broker.domain.users import Event, License, Status, SuspendedBy, User


@dataclass(frozen=True, slots=True)
class Moment:
    """What a row may ask besides the person; `ahead` is how many wait longer."""

    now: int
    licenses: Licenses
    ahead: int = 0
    reason: str | None = None


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
        changed = _suspend_by_admin(user, replace(moment, reason=barred.status_reason))
    elif user.idp_active:
        changed = _invite(user, moment)
    else:
        changed = _suspend_by_directory(user, moment)
    invited = changed.status is Status.INVITED
    return After(row, changed, frozenset({Effect.INVITE} if invited else ()))


def left_behind(user: User, id: str, *, now: int) -> User:
    """The tombstone, under an id of its own, of names that this person goes on without (safety 6):
    an administrator suspended them, and a name keeps that.
    """
    tombstone = _delete(user, Moment(now, Licenses(user.project, 0)))
    return replace(tombstone, id=id, version=1, created_at=now, changed_at=now)


def _always(_user: User, _moment: Moment) -> bool:
    return True


def _may_be_active(user: User, moment: Moment) -> bool:
    return moment.licenses.has_free or user.is_exempt


def _may_take(_user: User, moment: Moment) -> bool:
    return moment.licenses.has_free


def _passes_others(_user: User, moment: Moment) -> bool:
    return moment.licenses.strict and moment.ahead > 0


def _by_admin(user: User, _moment: Moment) -> bool:
    return user.suspended_by is SuspendedBy.ADMIN


def _returns(user: User, moment: Moment) -> bool:
    return user.was_active and not _by_admin(user, moment)


def _starts(user: User, moment: Moment) -> bool:
    return not user.was_active and not _by_admin(user, moment)


def _is_held(user: User, _moment: Moment) -> bool:
    return user.is_held


def _is_detached(user: User, _moment: Moment) -> bool:
    return user.detached_at is not None


def _same(user: User, _moment: Moment) -> User:
    return user


def _moved(user: User, status: Status, reason: str | None = None, **also: Any) -> User:
    """In another status, without license, place or suspension unless `also` says so."""
    kept = {"license": License.NONE, "queue_seq": None, "suspended_by": None} | also
    return replace(user, status=status, status_reason=reason, **kept)


def _activate(user: User, moment: Moment) -> User:
    license, now = License.NONE if user.is_exempt else License.HELD, moment.now
    return _moved(user, Status.ACTIVE, license=license, accepted=True, activated_at=now)


def _queue(user: User, moment: Moment) -> User:
    seq = moment.licenses.next_seq
    return _moved(user, Status.QUEUED, "license-exhausted", accepted=True, queue_seq=seq)


def _invite(user: User, moment: Moment) -> User:
    """With a new epoch, and so a new letter; the old link is void (U1, U14, U18)."""
    return _moved(
        user,
        Status.INVITED,
        invite_epoch=user.invite_epoch + 1,
        accepted=False,
        invited_at=moment.now,
        idp_active=True,
    )


def _invite_back(user: User, _moment: Moment) -> User:
    """Accepted before, so no second letter: the next login decides (U12, T15)."""
    return _moved(user, Status.INVITED, accepted=True, idp_active=True)


def _suspend(user: User, by: SuspendedBy, reason: str) -> User:
    return _moved(user, Status.SUSPENDED, reason, suspended_by=by)


def _suspend_by_directory(user: User, _moment: Moment) -> User:
    by, why = SuspendedBy.DIRECTORY, "inactive-in-directory"
    return _moved(user, Status.SUSPENDED, why, suspended_by=by, idp_active=False)


def _suspend_by_admin(user: User, moment: Moment) -> User:
    return _suspend(user, SuspendedBy.ADMIN, moment.reason or "suspended-by-admin")


def _suspend_detached(user: User, _moment: Moment) -> User:
    return _suspend(user, SuspendedBy.DETACHED, "directory-deleted")


def _lift(user: User, moment: Moment) -> User:
    """As the directory wants it, now that no administrator objects."""
    if not user.idp_active:
        return _suspend_by_directory(user, moment)
    return _invite_back(user, moment) if user.was_active else _invite(user, moment)


def _say_active(user: User, _moment: Moment) -> User:
    return replace(user, idp_active=True)


def _say_inactive(user: User, _moment: Moment) -> User:
    return replace(user, idp_active=False)


def _exempt(user: User, _moment: Moment) -> User:
    return replace(user, licensed=False, license=License.NONE)


def _exempt_and_activate(user: User, moment: Moment) -> User:
    return _activate(replace(user, licensed=False), moment)


def _need_license(user: User, _moment: Moment) -> User:
    return replace(user, licensed=True)


def _take_license(user: User, _moment: Moment) -> User:
    return replace(user, licensed=True, license=License.HELD)


def _delete(user: User, moment: Moment) -> User:
    """A tombstone; it remembers an administrator's suspension, and no flag (safety 6, 7)."""
    barred = _by_admin(user, moment)
    reason = user.status_reason if barred else "deleted-by-directory"
    return replace(
        _moved(user, Status.DELETED, reason),
        suspended_by=SuspendedBy.ADMIN if barred else None,
        idp_active=False,
        licensed=True,
        user_authentication=True,
        adoptable=False,
        deleted_at=moment.now,
    )


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
    Row("U3", Event.LOGGED_IN, INVITED, _may_be_active, _activate),
    Row("U4", Event.LOGGED_IN, INVITED, _always, _queue),
    Row("U5", Event.LOGGED_IN, QUEUED | ACTIVE, _always, _same),
    Row("U6", Event.PROMOTED, QUEUED, _may_be_active, _activate),
    Row("U8", Event.PROMOTED, QUEUED, _always, _refuse_exhausted),
    Row("U7", Event.ACTIVATED, NOT_YET, _passes_others, _refuse_bypass),
    Row("U7", Event.ACTIVATED, NOT_YET, _may_be_active, _activate),
    Row("U8", Event.ACTIVATED, NOT_YET, _always, _refuse_exhausted),
    Row("U9", Event.DIRECTORY_INACTIVE, ACTIVE, _always, _suspend_by_directory),
    Row("U10", Event.DIRECTORY_INACTIVE, NOT_YET, _always, _suspend_by_directory),
    Row("U11", Event.SUSPENDED, LIVING, _always, _suspend_by_admin),
    Row("U11", Event.REINSTATED, SUSPENDED, _by_admin, _lift),
    Row("U12", Event.DIRECTORY_ACTIVE, SUSPENDED, _returns, _invite_back),
    Row("U14", Event.DIRECTORY_ACTIVE, SUSPENDED, _starts, _invite),
    Row("U13", Event.DIRECTORY_ACTIVE, LIVING, _always, _say_active),
    Row("U13", Event.DIRECTORY_INACTIVE, SUSPENDED, _always, _say_inactive),
    Row("U15", Event.DELETED, LIVING, _always, _delete),
    Row("U18", Event.INVITED_AGAIN, INVITED, _always, _invite),
    Row("safety 12", Event.DETACHED_TOO_LONG, IN_USE, _is_detached, _suspend_detached),
    Row("D3", Event.EXEMPTED, QUEUED, _always, _exempt_and_activate),
    Row("D3", Event.EXEMPTED, LIVING, _always, _exempt),
    Row("D3", Event.LICENSED, ACTIVE, _is_held, _same),
    Row("D3", Event.LICENSED, ACTIVE, _may_take, _take_license),
    Row("D3", Event.LICENSED, ACTIVE, _always, _refuse_exhausted),
    Row("D3", Event.LICENSED, LIVING, _always, _need_license),
)
