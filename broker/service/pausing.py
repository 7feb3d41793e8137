"""Steps that wait for a person: claimed by one, resumed once, sent back, ended, looked after."""

import hmac
import secrets
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain import names
from broker.domain.callers import Caller, Kind
from broker.domain.clock import rfc3339
from broker.domain.errors import Conflict, Forbidden
from broker.domain.pauses import STATUS, Event, Identity, Pause, State, after
from broker.domain.steps import Decision, Outcome
from broker.service import admitting, waiting
from broker.service.answering import Answer
from broker.service.asking import StepRequest
from broker.service.releasing import SWITCHED_OFF, decided
from broker.service.resolving import Renewals, Resolving, served
from broker.store import connectors, decisions, links, pauses, tokens, users

BATCH = 100
NO_SIGN_IN_HELPS = ("connector-unavailable", "connector-user-unavailable")  # F1, F18a

Result = Literal["ran", "failed"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim came to; `token` None where the step still cannot run: the pause waits again or
    has failed (P6), or is ready still, where an administrator is needed (F1, F18a, P1).
    """

    token: str | None
    answer: Answer

    def rendered(self) -> dict[str, Any]:
        """The JSON of `POST /v1/pauses/{id}/claim`."""
        return {"claim": self.token, "decision": self.answer.rendered()}


@dataclass(frozen=True, slots=True)
class Pausing:
    """The rows P: every change is a compare-and-set, so of many who try exactly one wins."""

    db: Database
    hasher: Hasher
    resolving: Resolving

    async def get(self, caller: Caller, id: str) -> Pause:
        """A pause of the caller's project; NotFound, or Forbidden to a key that is limited to
        other connectors (safety 22).
        """
        caller.require("pauses:read")
        return await self.db.peek(_reached, caller, id)

    async def page(
        self,
        caller: Caller,
        *,
        states: tuple[State, ...] = tuple(State),
        user: str | None = None,
        connector: str | None = None,
        policy_changed: bool = False,
        after: str = "",
        limit: int = 50,
    ) -> list[Pause]:
        """Pauses of the caller's project in the order they were opened, those behind `after`.

        A limited key sees those of its connectors. With `policy_changed` only those at connectors
        whose policy is another than pause by now (P13).
        """
        caller.require("pauses:read")
        return await self.db.read(
            pauses.page,
            caller.project,
            states=states,
            user=user,
            connector=connector,
            names=[names.key(name) for name in caller.connectors],
            policy_changed=policy_changed,
            after=after,
            limit=limit,
        )

    async def claim(self, caller: Caller, id: str, *, credential: bool = True) -> Claim:
        """P4: take a ready pause and look again who its step runs as (safety 26).

        The claim token is new each time and goes to the key that opened the pause. Conflict where
        it is not ready or another was first; Wait where a token cannot be had right now. Then, and
        where no sign-in would help, it stays ready. Without `credential` none leaves.
        """
        caller.require("pauses:write")
        token = secrets.token_urlsafe(32)
        hash = self.hasher(token)

        async def claiming(renewals: Renewals) -> Answer:
            return await self.db.write(self._claiming, renewals, caller, id, hash, credential)

        answer = served(await self.resolving.with_fresh_tokens(claiming))
        return Claim(token if answer.decision.outcome is Outcome.RUN else None, answer)

    def _claiming(
        self,
        tx: Transaction,
        renewals: Renewals,
        caller: Caller,
        id: str,
        claim_hash: str,
        credential: bool,
    ) -> Answer:
        caller = admitting.still(tx, caller)
        asked = decisions.ask_again(tx, caller.project, _own(tx, caller, id).decision)
        pause = _held(tx, caller, id)
        claimed = after(pause, Event.CLAIMED, now=tx.now, claim_hash=claim_hash)
        # By the ids it waits for: the names it was asked with may be somebody else's by now.
        request = StepRequest.parse(orjson.loads(asked.question))
        request = replace(request.about(pause.connector, pause.user), credential=credential)
        admitting.allow(tx, caller, request)
        answer = self.resolving.deciding(tx, renewals, caller, request, asked, pause)
        decision = answer.decision
        if decision.outcome is Outcome.WAIT or not _helps(decision):
            return replace(answer, pause=pause)
        now = _changed(tx, pause, claimed)
        if decision.outcome is not Outcome.RUN:  # P6
            reason = decision.reason or decision.status
            now = _changed(tx, now, after(now, Event.NOT_USABLE, now=tx.now, reason=reason))
        return replace(answer, pause=now)

    async def result(self, caller: Caller, id: str, claim: str, result: Result) -> Pause:
        """P5, P6: the step ran, or it could not; Conflict where the claim is not the newest."""
        caller.require("pauses:write")
        return await self.db.write(self._resulting, caller, id, claim, result)

    def _resulting(
        self, tx: Transaction, caller: Caller, id: str, claim: str, result: Result
    ) -> Pause:
        caller = admitting.still(tx, caller)
        pause = _held(tx, caller, id)
        if not hmac.compare_digest(self.hasher(claim), pause.claim_hash or self.hasher("")):
            raise Conflict(
                f"This claim is not the newest one; the pause is {pause.state}.",
                reason="claim-outdated",
                next="Claim the pause again once it is ready.",
            )
        if result == "ran":
            now = _changed(tx, pause, after(pause, Event.RAN, now=tx.now))
        else:
            failed = after(pause, Event.NOT_USABLE, now=tx.now, reason="step-failed")
            now = _changed(tx, pause, failed)
            if now.state is State.WAITING and (event := _meanwhile(tx, pause)):
                reason = SWITCHED_OFF if event is Event.ENDED else None
                now = _changed(tx, now, after(now, event, now=tx.now, reason=reason))
        return now

    async def end(self, caller: Caller, id: str) -> Pause:
        """P11: no longer wait for the person; the flow ends with an error."""
        caller.require("pauses:write")
        return await self.db.write(_moving, caller, id, Event.ENDED, "ended")

    async def cancel(self, caller: Caller, id: str) -> Pause:
        """P10: the flow was cancelled, so nothing waits any more."""
        caller.require("pauses:write")
        return await self.db.write(_moving, caller, id, Event.WITHDRAWN, "flow-cancelled")

    async def override(self, caller: Caller, id: str, reason: str) -> Pause:
        """P12: let the step run as the connector user; an administrator's act, with a reason."""
        caller.require_administrator()
        return await self.db.write(_moving, caller, id, Event.OVERRIDDEN, reason)

    async def recover(self) -> int:
        """What only time brings about: said again (P7), taken back (P8), expired (P9); how many.

        Every replica may do so at once: whoever locks a pause first moves it on, and it is not
        overdue any more.
        """
        moved = 0
        while batch := await self.db.write(_recovering):
            moved += batch
        return moved


def shown(pause: Pause) -> dict[str, Any]:
    """The JSON of `GET /v1/pauses/{id}`; `status` is the owner's while it waits."""
    return {
        "id": pause.id,
        "state": pause.state.value,
        "status": STATUS if pause.state is State.WAITING else pause.state.value,
        "reason": pause.reason,
        "execution": pause.execution,
        "step": pause.step,
        "user_id": pause.user,
        "connector": pause.connector,
        "decision_id": pause.decision,
        "run_as": pause.run_as.value,
        "cycles": pause.cycles,
        "since": rfc3339(pause.created_at),
        "expires_at": None if pause.expires_at is None else rfc3339(pause.expires_at),
        "version": pause.version,
    }


def _reached(tx: Transaction, caller: Caller, id: str) -> Pause:
    pause = pauses.get(tx, caller.project, id)
    connector = connectors.find(tx, caller.project, pause.connector)
    caller.require_connector(connector.name if connector else "")
    return pause


def _moving(tx: Transaction, caller: Caller, id: str, event: Event, reason: str) -> Pause:
    """Move a pause on by hand; a key moves only what it opened."""
    caller = admitting.still(tx, caller)
    pause = pauses.get(tx, caller.project, id, lock=True)
    if caller.kind is Kind.SERVICE and caller.id != pause.key:
        raise _of_another()
    [now] = decided(tx, caller, [pause], event, reason)
    return now


def _own(tx: Transaction, caller: Caller, id: str) -> Pause:
    """A pause the caller opened."""
    pause = pauses.get(tx, caller.project, id)
    if caller.id != pause.key:
        raise _of_another()
    return pause


def _held(tx: Transaction, caller: Caller, id: str) -> Pause:
    """The caller's own pause, locked after its person.

    Whoever holds several things takes them in one order: decision, person, connector, pause, token
    set; so a claim, a question, a sign-in and a suspension never wait for each other in a ring.
    """
    users.lock(tx, caller.project, _own(tx, caller, id).user)
    return pauses.get(tx, caller.project, id, lock=True)


def _helps(decision: Decision) -> bool:
    """Whether a sign-in would let the step run; what else is in its way is an administrator's."""
    if decision.row == "P1":
        return decision.reason == waiting.OPEN
    return decision.status not in NO_SIGN_IN_HELPS


def _of_another() -> Forbidden:
    """Claim tokens go to the key that opened the pause, and to no other (safety 26)."""
    return Forbidden("Another key opened this pause.", reason="not-your-pause")


def _changed(tx: Transaction, pause: Pause, now: Pause) -> Pause:
    if not pauses.change(tx, pause, now):
        raise Conflict("Another change came first.", reason="pause-changed")
    return now


def _meanwhile(tx: Transaction, claimed: Pause) -> Event | None:
    """What happened while a claim that failed had the step: nobody can sign in for it any more, or
    somebody did (P2), since it was released where it ran as the connector user; a refresh is none.
    """
    connector = connectors.find(tx, claimed.project, claimed.connector)
    if connector is None or not connector.user_authentication:
        return Event.ENDED
    since = claimed.claimed_at if claimed.run_as is Identity.USER else claimed.created_at
    if not links.connected(tx, claimed.project, connector.id, claimed.user, since or 0):
        return None
    token = tokens.read(tx, claimed.project, connector.id, claimed.user)
    if token is None or token.origin != connector.origin or token.lacking(claimed.scopes):
        return None
    return Event.SIGNED_IN if token.is_usable(tx.now) else None


def _recovering(tx: Transaction) -> int:
    overdue = pauses.overdue(tx, BATCH)
    for pause in overdue:
        _changed(tx, pause, after(pause, _what_time_did(tx, pause), now=tx.now))
    return len(overdue)


def _what_time_did(tx: Transaction, pause: Pause) -> Event:
    if pause.state is State.CLAIMED:
        return Event.SILENT  # P8
    if pause.expires_at is not None and pause.expires_at <= tx.now:
        return Event.TIMED_OUT  # P9
    return Event.UNCLAIMED  # P7
