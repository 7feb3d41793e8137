"""What resolve answers: four kinds, and three more among the answers of a batch.

What an answer holds beyond these members is ignored: a later broker may say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.client.problems import Problem
from broker.client.words import Word, moment, moment_or_none


class Identity(Word):
    """Whom a step runs as."""

    USER = "user"
    CONNECTOR = "connector"
    UNKNOWN = "unknown"


class Reason(Word):
    """Why an answer is what it is; `Decision.word` keeps the one that was sent."""

    CONNECTOR_UNAVAILABLE = "connector-unavailable"
    CONNECTOR_USER_UNAVAILABLE = "connector-user-unavailable"
    NO_SUBJECT = "no-subject"
    NOT_SUPPORTED_BY_STEP = "not-supported-by-step"
    PAUSE_CLAIMED = "pause-claimed"
    PAUSE_OPEN = "pause-open"
    RELEASED_BY_ADMIN = "released-by-admin"
    TEMPORARILY_UNAVAILABLE = "temporarily-unavailable"
    UNKNOWN_SUBJECT = "unknown-subject"
    USER_AUTH_REQUIRED = "user-auth-required"
    USER_NOT_ACTIVE = "user-not-active"
    USER_NOT_ENABLED = "user-not-enabled"
    UNKNOWN = "unknown"


class PauseState(Word):
    """Where a pause stands; the last four are its ends."""

    WAITING = "waiting"
    READY = "ready"
    CLAIMED = "claimed"
    RESUMED = "resumed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RunAs:
    """Whom a step runs as; the person's names only where `kind` is user."""

    kind: Identity
    account: str
    user_id: str | None = None
    user_name: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A short-lived access token, for this step alone; its `repr` does not show it."""

    access_token: str = field(repr=False)
    token_type: str
    expires_at: datetime | None
    base_url: str | None


@dataclass(frozen=True, slots=True)
class Act:
    """Which key asked, and on behalf of which person (RFC 8693 `act`)."""

    sub: str
    on_behalf_of: str | None


@dataclass(frozen=True, slots=True)
class FlowWarning:
    """The warning for the Flow Execution Panel (R13)."""

    code: str
    severity: str
    text: str
    execution_id: str
    step_id: str


@dataclass(frozen=True, slots=True)
class Link:
    """A page that one person has to open; it authorizes nothing by itself."""

    id: str
    url: str
    expires_at: datetime

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Link:
        """The link in an answer."""
        return cls(said["id"], said["url"], moment(said["expires_at"]))


@dataclass(frozen=True, slots=True)
class Parked:
    """The pause of an answer."""

    id: str
    state: PauseState
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What all answers have: the decision, which look at it this is, and the table's row.

    `version` goes with a report of a refused credential; `word` is the reason as it was sent.
    """

    decision_id: str
    version: int
    row: str
    status: str
    act: Act
    reason: Reason | None = None
    word: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved(Decision):
    """Run the step, as `run_as` and nobody else.

    `credential` is None where the key, or the question, does not ask for one. `fallback` says that
    it runs as the connector user instead of a person, by policy or by an administrator's word.
    """

    run_as: RunAs
    credential: Credential | None
    fallback: bool
    warning: FlowWarning | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Decision):
    """Show the person this link, then ask again (F8)."""

    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Decision):
    """Park the step until the person signed in, then claim the pause (F11); without one it waits
    for a question that is none of ours (P1, P4).
    """

    pause: Parked | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Decision):
    """End the step with `message`; an outcome this client does not know is one of these."""


Answer = Resolved | Asked | Paused | Refused


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nobody's token can be had right now; ask again after `retry_after_s` (F7, F18b)."""

    row: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """The batch stopped before this step."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """This step was asked wrongly; the others are answered."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """Answers in the order of their questions; `worst` is the place of the one that keeps the flow
    from going on the most.
    """

    items: tuple[Answer | Waiting | NotEvaluated | Invalid, ...]
    worst: int


@dataclass(frozen=True, slots=True)
class Looked:
    """One row of the table that was asked: the facts it looks at, what it wants of them."""

    row: str
    facts: Mapping[str, Any]
    wants: Mapping[str, Any]
    fits: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """The row a question would be answered with, and each row on the way; the last that fits is it.

    `now` is the row of a real answer, which is another only where something was assumed. `said` is
    the whole explanation.
    """

    row: str
    outcome: str
    status: str
    now: str
    trace: tuple[Looked, ...]
    said: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Explained:
        """The explanation in a decoded JSON body."""
        trace = tuple(
            Looked(each["row"], each["facts"], each["wants"], each["fits"])
            for each in said["trace"]
        )
        return cls(said["row"], said["outcome"], said["status"], said["now"]["row"], trace, said)


def read(said: Mapping[str, Any]) -> Answer:
    """The answer in a decoded JSON body; KeyError, TypeError or ValueError where it is none."""
    word = said.get("reason")
    common: dict[str, Any] = {
        "decision_id": said["decision_id"],
        "version": said["version"],
        "row": said["row"],
        "status": said["status"],
        "act": Act(said["act"]["sub"], said["act"]["on_behalf_of"]),
        "reason": None if word is None else Reason(word),
        "word": word,
        "message": said.get("message"),
    }
    match said["outcome"]:
        case "run":
            warning, credential = said["warning"], said.get("credential")
            return Resolved(
                **common,
                run_as=_run_as(said["run_as"]),
                credential=credential and _credential(credential),
                fallback=said["fallback"],
                warning=warning and FlowWarning(*(warning[name] for name in FlowWarning.__slots__)),
            )
        case "ask":
            return Asked(**common, link=Link.read(said["link"]))
        case "pause":
            it = said["pause"]
            parked = it and Parked(it["id"], PauseState(it["state"]), moment(it["since"]))
            return Paused(**common, pause=parked)
    return Refused(**common)


def read_batch(said: Mapping[str, Any]) -> BatchAnswer:
    """The answers of a batch."""
    return BatchAnswer(tuple(_item(each) for each in said["items"]), said["worst"])


def _item(said: Mapping[str, Any]) -> Answer | Waiting | NotEvaluated | Invalid:
    if "problem" in said:
        return Invalid(Problem.read(said["problem"]))
    match said["outcome"]:
        case "wait":
            return Waiting(said["row"], said["retry_after_s"])
        case "not_evaluated":
            return NotEvaluated()
    return read(said)


def _run_as(said: Mapping[str, Any]) -> RunAs:
    return RunAs(
        kind=Identity(said["kind"]),
        account=said["provider_account"],
        user_id=said.get("user_id"),
        user_name=said.get("user_name"),
        display_name=said.get("display_name"),
    )


def _credential(said: Mapping[str, Any]) -> Credential:
    expires_at = moment_or_none(said["expires_at"])
    return Credential(said["access_token"], said["token_type"], expires_at, said["base_url"])
