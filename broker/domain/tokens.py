"""Token sets: usable, due or dead, and what happens to them (rows K1 to K13, K15, K16)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.errors import Conflict

SKEW = 60 * SECOND  # clocks differ: a token ends a minute before its hour
WIDEST_MARGIN = 15 * MINUTE
LONGEST_LIFETIME = 365 * DAY  # an expires_in beyond a year is a mistake, not a promise
LEASE_WAIT = 12 * SECOND  # K5
LONGEST_BACKOFF = 300 * SECOND  # K9
REJECTION_WINDOW = 10 * MINUTE  # K11
UNCLASSIFIED_LIMIT = 5
UNCLASSIFIED_WINDOW = 24 * HOUR


class State(StrEnum):
    """What is kept, save EXPIRING, which only the clock says.

    EXPIRED is kept where a caller's 401 said so (K11); time says it of a valid one too.
    """

    ABSENT = "absent"
    VALID = "valid"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    NEEDS_REAUTH = "needs_reauth"
    REVOKED = "revoked"
    UNREADABLE = "unreadable"


class Event(StrEnum):
    """What can happen to a token set."""

    LINK_ISSUED = "link issued"
    CONNECTED = "connected"
    NOT_CONNECTED = "not connected"  # denied, expired, wrong person, wrong account
    REFRESHED = "refreshed"
    LEASE_LOST = "lease lost"
    GRANT_DEAD = "grant dead"
    PERSON_NEEDED = "person needed"
    MISCONFIGURED = "client misconfigured"
    TRY_LATER = "try later"
    UNCLASSIFIED = "unclassified"
    REJECTED = "rejected"
    REJECTED_AGAIN = "rejected again"
    DISCONNECTED = "disconnected"
    DEPROVISIONED = "deprovisioned"
    SCOPES_MISSING = "scopes missing"
    UNREADABLE = "unreadable"
    READABLE = "readable"


class Verdict(StrEnum):
    """What a caller's report of a 401 comes to."""

    IGNORE = "ignore"
    EXPIRE = "expire"
    ASK_PROVIDER = "ask provider"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a provider gave, sealed: the bytes are opaque here.

    `refresh` None keeps the refresh token there is (K4). `expires_at` counts from our clock.
    """

    access: bytes
    refresh: bytes | None
    expires_at: int
    lifetime: int
    scopes: tuple[str, ...] = ()
    base_url: str | None = None
    account: str | None = None
    account_display: str | None = None


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What one person, or the connector user (`user` None), holds at one connector.

    `access` and `refresh` are sealed. `account` is pinned: the first one wins. `fence` numbers
    the leases, `version` the writes. `attempted_at` is the journal, written before a provider is
    called and cleared by its answer; `unfinished` says an earlier attempt never got one, so that
    a dead grant is a lost rotation. `claims` goes into the next link (K7).
    """

    id: str
    project: str
    connector: str
    user: str | None
    state: State
    created_at: int
    changed_at: int
    version: int = 0
    reason: str | None = None
    access: bytes | None = None
    refresh: bytes | None = None
    obtained_at: int | None = None
    expires_at: int | None = None
    lifetime: int | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    base_url: str | None = None
    account: str | None = None
    account_display: str | None = None
    claims: str | None = None
    frozen: bool = False
    fence: int = 0
    lease_owner: str | None = None
    lease_until: int | None = None
    attempted_at: int | None = None
    unfinished: bool = False
    failures: int = 0
    retry_at: int | None = None
    unclassified: int = 0
    unclassified_since: int | None = None
    rejected_version: int | None = None
    rejected_at: int | None = None
    used_at: int | None = None
