"""People: who they are to us, what can happen to them, and why one is not active."""

from dataclasses import dataclass
from enum import StrEnum

from broker.domain.clock import DAY, rfc3339
from broker.domain.mapping import Profile

INVITATION_LIFETIME = 7 * DAY  # D2
DETACHED_LIMIT = 30 * DAY  # safety 12


class Status(StrEnum):
    """Ours, never SCIM's `active`, which is what the directory last said."""

    INVITED = "invited"
    QUEUED = "queued"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class License(StrEnum):
    """Whether this person holds one of the project's licenses.

    A withheld one was theirs until a held change ended their access; it is nobody's until an
    administrator has decided (R5).
    """

    NONE = "none"
    HELD = "held"
    WITHHELD = "withheld"


class SuspendedBy(StrEnum):
    """Who ended this person's access; only an administrator lifts what one did (U11)."""

    DIRECTORY = "idp"
    ADMIN = "admin"
    DETACHED = "detached"


class Event(StrEnum):
    """What can happen to a person."""

    LOGGED_IN = "logged in"  # accepts the invitation, or signs in
    PROMOTED = "promoted"
    ACTIVATED = "activated"  # by an administrator
    DIRECTORY_ACTIVE = "active in the directory"
    DIRECTORY_INACTIVE = "inactive in the directory"
    SUSPENDED = "suspended"  # by an administrator
    REINSTATED = "reinstated"  # an administrator lifts what one did
    DETACHED_TOO_LONG = "detached too long"
    INVITED_AGAIN = "invited again"
    EXEMPTED = "exempted"  # needs no license any more (D3)
    LICENSED = "licensed"  # needs one again
    DELETED = "deleted"
    SUSPENSION_HELD = "inactive in the directory, as too many are"  # R5
    DELETION_HELD = "deleted by the directory, as too many are"  # R5
    RELEASED = "released"  # an administrator agrees with a held suspension (R6)
    KEPT = "kept"  # an administrator disagrees with what was held (R6)


SUSPENSION_HELD = "suspension-held"
DELETION_HELD = "deletion-held"
"""Reasons of a suspension that waits for an administrator's decision (R5)."""


@dataclass(frozen=True, slots=True)
class User:
    """A person a directory told us about.

    `idp_active` is what the directory last said, True where it said nothing. `licensed` False
    is an administrator's exemption (safety 10). `directory` None is a detached person,
    `adoptable` an administrator's tick, `detached_issuer` the project's issuer when it happened
    (safety 12). `deleted_at` before `status` says so is a deletion that is held (R5).
    `version` and `changed_at` are this record's: those of the SCIM document are kept with the
    document.
    """

    id: str
    project: str
    directory: str | None
    external_id: str | None
    profile: Profile
    status: Status
    created_at: int
    changed_at: int
    version: int = 1
    suspended_by: SuspendedBy | None = None
    status_reason: str | None = None
    idp_active: bool = True
    license: License = License.NONE
    licensed: bool = True
    queue_seq: int | None = None
    queued_at: int | None = None
    user_authentication: bool = True
    invite_epoch: int = 0
    accepted: bool = False
    invited_at: int | None = None
    activated_at: int | None = None
    deleted_at: int | None = None
    detached_at: int | None = None
    detached_issuer: str | None = None
    adoptable: bool = False

    @property
    def was_active(self) -> bool:
        """Whether this person has ever been active (U12, U14)."""
        return self.activated_at is not None

    @property
    def user_name(self) -> str:
        """As the directory spells it."""
        return self.profile.user_name

    @property
    def display_name(self) -> str:
        """What pages and answers call this person."""
        return self.profile.label

    @property
    def is_active(self) -> bool:
        """Whether steps may run as this person."""
        return self.status is Status.ACTIVE

    @property
    def is_held(self) -> bool:
        """Whether this person holds a license."""
        return self.license is License.HELD

    @property
    def is_withheld(self) -> bool:
        """Whether the license this person held waits for a decision (R5)."""
        return self.license is License.WITHHELD

    @property
    def is_barred(self) -> bool:
        """Whether an administrator suspended this person (U11, safety 6)."""
        return self.suspended_by is SuspendedBy.ADMIN

    @property
    def deletion_is_held(self) -> bool:
        """Whether the directory deleted this person and it is not decided yet (R5)."""
        return self.deleted_at is not None and self.status is not Status.DELETED

    @property
    def is_gone(self) -> bool:
        """Whether this person's access has ended: suspended or deleted."""
        return self.status in (Status.SUSPENDED, Status.DELETED)

    @property
    def is_detached(self) -> bool:
        """Whether no directory speaks for this person, who stays out till one does (safety 12)."""
        return self.detached_at is not None

    @property
    def awaits_acceptance(self) -> bool:
        """Whether this person has an invitation to accept; whoever comes back has none (U12), nor
        has who is detached (safety 12).
        """
        return self.status is Status.INVITED and not self.accepted and not self.is_detached

    @property
    def is_exempt(self) -> bool:
        """Whether this person needs no license (D3)."""
        return not self.licensed


def why(
    user: User,
    *,
    now: int,
    place: int | None = None,
    is_free: bool = False,
    link_ends: int | None = None,
    undelivered: str | None = None,
) -> str:
    """Why this person is or is not active, in one sentence; `place` is the place in the queue,
    and `is_free` whether a license is while they wait. `link_ends` is when the link of their
    invitation does, once it has left, `undelivered` why its letter could not.
    """
    match user.status:
        case Status.INVITED:
            return _why_invited(user, now, link_ends, undelivered)
        case Status.QUEUED:
            where = "" if place is None else f" at place {place}"
            how = "can give a free one" if is_free else "can free or add one"
            return f"Signed in and waits{where} for a license; an account admin {how}."
        case Status.SUSPENDED if user.deletion_is_held:
            return _WHY_HELD.format("deleted this person")
        case Status.SUSPENDED if user.status_reason == SUSPENSION_HELD:
            return _WHY_HELD.format("says that this person is not active")
        case Status.SUSPENDED:
            return _WHY_SUSPENDED[user.suspended_by or SuspendedBy.DIRECTORY]
        case Status.DELETED:
            return "The directory deleted this person."
        case Status.ACTIVE if user.is_exempt:
            return "Is active, without a license by an administrator's exemption."
        case _:
            return "Is active and holds a license."


_WHY_HELD = "The directory {}, as it does of so many that an administrator has to decide."
_WHY_SUSPENDED = {
    SuspendedBy.DIRECTORY: "The directory says that this person is not active.",
    SuspendedBy.ADMIN: "An administrator suspended this person; a sync does not lift it.",
    SuspendedBy.DETACHED: (
        "The directory of this person was deleted, and none has adopted them within 30 days."
    ),
}


def _why_invited(user: User, now: int, link_ends: int | None, undelivered: str | None) -> str:
    if user.was_active:
        return "Was active before and becomes active again at the next sign-in."
    day = rfc3339(user.invited_at or user.created_at)[:10]
    if undelivered is not None:
        return f"The invitation of {day} could not be delivered: {undelivered}"
    if link_ends is not None and now >= link_ends:
        return f"The invitation of {day} has expired; send a new one."
    return f"Was invited on {day} and has not signed in yet."
