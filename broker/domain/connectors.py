"""Connectors: links to outside programs, their life (rows C1 to C11), their policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from broker.domain.clock import DAY
from broker.domain.errors import Conflict

DRAFT_LIFETIME = DAY  # C1


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
    """What can happen to a connector; the words end the sentence "it cannot be …"."""

    CONFIGURED = "configured"
    AUTHORIZING = "sent to be authorized"
    ALLOWED = "authorized"
    REFUSED = "refused"
    FINISHED = "connected"
    GRANT_DEAD = "left without a grant"
    MISCONFIGURED = "left to an administrator"
    REAUTHORIZED = "authorized again"
    ORIGIN_CHANGED = "moved to another origin"
    DISABLED = "disabled"
    ENABLED = "enabled"
    EXPIRED = "thrown away"
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

    `type` is the kind of provider, `integration` chooses which fields show (R36), `origin` is what
    sealed values are bound to (safety 18). `policy` is kept while user authentication is off
    (R33). `authorized_by` is who authorized the connector user, `created_by` who began the wizard:
    both are recorded (T1). `keep_alive` has grants refreshed that lie unused (T13).
    `disabled_from` is the state to come back to (C10), `expires_at` the end of one that was never
    connected, `reason` the last refusal or failure, `resolved_at` a day on which a step asked.
    """

    id: str
    project: str
    name: str
    name_key: str
    type: str
    state: State
    created_by: str
    created_at: int
    changed_at: int
    version: int = 1
    description: str = ""
    integration: str | None = None
    environment: Mapping[str, object] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)
    origin: str | None = None
    reason: str | None = None
    disabled_from: State | None = None
    user_authentication: bool = False
    policy: Policy = Policy.END_WITH_ERROR
    authorized_by: str | None = None
    keep_alive: bool = True
    expires_at: int | None = None
    resolved_at: int | None = None

    @property
    def answers(self) -> Mapping[str, object]:
        """Every open value of the form; they choose what else shows (R41, R71)."""
        return {**self.options, **self.fields}

    @property
    def is_available(self) -> bool:
        """Whether steps may ask for it (F1); a dead grant of its own is F18a, not this."""
        return self.state in (State.CONNECTED, State.NEEDS_REAUTH)

    @property
    def was_connected(self) -> bool:
        """Whether it got through the wizard once; before, it is gone after a day (R81)."""
        return self.expires_at is None

    def is_over(self, now: int) -> bool:
        """Whether it is deleted, or a draft that nobody finished within its day (C1, R81)."""
        ended = self.expires_at is not None and self.expires_at <= now
        return ended or self.state is State.DELETED


USED = (State.CONNECTED, State.NEEDS_REAUTH, State.NEEDS_ADMIN)
WIZARD = (State.DRAFT, State.CONFIGURED, State.AUTHORIZING, State.AUTHORIZED)


def _rows(event: Event, to: State, *states: State) -> dict[tuple[State, Event], State]:
    """Rows of one event out of these states."""
    return {(state, event): to for state in states}


NEXT: Mapping[tuple[State, Event], State] = {
    (State.DRAFT, Event.CONFIGURED): State.CONFIGURED,  # C2
    (State.CONFIGURED, Event.CONFIGURED): State.CONFIGURED,  # C2, corrected
    (State.CONFIGURED, Event.AUTHORIZING): State.AUTHORIZING,  # C3
    (State.AUTHORIZING, Event.AUTHORIZING): State.AUTHORIZING,  # C3, the window was closed
    (State.AUTHORIZED, Event.AUTHORIZING): State.AUTHORIZING,  # C3, back in the browser
    (State.AUTHORIZING, Event.ALLOWED): State.AUTHORIZED,  # C4
    (State.AUTHORIZING, Event.REFUSED): State.CONFIGURED,  # C5
    (State.AUTHORIZED, Event.FINISHED): State.CONNECTED,  # C6
    (State.CONNECTED, Event.GRANT_DEAD): State.NEEDS_REAUTH,  # C7
    (State.NEEDS_REAUTH, Event.GRANT_DEAD): State.NEEDS_REAUTH,  # C7, said again
    (State.NEEDS_ADMIN, Event.GRANT_DEAD): State.NEEDS_ADMIN,  # C7, the graver one stays
    **_rows(Event.MISCONFIGURED, State.NEEDS_ADMIN, *USED),  # C7
    **_rows(Event.REAUTHORIZED, State.CONNECTED, *USED),  # C8
    **_rows(Event.ORIGIN_CHANGED, State.AUTHORIZING, *USED),  # C9
    **_rows(Event.DISABLED, State.DISABLED, *USED),  # C10
    (State.DISABLED, Event.ENABLED): State.CONNECTED,  # C10, or whichever it was
    **_rows(Event.EXPIRED, State.DELETED, *WIZARD),  # C1
    **_rows(Event.DELETED, State.DELETED, *WIZARD[1:], *USED, State.DISABLED),  # C11
}


def after(connector: Connector, event: Event, *, now: int, reason: str | None = None) -> Connector:
    """This connector once `event` has happened; Conflict where the table has no row.

    `reason` is what the provider or the broker found wrong. One that was connected once does not
    expire (R81), not even while it is authorized for a new origin (C9).
    """
    state = NEXT.get((connector.state, event))
    if state is None or (event is Event.EXPIRED and connector.was_connected):
        raise Conflict(
            f"A connector that is {connector.state} cannot be {event}",
            reason=f"connector-{connector.state}",
        )
    if event is Event.ENABLED:
        state = connector.disabled_from or state
    if event in (Event.DISABLED, Event.ENABLED):
        reason = reason or connector.reason  # C10: it comes back as it was
    return replace(
        connector,
        state=state,
        reason=reason,
        disabled_from=connector.state if event is Event.DISABLED else None,
        expires_at=None if event is Event.FINISHED else connector.expires_at,
        version=connector.version + 1,
        changed_at=now,
    )


def authenticating_users(
    connector: Connector, *, enabled: bool, policy: Policy, supported: bool, now: int
) -> Connector:
    """This connector with user authentication switched and the policy kept (R3, R32, R33).

    Conflict `user-auth-not-supported` where neither its type nor its method supports it (R20,
    R24); `supported` is the definition's word.
    """
    if enabled and not supported:
        raise Conflict(
            f"A connector of the type {connector.type} does not support user authentication",
            reason="user-auth-not-supported",
        )
    return replace(
        connector,
        user_authentication=enabled,
        policy=policy,
        version=connector.version + 1,
        changed_at=now,
    )
