"""Runs: opened by a push, joined by the next, ended by silence; every push is a line of one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Concatenate, ParamSpec, TypeVar

from broker.db.database import Database, Duplicate, Transaction, Unavailable, Unstorable
from broker.domain.callers import Caller
from broker.domain.clock import HOUR
from broker.domain.directories import Directory
from broker.domain.errors import BrokerError, Conflict, NotFound
from broker.domain.mapping import Warning
from broker.domain.pulls import Place
from broker.domain.runs import Ending, Issue, Kind, Record, Result, Run, State, Trigger, is_over
from broker.service.refusals import Attempted, explained, when_unavailable
from broker.store import audit, directories, events, held, jobs, leavers, records, retries, runs
from scim.errors import ScimError

P = ParamSpec("P")
T = TypeVar("T")

MOST_WARNINGS = 100
"""Warnings kept of one record, however many attributes or members it came with."""

LADDER = (6 * HOUR, 12 * HOUR)
"""When failed records are tried again by themselves; then they rest until somebody asks."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run at the moment `now`: with what went wrong in it, equal things counted once, and its
    newest record (R105).
    """

    run: Run
    issues: tuple[Issue, ...]
    now: int
    last: Record | None = None
    retriable: int = 0
    """How many failed records can be tried again."""


@dataclass(frozen=True, slots=True)
class Syncing:
    """Keeps the history of what directories said. One run a directory is open at a time."""

    db: Database
    noted: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    async def pushed(
        self,
        directory: Directory,
        attempted: Attempted,
        unit: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do what a push asks, in one transaction; where it fails, nothing of it stays but a line.

        `unit` writes its own record (`recording`). What it raises becomes a failed record in a
        second, tiny transaction, and a ScimError for the identity provider.
        """
        with when_unavailable():
            try:
                return await self.db.write(unit, *args, **kwargs)
            except Unavailable:
                raise
            except (ScimError, BrokerError, Duplicate, Unstorable) as error:
                problem = await self.db.write(self.failing, directory, attempted, error)
                raise problem from None if problem is error else error
            except Exception as error:
                await self.db.write(self.failing, directory, attempted, error)
                raise

    async def failed(self, directory: Directory, attempted: Attempted, problem: ScimError) -> None:
        """Write down a push that was refused before anything was tried."""
        with when_unavailable():
            await self.db.write(self.failing, directory, attempted, problem)

    def recording(self, tx: Transaction, directory: Directory, record: Record) -> None:
        """Add a line to the directory's open run, or open one (R1). Comes last in its unit."""
        self._recording(tx, directory, record, None)

    def failing(
        self, tx: Transaction, directory: Directory, attempted: Attempted, error: Exception
    ) -> ScimError:
        """Write down that it failed, and why; the refusal for the identity provider."""
        attempted, raw = attempted.kept(tx, error)
        refusal = explained(tx, directory, attempted, error)
        record = Record(
            run="",
            kind=attempted.kind,
            result=Result.FAILED,
            at=tx.now,
            resource_id=attempted.id,
            external_id=attempted.external_id,
            name=attempted.name,
            message=refusal.message,
            next=refusal.next,
            raw=raw,
        )
        n = self._recording(tx, directory, record, refusal.code)
        if raw is not None:
            retries.replace(tx, directory.project, directory.id, record, n)
        return refusal.problem

    def note(self, directory: Directory, what: str) -> None:
        """Count a request that is no record: `reads`, `refused` or `unreadable`."""
        seen = self.noted.setdefault((directory.project, directory.id), {})
        seen[what] = seen.get(what, 0) + 1

    async def refused(self, directory_id: str) -> None:
        """Count a request with no valid token, where there is such a directory."""
        directory = await self.db.peek(directories.by_id, directory_id)
        if directory is not None:
            self.note(directory, "refused")

    async def close_due(self) -> None:
        """End every push run whose window is over; the worker asks this again and again."""
        await self._flush()
        if await self.db.read(_over):
            await self.db.write(_closing)

    async def runs(
        self,
        project: str,
        directory: str | None = None,
        *,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Runs, the newest first (R107); the next page is `before` the last one's id."""
        return await self.db.read(runs.page, project, directory, before=before, limit=limit)

    async def run(self, project: str, id: str) -> RunView:
        """One run with its issues; NotFound."""
        return await self.db.read(_run, project, id)

    async def records(
        self,
        project: str,
        run: str,
        *,
        after: int = 0,
        limit: int = 100,
        troubled: bool = False,
        result: Result | None = None,
    ) -> list[tuple[int, Record]]:
        """Lines of a run with their numbers; the next page is `after` the last one's number.

        `troubled` are those alone that failed or carry a warning, `result` those it names.
        """
        return await self.db.read(_records, project, run, after, limit, troubled, result)

    async def stop(self, caller: Caller, id: str) -> RunView:
        """End a run: pushes at once, what reads or maps after the record it is at; Conflict where
        it is over or holds changes.
        """
        return await self.db.write(_stopping, caller, id)

    def _recording(
        self, tx: Transaction, directory: Directory, record: Record, code: str | None
    ) -> int:
        if len(record.warnings) > MOST_WARNINGS:
            record = replace(record, warnings=_told(record.warnings))
        project, id, mapping = directory.project, directory.id, directory.mapping_version
        while (n := records.append(tx, project, id, record, code)) is None:
            runs.open(tx, project, id, Trigger.PUSH, mapping_version=mapping)
        return n

    async def _flush(self) -> None:
        """Write down what was counted in memory."""
        if self.noted:
            noted = dict(self.noted)
            self.noted.clear()
            await self.db.write(_counting, noted)


def _counting(tx: Transaction, noted: dict[tuple[str, str], dict[str, int]]) -> None:
    """Add the counts to open runs. Bodies nobody could read open one: somebody should know."""
    for (project, directory), seen in noted.items():
        if not runs.count(tx, project, directory, seen) and seen.get("unreadable"):
            runs.open(tx, project, directory, Trigger.PUSH)
            runs.count(tx, project, directory, seen)


def _over(tx: Transaction) -> list[Run]:
    open_runs = runs.running(tx)
    return [run for run, window in open_runs if is_over(run, window=window, now=tx.now)]


def _closing(tx: Transaction) -> None:
    for run in _over(tx):
        ending(tx, run)


def ending(
    tx: Transaction,
    run: Run,
    reason: Ending | None = None,
    *,
    message: str | None = None,
    tries: int = 0,
) -> None:
    """End a run, in the caller's transaction; nothing where another replica just did.

    One that holds changes waits for a decision first (R5): it ran to its end, or it was pushed,
    and nobody pushes the same again. What failed and may heal is tried again later, `tries` being
    how often it was tried by itself already.
    """
    if run.kind is Kind.PULL and run.state is State.RUNNING and run.message and run.place:
        message = message or Place.of(run.place).why  # no longer when it would be asked again
    project, about = run.project, {"run": run.id, "directory": run.directory}
    waits = reason is None or run.kind is Kind.PUSH or leavers.waits(tx, project, run.id)
    if waits and reason is not Ending.DELETED and (waiting := held.undecided(tx, project, run.id)):
        if runs.hold(tx, project, run.id, reason, message):
            events.append(tx, project, "run.held", **about, changes=waiting)
        return
    if not runs.end(tx, project, run.id, reason, message):
        return
    held.drop(tx, project, run.id)
    ended = runs.find(tx, project, run.id)
    assert ended is not None
    events.append(tx, project, "run.ended", **about, status=ended.status.value)
    goes_on = reason is not Ending.DELETED and tries < len(LADDER) and ended.counts.failed
    if goes_on and retries.of_run(tx, project, run.id):
        due, once = tx.now + LADDER[tries], f"retry:{run.id}"
        jobs.add(tx, "retry", project, once=once, due=due, run=run.id, tries=tries + 1)


def _stopping(tx: Transaction, caller: Caller, id: str) -> RunView:
    project = caller.project
    run = _run(tx, project, id).run
    if run.state is State.HELD:
        raise Conflict(
            "The run waits for a decision about the changes it holds.",
            reason="run-held",
            next="Release them all, some or none.",
        )
    if run.state is State.ENDED:
        raise Conflict("The run is over.", reason="run-over")
    if run.kind is Kind.PUSH:
        ending(tx, run, Ending.STOPPED)
    else:
        jobs.hurry(tx, project, f"{run.kind}:{id}")  # its row before the run's, as who works does
        runs.stop(tx, project, id)
    audit.append(tx, project, caller.actor, "run.stopped", id)
    return _run(tx, project, id)


def _told(warnings: tuple[Warning, ...]) -> tuple[Warning, ...]:
    """Warnings of one record, the last of too many saying how many more there are."""
    shown, left = warnings[: MOST_WARNINGS - 1], warnings[MOST_WARNINGS - 1 :]
    noun = "members" if left[0].attribute.partition(".")[0] == "members" else "attributes"
    return (*shown, Warning("", f"and {len(left)} more {noun}", left[0].code))


def _run(tx: Transaction, project: str, id: str) -> RunView:
    run = runs.find(tx, project, id)
    if run is None:
        raise NotFound()
    return RunView(
        run,
        tuple(runs.issues(tx, project, id)),
        tx.now,
        records.last(tx, project, id),
        len(retries.of_run(tx, project, id)) if run.counts.failed else 0,
    )


def _records(
    tx: Transaction,
    project: str,
    run: str,
    after: int,
    limit: int,
    troubled: bool,
    result: Result | None,
) -> list[tuple[int, Record]]:
    found = records.page(
        tx, project, run, after=after, limit=limit, troubled=troubled, result=result
    )
    if not found and runs.find(tx, project, run) is None:
        raise NotFound()
    return found
