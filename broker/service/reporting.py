"""Who ran as whom, read back: decisions, their lines, and how many of each kind there were."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from broker.db.database import Database, Transaction
from broker.domain import names
from broker.domain.callers import Caller
from broker.domain.clock import rfc3339
from broker.domain.errors import NotFound
from broker.domain.steps import WARNINGS
from broker.service import admitting
from broker.service.answering import warning_shown
from broker.store import counts, decisions
from broker.store.counts import Count
from broker.store.decisions import Decision, Line, Ran


class By(StrEnum):
    """What lines are counted by."""

    USER = "user"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class Reporting:
    """A key reads what it asked itself; who may read the audit reads everything (safety 23), but
    for what is about connectors that its key is not for (safety 22).
    """

    db: Database

    async def decision(self, caller: Caller, id: str) -> tuple[Decision, list[Line]]:
        """A decision and the looks at it that the caller may see; NotFound where there is none."""
        caller.require("resolve")

        def reading(tx: Transaction) -> tuple[Decision, list[Line]]:
            found = decisions.find(tx, caller.project, id)
            if found is None or not (found.key == caller.id or caller.may("audit:read")):
                raise NotFound()
            lines = decisions.lines(tx, caller.project, id)
            if found.key == caller.id or not caller.connectors:
                return found, lines
            mine = admitting.reached(tx, caller, {line.connector for line in lines})
            if not (seen := [line for line in lines if line.connector in mine]):
                raise NotFound()
            return found, seen

        return await self.db.read(reading)

    async def lines(
        self,
        caller: Caller,
        *,
        user: str | None = None,
        execution: str | None = None,
        warned: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Ran]:
        """Who ran as whom, newest first (R2); with `warned` only what the panel shows (R13)."""
        caller.require("resolve")
        key, mine = _seen(caller)
        return await self.db.read(
            decisions.page,
            caller.project,
            user=user,
            key=key,
            names=mine,
            execution=execution,
            warned=warned,
            before=before,
            limit=limit,
        )

    async def counts(
        self,
        caller: Caller,
        by: By,
        *,
        since: int | None = None,
        until: int | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[Count]:
        """How often each person, or connector, came to what, from `since` to before `until`: by
        id, those behind `after`. Each line counts once, so the sums are the number of resolves
        (R2); "" stands for nobody, and for no connector.
        """
        caller.require("resolve")
        key, mine = _seen(caller)
        return await self.db.read(
            counts.counted,
            caller.project,
            by,
            key=key,
            names=mine,
            since=since,
            until=until,
            after=after,
            limit=limit,
        )


def _seen(caller: Caller) -> tuple[str | None, list[str]]:
    """What the caller may see, as `decisions.seen_by` takes it."""
    if not caller.may("audit:read"):
        return caller.id, []
    mine = [names.key(name) for name in caller.connectors]
    return caller.id if mine else None, mine


def decision_shown(decision: Decision, lines: Iterable[Line], traced: bool) -> dict[str, Any]:
    """The JSON of `GET /v1/decisions/{id}`; with `traced` the facts of each line too."""
    return {
        "id": decision.id,
        "key": decision.key,
        "execution": decision.execution,
        "step": decision.step,
        "attempt": decision.attempt,
        "version": decision.version,
        "created_at": rfc3339(decision.created_at),
        "lines": [_line(line, decision.execution, decision.step, traced) for line in lines],
    }


def shown(ran: Ran, traced: bool) -> dict[str, Any]:
    """A line of the ran-as report, with the attempt it belongs to."""
    return {
        "decision_id": ran.decision,
        "key": ran.key,
        "execution": ran.execution,
        "step": ran.step,
        "attempt": ran.attempt,
        **_line(ran.line, ran.execution, ran.step, traced),
    }


def count_shown(count: Count, by: By) -> dict[str, Any]:
    """A line of the counts; null is nobody, or no connector."""
    said = asdict(count)
    who = said.pop("who")
    return {"user_id" if by is By.USER else "connector": who or None, **said}


def _line(line: Line, execution: str, step: str, traced: bool) -> dict[str, Any]:
    """One look at a decision: ids and codes, and its warning as the panel shows it."""
    said = asdict(line)
    said["at"] = rfc3339(line.at)
    said["warning"] = line.warning and warning_shown(WARNINGS[line.row], execution, step)
    if not traced:
        del said["facts"]
    return said
