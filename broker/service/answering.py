"""The shape of an answer: what `POST /v1/resolve` and a claim say, made in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broker.domain.clock import rfc3339
from broker.domain.errors import Unavailable
from broker.domain.pauses import Pause
from broker.domain.steps import Decision, FlowWarning, Identity, Outcome
from broker.domain.tokens import TokenSet
from broker.domain.users import User
from providers.secret import Secret


@dataclass(frozen=True, slots=True)
class RunAs:
    """Whom the step runs as, and the account that is at the provider."""

    kind: Identity
    account: str
    user: User | None = None

    def rendered(self) -> dict[str, Any]:
        """`user_id`, `user_name` and `display_name` only of a person (R7)."""
        who: dict[str, Any] = {"kind": self.kind.value}
        if self.user is not None:
            who["user_id"] = self.user.id
            who["user_name"] = self.user.user_name
            who["display_name"] = self.user.display_name
        return who | {"provider_account": self.account}


@dataclass(frozen=True, slots=True)
class Credential:
    """A short-lived access token; the refresh token stays with us."""

    access_token: Secret
    expires_at: int | None
    base_url: str | None
    token_type: str = "Bearer"

    @classmethod
    def of(cls, token: TokenSet, access_token: Secret) -> Credential:
        """What of a token set may leave."""
        return cls(access_token, token.expires_at, token.base_url, token.token_type)

    def rendered(self) -> dict[str, Any]:
        """The one place where an access token is shown."""
        return {
            "access_token": self.access_token.reveal(),
            "token_type": self.token_type,
            "expires_at": rfc3339(self.expires_at) if self.expires_at is not None else None,
            "base_url": self.base_url,
        }


@dataclass(frozen=True, slots=True)
class Ask:
    """The link a person has to open."""

    id: str
    url: str
    expires_at: int

    def rendered(self) -> dict[str, Any]:
        return {"id": self.id, "url": self.url, "expires_at": rfc3339(self.expires_at)}


@dataclass(frozen=True, slots=True)
class Answer:
    """Who a step runs as, now; committed before anybody sees it.

    `key` is who asked, `on_behalf_of` the person it asked for, None where the answer holds no
    user data (F3, R7).
    """

    decision_id: str
    decision: Decision
    key: str
    execution: str
    step: str
    version: int = 1
    on_behalf_of: str | None = None
    run_as: RunAs | None = None
    credential: Credential | None = None
    pause: Pause | None = None
    link: Ask | None = None
    retry_after_s: int = 1

    def rendered(self) -> dict[str, Any]:
        """The JSON of the answer; `credential` is there only where one leaves."""
        decision = self.decision
        shown: dict[str, Any] = {
            "decision_id": self.decision_id,
            "version": self.version,
            "row": decision.row,
            "outcome": decision.outcome.value,
            "status": decision.status,
            "run_as": self.run_as.rendered() if self.run_as else None,
            "act": {"sub": self.key, "on_behalf_of": self.on_behalf_of},
            "fallback": decision.fallback,
            "warning": self.warning,
            "pause": pause_shown(self.pause) if self.pause else None,
            "link": self.link.rendered() if self.link else None,
            "reason": decision.reason,
        }
        if self.credential is not None:
            shown["credential"] = self.credential.rendered()
        if decision.message is not None:
            shown["message"] = decision.message
        if decision.outcome is Outcome.WAIT:
            shown["retry_after_s"] = self.retry_after_s
        return shown

    @property
    def warning(self) -> dict[str, Any] | None:
        """The warning, addressed to the Flow Execution Panel (R13)."""
        return warning_shown(self.decision.warning, self.execution, self.step)


class Wait(Unavailable):
    """Nobody's token can be had right now; the same question gets an answer later (F7, F18b)."""

    def __init__(self, decision: Decision, decision_id: str, retry_after_s: int) -> None:
        """`retry_after_s` is when the next try with the provider may happen, from 1 on."""
        super().__init__(
            decision.message,
            reason=decision.status,
            next="Ask again after the time in Retry-After; nobody else runs the step meanwhile.",
            retry_after_s=retry_after_s,
        )
        self.more = {"row": decision.row, "decision_id": decision_id}


def run_as(identity: Identity | None, user: User | None, token: TokenSet | None) -> RunAs | None:
    """Whom a decision's identity is, with the account of its token; None where nobody runs."""
    if identity is None or token is None:
        return None
    account = token.account_display or token.account or ""
    return RunAs(identity, account, user if identity is Identity.USER else None)


def warning_shown(warning: FlowWarning | None, execution: str, step: str) -> dict[str, Any] | None:
    """A warning as the Flow Execution Panel reads it, wherever it stands (R13)."""
    if warning is None:
        return None
    return {
        "code": warning.code,
        "severity": warning.severity,
        "text": warning.text,
        "execution_id": execution,
        "step_id": step,
    }


def pause_shown(pause: Pause) -> dict[str, Any]:
    """What an answer says of its pause."""
    return {"id": pause.id, "state": pause.state.value, "since": rfc3339(pause.created_at)}
