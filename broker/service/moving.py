"""What a change of a connector ends before it goes on: another place, another way to a token."""

from collections.abc import Mapping
from dataclasses import replace

from broker.db.database import Transaction
from broker.domain.callers import Caller
from broker.domain.connectors import WIZARD, Connector, Event, State, after
from broker.domain.errors import Invalid, Problem, Unconfirmed
from broker.domain.pauses import Event as PauseEvent
from broker.domain.token_states import Event as TokenEvent
from broker.service import forms, releasing
from broker.store import connectors, events, links, pauses, protected, tokens
from providers.definition import Definition, Source
from providers.secret import Secret

Secrets = Mapping[str, Secret]
"""Protected fields as they were typed."""
OFF = releasing.SWITCHED_OFF
"""What is confirmed where nobody can authenticate themselves any more (safety 21)."""
CHANGED = "connector-changed"


def is_moved(before: Connector, changed: Connector) -> bool:
    """Whether what was sealed for the old place may not go to the new one (safety 18)."""
    return before.origin is not None and before.origin != changed.origin


def is_turned(before: Connector, changed: Connector) -> bool:
    """Whether the connector user's token now comes about in another way (R36)."""
    return before.integration is not None and before.integration != changed.integration


def people_let_go(
    tx: Transaction,
    caller: Caller,
    definition: Definition,
    changed: Connector,
    confirmed: str | None,
) -> Connector:
    """User authentication switched off where the new method knows none (safety 21).

    Unconfirmed, with whom it concerns, until that is what was confirmed, and how many steps that
    wait may run as the connector user then (P14); an administrator's act like any other switch of
    it (safety 27).
    """
    if not changed.user_authentication or definition.lets_people(changed.integration):
        return changed
    caller.require_administrator()
    waiting = pauses.unreleased(tx, changed.project, changed.id)
    words = f"{OFF}:{len(waiting)}" if waiting else OFF
    if confirmed != words:
        would = connectors.affected(tx, changed.project, changed.id)
        would |= {"waiting": len(waiting)} if waiting else {}
        raise Unconfirmed(
            would, next=f"People cannot authenticate themselves so: ?confirm={words}."
        )
    releasing.decided(tx, caller, waiting, PauseEvent.RELEASED, OFF)
    return replace(changed, user_authentication=False)


def leave(
    tx: Transaction,
    definition: Definition,
    before: Connector,
    changed: Connector,
    secrets: Secrets,
) -> Connector:
    """End what belongs to the place or the method that is left; the policy and the name stay.

    C9 and safety 18: nothing sealed for the old place is ever sent to the new one. Invalid where
    the protected fields do not come along; in a first wizard `missing` asks for them instead.
    With another method the people keep their grants if they sign in as before.
    """
    project, id = changed.project, changed.id
    if is_moved(before, changed):
        needed = [
            Problem(f"/fields/{one.name}", "required", f"{one.label} is needed for the new place.")
            for one in definition.shown(changed.integration, changed.answers)
            if one.protected and one.required and one.name not in secrets
        ]
        if needed and before.was_connected:
            raise Invalid(
                "Another place needs the protected fields again.",
                reason="protected-fields-needed",
                problems=tuple(needed),
            )
        tokens.drop_connector(tx, project, id, CHANGED)
        protected.erase(tx, project, id)
    elif not is_turned(before, changed):
        return changed
    elif _people(definition, before) is _people(definition, changed) is Source.REFRESH:
        if token := tokens.read(tx, project, id, None, lock=True):
            tokens.drop(tx, token, TokenEvent.DISCONNECTED, CHANGED)
    else:
        tokens.drop_connector(tx, project, id, CHANGED)
    links.void_connector(tx, project, id, CHANGED)
    return replace(changed, authorized_by=None)


def stage(
    tx: Transaction, definition: Definition, before: Connector, changed: Connector, *, typed: bool
) -> Connector:
    """The state that follows: the table's, where the change was one of its events.

    `typed` says that a protected field was.
    """
    left = is_moved(before, changed) or is_turned(before, changed)
    if before.state in WIZARD:
        kept = protected.of(tx, changed.project, changed.id)
        held = [name for name, one in kept.items() if one.origin == changed.origin]
        complete = not forms.missing(definition, changed, held)
        if before.state in (State.DRAFT, State.CONFIGURED) and complete:
            return after(changed, Event.CONFIGURED, now=tx.now)
        sent = before.state in (State.AUTHORIZING, State.AUTHORIZED)
        return replace(changed, state=State.CONFIGURED) if left and sent else changed
    if left:
        return after(changed, Event.ORIGIN_CHANGED, now=tx.now)
    if before.state is State.NEEDS_ADMIN and (typed or changed.fields != before.fields):
        # K8: tried again when the connector changes; nobody's grant was ever in doubt.
        events.append(tx, changed.project, "connector.recovered", connector=changed.id)
        return after(changed, Event.REAUTHORIZED, now=tx.now)
    return changed


def _people(definition: Definition, connector: Connector) -> Source | None:
    return definition.method_of(connector.integration).people
