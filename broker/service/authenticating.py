"""The AuthenticateUser action: Pass for a person who is proven, expected and active; else Fail."""

import hmac
from dataclasses import dataclass, replace
from typing import Any

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain.actions import NOT_AUTHENTICATED, Action, State
from broker.domain.callers import Caller, Kind
from broker.domain.clock import MINUTE
from broker.domain.errors import Forbidden, NotFound, Problem, Unknown
from broker.domain.links import Purpose
from broker.domain.users import User
from broker.service import acting, admitting, linking, proving
from broker.service.acting import ActionAnswer, ActionRequest
from broker.service.holding import Holding
from broker.service.proving import ActionPage, Proof, judged, note
from broker.service.recognizing import Recognizing, first_shown, person_of
from broker.service.signing import Signing
from broker.store import actions, evidence, projects, users
from providers.claims import Claims
from providers.errors import NotProven

LIFETIME = 15 * MINUTE
"""How long a person may take to sign in, and the asker to fetch the answer (R87)."""


@dataclass(frozen=True, slots=True)
class Authenticating:
    """Never Pass without proof: an id_token the key may present, or a sign-in of the person."""

    db: Database
    hasher: Hasher
    recognizing: Recognizing
    signing: Signing
    public_url: str
    holding: Holding

    async def perform(self, caller: Caller, request: ActionRequest) -> ActionAnswer:
        """Done where there is evidence, good or bad; pending with a link where there is none.

        Invalid where a return URL is not the key's, or where nobody is expected and there is none
        to return to (safety 29). Unavailable where the issuer cannot be asked for its keys. Unknown
        for an administrator's session: the page names the program that asks.
        """
        caller.require("authenticate")
        if caller.kind is not Kind.SERVICE:
            raise Unknown("A program asks, with its API key.", reason="unknown-key")
        claims, reason = await self._proof(caller, request)
        answer = await self.db.write(self._performing, caller, request, claims, reason)
        return await self._signed(answer)

    async def get(self, caller: Caller, coupon: int, code: str | None = None) -> ActionAnswer:
        """Where an action stands, for the key that asked and no other (safety 30); NotFound.

        `code` is what the person's browser brought to the return URL: it completes a proven action
        (safety 29). Forbidden where it is another.
        """
        caller.require("authenticate")
        if code is None:
            return await self._signed(await self.db.read(_reading, caller, coupon))
        answer = await self.db.write(self._completing, caller, coupon, code)
        self.holding.wake(acting.topic(caller.project, coupon))
        return await self._signed(answer)

    async def discovery(self, caller: Caller) -> dict[str, Any]:
        """The subject, its items and the key that signs the answers (R86 to R92)."""
        caller.require("authenticate")
        return acting.discovery(await self.signing.public(caller.project))

    async def page(self, link_id: str) -> ActionPage:
        """What the link's page shows; it names the asker (safety 29). Conflict when it is over,
        NotFound where the link is no action's.
        """
        return await self.db.read(proving.page, link_id)

    async def prove(self, link_id: str, caller: Caller) -> Proof:
        """The person who signed in for this action agrees to it: a POST of the page.

        Forbidden for a session that a key vouched for, or that began before the action (safety 16,
        28): neither shows that the person is there now.
        """
        proof = await self.db.write(proving.prove, self.hasher, link_id, caller)
        self.holding.wake(acting.topic(caller.project, proof.coupon))
        return proof

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
        if answer.is_pending:
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
        caller.require_return_url(request.return_url)
        waits = request.id_token is None and request.is_async
        if waits:
            _check_expected(request)
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
            user = person_of(tx, caller.project, claims)
        done = judged(tx, action, user, reason)
        actions.insert(tx, done)
        note(tx, caller.actor, done)
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

    def _completing(self, tx: Transaction, caller: Caller, coupon: int, code: str) -> ActionAnswer:
        stands = _reading(tx, caller, coupon, lock=True)
        action = stands.action
        if action.state is not State.PROVEN:
            return stands
        if not hmac.compare_digest(self.hasher(code), action.code_hash or ""):
            raise Forbidden("This is not the code the person brought.", reason="wrong-code")
        user = _who(tx, action)
        done = judged(tx, action, user, None)
        actions.change(tx, done)
        note(tx, caller.actor, done)
        return _answered(done, user)


def _reading(tx: Transaction, caller: Caller, coupon: int, *, lock: bool = False) -> ActionAnswer:
    """Where it stands, for the key that asked; to any other it is a missing one (safety 30)."""
    caller = admitting.still(tx, caller)
    action = actions.get(tx, caller.project, coupon, lock=lock)
    if action.key != caller.id:
        raise NotFound()
    return _answered(action, _who(tx, action))


def _who(tx: Transaction, action: Action) -> User | None:
    return users.find(tx, action.project, action.user) if action.user else None


def _answered(action: Action, user: User | None) -> ActionAnswer:
    return ActionAnswer(action, user_state=user.status.value if user else None)


def _check_expected(request: ActionRequest) -> None:
    """Safety 29: back to a registered return URL with a code, or a logon has to be expected."""
    if request.return_url is None and not request.expects_somebody:
        detail = "Without a return URL an expected logon is needed."
        raise Problem("/items", "required", detail).alone(
            reason="expected-logon-needed",
            next="Name the logon you expect, or a return URL that is registered with the key.",
        )


def _now(tx: Transaction) -> int:
    return tx.now


def _sweeping(tx: Transaction) -> None:
    actions.sweep(tx)
    evidence.sweep(tx)
