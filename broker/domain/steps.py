"""Who a step runs as: the decision table (rows F1 to F20) as one pure function."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from broker.domain.connectors import Policy
from broker.domain.pauses import STATUS
from broker.domain.pauses import Identity as Identity


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
    NOT_USABLE = "not_usable"


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


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what each fact it asks for has to be, and what is answered then."""

    decision: Decision
    wants: Mapping[str, Collection[object]]

    def fits(self, facts: Facts) -> bool:
        """Whether these facts are what the row wants."""
        return all(getattr(facts, fact) in wanted for fact, wanted in self.wants.items())


@cache  # of 18,432 questions at most
def decide(facts: Facts) -> Decision:
    """Who may this step run as, now? The first row that fits answers; exactly one does.

    A transient failure waits and never changes identity. Nobody runs as somebody else: where the
    connector user cannot run, or this attempt already ran as a person, there is no other.
    """
    return [row.decision for row, fits in walk(facts) if fits][-1]


def walk(facts: Facts) -> Iterator[tuple[Row, bool]]:
    """Every row that is asked, top to bottom, and whether it fits; the last that does answers.

    The first of the table that fits ends the walk, unless it is the connector user's: then it is
    asked whether they can.
    """
    for row in TABLE:
        fits = row.fits(facts)
        yield row, fits
        if fits:
            break
    if row.decision.identity is Identity.CONNECTOR:
        for wall in WALLS:
            fits = wall.fits(facts)
            yield wall, fits
            if fits:
                return


def released(facts: Facts) -> Decision:
    """Who may a paused step run as that an administrator released to the connector user (P12, P14)?

    The same walls stand: F1, F2, F18 and F20 answer first.
    """
    found = decide(replace(facts, user_authentication=True, supported=False))
    if found.identity is not Identity.CONNECTOR:
        return found
    return replace(found, row="P12", reason="released-by-admin", fallback=True)


def _if(decision: Decision, **wants: object) -> Row:
    """A row; a tuple is any of these."""
    return Row(
        decision, {fact: one if isinstance(one, tuple) else (one,) for fact, one in wants.items()}
    )


def _wait(row: str) -> Decision:
    return Decision(row, Outcome.WAIT, TEMPORARILY_UNAVAILABLE)


def _connector(row: str, reason: str | None = None) -> Decision:
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

_GONE = (Subject.SUSPENDED, Subject.DELETED)
_EARLY = (Subject.INVITED, Subject.QUEUED)
_NONE = Subject.NONE
_UNKNOWN = Subject.UNKNOWN
_NOT_ENABLED = "user-not-enabled"

TABLE = (
    _if(_error("F1", "connector-unavailable"), connector_available=False),
    _if(_error("F2", "user-not-active"), subject=_GONE),
    _if(_error("F2", "user-not-active"), user_authentication=True, subject=_EARLY),
    _if(_error("F19", "unknown-subject"), subject=Subject.AMBIGUOUS),  # with E off no guess either
    _if(_connector("F3", "unknown-subject"), user_authentication=False, subject=_UNKNOWN),
    _if(_connector("F3"), user_authentication=False),
    _if(_connector("F4", "unknown-subject"), supported=False, subject=_UNKNOWN),
    _if(_connector("F4", "not-supported-by-step"), supported=False),
    _if(_error("F19", "unknown-subject"), subject=_UNKNOWN),
    _if(_error("F17", "no-subject"), subject=_NONE, interactive=True),
    _if(_fallback("F13", "no-subject"), subject=_NONE, policy=Policy.FALLBACK),
    _if(
        _fallback("F14", "no-subject", WARN_NOBODY),
        subject=_NONE,
        policy=Policy.FALLBACK_WITH_WARNING,
    ),
    _if(_error("F15", "no-subject"), subject=_NONE, policy=Policy.PAUSE),
    _if(_error("F16", "user-auth-required"), subject=_NONE),
    _if(_connector("F5", _NOT_ENABLED), user_enabled=False, interactive=True),
    _if(_fallback("F5", _NOT_ENABLED), user_enabled=False, policy=Policy.FALLBACK),
    _if(
        _fallback("F5", _NOT_ENABLED, WARN_NOT_ENABLED),
        user_enabled=False,
        policy=Policy.FALLBACK_WITH_WARNING,
    ),
    _if(_error("F5", _NOT_ENABLED), user_enabled=False, policy=Policy.PAUSE),
    _if(_error("F5", "user-auth-required"), user_enabled=False),
    _if(Decision("F6", Outcome.RUN, RESOLVED, Identity.USER), token=Token.USABLE),
    _if(_wait("F7"), token=Token.TRANSIENT),
    _if(Decision("F8", Outcome.ASK, "authentication-required"), interactive=True),
    _if(_fallback("F9"), policy=Policy.FALLBACK),
    _if(_fallback("F10", warning=WARN_NO_SIGN_IN), policy=Policy.FALLBACK_WITH_WARNING),
    _if(Decision("F11", Outcome.PAUSE, STATUS), policy=Policy.PAUSE),
    _if(_error("F12", "user-auth-required")),
)
"""The table, top to bottom, before it is asked whether the connector user can."""

WARNINGS = {row.decision.row: row.decision.warning for row in TABLE if row.decision.warning}
"""The warning of each row that has one."""

WALLS = (
    _if(_error("F18a", "connector-user-unavailable"), connector_user=ConnectorUser.DEAD),
    _if(_wait("F18b"), connector_user=ConnectorUser.TRANSIENT),
    _if(_error("F20", "user-auth-required"), ran_as_user=True),
)
"""What stands between a step and the connector user, whichever row says them."""

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
    "P1": "The step waits already: for its person, or for another attempt or key that asked.",
    "P4": "The step was claimed and is running; its result is waited for.",
    "F20": "This attempt already ran as a person and does not go on as the connector user.",
}
