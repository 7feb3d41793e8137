"""The person's part of AuthenticateUser: the page that names the asker, the yes, the verdict."""

import secrets
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from broker.db.database import Transaction
from broker.db.seal import Hasher
from broker.domain import links as link_states
from broker.domain.actions import NOT_AUTHENTICATED, Action, Event, State, after, judge
from broker.domain.callers import Caller, Kind
from broker.domain.errors import Conflict, Forbidden, NotFound, Unknown
from broker.domain.links import Link
from broker.domain.users import User
from broker.service import linking
from broker.service.recognizing import proven
from broker.store import actions, audit, callers, links, users

PERSON_UNKNOWN = "person_unknown"


@dataclass(frozen=True, slots=True)
class ActionPage:
    """What the page of an action's link shows: who asks, and where the person goes afterwards."""

    project: str
    asker: str
    returns_to: str | None
    expects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """The person's part is done; `return_url` carries the one-time code, None ends on our page."""

    coupon: int
    return_url: str | None


def page(tx: Transaction, link_id: str) -> ActionPage:
    """What the link's page shows; Conflict when it is over, NotFound where it is no action's."""
    link, action = _open(tx, link_id)
    asker = callers.find_key(tx, action.key)
    if asker is None:
        raise NotFound()
    return ActionPage(
        project=link.project,
        asker=asker[1].name,
        returns_to=urlsplit(action.return_url).netloc if action.return_url else None,
        expects=tuple(one.logon for one in action.expected if one.logon),
    )


def prove(tx: Transaction, hasher: Hasher, link_id: str, caller: Caller) -> Proof:
    """The person says yes: judged at once, or given the one-time code to carry (safety 29)."""
    link, action = _open(tx, link_id, lock=True)
    user = _present(tx, caller, action)
    code = secrets.token_urlsafe(32)
    if action.return_url is None:
        done = judged(tx, action, user, None)
        note(tx, caller.actor, done)
    else:
        done = after(action, Event.PROVEN, user=user.id, code_hash=hasher(code))
        audit.append(tx, action.project, caller.actor, "action.proven", str(action.coupon))
    actions.change(tx, done)
    claimed = link_states.after(link, link_states.Event.CLAIMED, now=tx.now)
    links.change(tx, link_states.after(claimed, link_states.Event.COMPLETED, now=tx.now))
    if action.return_url is None:
        return Proof(action.coupon, None)
    query = urlencode({"coupon": action.coupon, "code": code})
    separator = "&" if urlsplit(action.return_url).query else "?"
    return Proof(action.coupon, f"{action.return_url}{separator}{query}")


def judged(tx: Transaction, action: Action, user: User | None, reason: str | None) -> Action:
    """The action with its verdict; without a person it says nothing that was not sent. Somebody
    whose directory was deleted is nobody: they cannot sign in through its issuer (safety 12).
    """
    if user is None or user.detached_at is not None:
        user, reason = None, reason or PERSON_UNKNOWN
    person = proven(tx, user) if user else None
    verdict = judge(action.expected, action.suffixes, person, reason=reason or NOT_AUTHENTICATED)
    return after(replace(action, user=user.id if user else None), Event.ANSWERED, verdict=verdict)


def note(tx: Transaction, actor: str, action: Action) -> None:
    """Who asked and what came out, without what was expected; no event (R87)."""
    if action.verdict is not None:
        audit.append(
            tx,
            action.project,
            actor,
            "action.performed",
            str(action.coupon),
            passed=action.verdict.is_pass,
            reason=action.verdict.reason,
            user=action.user,
        )


def _open(tx: Transaction, link_id: str, *, lock: bool = False) -> tuple[Link, Action]:
    """The open link and its pending action; Conflict where either is over, also for a button
    pressed twice (K3). NotFound where the link is no action's.
    """
    link = links.get(tx, links.project_of(tx, link_id) or "", link_id, lock=lock)
    if link.coupon is None:
        raise NotFound()
    action = actions.find(tx, link.project, link.coupon, lock=lock)
    if action is None or action.expires_at <= tx.now or action.state is not State.PENDING:
        raise linking.over()
    if not link.is_open:
        raise linking.over()
    return link, action


def _present(tx: Transaction, caller: Caller, action: Action) -> User:
    """The person who signed in for this action, with the project's identity provider."""
    if caller.kind is not Kind.PERSON or caller.project != action.project:
        raise Unknown("Nobody is signed in.", reason="sign-in-needed", next="Sign in first.")
    if not caller.has_signed_in(action.project) or not caller.session or not caller.user_id:
        raise Forbidden("This session was vouched for by a program.", reason="not-signed-in")
    if not actions.is_signed_in_since(tx, action.project, caller.session, action.created_at):
        raise Conflict(
            "Sign in once more, so that it is known that you are there now.", reason="sign-in-again"
        )
    return users.get(tx, action.project, caller.user_id)
