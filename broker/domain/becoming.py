"""What becomes of a person: the changes that the rows of the table U name, each in one place."""

from dataclasses import dataclass, replace
from typing import Any

from broker.domain.licenses import Licenses
from broker.domain.users import DELETION_HELD, SUSPENSION_HELD, License, Status, SuspendedBy, User

INACTIVE = "inactive-in-directory"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a row may ask besides the person; `ahead` is how many wait longer."""

    now: int
    licenses: Licenses
    ahead: int = 0
    reason: str | None = None


def same(user: User, _moment: Moment) -> User:
    """Nothing."""
    return user


def _moved(user: User, status: Status, reason: str | None = None, **also: Any) -> User:
    """In another status, without license, place or suspension unless `also` says so."""
    nothing = {"license": License.NONE, "queue_seq": None, "queued_at": None, "suspended_by": None}
    kept = nothing | also
    return replace(user, status=status, status_reason=reason, **kept)


def activate(user: User, moment: Moment) -> User:
    """Active, with a license unless exempt (U3, U6, U7)."""
    license, now = License.NONE if user.is_exempt else License.HELD, moment.now
    return _moved(user, Status.ACTIVE, license=license, accepted=True, activated_at=now)


def queue(user: User, moment: Moment) -> User:
    """Waiting at the last place (U4)."""
    seq, now = moment.licenses.next_seq, moment.now
    waits = _moved(user, Status.QUEUED, "license-exhausted", queue_seq=seq, queued_at=now)
    return replace(waits, accepted=True)


def invite(user: User, moment: Moment) -> User:
    """With a new epoch, and so a new letter; the old link is void (U1, U14, U18)."""
    return _moved(
        user,
        Status.INVITED,
        invite_epoch=user.invite_epoch + 1,
        accepted=False,
        invited_at=moment.now,
        idp_active=True,
    )


def invite_back(user: User, _moment: Moment) -> User:
    """Accepted before, so no second letter: the next login decides (U12, T15)."""
    return _moved(user, Status.INVITED, accepted=True, idp_active=True)


def _suspend(user: User, by: SuspendedBy, reason: str) -> User:
    return _moved(user, Status.SUSPENDED, reason, suspended_by=by)


def suspend_by_directory(user: User, _moment: Moment) -> User:
    """Suspended because the directory says so (U2, U9, U10)."""
    why = DELETION_HELD if user.deletion_is_held else INACTIVE
    return replace(_suspend(user, SuspendedBy.DIRECTORY, why), idp_active=False)


def hold_suspension(user: User, moment: Moment) -> User:
    """The same, and the license is nobody's until it is decided (R5)."""
    license = License.WITHHELD if user.is_held else License.NONE
    suspended = suspend_by_directory(user, moment)
    return replace(suspended, status_reason=SUSPENSION_HELD, license=license)


def hold_deletion(user: User, moment: Moment) -> User:
    """Suspended, and not erased until it is decided (R5); a suspension stays whose it is."""
    held = user if user.is_gone else hold_suspension(user, moment)
    reason = held.status_reason if held.is_barred else DELETION_HELD
    return replace(held, status_reason=reason, idp_active=False, deleted_at=moment.now)


def release(user: User, _moment: Moment) -> User:
    """Suspended and no more: an administrator agrees (R6), or nobody is left to ask (R9)."""
    if user.status_reason in (SUSPENSION_HELD, DELETION_HELD):
        user = replace(user, status_reason=INACTIVE)
    if user.deletion_is_held:
        user = replace(user, deleted_at=None)
    return replace(user, license=License.NONE) if user.is_withheld else user


def keep(user: User, moment: Moment) -> User:
    """An administrator disagrees with what was held (R6): back as by U12 and U14.

    The directory's word stays as it was said, so that repeating it ends nothing. Whom it deleted
    no directory speaks for any more: detached, and the directory's again when it returns them.
    """
    if user.deletion_is_held:
        user = replace(
            user,
            directory=None,
            detached_at=moment.now,
            adoptable=True,
            deleted_at=None,
            idp_active=True,
        )
    if user.status is not Status.SUSPENDED or user.is_barred:
        return user
    return replace(_back(user, moment), idp_active=user.idp_active)


def suspend_by_admin(user: User, moment: Moment) -> User:
    """Suspended until an administrator lifts it (U11)."""
    return _suspend(user, SuspendedBy.ADMIN, moment.reason or "suspended-by-admin")


def suspend_detached(user: User, _moment: Moment) -> User:
    """Suspended because nobody adopted them in time (safety 12)."""
    return _suspend(user, SuspendedBy.DETACHED, "directory-deleted")


def lift(user: User, moment: Moment) -> User:
    """As the directory wants it, now that no administrator objects."""
    if not user.idp_active:
        return suspend_by_directory(user, moment)
    return _back(user, moment)


def _back(user: User, moment: Moment) -> User:
    """As by U12 and U14; whoever adopts a detached person sends the letter (safety 12)."""
    if user.was_active or not user.is_detached:
        return invite_back(user, moment) if user.was_active else invite(user, moment)
    return replace(invite_back(user, moment), accepted=False)


def say_active(user: User, _moment: Moment) -> User:
    """The directory said so, and nothing follows from it (U13)."""
    return replace(user, idp_active=True)


def say_inactive(user: User, _moment: Moment) -> User:
    """The directory said so, and nothing follows from it (U13)."""
    return replace(user, idp_active=False)


def exempt(user: User, _moment: Moment) -> User:
    """In need of no license (D3)."""
    return replace(user, licensed=False, license=License.NONE)


def exempt_and_activate(user: User, moment: Moment) -> User:
    """In need of no license, and so waiting for nothing (D3)."""
    return activate(replace(user, licensed=False), moment)


def need_license(user: User, _moment: Moment) -> User:
    """In need of a license at the next sign-in."""
    return replace(user, licensed=True)


def take_license(user: User, _moment: Moment) -> User:
    """In need of a license, and holding one."""
    return replace(user, licensed=True, license=License.HELD)


def delete(user: User, moment: Moment) -> User:
    """A tombstone; it remembers an administrator's suspension, and no flag (safety 6, 7)."""
    barred = user.is_barred
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
