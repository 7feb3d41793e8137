"""How many requests one caller may make of this process in a minute (decision 0023)."""

import math
import time
from collections.abc import Callable

from broker.domain.callers import Caller
from broker.domain.errors import TooMany
from broker.web.door import Scope

WINDOW_S = 60
MANY = 10_000


class Rates:
    """A token bucket a caller, as one number: the moment its bucket is full again (GCRA).

    A full bucket holds a minute's requests and fills evenly. 0 a minute: there is no limit.
    """

    def __init__(self, a_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = a_minute, clock
        self._each = WINDOW_S / a_minute if a_minute else 0.0
        self._policy = b'"minute";q=%d;w=%d' % (a_minute, WINDOW_S)
        self._full: dict[str, float] = {}

    def take(self, caller: Caller, scope: Scope) -> None:
        """Count a request, and have its answer say what is left; TooMany where nothing is."""
        if not self._most:
            return
        now, who = self._clock(), caller.session or caller.id
        full = max(self._full.get(who, now), now) + self._each
        late = full - now - WINDOW_S
        if late <= 0:
            self._keep(who, full, now)
        left, rest = (0, full - self._each - now) if late > 0 else (-late / self._each, full - now)
        told = b'"minute";r=%d;t=%d' % (left + 1e-6, math.ceil(rest))
        scope.get("also", []).extend(((b"ratelimit-policy", self._policy), (b"ratelimit", told)))
        if late > 0:
            raise TooMany(
                f"More than {self._most} requests within a minute.",
                reason="rate-limit",
                retry_after_s=math.ceil(late),
            )

    def _keep(self, who: str, full: float, now: float) -> None:
        if len(self._full) >= MANY:  # whoever's bucket is full is as good as new
            self._full = {each: at for each, at in self._full.items() if at > now}
        self._full[who] = full
