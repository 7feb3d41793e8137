"""Who comes into a group and who leaves it: the steps of a push as rows, and what they came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.db.database import Transaction
from broker.domain.mapping import Warning
from broker.domain.runs import Change
from broker.service.belonging import Belonging
from broker.store import members
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
    came: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    strangers: dict[str, None] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)

    def apply(self, tx: Transaction, changes: Sequence[MemberChange]) -> None:
        """Do every step: it costs what it names, and never what the group holds, but for a step
        that names everybody or asks a filter.
        """
        named = dict.fromkeys(id for change in changes for id in change.members)
        known = members.known(tx, self.project, self.directory, list(named)) if named else {}
        self.ids = {entry.n: id for id, entry in known.items()}
        for change in changes:
            self._step(tx, change, known)

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
        return (Change("members", self._told(self.left), self._told(self.came)),)

    def _step(self, tx: Transaction, change: MemberChange, known: Mapping[str, Entry]) -> None:
        meant = [known[id].n for id in change.members if id in known]
        if change.op == "remove":
            self._leave(tx, meant)
        elif change.op == "remove_where":
            self._leave(tx, self._chosen(tx, change))
        else:
            strange = (id for id in change.members if id not in known)
            self.strangers |= dict.fromkeys(strange)
            if change.op == "replace":
                stay = set(meant)
                now = members.numbers(tx, self.project, self.group)
                self._leave(tx, [n for n in now if n not in stay])
            self._come(tx, meant)

    def _chosen(self, tx: Transaction, change: MemberChange) -> list[int]:
        entries = members.of_groups(tx, self.project, [self.group]).get(self.group, [])
        shown = self.belonging.members(entries)
        assert change.where is not None
        return [
            entry.n for entry, member in zip(entries, shown, strict=True) if change.where(member)
        ]

    def _come(self, tx: Transaction, numbers: Sequence[int]) -> None:
        added = members.add(tx, self.project, self.group, numbers)
        self.came |= added - self.left
        self.left -= added

    def _leave(self, tx: Transaction, numbers: Sequence[int]) -> None:
        removed = members.remove(tx, self.project, self.group, numbers)
        self.left |= removed - self.came
        self.came -= removed

    def _told(self, numbers: set[int]) -> str | None:
        if not numbers:
            return None
        ids = [self.ids[n] for n in sorted(numbers) if n in self.ids][:NAMED]
        more = len(numbers) - len(ids)
        return "; ".join(ids + ([f"{more} more"] if ids else [f"{more} members"]) * bool(more))
