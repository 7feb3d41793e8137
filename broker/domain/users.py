"""People: their status and their license as one table (rows U1 to U18), and why one is not active."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broker.domain.clock import DAY, rfc3339
from broker.domain.licenses import Licenses
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
    """Whether this person holds one of the project's licenses."""

    NONE = "none"
    HELD = "held"


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


class Effect(StrEnum):
    """What the change asks of others, in the same transaction (safety 8)."""

    INVITE = "invite"  # one letter for this user and epoch
    VOID_INVITATION = "void invitation"
    QUEUE = "queue"  # one more waits; the next comer gets the next number
    LEAVE_QUEUE = "leave queue"
    TAKE_LICENSE = "take license"
    FREE_LICENSE = "free license"
    PROMOTE = "promote"  # U6, once the license is free
    ANNOUNCE = "announce"  # the event user.activated
    DROP_TOKENS = "drop tokens"
    CANCEL_PAUSES = "cancel pauses"
    END_SESSIONS = "end sessions"  # sessions, links, connect sessions, pending actions
    ERASE = "erase"  # logons, flags, group and role memberships (safety 7)


@dataclass(frozen=True, slots=True)
class User:
    """A person a directory told us about.

    `version` and `changed_at` are those of the SCIM document: what happens to the status moves
    neither. `idp_active` is what the directory last said, True where it said nothing. `licensed`
    False is an administrator's exemption (safety 10). `directory` stays the one that pushed, even
    when it was deleted (`detached_at`); `adoptable` is an administrator's tick (safety 12).
    """

    id: str
    project: str
    directory: str
    external_id: str | None
    profile: Profile
    status: Status
    status_since: int
    created_at: int
    changed_at: int
    version: int = 1
    suspended_by: SuspendedBy | None = None
    status_reason: str | None = None
    idp_active: bool = True
    license: License = License.NONE
    licensed: bool = True
    queue_seq: int | None = None
    user_authentication: bool = True
    invite_epoch: int = 0
    accepted: bool = False
    was_active: bool = False
    invited_at: int | None = None
    activated_at: int | None = None
    detached_at: int | None = None
    adoptable: bool = False

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
    def is_gone(self) -> bool:
        """Whether this person's access has ended: suspended or deleted."""
        return self.status in (Status.SUSPENDED, Status.DELETED)
