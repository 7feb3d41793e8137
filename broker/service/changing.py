"""Units that change a connector: held, checked against the table, written down (rows C)."""

from dataclasses import replace

from broker.db.database import Transaction
from broker.domain import ids, names
from broker.domain.callers import Caller
from broker.domain.connectors import (
    DRAFT_LIFETIME,
    USED,
    WIZARD,
    Connector,
    Event,
    Policy,
    State,
    after,
    authenticating_users,
)
from broker.domain.errors import Conflict, Problem, Stale
from broker.service import forgetting, forms, moving, releasing
from broker.service.cautioning import cautions
from broker.service.forms import Said
from broker.service.moving import Secrets
from broker.service.programs import Programs
from broker.service.views import ConnectorView
from broker.store import audit, callers, connectors, events, links, pauses, protected, tokens
from providers.definition import Definition


def seen(
    tx: Transaction, programs: Programs, caller: Caller, connector: Connector
) -> ConnectorView:
    """The connector with everything that its view, for this caller, needs."""
    kept = protected.of(tx, connector.project, connector.id)
    user = tokens.read(tx, connector.project, connector.id, None)
    return ConnectorView(
        connector=connector,
        definition=programs.definition(connector.type),
        redirect_uri=programs.redirect_uri(connector.id),
        protected=kept,
        connector_user=user,
        cautions=cautions(tx, programs, caller, connector, kept, user),
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


def unchanged(tx: Transaction, seen: Connector, origin: str | None) -> Connector:
    """The connector that was seen, where it still is that; Conflict where it was changed, or where
    a token of `origin` is none of its place (safety 18).
    """
    connector = connectors.get(tx, seen.project, seen.id)
    if connector.version != seen.version or not seen.origin == origin == connector.origin:
        raise Conflict(
            "The connector was changed meanwhile.",
            reason="connector-changed",
            next="Read the connector again.",
        )
    return connector


def typed(programs: Programs, type: str) -> Definition:
    """What the type somebody named declares; Invalid offers the nearest there is."""
    if programs.registry.find(type) is None:
        known = [one.kind for one in programs.registry.definitions]
        raise forms.unknown("/type", type, known, "type").alone()
    return programs.definition(type)


def create(
    tx: Transaction, programs: Programs, caller: Caller, type: str, said: Said
) -> ConnectorView:
    """C1."""
    definition = typed(programs, type)
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
    _vouched(caller, definition, draft, connector)
    _free(tx, caller, connector.name_key)
    if definition.single_per_project and connectors.only(tx, caller.project, type):
        raise only_one(definition)
    connectors.insert(tx, connector)
    _note(tx, caller, "created", connector.id, type=type)
    _protect(tx, programs, connector, secrets, caller.actor)
    return seen(tx, programs, caller, connector)


def configure(
    tx: Transaction,
    programs: Programs,
    caller: Caller,
    id: str,
    said: Said,
    version: int | None,
    confirmed: str | None,
) -> ConnectorView:
    """C2, C9, and everything that is changed on the way or later."""
    before = hold(tx, caller, id, version)
    if before.state is State.DISABLED:
        raise Conflict("A disabled connector is enabled first.", reason="connector-disabled")
    definition = programs.definition(before.type)
    changed, secrets = forms.filled(definition, before, said)
    _vouched(caller, definition, before, changed)
    if changed.name_key != before.name_key:
        _free(tx, caller, changed.name_key)
    changed = replace(changed, version=before.version + 1, changed_at=tx.now)
    changed = moving.people_let_go(tx, caller, definition, changed, confirmed)
    changed = moving.leave(tx, definition, before, changed, secrets)
    _protect(tx, programs, changed, secrets, caller.actor)
    changed = moving.stage(tx, definition, before, changed, typed=bool(secrets))
    connectors.change(tx, changed)
    if changed.was_connected and changed.name_key != before.name_key:
        connectors.take(tx, changed, only_one=definition.single_per_project)
        _renamed(tx, caller, before.name, changed)
    if secrets or changed.fields != before.fields:
        tokens.outdate_minted(tx, caller.project, id)
    moved = moving.is_moved(before, changed)
    parts = forms.changed(before, changed)
    _note(tx, caller, "configured", id, changed=parts, protected=[*secrets], moved=moved)
    if changed.user_authentication is not before.user_authentication:
        _note_switch(tx, caller, before, changed)
    # Install/Update said again is an update (R71); Skip is nothing to do (R73)
    asked = _buttons(changed)
    answered = "buttons" in (said.options or {}) or asked != _buttons(before)
    if answered and asked["button_action"] and changed.state in USED:
        events.append(tx, caller.project, "connector.buttons", connector=id, **asked)
    return seen(tx, programs, caller, changed)


def connect(
    tx: Transaction, programs: Programs, caller: Caller, id: str, version: int | None
) -> ConnectorView:
    """C6."""
    connector = after(hold(tx, caller, id, version), Event.FINISHED, now=tx.now)
    definition = programs.definition(connector.type)
    connectors.change(tx, connector)
    connectors.take(tx, connector, only_one=definition.single_per_project)
    _note(tx, caller, "connected", id)
    events.append(tx, caller.project, "connector.connected", connector=id, **_buttons(connector))
    return seen(tx, programs, caller, connector)


def switch(
    tx: Transaction,
    programs: Programs,
    caller: Caller,
    id: str,
    enabled: bool,
    policy: Policy | None,
    version: int | None,
    confirmed: int | None,
) -> ConnectorView:
    """User authentication on or off, and its policy (R3, R4, R20, R33); off, P14."""
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
    if before.user_authentication and not enabled:
        releasing.released(tx, caller, connector, confirmed)
    _note_switch(tx, caller, before, connector)
    return seen(tx, programs, caller, connector)


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
    return seen(tx, programs, caller, connector)


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
    forgetting.forget(tx, project, id)
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


def _note_switch(tx: Transaction, caller: Caller, before: Connector, now: Connector) -> None:
    """What user authentication was, and what it is (R4)."""
    was = {"enabled_before": before.user_authentication, "policy_before": before.policy}
    said = {"enabled": now.user_authentication, "policy": now.policy}
    _note(tx, caller, "user-authentication", now.id, **said, **was)


def _buttons(connector: Connector) -> dict[str, object]:
    """What the flow service has to do with the program's buttons (R71); Skip is nothing (R73)."""
    action = connector.options.get("buttons")
    action = None if action == "skip" else action
    return {"button_action": action, "button_object": connector.fields.get("button_object")}


def _vouched(caller: Caller, definition: Definition, before: Connector, now: Connector) -> None:
    """Safety 20: by what people are minted for, an administrator says, and no key."""
    by = definition.person_field
    if by is not None and before.fields.get(by) != now.fields.get(by):
        caller.require_administrator()


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


def _renamed(tx: Transaction, caller: Caller, was: str, now: Connector) -> None:
    """Keys that are limited to the connector stay limited to it (safety 22)."""
    for key in callers.renamed(tx, now.project, was, now.name):
        audit.append(tx, now.project, caller.actor, "key.connector_renamed", key, connector=now.id)


def _protect(
    tx: Transaction, programs: Programs, connector: Connector, secrets: Secrets, by: str
) -> None:
    """Seal the protected fields for the chosen origin; Invalid where none is chosen yet."""
    if secrets and connector.origin is None:
        detail = "Protected fields are kept for one host: choose the environment first."
        raise Problem("/environment", "required", detail).alone(reason="environment-needed")
    for name, value in secrets.items():
        programs.protect(tx, connector, name, value, by=by)
