"""The items of AuthenticateUser, in and out, and what is proven (R82 to R102, safety 30)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from broker.domain import names, xpn
from broker.domain.errors import Conflict, Invalid, Problem
from broker.domain.mapping import Profile

SUBJECT = "AuthenticateUser"
AGENT_COUPON = -11  # R91
EXPECTED = f"{SUBJECT}.In.ExpectedUserLogon"
STATUS = f"{SUBJECT}.Ou.Status"
LOGON = f"{SUBJECT}.Ou.Logon"
NAME = f"{SUBJECT}.Ou.Name"
PASS = "Pass"
FAIL = "Fail"


class UnknownItemName(Invalid):
    """There is no such item of AuthenticateUser."""


class NameValueCountMismatch(Invalid):
    """As many values are needed as there are names."""


class State(StrEnum):
    """Where an action that was asked for stands."""

    PENDING = "pending"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can happen to an action."""

    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Expected:
    """One expected logon as it was sent; `logon` "" expects nobody in particular (R84)."""

    suffix: str
    logon: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The person somebody proved to be: logons by the key of their suffix (`names.key`)."""

    user: str
    is_active: bool
    profile: Profile
    logons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of an action that was performed; a Fail is an answer too."""

    items: Mapping[str, str]
    reason: str | None = None
    user: str | None = None
    unmapped: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the person is proven, expected and active."""
        return self.items[STATUS] == PASS


@dataclass(frozen=True, slots=True)
class Action:
    """One request for an authentication; transient, readable by the key that asked alone (R87)."""

    id: str
    project: str
    coupon: int
    key: str
    state: State
    expected: tuple[Expected, ...]
    suffixes: tuple[str, ...]
    created_at: int
    changed_at: int
    expires_at: int
    return_url: str | None = None
    verdict: Verdict | None = None
    version: int = 1
