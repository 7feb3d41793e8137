"""What a callback comes to: a grant that is kept, or one that is dropped (K2, K3, C4, C5, C8)."""

from dataclasses import dataclass, replace

from broker.db.database import Transaction
from broker.domain import connectors as rows_c
from broker.domain import links as rows_k
from broker.domain.connectors import Connector
from broker.domain.links import Link, Purpose, State
from broker.domain.token_states import Event, after
from broker.domain.tokens import State as TokenState
from broker.domain.tokens import TokenSet
from broker.domain.users import User
from broker.service.vault import Vault
from broker.store import audit, connectors, events, links, pauses, tokens, users
from providers.capabilities import Registration, TokenResponse
from providers.errors import ClientMisconfigured, Denied, ProviderError, TryLater
from providers.secret import Secret


@dataclass(frozen=True, slots=True)
class Claimed:
    """A link whose callback was proven to be its person's, and what redeems the code."""

    link: Link
    connector: Connector
    registration: Registration
    verifier: Secret
    by: str


@dataclass(frozen=True, slots=True)
class Completed:
    """How it ended, for the page: `ok`, else `reason` as a word and `message` as a sentence."""

    ok: bool
    purpose: Purpose
    return_url: str | None
    reason: str | None = None
    message: str = "You can close this window."


@dataclass(frozen=True, slots=True)
class Held:
    """Everything a callback touches, as it is now, held by this unit."""

    link: Link
    connector: Connector
    user: User | None
    token: TokenSet


def kept(tx: Transaction, vault: Vault, claimed: Claimed, answer: TokenResponse) -> Completed:
    """Keep the grant and free who waits for it, in one transaction (K2, P2, C4, C8).

    Where the person is not active any more, the link has ended or the account is another's, the
    new grant is revoked and dropped (safety 14, 17).
    """
    held = _hold(tx, claimed)
    if (why := _why_not(tx, held, claimed, answer)) is not None:
        return _dropped(tx, vault, claimed, held, answer, why)
    link, token = held.link, held.token
    grant = vault.sealed_grant(token, held.connector, answer, tx.now)
    is_confirmed = link.other_account and grant.account != token.account
    if is_confirmed and token.account and grant.account and token.refresh:
        # another's grant, which nobody has from now on; it stays sealed for this set
        whose = (link.project, held.connector.id, token.origin, token.id)
        tokens.revoke_later(tx, *whose, token.refresh)
    if token.state is TokenState.REVOKED or is_confirmed:
        token = replace(token, account=None)  # the pin ended with the grant, or by confirmation
    token = after(token, Event.CONNECTED, now=tx.now, grant=grant)
    if lacking := token.lacking(link.scopes):
        token = after(token, Event.SCOPES_MISSING, now=tx.now, scopes=lacking)
    vault.save(tx, held.connector, token)
    links.change(tx, rows_k.after(link, rows_k.Event.COMPLETED, now=tx.now))
    about = {"user": link.user, "link": link.id, "token_version": token.version}
    audit.append(
        tx, link.project, claimed.by, "authorization.completed", held.connector.id, **about
    )
    if link.purpose is Purpose.WIZARD:
        allowed(tx, held.connector, held.token, token, claimed.by)
    else:
        _freed(tx, held, token)
    return _completed(link)


def taken(tx: Transaction, vault: Vault, claimed: Claimed, answer: TokenResponse) -> Completed:
    """Somebody else connected this account in the same moment (safety 17)."""
    return _dropped(tx, vault, claimed, _hold(tx, claimed), answer, "account-taken")


def refused(tx: Transaction, claimed: Claimed, error: ProviderError) -> Completed:
    """No grant came: the person said no, or the code was not redeemed (K3, C5)."""
    held = _hold(tx, claimed)
    reason, message = said_of(error, in_full=held.link.purpose is Purpose.WIZARD)
    _failed(tx, held, claimed.by, reason)
    return _completed(held.link, reason, message)


def said_of(error: ProviderError, *, in_full: bool) -> tuple[str, str]:
    """A refusal as a word and as a sentence; `in_full` with the program's own and what helps."""
    match error:
        case Denied():
            reason, message = error.provider_code, MESSAGES["denied"]
        case TryLater():
            reason, message = "provider-unavailable", MESSAGES["provider-unavailable"]
        case ClientMisconfigured():
            reason, message = error.provider_code, MESSAGES["misconfigured"]
        case _:
            reason, message = error.provider_code, MESSAGES["not-redeemed"]
    if in_full and error.provider_text:
        message = f"{message} The program says: {error.provider_text}"
    if in_full and error.advice:
        message = f"{message} {error.advice}"
    return reason, message


def expire(tx: Transaction, project: str) -> int:
    """Links past their end, and claims whose holder is gone (K3); how many."""
    overdue = links.overdue(tx, project)
    for link in overdue:
        links.change(tx, rows_k.after(link, rows_k.Event.EXPIRED, now=tx.now, reason="expired"))
        connector = connectors.find(tx, project, link.connector or "", lock=True)
        if link.purpose is Purpose.WIZARD and connector is not None:
            turned_down(tx, connector, "expired")
    return len(overdue)


