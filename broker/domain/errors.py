"""
What can go wrong, and what the caller may know of it.

* BrokerError      internal         500
  - Invalid        invalid          422
  - Unknown        unauthenticated  401
  - Forbidden      forbidden        403
  - NotFound       not_found        404
  - Conflict       conflict         409
  - Stale          stale            412
  - TooMany        too_many         429
  - Unavailable    unavailable      503
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: where (RFC 6901), what, and the nearest right name."""

    pointer: str
    code: str
    detail: str
    did_you_mean: str | None = None

    def alone(self, *, reason: str | None = None, next: str | None = None) -> "Invalid":
        """The refusal of a request that has no other problem; `reason` is the code unless said."""
        word = reason or self.code.replace("_", "-")
        return Invalid(self.detail, reason=word, next=next, problems=(self,))


class BrokerError(Exception):
    """The broker failed. The operator's log says why."""

    code = "internal"
    retryable = False
    more: Mapping[str, object] = MappingProxyType({})
    """Further members of the problem (RFC 9457 §3.2), such as the row of a decision."""

    def __init__(
        self,
        hint: str | None = None,
        *,
        reason: str | None = None,
        next: str | None = None,
        problems: tuple[Problem, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        """`hint` is the caller's sentence, `reason` its kebab-case word, `next` what to do."""
        super().__init__(hint or (type(self).__doc__ or "").strip())
        self.reason = reason or self.code
        self.next = next
        self.problems = problems
        self.retry_after_s = retry_after_s


class Invalid(BrokerError):
    """The request is not valid."""

    code = "invalid"


class Unknown(BrokerError):
    """We do not know who is calling."""

    code = "unauthenticated"


class Forbidden(BrokerError):
    """The caller may not do that."""

    code = "forbidden"


class NotFound(BrokerError):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"


class Conflict(BrokerError):
    """The state of things does not allow it."""

    code = "conflict"


class Unconfirmed(Conflict):
    """It cannot be taken back, so it has to be confirmed; `would` says what it would end."""

    def __init__(self, would: Mapping[str, int], *, next: str) -> None:
        super().__init__(reason="confirmation-needed", next=next)
        self.more = {"would": dict(would)}


class Stale(BrokerError):
    """It changed since it was read."""

    code = "stale"


class TooMany(BrokerError):
    """More than anybody may ask in that time."""

    code = "too_many"
    retryable = True


class Unavailable(BrokerError):
    """Not now; ask again."""

    code = "unavailable"
    retryable = True
