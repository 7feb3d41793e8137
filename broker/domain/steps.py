"""Who a step runs as: the decision table (rows F1 to F20) as one pure function."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broker.domain.connectors import Policy


class Subject(StrEnum):
    """Whom the caller named: a person by their status, somebody unknown, or nobody."""

    ACTIVE = "active"
    INVITED = "invited"
    QUEUED = "queued"
    SUSPENDED = "suspended"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    NONE = "none"


class Token(StrEnum):
    """T: the person's token after at most one refresh.

    Not usable is absent, needs_reauth, revoked, unreadable, or short of a scope.
    """

    USABLE = "usable"
    TRANSIENT = "transient"
    NOT_USABLE = "not usable"


class ConnectorUser(StrEnum):
    """S: the token of the connector user, after at most one refresh."""

    USABLE = "usable"
    TRANSIENT = "transient"
    DEAD = "dead"


class Outcome(StrEnum):
    """The answer: an outcome, never an error of ours."""

    RUN = "run"
    ASK = "ask"
    WAIT = "wait"
    PAUSE = "pause"
    ERROR = "error"


class Identity(StrEnum):
    """Whom the step runs as."""

    USER = "user"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the table asks: E, C, U, T, S, and whether this attempt already ran as a person."""

    connector_available: bool
    user_authentication: bool  # E
    supported: bool  # C: connector type and step type
    subject: Subject
    user_enabled: bool  # U: the person's own flag
    token: Token  # T
    connector_user: ConnectorUser  # S
    interactive: bool
    policy: Policy
    ran_as_user: bool = False


@dataclass(frozen=True, slots=True)
class FlowWarning:
    """What the Flow Execution Panel shows (R12, R13); the face adds execution and step."""

    code: str
    text: str
    severity: str = "warning"


@dataclass(frozen=True, slots=True)
class Decision:
    """One row's answer; `identity` is None unless the outcome is to run."""

    row: str
    outcome: Outcome
    status: str
    identity: Identity | None = None
    reason: str | None = None
    fallback: bool = False
    warning: FlowWarning | None = None
