"""One record, step by step: read, match, map and, if that is wished, apply, in a run of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from broker.db.database import Database, Transaction
from broker.db.seal import Unreadable
from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.errors import Conflict, Invalid, NotFound
from broker.domain.runs import Kind, Record, Trigger
from broker.domain.subjects import Subject
from broker.domain.users import User
from broker.service import proposing
from broker.service.drafting import Drafting, Preview
from broker.service.hosting import Hosting
from broker.service.mapping import Step
from broker.service.occupied import occupied
from broker.service.reapplying import REFUSED, said
from broker.service.remapping import Remapping
from broker.service.sources import Sources
from broker.service.syncing import ending
from broker.service.taking import Taking
from broker.store import directories, held, pages, records, resources, retries, runs, seen, users
from broker.store.pages import Where
from broker.store.resources import Shelf
from providers.errors import ProviderError
from providers.sources.reading import CanReadDirectory, Found
from scim.document import load

SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"


@dataclass(frozen=True, slots=True)
class Trace:
    """What a record would become, or became in `run`; `preview` None: it could not be read, and
    `error` says why.
    """

    preview: Preview | None
    run: str | None = None
    error: str | None = None


class Meant(NamedTuple):
    """Whom a trace is about: who is here, or which failed record speaks of them, and by which key
    the source knows them.
    """

    directory: Directory
    user: User | None
    failed: tuple[int, Record] | None
    key: str | None


class Read(NamedTuple):
    """What a source shows of somebody, and what reads it."""

    found: Found
    source: CanReadDirectory


@dataclass(frozen=True, slots=True)
class Tracing:
    """Runs for one record ("why did this happen to her?")."""

    hosting: Hosting
    sources: Sources

    async def trace(
        self,
        caller: Caller,
        directory: str,
        *,
        user_id: str | None = None,
        external_id: str | None = None,
        apply: bool = False,
    ) -> Trace:
        """What is known of somebody, followed through the mapping: read from the source where there
        is one, else as it is kept, else as the push said it that failed.

        Nothing is stored unless it is applied: then it is a run. NotFound, and Conflict
        `run-running` or `directory-disabled`.
        """
        caller.require("directories:write")
        meant = await self._db.read(_meant, caller.project, directory, user_id, external_id)
        if meant.directory.source is None:
            if meant.user is None and meant.failed is None:
                raise NotFound()
            return await self._followed(caller, meant, None, apply=apply)
        try:
            opened = self.sources.opened
            source = await self._db.write(opened, meant.directory, purpose="record")
            found = await source.one("User", meant.key or "")
        except (ProviderError, Unreadable) as error:
            return Trace(None, error=str(error))
        if found is None or found.gone:
            return Trace(None, error="The source shows nobody by this id.")
        return await self._followed(caller, meant, Read(found, source), apply=apply)

    async def _followed(
        self, caller: Caller, meant: Meant, read: Read | None, *, apply: bool
    ) -> Trace:
        drafting = Drafting(self._db, self.hosting.mappings)
        about = _told(meant, read)
        try:
            preview = await drafting.preview(caller.project, meant.directory.id, about)
        except Invalid as error:
            return Trace(None, error=str(error))
        if not apply:
            return Trace(preview)
        steps = preview.steps
        try:
            run = await self._db.write(self._applying, caller, meant, read, steps, None)
        except REFUSED as error:
            if getattr(error, "reason", None) in ("run-running", "directory-disabled"):
                raise
            run = await self._db.write(self._applying, caller, meant, read, steps, error)
        return Trace(preview, run)

    def _applying(
        self,
        tx: Transaction,
        caller: Caller,
        meant: Meant,
        read: Read | None,
        steps: list[Step],
        met: Exception | None,
    ) -> str:
        """The whole run in one transaction; with what was `met` before, a run that failed by it."""
        directory = directories.lock(tx, caller.project, meant.directory.id)
        if not directory.is_enabled:
            raise Conflict("The directory is disabled.", reason="directory-disabled")
        id = runs.open(
            tx,
            caller.project,
            directory.id,
            Trigger.MANUAL,
            Kind.RECORD,
            by=caller.actor,
            mapping_version=directory.mapping_version,
            expected=1,
        )
        run = runs.going(tx, caller.project, id) if id else None
        if run is None:
            raise occupied(tx, directory)
        if read is not None:
            self._take(tx, directory, run.id, read, met)
        else:
            self._map(tx, directory, meant, met)
        told = tuple(step.rendered() for step in steps)
        records.explain(tx, caller.project, run.id, told)
        ending(tx, run)
        return run.id

    def _take(
        self, tx: Transaction, directory: Directory, run: str, read: Read, met: Exception | None
    ) -> None:
        """Take what the source shows; what ends access is done where one run may do it (R5)."""
        taking = Taking(self.hosting, directory, run, read.source.translated, anew=False)
        item = taking.item(read.found)
        if met is not None:
            taking.fail(tx, item, met)
            return
        unchanged = taking.take(tx, [item])
        runs.go_on(tx, directory.project, run, None, unchanged=unchanged)
        seen.forget(tx, directory.project, run, 10)
        people = pages.count(tx, Shelf(directory.project, directory.id, "User"), Where())
        if directory.holding.most(people):
            for n, record in held.proposed(tx, directory.project, run, "User", 1):
                done = proposing.carry_out(tx, self.hosting, directory, record)
                held.settle(tx, directory.project, n, done)

    def _map(
        self, tx: Transaction, directory: Directory, meant: Meant, met: Exception | None
    ) -> None:
        """Map who is here again, or try once more what failed."""
        people, project = Remapping.of(self.hosting, directory), directory.project
        if meant.user is None and meant.failed is not None:
            n, record = meant.failed
            people.once_more(tx, said(record), met)
            retries.tried(tx, project, n)
            return
        assert meant.user is not None
        shelf = Shelf(project, directory.id, "User")
        found = resources.lock(tx, shelf, meant.user.id)
        if found is None:
            raise NotFound()
        user, document = users.get(tx, project, meant.user.id), load(found[0].document)
        if met is not None:
            people.failing(tx, user, document, met)
            return
        mapping = self.hosting.mappings.of(tx, directory)
        people.again(tx, user, document, orjson.loads(found[1]), mapping, always=True)

    @property
    def _db(self) -> Database:
        return self.hosting.syncing.db


def _meant(
    tx: Transaction, project: str, id: str, user_id: str | None, external_id: str | None
) -> Meant:
    directory = directories.get(tx, project, id)
    named = Subject(user_id=user_id) if user_id else Subject(external_id=external_id, directory=id)
    user = users.by_subject(tx, project, named)
    shelf = Shelf(project, id, "User")
    if user is None or resources.find(tx, shelf, user.id) is None:
        failed = retries.of_person(tx, project, id, external_id) if external_id else None
        return Meant(directory, None, failed, external_id)
    return Meant(directory, user, None, resources.source_key(tx, shelf, user.id) or external_id)


def _told(meant: Meant, read: Read | None) -> Mapping[str, Any]:
    """As a preview takes it."""
    if read is not None:
        return {"document": read.found.body}
    if meant.user is not None:
        return {"user_id": meant.user.id}
    assert meant.failed is not None
    accepted = said(meant.failed[1])
    return {"document": {"schemas": [SCHEMA], **accepted.document, **accepted.extras}}
