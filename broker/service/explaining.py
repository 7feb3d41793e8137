"""Why a step runs as whom, and what would be if: the walk through the table, nothing stored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, get_type_hints

from broker.db.database import Transaction
from broker.domain.callers import Caller
from broker.domain.pauses import Pause
from broker.domain.steps import Decision, Facts, Outcome, walk
from broker.service import admitting, waiting
from broker.service.answering import pause_shown
from broker.service.asking import StepRequest, digest
from broker.service.looking import Sight, look
from broker.service.reading import Members
from broker.service.resolving import Resolving, require_same
from broker.store import decisions
from broker.store.decisions import Decision as Asked

KINDS: Mapping[str, type] = {
    fact: kind for fact, kind in get_type_hints(Facts).items() if fact != "ran_as_user"
}
"""What may be assumed: every fact of the table but the past of this attempt."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the table answers under the assumptions, and what `resolve` would answer now.

    `is_due` says that `resolve` would have a token refreshed first, and look again.
    """

    sight: Sight
    assumed: Mapping[str, Any]
    now: Decision
    pause: Pause | None
    is_due: bool

    def rendered(self) -> dict[str, Any]:
        """The JSON of the explanation: the answer, the trace, and the row of a real answer."""
        sight = self.sight
        return {
            **_shown(sight.decision),
            "identity": sight.decision.identity,
            "reason": sight.decision.reason,
            "fallback": sight.decision.fallback,
            "message": sight.decision.message,
            "user_id": sight.user.id if sight.user else None,
            "connector": sight.connector.id if sight.connector else None,
            "assumed": dict(self.assumed),
            "trace": [
                {
                    "row": row.decision.row,
                    "facts": {fact: getattr(sight.facts, fact) for fact in row.wants},
                    "wants": {fact: list(wanted) for fact, wanted in row.wants.items()},
                    "fits": fits,
                }
                for row, fits in walk(sight.facts)
            ],
            "now": _shown(self.now),
            "pause": pause_shown(self.pause) if self.pause else None,
            "refresh_due": self.is_due,
        }


@dataclass(frozen=True, slots=True)
class Explaining:
    """Asks the same table about the same rows as `resolve`, and leaves no trace."""

    resolving: Resolving

    async def explain(
        self, caller: Caller, request: StepRequest, assumed: Mapping[str, Any]
    ) -> Explanation:
        """Every check on the way to the row. No token is opened or refreshed, no link or pause
        made, nothing written down. A right of its own: it shows how the rules are built.

        Refused where `resolve` would refuse the question.
        """
        caller.require("explain")
        return await self.resolving.db.read(self._explaining, caller, request, assumed)

    def _explaining(
        self, tx: Transaction, caller: Caller, request: StepRequest, assumed: Mapping[str, Any]
    ) -> Explanation:
        caller = admitting.still(tx, caller)
        admitting.allow(tx, caller, request)
        asked = decisions.asked(tx, caller.project, caller.id, *request.attempted)
        if asked is not None:
            require_same(asked.question_hash, digest(request.document), asked.id)
        once_more = _once_more(caller, request, asked)
        earlier = decisions.earlier(tx, caller.project, once_more)
        request = admitting.again(tx, caller, request, earlier)

        def seen(assumed: Mapping[str, Any]) -> Sight:
            vault = self.resolving.vault
            ran = earlier.ran_as_user
            return look(tx, caller.project, request, vault, ran_as_user=ran, assumed=assumed)

        found = seen({})
        now, pause = waiting.foreseen(tx, once_more, found)
        is_due = found.token is not None and found.token.is_due(tx.now)
        return Explanation(
            sight=seen(assumed) if assumed else found,
            assumed=assumed,
            now=now,
            pause=pause,
            is_due=is_due and found.decision.outcome is Outcome.WAIT,
        )


def parse(said: object) -> tuple[StepRequest, dict[str, Any]]:
    """The question in a decoded JSON body, and what it says to `assume` of the facts."""
    question = dict(said) if isinstance(said, Mapping) else said
    assume = question.pop("assume", None) if isinstance(question, dict) else None
    request = StepRequest.parse(question)
    with Members({} if assume is None else assume, "/assume") as members:
        members.close(*KINDS)
        return request, {
            fact: _fact(members, fact, kind) for fact, kind in KINDS.items() if members.says(fact)
        }


def _fact(members: Members, fact: str, kind: type) -> bool | StrEnum | None:
    if not issubclass(kind, StrEnum):
        return members.decided(fact)
    word = members.choice(fact, list(kind), default=None)
    return None if word is None else kind(word)


def _once_more(caller: Caller, request: StepRequest, asked: Asked | None) -> Asked:
    """The decision as it would be, were this question asked now."""
    if asked is not None:
        return replace(asked, version=asked.version + 1)
    place = caller.project, caller.id, *request.attempted
    return Asked("", *place, question_hash="", question=b"", version=1, created_at=0)


def _shown(decision: Decision) -> dict[str, Any]:
    return {"row": decision.row, "outcome": decision.outcome, "status": decision.status}
