"""How a token set stands, and what an answer to a refresh does to it and its connector (rows K)."""

import random
from dataclasses import dataclass, replace

from broker.db.database import Transaction
from broker.domain import connectors as rows_c
from broker.domain.clock import SECOND
from broker.domain.connectors import Connector
from broker.domain.steps import Token
from broker.domain.token_states import Event, after, backoff, why_dead
from broker.domain.tokens import State, TokenSet
from broker.store import audit, connectors, events
from providers.errors import ClientMisconfigured, GrantDead, PersonNeeded, ProviderError, TryLater

SLOW = 300 * SECOND  # an answer nobody can classify is not asked for again at once
THROTTLED = "http-429"
EXPIRING = "expiring"  # what somebody was told, and the word in the row
# No answer came, or none that can be read: the provider may have rotated the token all the same.
SILENCE = frozenset(
    {"timeout", "unreachable", "unreadable", "too-large", "unparsable", "redirect"}
    | {"no-access-token", "token-too-long", "http-500", "http-502", "http-504"}
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a token is good for now, and whether a refresh may change that."""

    token: Token
    is_due: bool = False


def judged(token: TokenSet, now: int) -> Standing:
    """How a set that can be read stands, by the clock and its row alone."""
    if token.is_usable(now):
        return Standing(Token.USABLE, is_due=token.is_due(now) and not token.is_leased(now))
    if token.is_dead(now):
        return Standing(Token.NOT_USABLE)
    return Standing(Token.TRANSIENT, is_due=token.is_due(now))


def due_at(token: TokenSet, keep_alive_s: int) -> int | None:
    """When the background refreshes it, None for never: at the next try; ahead of its end, where
    a step was given this version; once it was unused for so long, which a minted one may be.
    """
    renewed = token.is_renewable and not token.frozen
    if token.state not in (State.VALID, State.EXPIRED) or not renewed:
        return None
    if token.retry_at is not None:
        return token.retry_at
    jitter = random.random()
    ahead = token.ahead_at(jitter) if token.asked == token.version else None
    idle = None if token.minted else token.idle_at(keep_alive_s * SECOND, jitter)
    return min((at for at in (ahead, idle) if at is not None), default=None)


def failed(token: TokenSet, before: TokenSet, error: ProviderError, now: int) -> TokenSet:
    """The set after a refresh that failed; `before` is how it was when the lease was taken."""
    match error:
        case GrantDead():
            return after(token, Event.GRANT_DEAD, now=now, reason=why_dead(before))
        case PersonNeeded():
            return after(token, Event.PERSON_NEEDED, now=now, claims=error.claims)
        case ClientMisconfigured():
            return after(token, Event.MISCONFIGURED, now=now)
        case TryLater():
            # An earlier attempt that never got its answer is still open, whatever this one got.
            answered = error.provider_code not in SILENCE and before.journal is None
            wait = backoff(token.failures, jitter=random.random())
            wait = max(wait, (error.retry_after_s or 0) * SECOND)
            tried = after(token, Event.TRY_LATER, now=now, retry_at=now + wait, answered=answered)
            is_throttled = error.provider_code == THROTTLED
            return replace(tried, throttled=token.throttled + is_throttled)
        case _:
            counted = after(token, Event.UNCLASSIFIED, now=now, retry_at=now + SLOW)
            if counted.state is State.NEEDS_REAUTH:
                return replace(counted, reason=f"unclassified: {error}")
            return counted


def announced(tx: Transaction, before: TokenSet, token: TokenSet) -> TokenSet:
    """The set, once somebody was told where this change means that a person must act.

    Of the connector user that is its connector's affair (`troubled`).
    """
    if token.state is not State.NEEDS_REAUTH or before.state is State.NEEDS_REAUTH:
        return token
    reason = (token.reason or "").partition(":")[0]
    said = {"reason": reason, "user_id": token.user}
    audit.append(tx, token.project, "broker", "token.needs-reauth", token.connector, **said)
    if token.user is None:
        return replace(token, told=None)
    if token.told != reason:
        say(tx, token, "failing", reason)
    return replace(token, told=reason)


def say(tx: Transaction, token: TokenSet, what: str, reason: str | None) -> None:
    """An event about a person's authorization, or about the connector whose user's it is."""
    if token.user is None:
        type, said = f"connector.{what}", {"connector": token.connector}
    else:
        type, said = f"authorization.{what}", {"connector": token.connector, "user_id": token.user}
    events.append(tx, token.project, type, **said, reason=reason)


def troubled(tx: Transaction, connector: Connector, token: TokenSet, error: ProviderError) -> None:
    """What the failure means for the connector, held by this unit (C7): said once (K8).

    A client that is set up wrongly is the administrator's affair and nobody's grant; a dead grant
    is the connector's affair only where it is the connector user's.
    """
    if isinstance(error, ClientMisconfigured):
        event, reason = rows_c.Event.MISCONFIGURED, error.provider_code
    elif token.user is None and token.state is State.NEEDS_REAUTH:
        event, reason = rows_c.Event.GRANT_DEAD, token.reason or "grant_dead"
    else:
        return
    if not connector.is_available:
        return
    changed = rows_c.after(connector, event, now=tx.now, reason=reason)
    if changed.state is connector.state:
        return
    connectors.change(tx, changed)
    audit.append(
        tx, connector.project, "broker", f"connector.{changed.state}", connector.id, reason=reason
    )
    said = {"connector": connector.id, "state": changed.state, "reason": reason}
    events.append(tx, connector.project, "connector.failing", **said)
