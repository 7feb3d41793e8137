"""Many steps asked about at once: one snapshot, one commit, and an answer for each in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from broker.db.database import Transaction
from broker.domain.callers import Caller
from broker.domain.errors import BrokerError, Invalid, Problem
from broker.domain.steps import Outcome
from broker.service import admitting
from broker.service.answering import Answer
from broker.service.asking import Attempt, StepRequest, digest
from broker.service.looking import Sight, look
from broker.service.reading import Members
from broker.service.resolving import Renewals, Resolving, hold, require_same
from broker.store import decisions

LIMIT = 100
Found = Answer | BrokerError | None
"""What an item came to: its answer, what is wrong with it, None where it was not evaluated."""
WORST = (None, Outcome.RUN, Outcome.ASK, Outcome.PAUSE, Outcome.WAIT, Outcome.ERROR, BrokerError)


class Stop(StrEnum):
    """After which answer the items behind it are left alone."""

    NEVER = "never"
    ON_PAUSE = "on_pause"
    ON_ERROR = "on_error"

    def after(self, found: Found) -> bool:
        """Whether this is such an answer; a question that is wrong is an error."""
        match self:
            case Stop.ON_PAUSE:
                return _kind(found) is Outcome.PAUSE
            case Stop.ON_ERROR:
                return _kind(found) in (Outcome.ERROR, BrokerError)
            case _:
                return False


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions in their order; what cannot be read as one is there with what is wrong with it."""

    items: tuple[StepRequest | Invalid, ...]
    stop: Stop = Stop.NEVER

    @classmethod
    def parse(cls, said: object) -> "Batch":
        """The questions in a decoded JSON body of `defaults`, `items` and `stop`.

        Each item overrides the defaults; `step` and `execution` member by member, anything else as
        a whole. Invalid where the body is wrong; an item that is wrong spoils no other. Of a step
        one attempt is asked about: another would end the pause its first answer tells of (P10).
        """
        with Members(said, "") as body:
            body.close("defaults", "items", "stop")
            defaults = body.raw("defaults") or {}
            stop = body.choice("stop", [*Stop], default=Stop.NEVER)
            items = said.get("items") if isinstance(said, Mapping) else None
            if not isinstance(items, list) or not 1 <= len(items) <= LIMIT:
                body.wrong("items", "not_a_list", f"items must be a list of 1 to {LIMIT}.")
                items = []
        attempts: dict[tuple[str, str], int] = {}
        read = tuple(_one_attempt(attempts, _read(defaults, item)) for item in items)
        return cls(read, Stop(stop or Stop.NEVER))


@dataclass(frozen=True, slots=True)
class Batching:
    """Answers as `resolve` does, all of a batch as of one moment, or none of it."""

    resolving: Resolving

    async def resolve(self, caller: Caller, batch: Batch) -> list[Found]:
        """As many answers as there were questions, in their order, all of them recorded.

        Nothing is told before everything is committed. What a refresh may mend is refreshed at the
        same time for all items, before they are looked at once more. An item may wait (F7, F18b):
        that is its answer.
        """
        caller.require("resolve")

        async def deciding(renewals: Renewals) -> list[Found]:
            db = self.resolving.db
            return await db.write_on_snapshot(self._answering, renewals, caller, batch)

        return await self.resolving.with_fresh_tokens(deciding)

    def _answering(
        self, tx: Transaction, renewals: Renewals, caller: Caller, batch: Batch
    ) -> list[Found]:
        caller = admitting.still(tx, caller)
        foreseen = self._foreseen(tx, caller, batch)
        sights = [found for found in foreseen if isinstance(found, Sight)]
        renewals.note(sights, tx.now)
        hold(tx, [sight for sight in sights if sight.decision.outcome is Outcome.PAUSE])
        answers: list[Found] = [None] * len(batch.items)
        for place, (request, found) in enumerate(zip(batch.items, foreseen, strict=True)):
            if isinstance(request, StepRequest) and isinstance(found, Sight):
                answers[place] = self.resolving.answering(tx, renewals, caller, request)
            elif isinstance(found, BrokerError):
                answers[place] = found
            if batch.stop.after(answers[place]):
                break
        return answers

    def _foreseen(self, tx: Transaction, caller: Caller, batch: Batch) -> list[Sight | BrokerError]:
        """What each item will be answered from, or what is wrong with it; nothing is written yet.

        Decisions are locked in the order of their natural keys, so that two batches about the same
        steps never wait for each other.
        """
        found: dict[int, Sight | BrokerError] = {}
        asked: dict[Attempt, str] = {}
        questions = []
        for place, item in enumerate(batch.items):
            if isinstance(item, StepRequest):
                questions.append((item.attempted, place, item))
            else:
                found[place] = item
        for _, place, request in sorted(questions, key=lambda each: each[:2]):
            try:
                found[place] = self._sight(tx, caller, request, asked)
            except BrokerError as error:
                found[place] = error
        return [found[place] for place in range(len(batch.items))]

    def _sight(
        self, tx: Transaction, caller: Caller, request: StepRequest, asked: dict[Attempt, str]
    ) -> Sight:
        """What an item is answered from; `asked` are the digests of what was asked here before."""
        admitting.allow(tx, caller, request)
        hash = digest(request.document)
        found = decisions.asked(tx, caller.project, caller.id, *request.attempted, lock=True)
        if found is None:
            require_same(asked.setdefault(request.attempted, hash), hash, "an item of this batch")
        else:
            require_same(found.question_hash, hash, found.id)
            once_more = replace(found, version=found.version + 1)
            earlier = decisions.earlier(tx, caller.project, once_more)
            request = admitting.again(tx, caller, request, earlier)
        return look(tx, caller.project, request, self.resolving.vault)


def worst(answers: Sequence[Found]) -> int:
    """The first of those that keep the flow from going on the most."""
    return max(range(len(answers)), key=lambda place: (WORST.index(_kind(answers[place])), -place))


def _kind(found: Found) -> Outcome | type[BrokerError] | None:
    if isinstance(found, Answer):
        return found.decision.outcome
    return None if found is None else BrokerError


def _one_attempt(
    attempts: dict[tuple[str, str], int], item: StepRequest | Invalid
) -> StepRequest | Invalid:
    """The item, unless an item before it asks about another of the step's `attempts`."""
    if isinstance(item, Invalid):
        return item
    first = attempts.setdefault((item.execution, item.step), item.attempt)
    if first == item.attempt:
        return item
    detail = f"This batch asks about attempt {first} of the step already."
    problem = Problem("/execution/attempt", "duplicate_step", detail)
    return problem.alone(next="Ask about the newest attempt alone.")


def _read(defaults: Mapping[str, Any], item: object) -> StepRequest | Invalid:
    said = item
    if isinstance(item, Mapping):
        said = {**defaults, **item}
        for name in ("step", "execution"):
            ours, theirs = defaults.get(name), item.get(name)
            if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
                said[name] = {**ours, **theirs}
    try:
        return StepRequest.parse(said)
    except Invalid as invalid:
        return invalid
