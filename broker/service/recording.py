"""What is written down of an answer: its line, the opening of a token, the panel's warning."""

from broker.db.database import Transaction
from broker.domain.callers import Caller
from broker.service.answering import Answer
from broker.service.looking import Sight
from broker.store import audit, connectors, decisions, events
from broker.store.decisions import Decision, Line


def record(tx: Transaction, caller: Caller, asked: Decision, sight: Sight, answer: Answer) -> None:
    """Write the line of an answer, in the transaction that found it (R2).

    A credential that leaves is in the audit with its purpose (R46); a warning is an event for the
    Flow Execution Panel (R13).
    """
    decisions.append(tx, caller.project, asked.id, _line(asked, sight, answer))
    if answer.credential is not None and sight.token is not None:
        audit.append(
            tx,
            caller.project,
            caller.actor,
            "token.opened",
            sight.token.id,
            purpose="resolve",
            decision=asked.id,
            line=asked.version,
            row=answer.decision.row,
        )
    if answer.warning is not None:
        about = {"decision_id": asked.id, "connector": sight.connector and sight.connector.id}
        events.append(tx, caller.project, "decision.warning", **about, **answer.warning)
    if sight.connector is not None:
        connectors.resolved(tx, sight.connector)


def _line(asked: Decision, sight: Sight, answer: Answer) -> Line:
    decision, token = sight.decision, sight.token
    ran = token if decision.identity is not None else None
    return Line(
        version=asked.version,
        row=decision.row,
        outcome=decision.outcome.value,
        status=decision.status,
        reason=decision.reason,
        identity=decision.identity.value if decision.identity else None,
        user=sight.user.id if sight.user else None,
        connector=sight.connector.id if sight.connector else "",
        provider_account=ran.account if ran else None,
        token_version=ran.version if ran else None,
        credential=answer.credential is not None,
        fallback=decision.fallback,
        warning=decision.warning.code if decision.warning else None,
        pause=answer.pause.id if answer.pause else None,
        link=answer.link.id if answer.link else None,
        facts=sight.facts,
    )
