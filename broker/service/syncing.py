"""Runs: opened by a push, joined by the next, ended by silence; every push is a line of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from broker.db.database import Database, Duplicate, Transaction, Unavailable, Unstorable
from broker.domain import ids, names
from broker.domain.directories import Directory, State
from broker.domain.errors import BrokerError, Conflict, Invalid, NotFound
from broker.domain.mapping import Warning
from broker.domain.runs import Ending, Issue, Record, Result, Run, Trigger, is_over
from broker.service.callers import Callers
from broker.service.refusals import Attempted, explained, when_unavailable
from broker.store import audit, callers, directories, events, records, runs
from scim.errors import ScimError

P = ParamSpec("P")
T = TypeVar("T")

WINDOW_LIMIT_S = 86_400
MOST_WARNINGS = 100
"""Warnings kept of one record, however many attributes or members it came with."""

MOST_TOKENS = 2
TOLERANCES = ("standard", "strict")


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with what went wrong in it, equal things counted once."""

    run: Run
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """A directory, its newest run if it ever had one (R106), and its living SCIM tokens."""

    directory: Directory
    last_run: Run | None
    tokens: Sequence[Mapping[str, Any]]
    """Each with id, created_at and last_used_at (None: never), the oldest first."""


@dataclass(frozen=True, slots=True)
class Syncing:
    """Keeps the history of what directories said. One run a directory is open at a time."""

    db: Database
    callers: Callers
    noted: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    async def add(
        self,
        project: str,
        name: str,
        *,
        by: str,
        tolerance: str = "standard",
        window_s: int = 300,
    ) -> tuple[Directory, str]:
        """A new directory and its first SCIM token, shown this once; Conflict on a taken name."""
        if tolerance not in TOLERANCES:
            raise Invalid("tolerance is standard or strict.", reason="unknown-tolerance")
        if not 1 <= window_s <= WINDOW_LIMIT_S:
            raise Invalid("window_s is between 1 second and a day.", reason="invalid-window")
        try:
            return await self.db.write(self._adding, project, name, by, tolerance, window_s)
        except Duplicate as error:
            raise Conflict(
                f"There is a directory named {name} already.", reason="name-taken"
            ) from error

    async def add_token(self, project: str, id: str, *, by: str) -> str:
        """One more SCIM token of a directory, shown this once; Conflict where two live already."""
        return await self.db.write(self._adding_token, project, id, by)

    async def directories(self, project: str) -> list[DirectoryView]:
        """All directories of the project, by name, with the newest run of each."""
        return await self.db.read(_directories, project)

    async def directory(self, project: str, id: str) -> DirectoryView:
        """One directory with its newest run; NotFound."""
        return await self.db.read(_directory, project, id)

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
                problem = await self.db.write(self._failing, directory, attempted, error)
                raise problem from None if problem is error else error
            except Exception as error:
                await self.db.write(self._failing, directory, attempted, error)
                raise

    async def failed(self, directory: Directory, attempted: Attempted, problem: ScimError) -> None:
        """Write down a push that was refused before anything was tried."""
        with when_unavailable():
            await self.db.write(self._failing, directory, attempted, problem)

    def recording(self, tx: Transaction, directory: Directory, record: Record) -> None:
        """Add a line to the directory's open run, or open one (R1). Comes last in its unit."""
        self._recording(tx, directory, record, None)

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
        self, project: str, run: str, *, after: int = 0, limit: int = 100, troubled: bool = False
    ) -> list[tuple[int, Record]]:
        """Lines of a run with their numbers; the next page is `after` the last one's number.

        `troubled` are those alone that failed or carry a warning.
        """
        return await self.db.read(_records, project, run, after, limit, troubled)

    def _adding(
        self, tx: Transaction, project: str, name: str, by: str, tolerance: str, window_s: int
    ) -> tuple[Directory, str]:
        named = names.named(name)
        directory = Directory(
            id=ids.new("dir"),
            project=project,
            name=named.text,
            name_key=named.key,
            state=State.ENABLED,
            created_at=tx.now,
            tolerance=tolerance,
            window_s=window_s,
        )
        directories.insert(tx, directory)
        audit.append(tx, project, by, "directory.added", directory.id)
        return directory, self.callers.adding_token(tx, project, directory.id, by)

    def _adding_token(self, tx: Transaction, project: str, id: str, by: str) -> str:
        directory = directories.get(tx, project, id)
        if len(callers.living(tx, project, id)) >= MOST_TOKENS:
            raise Conflict(
                "The directory has two living tokens, enough to replace one by the other.",
                reason="two-tokens",
                next="Revoke the one that was not used lately: broker directory token list.",
            )
        return self.callers.adding_token(tx, project, directory.id, by)

    def _failing(
        self, tx: Transaction, directory: Directory, attempted: Attempted, error: Exception
    ) -> ScimError:
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
        )
        self._recording(tx, directory, record, refusal.code)
        return refusal.problem

    def _recording(
        self, tx: Transaction, directory: Directory, record: Record, code: str | None
    ) -> None:
        if len(record.warnings) > MOST_WARNINGS:
            record = replace(record, warnings=_told(record.warnings))
        while not records.append(tx, directory.project, directory.id, record, code):
            runs.open(tx, directory.project, directory.id, Trigger.PUSH)

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


def ending(tx: Transaction, run: Run, reason: Ending | None = None) -> None:
    """End a run, in the caller's transaction; nothing where another replica just did."""
    if not runs.end(tx, run.project, run.id, reason):
        return
    ended = runs.find(tx, run.project, run.id)
    if ended is not None:
        events.append(
            tx,
            run.project,
            "run.ended",
            run=run.id,
            directory=run.directory,
            status=ended.status.value,
        )


def _told(warnings: tuple[Warning, ...]) -> tuple[Warning, ...]:
    """Warnings of one record, the last of too many saying how many more there are."""
    shown, left = warnings[: MOST_WARNINGS - 1], warnings[MOST_WARNINGS - 1 :]
    noun = "members" if left[0].attribute.partition(".")[0] == "members" else "attributes"
    return (*shown, Warning("", f"and {len(left)} more {noun}", left[0].code))


def _directories(tx: Transaction, project: str) -> list[DirectoryView]:
    return [_viewed(tx, directory) for directory in directories.every(tx, project)]


def _directory(tx: Transaction, project: str, id: str) -> DirectoryView:
    return _viewed(tx, directories.get(tx, project, id))


def _viewed(tx: Transaction, directory: Directory) -> DirectoryView:
    project, id = directory.project, directory.id
    return DirectoryView(directory, runs.last(tx, project, id), callers.living(tx, project, id))


def _run(tx: Transaction, project: str, id: str) -> RunView:
    run = runs.find(tx, project, id)
    if run is None:
        raise NotFound()
    return RunView(run, tuple(runs.issues(tx, project, id)))


def _records(
    tx: Transaction, project: str, run: str, after: int, limit: int, troubled: bool
) -> list[tuple[int, Record]]:
    if runs.find(tx, project, run) is None:
        raise NotFound()
    return records.page(tx, project, run, after=after, limit=limit, troubled=troubled)
