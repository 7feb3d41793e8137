"""A document of somebody else's, fetched when needed and kept for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from providers.claims import SECOND
from providers.errors import ProviderError

FRESH = 3600 * SECOND
STALE = 24 * 3600 * SECOND
PATIENCE = 15 * SECOND

T = TypeVar("T")


class Kept(Generic[T]):
    """One value behind one fetch.

    It counts as fresh for an hour. An older one, or one that does not suit, is fetched anew: once
    for everyone who waits, and at most every 15 seconds whatever a stranger asks for. While that
    fails, a value of the last day goes on counting.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        """`fetch` gives the value, or raises a ProviderError."""
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._fetched: int | None = None
        self._tried: int | None = None
        self._failure: ProviderError | None = None

    async def get(self, now: int, *, suits: Callable[[T], bool] = lambda _: True) -> T:
        """The value that suits; the newest one where none does; the failure where none is here."""
        if (value := self._younger(FRESH, now)) is not None and suits(value):
            return value
        async with self._lock:
            value = self._younger(FRESH, now)
            if (value is None or not suits(value)) and not _within(self._tried, now, PATIENCE):
                await self._ask(now)
        value = self._younger(STALE, now)
        if self._failure is not None and (value is None or not suits(value)):
            raise type(self._failure)(self._failure.provider_code, self._failure.provider_text)
        assert value is not None  # no failure: the last fetch gave one
        return value

    def _younger(self, age: int, now: int) -> T | None:
        return self._value if _within(self._fetched, now, age) else None

    async def _ask(self, now: int) -> None:
        self._tried = now
        try:
            self._value = await self._fetch()
        except ProviderError as error:
            self._failure = error
        else:
            self._fetched, self._failure = now, None


def _within(since: int | None, now: int, span: int) -> bool:
    return since is not None and 0 <= now - since < span
