"""Who comes into a group and who leaves it: the steps of a push as rows, and what they came to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from broker.db.database import Transaction
from broker.domain.mapping import Warning
from broker.domain.runs import Change
from broker.service.belonging import Belonging
from broker.store import members, rows
from broker.store.members import Entry
from scim.members import MemberChange

UNKNOWN_MEMBER = "unknown-member"
NAMED = 10


@dataclass(slots=True)
class Membership:
    """The changes of one group's members in one push, in order; the group's row is locked."""

    project: str
    directory: str
    group: int
    belonging: Belonging
    came: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    strangers: dict[str, None] = field(default_factory=dict)

    def apply(self, tx: Transaction, changes: Sequence[MemberChange]) -> None:
        """Do every step: it costs what it names, and never what the group holds, but for a step
        that names everybody or asks a filter.
        """
        for op, alike in groupby(changes, attrgetter("op")):
            steps = list(alike)
            if op in ("add", "remove"):  # one step, also where each names one member (authentik)
                ids = list(dict.fromkeys(id for step in steps for id in step.members))
                (self._come if op == "add" else self._leave)(tx, ids)
            else:
                for step in steps:
                    self._everybody(tx, step)

    @property
    def changed(self) -> bool:
        """Whether anybody is in the group, or not in it, who was not before."""
        return bool(self.came or self.left)

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """One for each member whom this directory does not have (safety 1)."""
        return tuple(
            Warning("members", f"{id} is nobody this directory has; not put in.", UNKNOWN_MEMBER)
            for id in self.strangers
        )

    @property
    def changes(self) -> tuple[Change, ...]:
        """Who left and who came, for the record: the first ten by id, and how many more."""
        if not self.changed:
            return ()
        return (Change("members", _told(self.left), _told(self.came)),)

    def _everybody(self, tx: Transaction, step: MemberChange) -> None:
        if step.where is not None:
            shown = (each for some in self._held(tx) for each in self.belonging.members(some))
            self._leave(tx, [each["value"] for each in shown if step.where(each)])
            return
        held = {each.id for some in self._held(tx) for each in some}
        self._leave(tx, sorted(held.difference(step.members)))
        self._come(tx, [id for id in step.members if id not in held])

    def _held(self, tx: Transaction) -> Iterator[list[Entry]]:
        """Everybody who is in the group before this step, some at a time."""
        numbers = members.numbers(tx, self.project, self.group)
        for some in rows.chunks(numbers):
            yield members.numbered(tx, self.project, some)

    def _come(self, tx: Transaction, ids: Sequence[str]) -> None:
        added = members.add(tx, self.project, self.directory, self.group, ids)
        if absent := [id for id in ids if id not in added]:
            known = members.known(tx, self.project, self.directory, absent)
            self.strangers |= dict.fromkeys(id for id in absent if id not in known)
        self.came |= added - self.left
        self.left -= added

    def _leave(self, tx: Transaction, ids: Sequence[str]) -> None:
        removed = members.remove(tx, self.project, self.group, ids)
        self.left |= removed - self.came
        self.came -= removed


def _told(who: set[str]) -> str | None:
    if not who:
        return None
    more = len(who) - NAMED
    return "; ".join(sorted(who)[:NAMED] + [f"{more} more"] * (more > 0))
