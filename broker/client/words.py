"""Closed lists that may grow, and times: how the members of an answer are read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class Word(StrEnum):
    """A word of a closed list; one that a later broker brings is UNKNOWN, never an error."""

    @classmethod
    def _missing_(cls, value: object) -> Word | None:
        return cls("unknown") if isinstance(value, str) and value != "unknown" else None


def moment(text: str) -> datetime:
    """An instant of an answer (RFC 3339), with its zone."""
    return datetime.fromisoformat(text)


def moment_or_none(text: str | None) -> datetime | None:
    """The same, where there may be none."""
    return None if text is None else moment(text)
