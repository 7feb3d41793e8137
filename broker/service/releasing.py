"""Many steps that wait for people, moved on by an administrator: all of them, or none."""

from dataclasses import dataclass

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller
from broker.domain.connectors import Connector
from broker.domain.errors import Unconfirmed
from broker.domain.pauses import Event, Pause, State
from broker.service import admitting
from broker.store import audit, connectors, pauses

SWITCHED_OFF = "user-authentication-off"


@dataclass(frozen=True, slots=True)
class Chosen:
    """All that waits at a connector, or what of these pauses does; `count` is how many that are.

    Whoever read the list a minute ago moves what they saw, or nothing.
    """

    connector: str | None
    pauses: tuple[str, ...]
    count: int | None


@dataclass(frozen=True, slots=True)
class Releasing:
    """The rows P11 and P12 in bulk; what is not waiting (any more) is left as it is.

    Each verb answers how many it moved: Forbidden without an administrator's session (safety 27),
    NotFound for a connector or pause of nobody's, Unconfirmed with the number where it is another.
    """

    db: Database

    async def end(self, caller: Caller, chosen: Chosen, reason: str) -> int:
        """Wait no longer: these flows end with an error (P11)."""
        caller.require_administrator()
        return await self.db.write(_moving, caller, chosen, Event.ENDED, reason)

    async def override(self, caller: Caller, chosen: Chosen, reason: str) -> int:
        """Let these steps run as the connector user (P12)."""
        caller.require_administrator()
        return await self.db.write(_moving, caller, chosen, Event.OVERRIDDEN, reason)


def released(tx: Transaction, caller: Caller, connector: Connector, confirmed: int | None) -> int:
    """P14: with user authentication off, what waits, or is ready since its person signed in, may
    run as the connector user; how many.

    Unconfirmed until `confirmed` is that number: nobody's identity changes without it being said.
    """
    found = pauses.unreleased(tx, connector.project, connector.id)
    said = f"Steps that wait would run as the connector user: ?confirm={len(found)}."
    _require(len(found), confirmed or 0, said)
    return len(decided(tx, caller, found, Event.RELEASED, SWITCHED_OFF))


def decided(
    tx: Transaction, caller: Caller, found: list[Pause], event: Event, reason: str
) -> list[Pause]:
    """Locked pauses, moved on by hand; the audit says of each by whom, and why."""
    moved = pauses.move(tx, found, event, reason=reason)
    for pause in moved:
        audit.append(tx, pause.project, caller.actor, f"pause.{event}", pause.id, reason=reason)
    return moved


def _moving(tx: Transaction, caller: Caller, chosen: Chosen, event: Event, reason: str) -> int:
    caller = admitting.still(tx, caller)
    if chosen.connector is not None:
        connectors.get(tx, caller.project, chosen.connector)
        found = pauses.waiting(tx, caller.project, chosen.connector)
    else:
        named = [pauses.get(tx, caller.project, id, lock=True) for id in sorted(chosen.pauses)]
        found = [pause for pause in named if pause.state is State.WAITING]
    _require(len(found), chosen.count, f'Send it again with "count": {len(found)}.')
    return len(decided(tx, caller, found, event, reason))


def _require(count: int, confirmed: int | None, next: str) -> None:
    if confirmed != count:
        raise Unconfirmed({"pauses": count}, next=next)
