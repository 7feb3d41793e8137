"""Links: our asking one person for one consent (rows K1 to K3); a link authorizes nothing alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain.clock import DAY, MINUTE
from broker.domain.errors import Conflict

LIFETIME = DAY
STATE_LIFETIME = 10 * MINUTE  # from the redirect to the callback


class Purpose(StrEnum):
    """What the consent is for."""

    CONNECT = "connect"  # the person's own account
    SETUP = "setup"  # the connector user, from the wizard or to authorize again


class State(StrEnum):
    """Where a link stands; the last three are its ends."""

    OPEN = "open"
    AUTHORIZING = "authorizing"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    EXPIRED = "expired"
    VOID = "void"


class Event(StrEnum):
    """What can happen to a link."""

    FOLLOWED = "followed"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    REFUSED = "refused"
    EXPIRED = "expired"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Link:
    """One request to `user` (an administrator where the purpose is set-up) for `connector`.

    `secret`, `state_hash` and `browser_hash` are keyed hashes, `verifier` is sealed. State,
    browser and person must all match before a code is redeemed (safety 14). `asked_by` is the
    key or administrator that made it; `reason` why the last try failed (K3).
    """

    id: str
    project: str
    connector: str
    user: str
    purpose: Purpose
    state: State
    secret: bytes
    asked_by: str
    created_at: int
    changed_at: int
    expires_at: int
    scopes: tuple[str, ...] = ()
    claims: str | None = None
    return_url: str | None = None
    state_hash: bytes | None = None
    browser_hash: bytes | None = None
    verifier: bytes | None = None
    followed_at: int | None = None
    reason: str | None = None
    version: int = 1
