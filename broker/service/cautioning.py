"""What an administrator ought to know of a connector beside its state, as long as it is so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from broker.db.database import Transaction
from broker.db.seal import Seal
from broker.domain.callers import Caller
from broker.domain.clock import DAY, rfc3339
from broker.domain.connectors import Connector
from broker.domain.subjects import Subject
from broker.domain.tokens import TokenSet
from broker.domain.users import User
from broker.service.programs import Programs
from broker.store import connectors, events, users
from broker.store.protected import Protected
from providers.definition import Definition

PATIENCE = 30 * DAY  # safety 21
LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Caution:
    """One thing that is not right, or will not stay so: a word and a sentence with its remedy."""

    code: str
    text: str


def cautions(
    tx: Transaction,
    programs: Programs,
    caller: Caller,
    connector: Connector,
    protected: Mapping[str, Protected],
    user: TokenSet | None,
) -> tuple[Caution, ...]:
    """Everything there is to say to this caller, who may be limited to some connectors (safety 22);
    nothing is opened for it (R46).
    """
    definition = programs.definition(connector.type)
    return (
        *_without_place(programs, connector),
        *_unreadable(definition, programs.seal, connector, protected, user),
        *(_about_account(tx, definition, caller, connector, user) if user and user.account else ()),
    )


def _without_place(programs: Programs, connector: Connector) -> Iterator[Caution]:
    """F1: no step runs there; the connector itself is as it was once the environment is back."""
    if connector.environment and programs.place(connector) is None:
        text = f"Its environment {connector.environment.get('name')} is not there any more: "
        yield Caution("environment-gone", text + "have the operator bring it back, or choose one.")


def _unreadable(
    definition: Definition,
    seal: Seal,
    connector: Connector,
    protected: Mapping[str, Protected],
    user: TokenSet | None,
) -> Iterator[Caution]:
    """Promise 12, K16: the key is missing; with it everything is as before."""
    shown = definition.shown(connector.integration, connector.answers)
    held = [(one.label, protected[one.name].sealed) for one in shown if one.name in protected]
    if user is not None:
        kept = (user.access, user.refresh)
        held += [("the token of the connector user", sealed) for sealed in kept if sealed]
    if lost := dict.fromkeys(what for what, sealed in held if not seal.is_known(sealed)):
        text = f"The encryption key is missing for: {', '.join(lost)}. "
        yield Caution("unreadable", text + "Bring the key back, or enter and authorize again.")


def _about_account(
    tx: Transaction, definition: Definition, caller: Caller, connector: Connector, user: TokenSet
) -> Iterator[Caution]:
    """R48, R49, safety 21."""
    account = user.account_display or user.account
    sharing = connectors.sharing(tx, connector, user.account or "")
    if names := sorted(one.name for one in sharing if caller.is_for(one.name)):
        text = f"{account} is the account of {', '.join(names)} too. Give each one of its own."
        yield Caution("shared-account", text)
    if user.throttled:
        text = f"The program said 429 to {account}, so far {user.throttled} ×. "
        yield Caution("throttled", text + "An account that several integrations share is slowed.")
    for person in _behind(tx, definition, connector, user):
        known = events.of_user(tx, connector.project, person.id, LOOKED_AT)
        since = next((one.at for one in known if one.type == "user.suspended"), person.changed_at)
        until = rfc3339(since + PATIENCE)
        text = f"{account} is the account of {person.user_name}, who is {person.status.value}: "
        yield Caution("suspended-person", text + f"authorize another account until {until}.")


def _behind(
    tx: Transaction, definition: Definition, connector: Connector, user: TokenSet
) -> list[User]:
    """The people without access whose account the connector user is, by name or by logon."""
    named = Subject(user_name=user.account_display or user.account)
    suffix = connector.fields.get(definition.person_field or "")
    called = [named, Subject(logon=user.account, suffix=str(suffix))] if suffix else [named]
    found = {one.id: one for each in called for one in users.meant(tx, connector.project, each)}
    return [one for one in found.values() if one.is_gone]
