"""What can go wrong with a call: ask again later, or it was wrong to ask.

* BrokerError
  - Later        no answer in time, or one that says to ask again: the step waits
  - Wrong        the request was wrong, not allowed, or came too late
  - Unreadable   what answered is not the broker
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem details of the broker (RFC 9457); `said` is the whole object.

    `next` is what to do, `errors` what was wrong where (RFC 6901), `request_id` what the operator
    asks for.
    """

    status: int
    code: str
    detail: str
    next: str | None = None
    retryable: bool = False
    request_id: str | None = None
    errors: tuple[Mapping[str, str], ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, said: Any) -> Problem:
        """The problem in a decoded JSON body; KeyError, TypeError where it is none."""
        return cls(
            status=int(said["status"]),
            code=str(said["code"]),
            detail=str(said.get("detail") or said.get("title") or ""),
            next=said.get("next"),
            retryable=bool(said.get("retryable")),
            request_id=said.get("request_id"),
            errors=tuple(said.get("errors") or ()),
            said=said,
        )

    @classmethod
    def of(cls, answer: httpx.Response) -> Problem:
        """The problem an answer tells of, also where a machine on the way answered."""
        try:
            return cls.read(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(answer.status_code, "unexpected", answer.reason_phrase)


class BrokerError(Exception):
    """A call did not end with an answer."""


class Later(BrokerError):
    """Nobody may run the step now; the same call gets an answer later.

    `problem` is None where the broker could not be reached.
    """

    def __init__(self, text: str, retry_after_s: float, problem: Problem | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.problem = problem


class Wrong(BrokerError):
    """The broker will not do that; the same call gets the same answer.

    `was_repeated` says that an earlier try of this call was lost on the way and may have been
    carried out.
    """

    def __init__(self, problem: Problem, *, was_repeated: bool = False) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem
        self.was_repeated = was_repeated

    @property
    def code(self) -> str:
        """The word of the problem, such as `not-found`."""
        return self.problem.code


class Unreadable(BrokerError):
    """Something answered, and not as the broker does; nothing was understood of it."""
