"""Letters: what is in the outbox, when the next try is due, what may stand in one (safety 13)."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker.domain import names
from broker.domain.clock import HOUR, MINUTE

A_DAY = 3  # safety 13: to one address
LADDER = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR)
TRIES = 30  # four and a half days, as RFC 5321, 4.5.4.1 recommends
NAME_LIMIT = 64
LINKED = re.compile(r"[/:@\\]|[.\u3002]\w{2,}")
"""What a mail program may make a link of: an address, a path, a domain."""


class Template(StrEnum):
    """What a letter is about."""

    INVITATION = "invitation"
    ACTIVE = "active"  # promoted from the queue (U6)
    NEEDED = "needed"  # a flow waits for them (P1)


class State(StrEnum):
    """Where a letter is."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    VOID = "void"  # nobody wants it any more


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that one worker holds; `lease_until` is its fence: who lost it cannot report.

    `attempt` counts how often the mail server put it off.
    """

    id: str
    project: str
    user: str
    template: Template
    data: Mapping[str, Any]
    attempt: int
    lease_until: int | None

    def next_try(self, now: int) -> int | None:
        """When to try again after being put off once more; None where it was often enough."""
        if self.attempt + 1 >= TRIES:
            return None
        return now + LADDER[min(self.attempt, len(LADDER) - 1)]


def salutation(name: str) -> str:
    """A person's name as a letter may hold it, "" where it may not (safety 13).

    At most 64 characters on one line, nothing hidden, nothing a mail program makes a link of:
    whoever chooses a name in a directory writes no message into our letters.
    """
    plain = unicodedata.normalize("NFKC", name)
    line = " ".join("".join(" " if names.is_hidden(each) else each for each in plain).split())
    return "" if LINKED.search(line) else line[:NAME_LIMIT].rstrip()
