"""Who a step runs as: the decision table (rows F1 to F20) as one pure function."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain import pauses
from broker.domain.connectors import Policy


class Subject(StrEnum):
    """Whom the caller named: a person by their status, one of several, somebody unknown, nobody."""

    ACTIVE = "active"
    INVITED = "invited"
    QUEUED = "queued"
    SUSPENDED = "suspended"
    DELETED = "deleted"
    AMBIGUOUS = "ambiguous"  # several people have that name, and none of them is suspended
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
    """All that the table asks: E, C, U, T, S, and whether this attempt already ran as a person.

    What is not said is that there is none: no connector, no subject, no token.
    """

    connector_available: bool = False
    user_authentication: bool = False  # E
    supported: bool = False  # C: connector type and step type
    subject: Subject = Subject.NONE
    user_enabled: bool = False  # U: the person's own flag
    token: Token = Token.NOT_USABLE  # T
    connector_user: ConnectorUser = ConnectorUser.DEAD  # S
    interactive: bool = False
    policy: Policy = Policy.END_WITH_ERROR
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

    @property
    def message(self) -> str | None:
        """What a person reads where the step does not run; None where it does."""
        return None if self.outcome is Outcome.RUN else MESSAGES[self.row]


RESOLVED = "resolved"
TEMPORARILY_UNAVAILABLE = "temporarily-unavailable"
FALLBACK_WARNING = "user-auth-fallback"


def decide(facts: Facts) -> Decision:
    """Who may this step run as, now? The first row that fits answers; exactly one does.

    A transient failure waits and never changes identity. Nobody runs as somebody else: where the
    connector user cannot run, or this attempt already ran as a person, there is no other.
    """
    decision = _row(facts)
    if decision.identity is not Identity.CONNECTOR:
        return decision
    match facts:
        case Facts(connector_user=ConnectorUser.DEAD):
            return _error("F18a", "connector-user-unavailable")
        case Facts(connector_user=ConnectorUser.TRANSIENT):
            return Decision("F18b", Outcome.WAIT, TEMPORARILY_UNAVAILABLE)
        case Facts(ran_as_user=True):
            return _error("F20", "user-auth-required")
    return decision


def released(facts: Facts) -> Decision:
    """Who may a paused step run as that an administrator released to the connector user (P12, P14)?

    The same walls stand: F1, F2, F18 and F20 answer first.
    """
    walls = decide(replace(facts, user_authentication=True, supported=False))
    if walls.identity is not Identity.CONNECTOR:
        return walls
    return replace(walls, row="P12", reason="released-by-admin", fallback=True)


def _row(facts: Facts) -> Decision:
    """The table on the wall, top to bottom, before it is asked whether the connector user can."""
    match facts:
        case Facts(connector_available=False):
            return _error("F1", "connector-unavailable")
        case Facts(subject=Subject.SUSPENDED | Subject.DELETED):
            return _error("F2", "user-not-active")
        case Facts(user_authentication=True, subject=Subject.INVITED | Subject.QUEUED):
            return _error("F2", "user-not-active")
        case Facts(subject=Subject.AMBIGUOUS):  # never a guess, with E off neither
            return _error("F19", "unknown-subject")
        case Facts(user_authentication=False):
            return _as_connector("F3", _if_unknown(facts, None))
        case Facts(supported=False):
            return _as_connector("F4", _if_unknown(facts, "not-supported-by-step"))
        case Facts(subject=Subject.UNKNOWN):
            return _error("F19", "unknown-subject")
        case Facts(subject=Subject.NONE):
            return _without_subject(facts)
        case Facts(user_enabled=False):
            return _not_enabled(facts)
        case Facts(token=Token.USABLE):
            return Decision("F6", Outcome.RUN, RESOLVED, Identity.USER)
        case Facts(token=Token.TRANSIENT):
            return Decision("F7", Outcome.WAIT, TEMPORARILY_UNAVAILABLE)
        case Facts(interactive=True):
            return Decision("F8", Outcome.ASK, "authentication-required")
        case Facts(policy=Policy.FALLBACK):
            return _fallback("F9")
        case Facts(policy=Policy.FALLBACK_WITH_WARNING):
            return _fallback("F10", warning=WARN_NO_SIGN_IN)
        case Facts(policy=Policy.PAUSE):
            return Decision("F11", Outcome.PAUSE, pauses.STATUS)
        case _:
            return _error("F12", "user-auth-required")


def _without_subject(facts: Facts) -> Decision:
    """Nobody was named: an API key or a schedule (F13 to F17)."""
    match facts:
        case Facts(interactive=True):
            return _error("F17", "no-subject")
        case Facts(policy=Policy.FALLBACK):
            return _fallback("F13", "no-subject")
        case Facts(policy=Policy.FALLBACK_WITH_WARNING):
            return _fallback("F14", "no-subject", WARN_NOBODY)
        case Facts(policy=Policy.PAUSE):
            return _error("F15", "no-subject")
        case _:
            return _error("F16", "user-auth-required")


def _not_enabled(facts: Facts) -> Decision:
    """The person has it switched off: F5, and unattended the policy decides (T2)."""
    match facts:
        case Facts(interactive=True):
            return _as_connector("F5", "user-not-enabled")
        case Facts(policy=Policy.FALLBACK):
            return _fallback("F5", "user-not-enabled")
        case Facts(policy=Policy.FALLBACK_WITH_WARNING):
            return _fallback("F5", "user-not-enabled", WARN_NOT_ENABLED)
        case Facts(policy=Policy.PAUSE):
            return _error("F5", "user-not-enabled")
        case _:
            return _error("F5", "user-auth-required")


def _if_unknown(facts: Facts, reason: str | None) -> str | None:
    return "unknown-subject" if facts.subject is Subject.UNKNOWN else reason


def _as_connector(row: str, reason: str | None) -> Decision:
    return Decision(row, Outcome.RUN, RESOLVED, Identity.CONNECTOR, reason)


def _fallback(row: str, reason: str | None = None, warning: str | None = None) -> Decision:
    shown = FlowWarning(FALLBACK_WARNING, warning) if warning else None
    return Decision(row, Outcome.RUN, RESOLVED, Identity.CONNECTOR, reason, True, shown)


def _error(row: str, status: str) -> Decision:
    return Decision(row, Outcome.ERROR, status, reason=status)


_RAN = "This step ran as the connector user"
WARN_NO_SIGN_IN = f"{_RAN}, because the person is not signed in at the connector."
WARN_NOBODY = f"{_RAN}, because the flow was started by nobody in particular."
WARN_NOT_ENABLED = f"{_RAN}, because user authentication is switched off for the person."

MESSAGES = {
    "F1": "The connector is not available: it is missing, disabled or needs an administrator.",
    "F2": "The person this step would run as is not active.",
    "F5": "User authentication is switched off for the person this step would run as.",
    "F7": "The person's sign-in cannot be renewed just now; ask again soon.",
    "F8": "The person has to sign in at the connector before this step can run.",
    "F11": "The step waits until the person signs in at the connector.",
    "F12": "The person is not signed in at the connector, and nobody is there to ask.",
    "F15": "Nobody was named for this step, so there is nobody to wait for.",
    "F16": "This step has to run as a person, and nobody was named.",
    "F17": "Somebody is there to be asked, but the call does not say who.",
    "F18a": "The connector user has to be authorized again by an administrator.",
    "F18b": "The connector user's sign-in cannot be renewed just now; ask again soon.",
    "F19": "No one person here has the name given for this step.",
    "P1": "The step waits already, for another attempt or another key that asked.",
    "P4": "The step was claimed and is running; its result is waited for.",
    "F20": "This attempt already ran as a person and does not go on as the connector user.",
}
