"""Directories as administrators set them up: made, shown, edited, disabled, enabled (R108)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.db.database import Database, Duplicate, Transaction
from broker.domain import ids, names
from broker.domain.callers import Caller
from broker.domain.directories import Absent, Directory, State
from broker.domain.errors import Conflict, NotFound, Problem, Stale
from broker.domain.runs import Ending, Kind, Run
from broker.domain.runs import State as RunState
from broker.domain.schedules import following
from broker.service import sourcing
from broker.service.callers import Callers
from broker.service.occupied import Occupied
from broker.service.projects import UNSAID, Unsaid
from broker.service.sources import Sources
from broker.service.sourcing import SourceSaid
from broker.service.syncing import ending
from broker.store import audit, callers, directories, events, protected, runs

WINDOW_LIMIT_S = 86_400
MOST_TOKENS = 2
TOLERANCES = ("standard", "strict")


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """A directory, its newest run if it ever had one (R106), and its living SCIM tokens."""

    directory: Directory
    last_run: Run | None
    tokens: Sequence[Mapping[str, Any]]
    """Each with id, created_at and last_used_at (None: never), the oldest first."""

    source: Mapping[str, Any] | None = None
    """Where it is read from, as JSON: its kind and fields; what is protected only `has_value`."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a directory; what was not stays. A source None: it only pushes.

    `holding` holds those members of `Holding` that were said.
    """

    name: str | None = None
    tolerance: str | None = None
    window_s: int | None = None
    source: SourceSaid | Unsaid | None = UNSAID
    holding: Mapping[str, Any] | None = None
    absent: Absent | None = None


@dataclass(frozen=True, slots=True)
class Configuring:
    """Each public verb is one transaction, and in the audit.

    Verbs that change take the `version` the caller has seen, or None: Stale where it moved on.
    """

    db: Database
    callers: Callers
    sources: Sources

    async def add(
        self,
        project: str,
        name: str,
        *,
        by: str,
        tolerance: str = "standard",
        window_s: int = 300,
        source: SourceSaid | None = None,
    ) -> tuple[Directory, str]:
        """A new directory and its first SCIM token, shown this once; Conflict on a taken name.

        It shares nothing with one of that name that was deleted (R114).
        """
        said = Said(name, tolerance, window_s, source)
        try:
            return await self.db.write(self._adding, project, by, said)
        except Duplicate as error:
            raise _taken(name) from error

    async def add_token(self, project: str, id: str, *, by: str) -> str:
        """One more SCIM token of a directory, shown this once; Conflict where two live already."""
        return await self.db.write(self._adding_token, project, id, by)

    async def revoke_token(self, project: str, id: str, token: str, *, by: str) -> None:
        """End a SCIM token of this directory at once; NotFound."""
        view = await self.directory(project, id)
        if token not in [each["id"] for each in view.tokens]:
            raise NotFound()
        await self.callers.revoke_token(project, token, by=by)

    async def change(
        self, caller: Caller, id: str, said: Said, *, version: int | None = None
    ) -> DirectoryView:
        """Edit a directory (R108). Another host of its source demands the secrets anew (safety 18).

        What one run may end without a decision is for an administrator's session to say: whoever
        could raise it could release (safety 27). Conflict while a pull reads the source.
        """
        caller.require("directories:write")
        if said.holding is not None or said.absent is not None:
            caller.require_administrator()
        try:
            return await self.db.write(self._changing, caller, id, said, version)
        except Duplicate as error:
            raise _taken(said.name) from error

    async def disable(
        self, caller: Caller, id: str, *, version: int | None = None
    ) -> DirectoryView:
        """Take no pushes and begin no runs until it is enabled; nothing is lost (R111, R112).

        What runs ends after the record it is at, with the reason (R8).
        """
        caller.require("directories:write")
        return await self.db.write(self._turning, caller, id, State.DISABLED, version)

    async def enable(self, caller: Caller, id: str, *, version: int | None = None) -> DirectoryView:
        """Take pushes again; times of its schedule that have passed are not made up for."""
        caller.require("directories:write")
        return await self.db.write(self._turning, caller, id, State.ENABLED, version)

    async def directories(self, project: str) -> list[DirectoryView]:
        """All directories of the project, by name, with the newest run of each."""
        return await self.db.read(self._every, project)

    async def directory(self, project: str, id: str) -> DirectoryView:
        """One directory with its newest run; NotFound."""
        return await self.db.read(self._one, project, id)

    def _adding(self, tx: Transaction, project: str, by: str, said: Said) -> tuple[Directory, str]:
        new = Directory(
            id=ids.new("dir"),
            project=project,
            name="",
            name_key="",
            state=State.ENABLED,
            created_at=tx.now,
        )
        directory = self._told(tx, new, said, by)
        directories.insert(tx, directory)
        audit.append(tx, project, by, "directory.added", directory.id)
        return directory, self.callers.adding_token(tx, project, directory.id, by)

    def _adding_token(self, tx: Transaction, project: str, id: str, by: str) -> str:
        directory = directories.lock(tx, project, id)
        if len(callers.living(tx, project, id)) >= MOST_TOKENS:
            raise Conflict(
                "The directory has two living tokens, enough to replace one by the other.",
                reason="two-tokens",
                next="Revoke the one that was not used lately: broker directory token list.",
            )
        return self.callers.adding_token(tx, project, directory.id, by)

    def _changing(
        self, tx: Transaction, caller: Caller, id: str, said: Said, version: int | None
    ) -> DirectoryView:
        before = hold(tx, caller, id, version)
        after = self._told(tx, before, said, caller.actor)
        directories.change(tx, replace(after, version=before.version + 1))
        parts = ("name", "tolerance", "window_s", "source", "holding", "absent")
        changed = [part for part in parts if getattr(before, part) != getattr(after, part)]
        audit.append(tx, caller.project, caller.actor, "directory.changed", id, changed=changed)
        return self._one(tx, caller.project, id)

    def _told(self, tx: Transaction, before: Directory, said: Said, by: str) -> Directory:
        """The directory with what was said of it; Invalid."""
        after = replace(
            before,
            tolerance=said.tolerance or before.tolerance,
            window_s=before.window_s if said.window_s is None else said.window_s,
            holding=replace(before.holding, **(said.holding or {})),
            absent=said.absent or before.absent,
        )
        if said.name is not None:
            named = names.named(said.name)
            after = replace(after, name=named.text, name_key=named.key)
        if after.tolerance not in TOLERANCES:
            raise _wrong("/tolerance", "tolerance is standard or strict.", "unknown-tolerance")
        if not 1 <= after.window_s <= WINDOW_LIMIT_S:
            detail = "window_s is between 1 second and a day."
            raise _wrong("/window_s", detail, "invalid-window")
        if after.holding.percent > 100:
            raise _wrong("/holding/percent", "percent is from 0 to 100.", "invalid-holding")
        if isinstance(said.source, Unsaid):
            return after
        going = runs.current(tx, before.project, before.id)
        if going and going.kind is Kind.PULL and going.state is RunState.RUNNING:
            raise Occupied(going)
        if said.source is None:
            protected.erase(tx, before.project, before.id)
            return replace(after, source=None, trouble=None)
        source = sourcing.settled(tx, self.sources, before, said.source, by)
        return replace(after, source=source, trouble=None)

    def _turning(
        self, tx: Transaction, caller: Caller, id: str, state: State, version: int | None
    ) -> DirectoryView:
        directory = hold(tx, caller, id, version)
        if directory.state is not state:
            next_at = directory.next_at
            if state is State.ENABLED and directory.schedule and (next_at or 0) <= tx.now:
                next_at = following(directory.schedule, id, tx.now, 1)[0]
            turned = replace(directory, state=state, next_at=next_at, version=directory.version + 1)
            directories.change(tx, turned)
            going = runs.current(tx, caller.project, id)
            if state is State.DISABLED and going and going.state is RunState.RUNNING:
                ending(tx, going, Ending.DISABLED)
            audit.append(tx, caller.project, caller.actor, f"directory.{state}", id)
            events.append(tx, caller.project, f"directory.{state}", directory=id)
        return self._one(tx, caller.project, id)

    def _every(self, tx: Transaction, project: str) -> list[DirectoryView]:
        return [self._viewed(tx, directory) for directory in directories.every(tx, project)]

    def _one(self, tx: Transaction, project: str, id: str) -> DirectoryView:
        return self._viewed(tx, directories.get(tx, project, id))

    def _viewed(self, tx: Transaction, directory: Directory) -> DirectoryView:
        project, id = directory.project, directory.id
        kept = protected.of(tx, project, id) if directory.source else {}
        return DirectoryView(
            directory,
            runs.last(tx, project, id),
            callers.living(tx, project, id),
            sourcing.shown(self.sources, directory, kept),
        )


def hold(tx: Transaction, caller: Caller, id: str, version: int | None) -> Directory:
    """The directory, held until the unit ends; Stale where it is not the version seen."""
    directory = directories.lock(tx, caller.project, id)
    if version is not None and version != directory.version:
        raise Stale(reason="directory-changed", next="Read the directory again.")
    return directory


def _taken(name: str | None) -> Conflict:
    return Conflict(f"There is a directory named {name} already.", reason="name-taken")


def _wrong(pointer: str, detail: str, reason: str) -> Exception:
    return Problem(pointer, "out_of_range", detail).alone(reason=reason)
