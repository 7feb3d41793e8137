"""What a source shows becomes ours: a hundred records or so in one transaction.

What is as it was costs a comparison, and no statement of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import orjson

from broker.db.database import Row, Transaction
from broker.domain.directories import Directory
from broker.domain.runs import Record, Result
from broker.service.hosting import Hosting
from broker.service.meeting import Item, Meeting, ends
from broker.service.proposing import Visit
from broker.service.refusals import Attempted
from broker.store import seen, sourced
from broker.store.resources import Shelf
from broker.store.seen import Seen
from providers.sources.reading import Found
from scim.document import accept
from scim.errors import InvalidValue, ScimError
from scim.members import MemberChange
from scim.rules import title
from scim.tolerance import STANDARD

KEY_LIMIT = 512
"""Characters of an id at a source."""
KINDS = ("User", "Group")
REFUSED = "Refused"
"""Seen without a key: a record that could not be read."""
MISSED = "The source does not show it any more."
UNREADABLE = "Correct it at the source; the next sync reads it again."


@dataclass(frozen=True, slots=True)
class Taking:
    """Units for one run of one directory.

    `translated` are fields of the source's own that need no rule. `anew`: it is read from its
    beginning, so that the first word about a group's members replaces what was known.
    """

    hosting: Hosting
    directory: Directory
    run: str
    translated: frozenset[str]
    anew: bool

    def item(self, found: Found) -> Item:
        """A record of the source, judged: what is wrong with it fails it alone."""
        digest = _digest(found.body, found.gone, found.members)
        if found.gone:
            return Item(found, digest)
        try:
            if not _is_storable(found.key):
                raise InvalidValue("Its id at the source is none that anybody could keep.")
            accepted = accept(self.hosting.catalogue.by_name[found.kind], found.body, STANDARD)
        except ScimError as problem:
            return Item(found, digest, problem=problem)
        unused = tuple(w for w in accepted.warnings if w.attribute not in self.translated)
        return Item(found, digest, replace(accepted, warnings=unused))

    def take(self, tx: Transaction, items: Sequence[Item]) -> int:
        """Take records of one kind, each key once; how many are as they were.

        What this run took before and says the same is passed over. An error undoes all of it: the
        records are then taken one by one, and `fail` notes those that cannot be.
        """
        kind = items[0].found.kind
        keys = [each.key for each in items if _is_storable(each.key)]
        before = seen.of(tx, self.directory.project, self.run, kind, keys)
        fresh = [each for each in items if before.get(each.key) != each.digest]
        for each in fresh:
            if each.problem is not None:
                self.fail(tx, each, each.problem)
        whole = [each for each in fresh if each.problem is None]
        if not whole:
            return 0
        meeting = Meeting.of(tx, self.hosting, self.directory, self.run, kind, whole)
        unchanged = 0
        for each in whole:
            as_it_was = meeting.take(tx, each, first=self.anew and not before.get(each.key))
            unchanged += as_it_was and each.key not in before
        meeting.remember(tx)
        return unchanged

    def fail(self, tx: Transaction, item: Item, error: Exception) -> None:
        """Write down that a record failed; whom it speaks of is not absent for it."""
        kind, known = item.found.kind, None
        if _is_storable(item.key):
            known = sourced.by_keys(tx, self.shelf(kind), [item.key]).get(item.key)
        named = title(self.hosting.catalogue.by_name[kind])
        attempted = Attempted.of(
            kind, known and known.resource.id, item.found.body, named=named.name if named else ""
        )
        attempted = replace(attempted, meant=lambda _: item.accepted)
        Visit.of(self.hosting, self.directory).noting.failing(tx, self.directory, attempted, error)
        if _is_storable(item.key):
            self.saw(tx, [Seen(kind, item.key, item.digest, known and known.resource.n)])

    def refuse(
        self, tx: Transaction, refused: Sequence[tuple[str | None, str]], at: str | None
    ) -> None:
        """Write down records of the page `at` that could not be read; known ones are not absent."""
        for place, (key, why) in enumerate(refused):
            name, kind = key or _digest(at, place), "User" if key else REFUSED
            digest, name = _digest(why), name if _is_storable(name) else _digest(name)
            project = self.directory.project
            if seen.of(tx, project, self.run, kind, [name]).get(name) == digest:
                continue
            known = {each: sourced.by_keys(tx, self.shelf(each), [name]) for each in KINDS}
            found = next((each[name].resource for each in known.values() if each), None)
            record = Record(
                run="",
                kind=next((each for each in KINDS if known[each]), "User"),
                result=Result.FAILED,
                at=tx.now,
                resource_id=found and found.id,
                name=key or "",
                message=why,
                next=UNREADABLE,
            )
            noting = Visit.of(self.hosting, self.directory).noting
            noting.failed_at_once(tx, self.directory, record, "unreadable")
            marks = [Seen(k, name, digest, known[k][name].resource.n) for k in KINDS if known[k]]
            self.saw(tx, marks or [Seen(kind, name, digest, None)])

    def join(self, tx: Transaction, waiting: Sequence[Seen]) -> None:
        """Put members into groups that came before them; whoever is nobody now is a warning."""
        groups: dict[str, list[str]] = {}
        for each in waiting:
            group, _, key = each.key.partition("/")
            groups.setdefault(group, []).append(key)
        of = self.directory
        keys = [key for some in groups.values() for key in some]
        ids = sourced.members(tx, of.project, of.id, keys)
        visit = Visit.of(self.hosting, of)
        for group in sourced.numbers(tx, self.shelf("Group"), list(groups)):
            step = MemberChange("add", tuple(ids.get(key, key) for key in groups[group]))
            visit.groups.said(tx, group, None, (step,))
        visit.tell(tx, self.hosting.syncing, of)

    def propose(self, tx: Transaction, kind: str, missing: Sequence[Row]) -> None:
        """Propose what becomes of those whom a whole reading did not show (`Directory.absent`)."""
        how = ends(self.directory, kind)
        assert how is not None
        for row in missing:
            record = Record("", kind, Result.STAGED, tx.now, row["id"], row["external_key"],
                            row["display"], message=MISSED, held=how)  # fmt: skip
            self.hosting.syncing.recording(tx, self.directory, record)

    def shelf(self, kind: str) -> Shelf:
        """Where resources of a kind are."""
        return Shelf(self.directory.project, self.directory.id, kind)

    def saw(self, tx: Transaction, found: Sequence[Seen]) -> None:
        """Remember that the run has found these."""
        seen.keep(tx, self.directory.project, self.run, found)


def _digest(*said: Any) -> str:
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def _is_storable(key: str) -> bool:
    return len(key) <= KEY_LIMIT and "\x00" not in key
