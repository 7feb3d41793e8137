"""The AuthenticateUser action: Pass for a person who is proven, expected and active; else Fail."""

import hmac
import secrets
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain import links as link_states
from broker.domain.actions import NOT_AUTHENTICATED, Action, Event, State, after, judge
from broker.domain.callers import Caller, Kind
from broker.domain.clock import MINUTE
from broker.domain.errors import Conflict, Forbidden, NotFound, Problem, Unknown
from broker.domain.links import Link, Purpose
from broker.domain.users import User
from broker.service import acting, admitting, linking
from broker.service.acting import ActionAnswer, ActionRequest
from broker.service.recognizing import Recognizing, first_shown, person_of, proven
from broker.service.signing import Signing
from broker.store import actions, audit, callers, evidence, links, projects, users
from providers.claims import Claims
from providers.errors import NotProven

LIFETIME = 15 * MINUTE
"""How long a person may take to sign in, and the asker to fetch the answer (R87)."""


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

    return_url: str | None


@dataclass(frozen=True, slots=True)
class Authenticating:
    """Never Pass without proof: an id_token the key may present, or a sign-in of the person."""

    db: Database
    hasher: Hasher
    recognizing: Recognizing
    signing: Signing
    public_url: str

    async def perform(self, caller: Caller, request: ActionRequest) -> ActionAnswer:
        """Done where there is evidence, good or bad; pending with a link where there is none.

        Invalid where a return URL is not the key's, or where nobody is expected and there is none
        to return to (safety 29). Unavailable where the issuer cannot be asked for its keys.
        """
        caller.require("authenticate")
        claims, reason = await self._proof(caller, request)
        answer = await self.db.write(self._performing, caller, request, claims, reason)
        return await self._signed(answer)

    async def get(self, caller: Caller, coupon: int, code: str | None = None) -> ActionAnswer:
        """Where an action stands, for the key that asked and no other (safety 30); NotFound.

        `code` is what the person's browser brought to the return URL: it completes a proven action
        (safety 29). Forbidden where it is another.
        """
        caller.require("authenticate")
        return await self._signed(await self.db.write(self._getting, caller, coupon, code))

    async def discovery(self, caller: Caller) -> dict[str, Any]:
        """The subject, its items and the key that signs the answers (R86 to R92)."""
        caller.require("authenticate")
        return acting.discovery(await self.signing.public(caller.project))

    async def page(self, link_id: str) -> ActionPage:
        """What the link's page shows; it names the asker (safety 29). Conflict when it is over,
        NotFound where the link is no action's.
        """
        return await self.db.read(self._paging, link_id)

    async def prove(self, link_id: str, caller: Caller) -> Proof:
        """The person who signed in for this action agrees to it: a POST of the page.

        Forbidden for a session that a key vouched for, or that began before the action (safety 16,
        28): neither shows that the person is there now.
        """
        return await self.db.write(self._proving, link_id, caller)

    async def sweep(self) -> None:
        """Erase actions and evidence whose time is over."""
        await self.db.write(_sweeping)

    async def _proof(
        self, caller: Caller, request: ActionRequest
    ) -> tuple[Claims | None, str | None]:
        """What the evidence proves, or the word for what is wrong with it."""
        if request.id_token is None:
            return None, NOT_AUTHENTICATED
        try:
            now = await self.db.peek(_now)
            return await self.recognizing.claims(caller, request.id_token, now), None
        except NotProven as error:
            return None, f"evidence_{error.provider_code.replace('-', '_')}"

    async def _signed(self, answer: ActionAnswer) -> ActionAnswer:
        if answer.action.verdict is None:
            return answer
        signature = await self.signing.sign(answer.action.project, answer.signed_part)
        return replace(answer, signature=signature)

    def _performing(
        self,
        tx: Transaction,
        caller: Caller,
        request: ActionRequest,
        claims: Claims | None,
        reason: str | None,
    ) -> ActionAnswer:
        caller = admitting.still(tx, caller)
        waits = request.id_token is None and request.is_async
        if waits:
            _check_return(caller, request)
        action = Action(
            project=caller.project,
            coupon=projects.next_coupon(tx, caller.project),
            key=caller.id,
            state=State.PENDING,
            expected=request.expected,
            suffixes=request.suffixes,
            created_at=tx.now,
            expires_at=tx.now + LIFETIME,
            return_url=request.return_url,
        )
        if waits:
            actions.insert(tx, action)
            return ActionAnswer(action, url=self._link(tx, caller, action))
        user: User | None = None
        if claims is not None and not first_shown(tx, caller.project, claims):
            reason = "evidence_used"
        elif claims is not None:
            found = person_of(tx, caller.project, claims)
            # Whose directory was deleted cannot sign in through its issuer (safety 12).
            user = found if found and found.detached_at is None else None
            reason = None if user else "person_unknown"
        done = _judged(tx, action, user, reason)
        actions.insert(tx, done)
        _note(tx, caller.actor, done)
        return _answered(done, user)

    def _link(self, tx: Transaction, caller: Caller, action: Action) -> str:
        link = linking.made(
            tx,
            action.project,
            Purpose.ACTION,
            caller.actor,
            return_url=action.return_url,
            coupon=action.coupon,
        )
        return f"{self.public_url}/connect/{link.id}"

    def _getting(
        self, tx: Transaction, caller: Caller, coupon: int, code: str | None
    ) -> ActionAnswer:
        caller = admitting.still(tx, caller)
        action = actions.get(tx, caller.project, coupon, lock=True)
        if action.key != caller.id:
            raise NotFound()
        user = users.find(tx, action.project, action.user) if action.user else None
        if action.state is not State.PROVEN or code is None:
            return _answered(action, user)
        if not hmac.compare_digest(self.hasher(code), action.code_hash or self.hasher("")):
            raise Forbidden("This is not the code the person brought.", reason="wrong-code")
        done = _judged(tx, action, user, None)
        actions.change(tx, done)
        _note(tx, caller.actor, done)
        return _answered(done, user)

    def _paging(self, tx: Transaction, link_id: str) -> ActionPage:
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

    def _proving(self, tx: Transaction, link_id: str, caller: Caller) -> Proof:
        link, action = _open(tx, link_id, lock=True)
        user = _present(tx, caller, action)
        code = secrets.token_urlsafe(32)
        if action.return_url is None:
            done = _judged(tx, action, user, None)
            _note(tx, caller.actor, done)
        else:
            done = after(action, Event.PROVEN, user=user.id, code_hash=self.hasher(code))
            audit.append(tx, action.project, caller.actor, "action.proven", str(action.coupon))
        actions.change(tx, done)
        claimed = link_states.after(link, link_states.Event.CLAIMED, now=tx.now)
        links.change(tx, link_states.after(claimed, link_states.Event.COMPLETED, now=tx.now))
        if action.return_url is None:
            return Proof(None)
        query = urlencode({"coupon": action.coupon, "code": code})
        separator = "&" if urlsplit(action.return_url).query else "?"
        return Proof(f"{action.return_url}{separator}{query}")


