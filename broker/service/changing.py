"""Units that change a connector: held, checked against the table, written down (rows C)."""

from collections.abc import Mapping
from dataclasses import replace

from broker.db.database import Transaction
from broker.domain import ids, names
from broker.domain.callers import Caller
from broker.domain.connectors import (
    DRAFT_LIFETIME,
    WIZARD,
    Connector,
    Event,
    Policy,
    State,
    after,
    authenticating_users,
)
from broker.domain.errors import Conflict, Invalid, Problem, Stale
from broker.service import forms
from broker.service.forms import Said
from broker.service.programs import Programs
from broker.service.views import ConnectorView
from broker.store import audit, connectors, events, links, pauses, protected, tokens
from providers.definition import Definition
from providers.secret import Secret

Secrets = Mapping[str, Secret]
"""Protected fields as they were typed."""


def seen(tx: Transaction, programs: Programs, connector: Connector) -> ConnectorView:
    """The connector with everything its view needs."""
    return ConnectorView(
        connector=connector,
        definition=programs.definition(connector.type),
        protected=protected.of(tx, connector.project, connector.id),
        connector_user=tokens.read(tx, connector.project, connector.id, None),
    )


def reach(tx: Transaction, caller: Caller, id: str, *, lock: bool = False) -> Connector:
    """The connector, if this caller may come near it; NotFound, or Forbidden (safety 22)."""
    connector = connectors.get(tx, caller.project, id, lock=lock)
    caller.require_connector(connector.name)
    return connector


def hold(tx: Transaction, caller: Caller, id: str, version: int | None) -> Connector:
    """The connector, held until the unit ends; Stale where it is not the version seen."""
    connector = reach(tx, caller, id, lock=True)
    if version is not None and version != connector.version:
        raise Stale(reason="connector-changed", next="Read the connector again.")
    return connector


def create(
    tx: Transaction, programs: Programs, caller: Caller, type: str, said: Said
) -> ConnectorView:
    """C1."""
    if programs.registry.find(type) is None:
        known = [one.kind for one in programs.registry.definitions]
        raise forms.unknown("/type", type, known, "type").alone()
    definition = programs.definition(type)
    draft = Connector(
        id=ids.new("con"),
        project=caller.project,
        name="",
        name_key="",
        type=type,
        state=State.DRAFT,
        created_by=caller.actor,
        created_at=tx.now,
        changed_at=tx.now,
        expires_at=tx.now + DRAFT_LIFETIME,
    )
    connector, secrets = forms.filled(definition, draft, said)
    caller.require_connector(connector.name)
    _free(tx, caller, connector.name_key)
    if definition.single_per_project and connectors.only(tx, caller.project, type):
        raise only_one(definition)
    connectors.insert(tx, connector)
    _note(tx, caller, "created", connector.id, type=type)
    _protect(tx, programs, connector, secrets, caller.actor)
    return seen(tx, programs, connector)


def configure(
    tx: Transaction, programs: Programs, caller: Caller, id: str, said: Said, version: int | None
) -> ConnectorView:
    """C2, C9, and everything that is changed on the way or later."""
    before = hold(tx, caller, id, version)
    if before.state is State.DISABLED:
        raise Conflict("A disabled connector is enabled first.", reason="connector-disabled")
    definition = programs.definition(before.type)
    changed, secrets = forms.filled(definition, before, said)
    if changed.name_key != before.name_key:
        _free(tx, caller, changed.name_key)
    changed = replace(changed, version=before.version + 1, changed_at=tx.now)
    moved = before.origin is not None and before.origin != changed.origin
    if moved:
        changed = _move(tx, definition, changed, secrets)
    _protect(tx, programs, changed, secrets, caller.actor)
    changed = _stage(tx, definition, before, changed, typed=bool(secrets))
    connectors.change(tx, changed)
    if changed.was_connected and changed.name_key != before.name_key:
        connectors.take(tx, changed, only_one=definition.single_per_project)
    parts = forms.changed(before, changed)
    _note(tx, caller, "configured", id, changed=parts, protected=[*secrets], moved=moved)
    return seen(tx, programs, changed)


def connect(
    tx: Transaction, programs: Programs, caller: Caller, id: str, version: int | None
) -> ConnectorView:
    """C6."""
    before = hold(tx, caller, id, version)
    definition = programs.definition(before.type)
    connector = after(before, Event.FINISHED, now=tx.now)
    connectors.change(tx, connector)
    connectors.take(tx, connector, only_one=definition.single_per_project)
    _note(tx, caller, "connected", id)
    events.append(tx, caller.project, "connector.connected", connector=id, **_buttons(connector))
    return seen(tx, programs, connector)


def switch(
    tx: Transaction,
    programs: Programs,
    caller: Caller,
    id: str,
    enabled: bool,
    policy: Policy | None,
    version: int | None,
) -> ConnectorView:
    """User authentication on or off, and its policy (R3, R4, R20, R33)."""
    before = hold(tx, caller, id, version)
    definition = programs.definition(before.type)
    connector = authenticating_users(
        before,
        enabled=enabled,
        policy=policy or before.policy,
        supported=definition.lets_people(before.integration),
        now=tx.now,
    )
    connectors.change(tx, connector)
    was = {"enabled_before": before.user_authentication, "policy_before": before.policy}
    now = {"enabled": enabled, "policy": connector.policy}
    _note(tx, caller, "user-authentication", id, **now, **was)
    return seen(tx, programs, connector)


