"""Time that a test can move."""

from __future__ import annotations

from broker.db.database import system_clock


class MovableClock:
    """Microseconds since 1970, UTC: real time plus what the test added."""

    def __init__(self) -> None:
        self._added = 0

    def __call__(self) -> int:
        return system_clock() + self._added

    def advance(self, micros: int) -> None:
        """Let `micros` pass."""
        self._added += micros
