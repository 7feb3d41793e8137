"""One breaker a place: where everybody's calls fail, one at a time finds out if it is over (K9)."""

import random
from dataclasses import dataclass, field
from threading import Lock

from broker.domain.clock import SECOND
from broker.domain.token_states import LONGEST_BACKOFF, backoff
from providers.errors import ProviderError, TryLater

LIMIT = 5  # failures in a row, whosever token it was
PROBE = 15 * SECOND  # as long as a lease: a probe that brought nothing until then brings nothing
SOON = SECOND  # a probe is under way, and may well be good news
LOOP = "AADSTS50196"  # Microsoft: we asked too often, and asking on makes it worse (providers.md)


@dataclass(slots=True)
class Breaker:
    """What is known of one place: failures in a row, and until when nobody asks there."""

    failures: int = 0
    until: int = 0
    probe: object = None


@dataclass(frozen=True, slots=True)
class Breakers:
    """The breakers of this process, by what sealed values are bound to: host, tenant, relay.

    Only refreshes ask it. A person at the consent screen is never held up: what they bring back
    is redeemed whatever is known of the place.
    """

    places: dict[str, Breaker] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)  # units run in several threads

    def closed_until(self, place: str, who: object, now: int) -> int | None:
        """Until when nobody asks there, in microseconds; None where `who` may ask now.

        While it is open one may ask each time the backoff is over; asking twice, as a unit that is
        run again does, is the same probe.
        """
        with self.lock:
            breaker = self.places.get(place)
            if breaker is None or breaker.failures < LIMIT or breaker.probe == who:
                return None
            if now < breaker.until:
                return breaker.until if breaker.probe is None else now + SOON
            breaker.probe, breaker.until = who, now + PROBE
            return None

    def heard(self, place: str, error: ProviderError | None, now: int) -> None:
        """What a call there came to; every answer but a transient one closes the breaker."""
        with self.lock:
            if not isinstance(error, TryLater):
                self.places.pop(place, None)
                return
            breaker = self.places.setdefault(place, Breaker())
            is_loop = LOOP in error.provider_text
            breaker.failures = max(breaker.failures + 1, LIMIT if is_loop else 0)
            breaker.probe = None
            if breaker.failures >= LIMIT:
                wait = backoff(breaker.failures - LIMIT, jitter=random.random())
                wished = (error.retry_after_s or 0) * SECOND
                breaker.until = now + max(wait, wished, LONGEST_BACKOFF if is_loop else 0)