def _hold(tx: Transaction, claimed: Claimed) -> Held:
    """In the order in which everybody takes these rows: person, connector, tokens, link."""
    project, link = claimed.link.project, claimed.link
    user = users.lock(tx, project, link.user) if link.user else None
    connector = connectors.get(tx, project, claimed.connector.id, lock=True, gone=True)
    token = tokens.read(tx, project, connector.id, link.user, lock=True)
    return Held(
        link=links.get(tx, project, link.id, lock=True),
        connector=connector,
        user=user,
        token=token or tokens.absent(tx, project, connector.id, link.user),
    )


def _why_not(tx: Transaction, held: Held, claimed: Claimed, answer: TokenResponse) -> str | None:
    """Why the grant may not be kept; None where it may."""
    link, connector, token = held.link, held.connector, held.token
    if link.state is not State.CLAIMED:
        return "link-over"
    if held.user is not None and not held.user.is_active:
        return "user-not-active"
    if connector.origin != claimed.connector.origin:
        return "connector-changed"
    awaited = (*rows_c.USED, rows_c.State.AUTHORIZING)
    unavailable = held.user is not None and not connector.is_available
    if connector.state not in awaited or connector.is_over(tx.now) or unavailable:
        return "connector-unavailable"
    if token.state is TokenState.REVOKED or link.other_account:
        token = replace(token, account=None)  # the pin ended, or it was confirmed
    return wrong_account(tx, token, answer.account.key if answer.account else None)


def wrong_account(tx: Transaction, token: TokenSet, account: str | None) -> str | None:
    """Why this account may not stand behind the set: somebody else's, or not the one it is pinned
    to (safety 17); None where it may.
    """
    if account is None:
        return None
    holder = tokens.holder(tx, token.project, token.connector, account)
    if holder not in (None, token.user or tokens.CONNECTOR_USER):
        return "account-taken"
    return None if token.is_right_account(account) else "other-account"


def _dropped(
    tx: Transaction, vault: Vault, claimed: Claimed, held: Held, answer: TokenResponse, why: str
) -> Completed:
    """K3: the previous state stays, the new grant goes back to where it came from."""
    vault.discard(tx, claimed.connector, answer, claimed.connector.origin)
    _failed(tx, held, claimed.by, why)
    if held.link.user and why in ("other-account", "account-taken"):
        pauses.mismatched(tx, held.link.project, held.link.user, held.connector.id, why)
    return _completed(held.link, why, MESSAGES[why])


def _failed(tx: Transaction, held: Held, by: str, reason: str) -> None:
    """The link has ended; for the wizard its connector says why (C5)."""
    link, connector = held.link, held.connector
    if link.state is State.CLAIMED:
        links.change(tx, rows_k.after(link, rows_k.Event.REFUSED, now=tx.now, reason=reason))
    about = {"user": link.user, "link": link.id, "reason": reason}
    audit.append(tx, link.project, by, "authorization.refused", connector.id, **about)
    if link.purpose is Purpose.WIZARD:
        turned_down(tx, connector, reason)


def turned_down(tx: Transaction, connector: Connector, reason: str) -> None:
    """The connector user was not authorized: back to `configured` in the wizard (C5)."""
    if connector.state is rows_c.State.AUTHORIZING:
        connector = rows_c.after(connector, rows_c.Event.REFUSED, now=tx.now, reason=reason)
    elif connector.state in rows_c.USED:
        connector = replace(connector, reason=reason, version=connector.version + 1)
    connectors.change(tx, connector)


def allowed(tx: Transaction, before: Connector, held: TokenSet, token: TokenSet, by: str) -> None:
    """The connector user is authorized: C4 in the wizard, C8 afterwards; `held` is the set as it
    was.
    """
    first = before.state is rows_c.State.AUTHORIZING
    event = rows_c.Event.ALLOWED if first else rows_c.Event.REAUTHORIZED
    changed = rows_c.after(before, event, now=tx.now)
    connectors.change(tx, replace(changed, authorized_by=by))
    if changed.state is rows_c.State.CONNECTED is not before.state:
        events.append(tx, before.project, "connector.recovered", connector=before.id)
    if held.account not in (None, token.account):
        audit.append(tx, before.project, by, "connector.account.changed", before.id)
        events.append(tx, before.project, "connector.account_changed", connector=before.id)


def _freed(tx: Transaction, held: Held, token: TokenSet) -> None:
    """Everyone who waited for this person at this connector is ready (P2), or told why not (P3)."""
    link, connector = held.link, held.connector
    if held.user is None:
        return
    pauses.readying(tx, link.project, held.user.id, connector.id, token.scopes)
    events.append(
        tx, link.project, "authorization.connected", connector=connector.id, user_id=held.user.id
    )


def _completed(link: Link, reason: str | None = None, message: str | None = None) -> Completed:
    done = Completed(reason is None, link.purpose, link.return_url, reason)
    return done if message is None else replace(done, message=message)


MESSAGES = {
    "denied": "Access was not allowed; nothing was stored.",
    "provider-unavailable": "The program does not answer now; try again in a moment.",
    "misconfigured": "The program does not accept this connector; an administrator has to look.",
    "not-redeemed": "The program did not confirm the sign-in; try again.",
    "link-over": "This link ended while you were away; nothing was stored.",
    "user-not-active": "You are not active here any more; nothing was stored.",
    "connector-changed": "The connector was changed while you were away; try again.",
    "connector-unavailable": "The connector cannot be used now; nothing was stored.",
    "other-account": "You signed in with another account than before; use the same one.",
    "account-taken": "This account is in use by somebody else here; use your own.",
}