def _check_return(caller: Caller, request: ActionRequest) -> None:
    """Safety 29: back to a registered return URL with a code, or a logon has to be expected."""
    caller.require_return_url(request.return_url)
    if request.return_url is None and not request.expects_somebody:
        detail = "Without a return URL an expected logon is needed."
        raise Problem("/items", "required", detail).alone(
            reason="expected-logon-needed",
            next="Name the logon you expect, or a return URL that is registered with the key.",
        )


def _judged(tx: Transaction, action: Action, user: User | None, reason: str | None) -> Action:
    """The action with its verdict; without a person it says nothing that was not sent."""
    person = proven(tx, user) if user else None
    verdict = judge(action.expected, action.suffixes, person, reason=reason or NOT_AUTHENTICATED)
    return after(replace(action, user=user.id if user else None), Event.ANSWERED, verdict=verdict)


def _answered(action: Action, user: User | None) -> ActionAnswer:
    return ActionAnswer(action, user_state=user.status.value if user else None)


def _note(tx: Transaction, actor: str, action: Action) -> None:
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
    vouched = caller.link_id is not None or caller.asserted_by.startswith("key_")
    if vouched or caller.session is None or caller.user_id is None:
        raise Forbidden("This session was vouched for by a program.", reason="not-signed-in")
    if not actions.is_signed_in_since(tx, action.project, caller.session, action.created_at):
        raise Conflict(
            "Sign in once more, so that it is known that you are there now.", reason="sign-in-again"
        )
    return users.get(tx, action.project, caller.user_id)


def _now(tx: Transaction) -> int:
    return tx.now


def _sweeping(tx: Transaction) -> None:
    actions.sweep(tx)
    evidence.sweep(tx)
