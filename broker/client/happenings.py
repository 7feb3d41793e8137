"""What happened, as the feed and webhooks tell it: ids and states, thin on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broker.client.words import moment


@dataclass(frozen=True, slots=True)
class Event:
    """An event of one project; `sequence` is its place in the feed, without a gap.

    It may come more than once, with the same `id`.
    """

    id: str
    sequence: int
    type: str
    timestamp: datetime
    data: Mapping[str, Any]

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Event:
        """The event in a decoded JSON object."""
        at = moment(said["timestamp"])
        return cls(said["id"], said["sequence"], said["type"], at, said["data"])
