"""What a key may ask about, and what it gets: read again in the transaction that answers."""

from collections.abc import Collection

from broker.db.database import Transaction
from broker.domain.callers import Caller, Kind
from broker.domain.errors import Forbidden, Unknown
from broker.domain.steps import Identity, Outcome
from broker.service.asking import StepRequest
from broker.service.looking import Sight
from broker.store import callers, connectors
from broker.store.decisions import Earlier


def still(tx: Transaction, caller: Caller) -> Caller:
    """The caller as it is in this transaction; Unknown where it was revoked since (safety 24)."""
    if caller.kind is Kind.SERVICE:
        found = callers.find_key(tx, caller.id)
        now = found[1] if found else None
    else:
        now = callers.find_session(tx, caller.session) if caller.session else None
    if now is None:
        raise Unknown("The API key was revoked, or the session is over.", reason="unknown-key")
    return now


def allow(tx: Transaction, caller: Caller, request: StepRequest) -> None:
    """Forbidden where the key is limited to others; the same words whatever exists (safety 3)."""
    called = request.connector
    if called.startswith("con_"):
        found = connectors.meant(tx, caller.project, called)
        called = found.name if found else ""
    caller.require_connector(called)
    if caller.step_types and request.step_type not in caller.step_types:
        raise Forbidden(
            f"The key {caller.name or caller.id} is not for this step type.",
            reason="step-type-not-allowed",
            next=f"It is for {', '.join(sorted(caller.step_types))}.",
        )


def reached(tx: Transaction, caller: Caller, ids: Collection[str]) -> set[str]:
    """Those of these connectors, deleted ones too, that the caller's key is for (safety 22)."""
    found = [connectors.find(tx, caller.project, id) for id in ids]
    return {each.id for each in found if each is not None and caller.is_for(each.name)}


def again(tx: Transaction, caller: Caller, request: StepRequest, earlier: Earlier) -> StepRequest:
    """The question of a repeated attempt: about whom and what it was first found to mean, whoever
    has the names now (safety 23). Forbidden where the key is not for what that is called now.
    """
    if earlier == Earlier():
        return request
    request = request.about(earlier.connector, earlier.user)
    allow(tx, caller, request)
    return request


def leaves(caller: Caller, request: StepRequest, sight: Sight) -> bool:
    """Whether the credential goes along: asked for, and the key may have it (safety 22)."""
    if sight.decision.outcome is not Outcome.RUN or not request.credential:
        return False
    if sight.decision.identity is Identity.CONNECTOR and not caller.may("credentials:connector"):
        return False
    return caller.may("credentials:read")
