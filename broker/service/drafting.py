"""Mappings as administrators work on them: read, saved as a new version, tried on one record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from broker.db.database import Database, Transaction
from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.errors import BrokerError, Invalid, NotFound, Problem, Stale
from broker.domain.mapping import CUSTOM, FIELDS, LOGONS, Profile, Warning
from broker.domain.subjects import Subject
from broker.domain.users import User
from broker.service.mapping import Compiled, Mappings, Step, compiled
from broker.service.reading import Members
from broker.store import audit, directories, logons, mappings, projects, resources, users
from broker.store.mappings import Kept
from broker.store.resources import Shelf
from scim.document import accept, load
from scim.errors import ScimError
from scim.tolerance import STANDARD, STRICT

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MappingView:
    """One version of a directory's mapping; `current` is the version in force."""

    kept: Kept
    compiled: Compiled
    current: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a mapping would make of one record: step by step, before and after, by target.

    `before` None: nobody is here yet; `after` None: the record would fail, and `error` says why.
    """

    steps: list[Step]
    before: Mapping[str, str] | None = None
    after: Mapping[str, str] | None = None
    warnings: tuple[Warning, ...] = ()
    error: BrokerError | None = None


@dataclass(frozen=True, slots=True)
class Drafting:
    """Each public verb is one transaction; that of a preview writes nothing."""

    db: Database
    mappings: Mappings

    async def get(self, project: str, id: str, version: int | None = None) -> MappingView:
        """A version of the directory's mapping, the one in force unless named; NotFound."""
        return await self.db.read(self._getting, project, id, version)

    async def save(self, caller: Caller, id: str, said: object, seen: int | None) -> MappingView:
        """The mapping that is in force from now on, as the next version; nothing is synced by it.

        Invalid names every problem. Forbidden where it writes logons and this is no
        administrator's session (safety 9). Stale where the one in force is not `seen`.
        """
        return await self.db.write(self._saving, caller, id, said, seen)

    async def preview(self, project: str, id: str, said: object) -> Preview:
        """One record through a draft, or through the mapping in force: `user_id`, `external_id` or
        a `document` says which; `mapping` is the draft. Invalid, NotFound.
        """
        return await self.db.read(self._previewing, project, id, said)

    def _getting(self, tx: Transaction, project: str, id: str, version: int | None) -> MappingView:
        current = directories.get(tx, project, id).mapping_version
        kept = mappings.get(tx, project, id, current if version is None else version)
        return MappingView(kept, self.mappings.compiled(kept), current)

    def _saving(
        self, tx: Transaction, caller: Caller, id: str, said: object, seen: int | None
    ) -> MappingView:
        with Members(said, "") as members:
            draft = self._draft(tx, caller.project, members)
        directories.get(tx, caller.project, id)
        if draft.writes_logons:
            caller.require_administrator()
        kept = mappings.add(tx, caller.project, id, draft.rendered(), caller.actor, seen)
        if kept is None:
            raise Stale(reason="mapping-changed", next="Read the mapping again.")
        rules = len(draft.lines)
        act = "directory.mapping"
        audit.append(tx, caller.project, caller.actor, act, id, version=kept.version, rules=rules)
        return MappingView(kept, draft, kept.version)

    def _draft(self, tx: Transaction, project: str, said: Members) -> Compiled:
        """What was written, held to the fields and suffixes that the project declares."""
        targets = (
            *FIELDS,
            *(CUSTOM + each for each in projects.get(tx, project).fields),
            *(LOGONS + each for each in logons.declared(tx, project).values()),
        )
        return compiled(said, self.mappings.people, targets=targets)

    def _previewing(self, tx: Transaction, project: str, id: str, said: object) -> Preview:
        with Members(said, "") as members:
            members.close("user_id", "external_id", "document", "mapping")
            document = members.raw("document")
            user_id = members.text_or_none("user_id")
            external_id = members.text_or_none("external_id")
            if [document, user_id, external_id].count(None) != 2:
                members.wrong("", "not_one_way", "One of user_id, external_id and document.")
            inner = members.inner_or_none("mapping")
            draft = self._draft(tx, project, inner) if inner else None
        directory = directories.get(tx, project, id)
        using = draft or self.mappings.of(tx, directory)
        if document is not None:
            return _tried(tx, directory, using, *self._accepted(directory, document), None)
        user = users.by_subject(tx, project, _subject(directory, user_id, external_id))
        return _tried(tx, directory, using, *self._stored(tx, directory, user), user)

    def _accepted(self, directory: Directory, document: Document) -> tuple[Document, Document]:
        tolerance = STRICT if directory.tolerance == "strict" else STANDARD
        try:
            accepted = accept(self.mappings.people, document, tolerance)
        except ScimError as error:
            raise Problem("/document", "not_accepted", error.detail).alone() from None
        except RecursionError:
            raise Problem("/document", "too_deep", "It is nested too deeply.").alone() from None
        return accepted.document, accepted.extras

    def _stored(
        self, tx: Transaction, directory: Directory, user: User | None
    ) -> tuple[Document, Document]:
        shelf = Shelf(directory.project, directory.id, self.mappings.people.name)
        found = resources.whole(tx, shelf, user.id) if user else None
        if found is None:
            raise NotFound()
        resource, extras = found
        return load(resource.document), orjson.loads(extras)


def _subject(directory: Directory, user_id: str | None, external_id: str | None) -> Subject:
    if user_id is not None:
        return Subject(user_id=user_id)
    return Subject(external_id=external_id, directory=directory.id)


def _tried(
    tx: Transaction,
    directory: Directory,
    using: Compiled,
    document: Document,
    extras: Document,
    user: User | None,
) -> Preview:
    steps = [Step("read", output={"document": document, "extras": extras})]
    maps = list(using.steps(document, extras))
    try:
        mapped = using.mapped(document, extras)
    except Invalid as error:
        return Preview([*steps, *maps], _before(tx, user), error=error)
    if user is None:
        user, match = _matched(tx, directory, using, document, mapped.profile)
    else:
        match = Step("match", {"id": user.id}, user.id)
    warnings = (*mapped.warnings, *using.unmapped(extras))
    after = shown(mapped.profile, mapped.logons)
    return Preview([*steps, match, *maps], _before(tx, user), after, warnings)


def _matched(
    tx: Transaction, directory: Directory, using: Compiled, document: Document, profile: Profile
) -> tuple[User | None, Step]:
    """Whom a document is found to be, and by what; else what would be done."""
    names = {"externalId": document.get("externalId"), "userName": profile.user_name}
    wanted = {by: names[by] for by in using.match if names[by]}
    for by, name in wanted.items():
        words = {"external_id": name} if by == "externalId" else {"user_name": name}
        user = users.by_subject(tx, directory.project, Subject(directory=directory.id, **words))
        if user and not user.deleted_at:
            return user, Step("match", {by: name}, user.id)
    return None, Step("match", wanted, str(using.unmatched))


def _before(tx: Transaction, user: User | None) -> dict[str, str] | None:
    if user is None:
        return None
    return shown(user.profile, logons.of_user(tx, user.project, user.id))


def shown(profile: Profile, held: Mapping[str, str]) -> dict[str, str]:
    """A profile and logons by suffix, by the targets that mappings fill."""
    return profile.by_target | {LOGONS + suffix: value for suffix, value in held.items() if value}
