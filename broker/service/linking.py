"""Links: one a person and connector, joined by whoever needs it, opened by its person alone."""

from dataclasses import replace

from broker.db.database import Transaction
from broker.domain import ids
from broker.domain.callers import Caller, Kind
from broker.domain.connectors import Connector
from broker.domain.errors import BrokerError, Conflict, Forbidden, NotFound, Unknown
from broker.domain.links import LIFETIME, Event, Link, Purpose, State, after
from broker.store import audit, events, links, users

Proof = tuple[str, str, str | None]
"""Hashes of state, browser cookie and session: all of them claim a link, or none does."""


def made(
    tx: Transaction,
    project: str,
    purpose: Purpose,
    by: str,
    *,
    user: str | None = None,
    connector: str | None = None,
    return_url: str | None = None,
    scopes: tuple[str, ...] = (),
    coupon: int | None = None,
    other_account: bool = False,
) -> Link:
    """A new link; the open one of a person and connector is joined, however many come at once.

    Whoever joins adds their scopes, so that one consent covers all who wait (K15). Where they do
    not all send the person to one return URL, the link ends on our page (safety 29).
    """
    link = Link(
        id=ids.new("lnk"),
        project=project,
        connector=connector,
        user=user,
        purpose=purpose,
        state=State.OPEN,
        made_by=by,
        created_at=tx.now,
        expires_at=tx.now + LIFETIME,
        scopes=scopes,
        return_url=return_url,
        coupon=coupon,
        other_account=other_account,
    )
    return _joined(tx, link) or _kept(tx, link)


def admitted(tx: Transaction, link_id: str, caller: Caller | None) -> Link | BrokerError:
    """The link, held, where the caller is exactly whom it was made for (safety 16).

    Errors are answered, not raised: what is written down about them has to stay.
    """
    project = links.project_of(tx, link_id)
    if project is None or (caller is not None and caller.project != project):
        return NotFound()
    if caller is None or caller.session is None:
        return sign_in()
    link = links.get(tx, project, link_id, lock=True)
    if link.purpose is Purpose.WIZARD:
        fits = caller.kind is Kind.ADMINISTRATOR
    else:
        fits = caller.kind is Kind.PERSON and caller.user_id == link.user
    if not fits or caller.link_id not in (None, link.id):
        return _refused(tx, link, caller.actor, "wrong-person")
    if link.user and not users.get(tx, project, link.user).is_active:
        return Conflict("This person is not active.", reason="user-not-active")
    return link


def unclaimed(tx: Transaction, connector: Connector, proof: Proof, caller: Caller) -> BrokerError:
    """Why a callback claimed nothing; one that somebody else brings is noted (K3)."""
    state_hash, browser_hash, session_hash = proof
    link = links.answered(tx, connector.project, state_hash)
    if link is None:
        return over()
    if link.connector != connector.id:
        return _refused(tx, link, caller.actor, "wrong-connector")
    if link.session_hash != session_hash:
        return _refused(tx, link, caller.actor, "wrong-person")
    if link.browser_hash != browser_hash:
        return _refused(tx, link, caller.actor, "wrong-browser")
    return over()


def over() -> Conflict:
    """What a link says that cannot be used any more."""
    return Conflict(
        "This link was used, replaced or is over.",
        reason="link-over",
        next="Go back to where you came from and start again.",
    )


def sign_in() -> Unknown:
    """What everybody without a session hears."""
    return Unknown("Sign in first.", reason="sign-in-needed")


def _refused(tx: Transaction, link: Link, actor: str, reason: str) -> Forbidden:
    """Somebody else than its person holds this link: refused, and a security event."""
    audit.append(tx, link.project, actor, "link.refused", link.id, reason=reason)
    about = {"link": link.id, "connector": link.connector, "reason": reason}
    events.append(tx, link.project, "security.link_refused", **about)
    return Forbidden(
        "This link was made for somebody else, or opened in another browser.",
        reason=reason,
        next="Open the link yourself, in the browser you are signed in with.",
    )


def _joined(tx: Transaction, asked: Link) -> Link | None:
    """The open link of person and connector, for whoever asks for this one too."""
    if asked.purpose is not Purpose.CONNECT or not asked.user or not asked.connector:
        return None
    link = links.open_for(tx, asked.project, asked.connector, asked.user)
    if link is None:
        return None
    if link.expires_at <= tx.now:
        links.change(tx, after(link, Event.EXPIRED, now=tx.now))
        return None
    union = tuple(dict.fromkeys((*link.scopes, *asked.scopes)))
    return_url = link.return_url if link.return_url == asked.return_url else None
    if (union, return_url) != (link.scopes, link.return_url):
        link = replace(link, scopes=union, return_url=return_url)
        links.change(tx, link)
    return link


def _kept(tx: Transaction, link: Link) -> Link:
    """The link, kept; or the one of another transaction that this one waited for."""
    if not links.insert(tx, link):
        if (other := _joined(tx, link)) is None:
            raise over()
        return other
    about = {"connector": link.connector, "user": link.user}
    audit.append(tx, link.project, link.made_by, "link.made", link.id, **about)
    return link