def turn(
    tx: Transaction, programs: Programs, caller: Caller, id: str, event: Event, version: int | None
) -> ConnectorView:
    """C10; whatever waits for a connector that is disabled waits no more (P10)."""
    connector = after(hold(tx, caller, id, version), event, now=tx.now)
    connectors.change(tx, connector)
    if event is Event.DISABLED:
        pauses.cancel_connector(tx, caller.project, id, "connector-disabled")
    _note(tx, caller, event, id)
    events.append(tx, caller.project, f"connector.{event}", connector=id)
    return seen(tx, programs, connector)


def delete(tx: Transaction, caller: Caller, id: str, name: str, version: int | None) -> None:
    """C11."""
    connector = hold(tx, caller, id, version)
    if names.key(name) != connector.name_key:
        detail = "Type the name of the connector as it is."
        raise Problem("/name", "name_mismatch", detail).alone()
    draft = connector.state in WIZARD and not connector.was_connected
    gone = after(connector, Event.EXPIRED if draft else Event.DELETED, now=tx.now)
    end(tx, gone, caller.actor)


def end(tx: Transaction, gone: Connector, by: str) -> None:
    """Keep a connector that became deleted, and end everything that hung on it."""
    project, id, reason = gone.project, gone.id, "connector-deleted"
    connectors.change(tx, gone)
    links.void_connector(tx, project, id, reason)
    dropped = tokens.drop_connector(tx, project, id, reason)
    protected.erase(tx, project, id)
    cancelled = pauses.cancel_connector(tx, project, id, reason)
    audit.append(tx, project, by, "connector.deleted", id, tokens=dropped, pauses=len(cancelled))
    events.append(tx, project, "connector.deleted", connector=id)


def only_one(definition: Definition) -> Conflict:
    """R63, R64."""
    return Conflict(
        f"This project has its {definition.title} connector already.",
        reason="one-connector-per-project",
        next=f"For a further {definition.title} instance use another project.",
    )


def name_taken() -> Conflict:
    """R65."""
    return Conflict(
        "Another connector of this project has that name.",
        reason="name-taken",
        next="Choose another name; case and spaces around it make no difference.",
    )


def _note(tx: Transaction, caller: Caller, act: str, id: str, **detail: object) -> None:
    """Who did what with a connector, in the audit."""
    audit.append(tx, caller.project, caller.actor, f"connector.{act}", id, **detail)


def _buttons(connector: Connector) -> dict[str, object]:
    """What the flow service has to do with the program's buttons (R71); Skip is nothing (R73)."""
    action = connector.options.get("buttons")
    return {
        "button_action": None if action == "skip" else action,
        "button_object": connector.fields.get("button_object"),
    }


def _free(tx: Transaction, caller: Caller, name_key: str) -> None:
    """Conflict where a connector has the name, or the caller has begun one of it (C1, R65)."""
    if connectors.named(tx, caller.project, name_key) is not None:
        raise name_taken()
    if begun := connectors.drafts(tx, caller.project, name_key, caller.actor):
        raise Conflict(
            "You have begun a connector of that name.",
            reason="name-taken",
            next=f"Go on with {begun[0].id}, or delete it.",
        )


def _move(
    tx: Transaction, definition: Definition, changed: Connector, secrets: Secrets
) -> Connector:
    """C9 and safety 18: nothing sealed for the old origin is ever sent to the new one."""
    needed = [
        Problem(f"/fields/{field.name}", "required", f"{field.label} is needed for the new host.")
        for field in definition.shown(changed.integration, changed.fields)
        if field.protected and field.required and field.name not in secrets
    ]
    if needed:
        raise Invalid(
            "Another host needs the protected fields again.",
            reason="protected-fields-needed",
            problems=tuple(needed),
        )
    links.void_connector(tx, changed.project, changed.id, "connector-changed")
    tokens.drop_connector(tx, changed.project, changed.id, "connector-changed")
    protected.erase(tx, changed.project, changed.id)
    return replace(changed, authorized_by=None)


def _stage(
    tx: Transaction, definition: Definition, before: Connector, changed: Connector, *, typed: bool
) -> Connector:
    """The state that follows: the table's, where the change was one of its events.

    `typed` says that a protected field was.
    """
    moved = before.origin is not None and before.origin != changed.origin
    if before.state in WIZARD:
        kept = protected.of(tx, changed.project, changed.id)
        held = [name for name, one in kept.items() if one.origin == changed.origin]
        complete = not forms.missing(definition, changed, held)
        if before.state in (State.DRAFT, State.CONFIGURED) and complete:
            return after(changed, Event.CONFIGURED, now=tx.now)
        return replace(changed, state=State.CONFIGURED) if moved else changed
    if moved:
        return after(changed, Event.ORIGIN_CHANGED, now=tx.now)
    if before.state is State.NEEDS_ADMIN and (typed or changed.fields != before.fields):
        # K8: tried again when the connector changes; nobody's grant was ever in doubt.
        events.append(tx, changed.project, "connector.recovered", connector=changed.id)
        return after(changed, Event.REAUTHORIZED, now=tx.now)
    return changed


def _protect(
    tx: Transaction, programs: Programs, connector: Connector, secrets: Secrets, by: str
) -> None:
    """Seal the protected fields for the chosen origin; Invalid where none is chosen yet."""
    if secrets and connector.origin is None:
        detail = "Protected fields are kept for one host: choose the environment first."
        raise Problem("/environment", "required", detail).alone(reason="environment-needed")
    for name, value in secrets.items():
        programs.protect(tx, connector, name, value, by=by)
