"""Who does this step run as, now: looked at afresh each time, recorded before anything leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from broker.db.database import Database, Transaction
from broker.db.seal import Unreadable
from broker.domain.callers import Caller
from broker.domain.errors import Invalid, Problem, Unavailable
from broker.domain.links import Purpose
from broker.domain.pauses import Pause
from broker.domain.steps import Identity, Outcome
from broker.service import admitting, linking, recording, waiting
from broker.service.answering import Answer, Ask, Credential, Wait, run_as
from broker.service.asking import StepRequest, digest
from broker.service.looking import Sight, look
from broker.service.vault import Vault
from broker.store import connectors, decisions, users
from broker.store.decisions import Decision

T = TypeVar("T")
TokenKey = tuple[str, str, str | None]
"""A token set: project, connector, person (None: the connector user)."""


class Renewable(Exception):
    """The table waits for tokens that a refresh may mend; nothing of the unit was kept."""

    def __init__(self, keys: Collection[TokenKey]) -> None:
        super().__init__(keys)
        self.keys = keys


@dataclass(slots=True)
class Renewals:
    """The token sets one question had refreshed, and those to refresh behind its answer."""

    tried: set[TokenKey] = field(default_factory=set)
    behind: set[TokenKey] = field(default_factory=set)

    def note(self, sights: Iterable[Sight], now: int) -> None:
        """Renewable where the table waits for sets nobody tried yet; else only remember them."""
        due = [sight for sight in sights if sight.token is not None and sight.token.is_due(now)]
        if not due:
            return
        waits = {sight.key for sight in due if sight.decision.outcome is Outcome.WAIT} - self.tried
        if waits:
            raise Renewable(waits)
        self.behind |= {sight.key for sight in due if sight.decision.outcome is Outcome.RUN}


@dataclass(frozen=True, slots=True)
class Resolving:
    """Asks the table in the transaction that reads the token, and records its answer there."""

    db: Database
    vault: Vault

    async def resolve(self, caller: Caller, request: StepRequest) -> Answer:
        """Who the step runs as; the record is durable before this answers.

        Wait where a token cannot be had right now (F7, F18b). Invalid: an unknown step type, or
        this attempt was asked something else before (safety 22, 23). Forbidden: the key is not for
        this connector or step type.
        """
        caller.require("resolve")

        async def deciding(renewals: Renewals) -> Answer:
            return await self.db.write(self._resolving, renewals, caller, request)

        return served(await self.with_fresh_tokens(deciding))

    async def with_fresh_tokens(self, decide: Callable[[Renewals], Awaitable[T]]) -> T:
        """Have a unit decide; refresh, outside of it, what it finds worth a refresh.

        In most cases nothing is: then this is one transaction. Each token set is refreshed at most
        once, several of one unit at the same time, those that are merely expiring behind the
        answer.
        """
        renewals = Renewals()
        while True:
            try:
                found = await decide(renewals)
            except Renewable as due:
                renewals.tried.update(due.keys)
                await self._refreshed(due.keys)
                continue
            if renewals.behind:
                await self._refreshed(renewals.behind)
            return found

    async def _refreshed(self, keys: Collection[TokenKey]) -> None:
        await asyncio.gather(*(self.vault.refreshed(*key) for key in keys))

    def _resolving(
        self, tx: Transaction, renewals: Renewals, caller: Caller, request: StepRequest
    ) -> Answer:
        caller = admitting.still(tx, caller)
        admitting.allow(tx, caller, request)
        return self.answering(tx, renewals, caller, request)

    def answering(
        self, tx: Transaction, renewals: Renewals, caller: Caller, request: StepRequest
    ) -> Answer:
        """`resolve`, in the transaction of a caller who was admitted."""
        document = request.document
        hash = digest(document)
        asked = decisions.ask(
            tx,
            caller.project,
            caller.id,
            *request.attempted,
            document,
            hash,
        )
        require_same(asked.question_hash, hash, asked.id)
        return self.deciding(tx, renewals, caller, request, asked)

    def deciding(
        self,
        tx: Transaction,
        renewals: Renewals,
        caller: Caller,
        request: StepRequest,
        asked: Decision,
        pause: Pause | None = None,
    ) -> Answer:
        """Let the table answer, do what the answer asks for, write its line.

        `pause` is the one whose claim asks again (P4): then none is opened.
        """
        earlier = decisions.earlier(tx, caller.project, asked)
        if pause is None:
            request = admitting.again(tx, caller, request, earlier)
        sight, credential = self._seen(tx, caller, request, pause, earlier.ran_as_user)
        if sight.decision.outcome is Outcome.PAUSE and pause is None:
            # A sign-in that ends right now saves its token under these locks too: either it sees
            # the pause, or the second look sees the token (F11).
            hold(tx, (sight,))
            sight, credential = self._seen(tx, caller, request, pause, earlier.ran_as_user)
        renewals.note((sight,), tx.now)
        sight, pause = waiting.with_pause(tx, caller, asked, sight, pause)
        runs = sight.decision.outcome is Outcome.RUN
        answer = Answer(
            decision_id=asked.id,
            version=asked.version,
            decision=sight.decision,
            key=caller.id,
            execution=request.execution,
            step=request.step,
            on_behalf_of=sight.user.id if sight.user and sight.connector_asks else None,
            run_as=run_as(sight.decision.identity, sight.user, sight.token),
            credential=credential if runs else None,  # a step that waits after all gets none
            pause=pause,
            link=self._asked(tx, caller, request, sight),
            retry_after_s=sight.retry_after_s(tx.now),
        )
        return self._recorded(tx, caller, asked, sight, answer)

    def _recorded(
        self, tx: Transaction, caller: Caller, asked: Decision, sight: Sight, answer: Answer
    ) -> Answer:
        """The answer, once its line is written; the token it holds is in use from now on."""
        recording.record(tx, caller, asked, sight, answer)
        if answer.credential is not None and sight.connector and sight.token:
            self.vault.given(tx, sight.connector, sight.token)
        return answer

    def _seen(
        self,
        tx: Transaction,
        caller: Caller,
        request: StepRequest,
        pause: Pause | None,
        ran_as_user: bool,
    ) -> tuple[Sight, Credential | None]:
        """What the table says, with the credential if one leaves.

        A token that does not open is noted as unreadable (K16), and the table is asked again.
        """
        for _ in (Identity.USER, Identity.CONNECTOR, None):
            sight = look(
                tx,
                caller.project,
                request,
                self.vault,
                ran_as_user=ran_as_user,
                is_released=pause is not None and pause.run_as is Identity.CONNECTOR,
            )
            if sight.token is None or not admitting.leaves(caller, request, sight):
                return sight, None
            try:
                return sight, Credential.of(sight.token, self.vault.opened(sight.token))
            except Unreadable:
                self.vault.legible(tx, sight.token)
        raise Unavailable("The credential cannot be read now.", reason="credential-unreadable")

    def _asked(
        self, tx: Transaction, caller: Caller, request: StepRequest, sight: Sight
    ) -> Ask | None:
        """F8: the one open link of this person and connector, made where there is none."""
        if sight.decision.outcome is not Outcome.ASK or not sight.user or not sight.connector:
            return None
        link = linking.made(
            tx,
            caller.project,
            Purpose.CONNECT,
            caller.actor,
            user=sight.user.id,
            connector=sight.connector.id,
            scopes=request.scopes,
        )
        url = f"{self.vault.programs.public_url}/connect/{link.id}"
        return Ask(link.id, url, link.expires_at)


def served(answer: Answer) -> Answer:
    """The answer itself; Wait where it is to ask again later."""
    if answer.decision.outcome is Outcome.WAIT:
        raise Wait(answer.decision, answer.decision_id, answer.retry_after_s)
    return answer


def require_same(first: str, hash: str, place: str) -> None:
    """Invalid where this attempt was asked something else before, at that place (safety 23)."""
    if first != hash:
        raise Invalid(
            "This attempt of the step was asked something else before.",
            reason="decision-conflict",
            problems=(Problem("/execution/attempt", "decision_conflict", place),),
            next="Ask with a new attempt, or repeat the first question word for word.",
        )


def hold(tx: Transaction, sights: Collection[Sight]) -> None:
    """Keep these people and connectors as they are until their pauses are written: all people
    first, each kind in one order, so that two who hold never wait for each other.
    """
    for user in sorted({(one.user.project, one.user.id) for one in sights if one.user}):
        users.lock(tx, *user)
    held = {(one.connector.project, one.connector.id) for one in sights if one.connector}
    for connector in sorted(held):
        connectors.find(tx, *connector, lock=True)
