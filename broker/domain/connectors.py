"""Connectors: links to outside programs, their life (rows C1 to C11), their policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from broker.domain.clock import DAY
from broker.domain.errors import Conflict

DRAFT_LIFETIME = DAY  # C1
KEEP_ALIVE_LIMIT = 180 * DAY  # T13: nobody asked for it, so it may die


class State(StrEnum):
    """Where a connector stands, from the first page of the wizard to its deletion."""

    DRAFT = "draft"
    CONFIGURED = "configured"
    AUTHORIZING = "authorizing"
    AUTHORIZED = "authorized"
    CONNECTED = "connected"
    NEEDS_REAUTH = "needs_reauth"
    NEEDS_ADMIN = "needs_admin"
    DISABLED = "disabled"
    DELETED = "deleted"


class Event(StrEnum):
    """What can happen to a connector."""

    CONFIGURED = "configured"
    AUTHORIZING = "authorizing"
    ALLOWED = "allowed"
    REFUSED = "refused"
    FINISHED = "finished"
    GRANT_DEAD = "left without its grant"
    MISCONFIGURED = "misconfigured"
    REAUTHORIZED = "authorized again"
    ORIGIN_CHANGED = "moved to another origin"
    DISABLED = "disabled"
    ENABLED = "enabled"
    ABANDONED = "abandoned"
    DELETED = "deleted"


class Policy(StrEnum):
    """What happens in non-interactive mode when no user authentication is available (R8)."""

    FALLBACK = "fallback"
    FALLBACK_WITH_WARNING = "fallback_with_warning"
    PAUSE = "pause"
    END_WITH_ERROR = "end_with_error"


@dataclass(frozen=True, slots=True)
class Connector:
    """One configured link to one outside program; its protected fields are kept elsewhere.

    `kind` is the provider, `integration` chooses which fields show (R36), `origin` is what the
    sealed values are bound to (safety 18). `button` is the wizard's button action (R70). The
    connector user is `account` at the provider, authorized by `authorized_by`; both that person
    and `created_by` are recorded (T1). `before` is the state a disabled one returns to, `reason`
    the last refusal or failure, for the administrator.
    """

    id: str
    project: str
    name: str
    name_key: str
    kind: str
    state: State
    created_by: str
    created_at: int
    changed_at: int
    version: int = 1
    description: str = ""
    integration: str | None = None
    environment: str | None = None
    origin: str | None = None
    button: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    user_authentication: bool = False
    policy: Policy = Policy.END_WITH_ERROR
    keep_alive: bool = True
    account: str | None = None
    account_display: str | None = None
    authorized_by: str | None = None
    connected_at: int | None = None
    resolved_at: int | None = None
    before: State | None = None
    reason: str | None = None

    @property
    def is_available(self) -> bool:
        """Whether steps may ask for it (F1); a dead grant of its own is F18a, not this."""
        return self.state in (State.CONNECTED, State.NEEDS_REAUTH)

    @property
    def is_wizard(self) -> bool:
        """Whether it was never connected: invisible to resolve, gone after a day (R81)."""
        return self.connected_at is None and self.state is not State.DELETED
