"""Every event the suite writes is looked at: its type and its members are those of the table."""

from __future__ import annotations

from broker.db.database import Transaction
from broker.domain.events import KINDS
from broker.store import events

_unknown: list[str] = []


def watch() -> None:
    """Look at every event that is written from now on."""
    append = events.append

    def looked_at(tx: Transaction, /, project: str, type: str, **data: object) -> str:
        members = KINDS[type].members if type in KINDS else ()
        _unknown.extend(f"{type}: {name}" for name in data if name not in members)
        if type not in KINDS:
            _unknown.append(type)
        return append(tx, project, type, **data)

    events.append = looked_at


def found() -> str | None:
    """What was written since the last look and is not in the table."""
    said = f"not in broker/domain/events.py: {', '.join(_unknown)}" if _unknown else None
    _unknown.clear()
    return said
