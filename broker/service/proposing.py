"""People and groups as a pull finds them: what would end somebody's access is proposed (R5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from broker.db.database import Transaction
from broker.domain.directories import Directory
from broker.domain.runs import Record, Result
from broker.domain.users import Event, Status, User
from broker.service.documents import Asked, Document
from broker.service.grouping import Groups
from broker.service.hosting import Hosting
from broker.service.provisioning import Users
from broker.service.syncing import Syncing
from broker.store import sourced, users
from scim.document import Accepted, replacing
from scim.etag import IfMatch
from scim.members import MemberChange
from scim.schema import ResourceType

T = TypeVar("T")
NOTHING = frozenset[str]()
ANY = IfMatch()
INACTIVE = "The source says that this person is not active."


@dataclass(frozen=True, slots=True)
class Noting(Syncing):
    """Keeps lines back, until it is known whether they are worth one."""

    lines: list[Record] = field(default_factory=list)

    def recording(self, tx: Transaction, directory: Directory, record: Record) -> None:
        """Remember the line."""
        del tx, directory
        self.lines.append(record)

    def failed_at_once(
        self, tx: Transaction, directory: Directory, record: Record, code: str
    ) -> None:
        """Write down what failed before anything could be tried."""
        self._recording(tx, directory, record, code)


@dataclass(frozen=True, slots=True)
class People(Users):
    """The people of a directory; whoever would lose their access keeps it until it is decided."""

    def came(self, tx: Transaction, accepted: Accepted) -> str:
        """Somebody new; their id."""
        return self._creating(tx, self.new_id(), accepted, NOTHING).id

    def said(self, tx: Transaction, id: str, accepted: Accepted) -> None:
        """Somebody known, about whom something is said."""
        self._changing(tx, _asked(self.shelving.type, id, accepted))

    def left(self, tx: Transaction, id: str, how: Result) -> None:
        """Somebody's access ends: suspended, or deleted."""
        if how is Result.DELETED:
            self._deleting(tx, id, ANY)
        else:
            project, event = self.directory.project, Event.DIRECTORY_INACTIVE
            self.licensing.happening(tx, project, id, event, self._actor)

    def _heard(self, tx: Transaction, user: User, document: Document) -> str | None:
        if user.idp_active and not is_active(document) and not user.is_gone:
            return "R5"
        return Users._heard(self, tx, user, {"active": is_active(document)})


@dataclass(frozen=True, slots=True)
class Circles(Groups):
    """The groups of a directory."""

    def came(self, tx: Transaction, accepted: Accepted) -> str:
        """A new group; its id."""
        return self._creating(tx, self.new_id(), accepted, NOTHING).id

    def said(
        self, tx: Transaction, id: str, accepted: Accepted | None, steps: Sequence[MemberChange]
    ) -> None:
        """A known group, about which something is said; None: about its members alone."""
        self._changing(tx, _asked(self.shelving.type, id, accepted, steps))

    def left(self, tx: Transaction, id: str) -> None:
        """A group is no more."""
        self._deleting(tx, id, ANY)


@dataclass(frozen=True, slots=True)
class Visit:
    """A directory as one unit of a pull meets it; lines wait in `noting`."""

    noting: Noting
    people: People
    groups: Circles

    @classmethod
    def of(cls, hosting: Hosting, directory: Directory) -> "Visit":
        """With no line yet. The run itself holds what ends too many, so that pushes' way of doing
        it stays out.
        """
        directory = replace(directory, holding=replace(directory.holding, pushes=False))
        noting = Noting(hosting.syncing.db)
        inside = replace(hosting, syncing=noting)
        people = _as(People, inside.users(directory))
        return cls(noting, people, _as(Circles, inside.groups(directory)))

    def tell(self, tx: Transaction, syncing: Syncing, directory: Directory) -> bool:
        """Write the lines that say something; whether there was one."""
        told = False
        for line in self.noting.lines:
            if line.result is Result.STAGED and not line.message:
                line = replace(line, message=INACTIVE)
            if line.result is not Result.UNCHANGED or line.warnings:
                syncing.recording(tx, directory, line)
                told = True
        self.noting.lines.clear()
        return told


def carry_out(tx: Transaction, hosting: Hosting, directory: Directory, record: Record) -> Result:
    """Do what a staged record proposes, in the caller's transaction; what became of it.

    `skipped` where it has happened since, or nobody is there any more. It writes no line.
    """
    visit, id = Visit.of(hosting, directory), record.resource_id or ""
    if record.kind == "Group":
        if not sourced.numbers(tx, visit.groups.shelving.shelf, [id]):
            return Result.SKIPPED
        visit.groups.left(tx, id)
        return Result.DELETED
    user = users.find(tx, directory.project, id)
    if user is None or user.directory != directory.id or user.status is Status.DELETED:
        return Result.SKIPPED
    how = record.held or Result.SUSPENDED
    if how is Result.SUSPENDED and not user.idp_active:
        return Result.SKIPPED
    visit.people.left(tx, id, how)
    return how


def is_active(document: Document) -> bool:
    """Whether whoever is shown has access as far as the source says: silence is a yes."""
    return document.get("active") is not False


def _as(kind: type[T], plain: Any) -> T:
    return kind(**{each.name: getattr(plain, each.name) for each in fields(plain)})


def _asked(
    type: ResourceType, id: str, accepted: Accepted | None, steps: Sequence[MemberChange] = ()
) -> Asked:
    def change(before: Document, extras: Document) -> Accepted:
        if accepted is None:
            return Accepted(dict(before), dict(extras))
        return replacing(type, accepted, before)

    return Asked(id, change, steps, ANY, NOTHING)
