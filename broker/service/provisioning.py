"""A pushed person: mapped, kept and recorded, in one transaction (`Resources` for Users)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from broker.db.database import Transaction
from broker.domain import ids, mapping, user_states
from broker.domain.changes import differences
from broker.domain.directories import Directory
from broker.domain.mapping import Profile, Warning
from broker.domain.runs import Record, Result
from broker.domain.users import Event, Status, SuspendedBy, User
from broker.service.belonging import Belonging
from broker.service.licensing import HAPPENED, Licensing
from broker.service.refusals import Attempted, when_unavailable
from broker.service.searching import Searching, stored
from broker.service.shelving import Shelving, warned
from broker.service.syncing import Syncing
from broker.store import audit, events, licenses, members, resources, tombstones, users
from broker.store.resources import Keys, Resource
from scim.document import Accepted
from scim.errors import ScimError
from scim.etag import IfMatch
from scim.fold import exact, fold
from scim.patch import Patch
from scim.query import Query
from scim.resources import Attempt, Page, Stored

Document: TypeAlias = Mapping[str, Any]
Change: TypeAlias = Callable[[Document, Document], Accepted]
"""What the directory says now, given its document and extras so far."""

ENDED = frozenset({"U9", "U10", "U11"})


@dataclass(frozen=True, slots=True)
class Users:
    """The people of one directory, as its identity provider sees them."""

    directory: Directory
    shelving: Shelving
    belonging: Belonging
    licensing: Licensing
    syncing: Syncing
    searching: Searching

    async def create(self, accepted: Accepted, *, computed: frozenset[str]) -> Stored:
        """Provision a person: invited, never active, without a license (U1, U2, R123, R131)."""
        attempted = _attempted(None, accepted.document)
        return await self.syncing.pushed(
            self.directory, attempted, self._creating, accepted, computed
        )

    async def find(self, id: str, *, computed: frozenset[str]) -> Stored | None:
        """The person of that id, None where this directory has none (safety 1)."""
        with when_unavailable():
            return await self.syncing.db.peek(self._finding, id, computed)

    async def replace(
        self, id: str, accepted: Accepted, if_match: IfMatch, *, computed: frozenset[str]
    ) -> Stored:
        """Put this document in place of what the directory said of the person before."""
        return await self.syncing.pushed(
            self.directory,
            _attempted(id, accepted.document),
            self._changing,
            id,
            lambda _document, _extras: accepted,
            if_match,
            computed,
        )

    async def patch(
        self,
        id: str,
        patch: Patch,
        if_match: IfMatch,
        *,
        computed: frozenset[str],
        at_most: int | None,
    ) -> Stored:
        """Change what the patch names; people have no members, so `at_most` limits nothing."""
        del at_most

        return await self.syncing.pushed(
            self.directory, _attempted(id, {}), self._changing, id, patch.apply, if_match, computed
        )

    async def delete(self, id: str, if_match: IfMatch) -> None:
        """Delete the person: a tombstone stays, userName is free again (U15)."""
        await self.syncing.pushed(self.directory, _attempted(id, {}), self._deleting, id, if_match)

    async def search(self, query: Query) -> Page:
        """One page of the people the query matches."""
        return await self.searching.search(self.shelving.shelf, query, self.belonging.of_users)

    async def refused(self, attempt: Attempt, problem: ScimError) -> None:
        """A body that makes no sense is a failed record, with what can be told of its person."""
        attempted = _attempted(attempt.id, attempt.body)
        await self.syncing.failed(self.directory, attempted, problem)

    def _finding(self, tx: Transaction, id: str, computed: frozenset[str]) -> Stored | None:
        """One statement for what is asked most: the document and direct groups."""
        if computed != {"groups"}:
            resource = resources.find(tx, self.shelving.shelf, id)
            return self._answered(tx, resource, computed) if resource else None
        found = members.find_with_groups(tx, self.shelving.shelf, id)
        if found is None:
            return None
        resource, groups, nested = found
        if nested:
            return self._answered(tx, resource, computed)
        return stored(resource, self.belonging.direct(groups))

    def _creating(self, tx: Transaction, accepted: Accepted, computed: frozenset[str]) -> Stored:
        document, id = accepted.document, ids.new("usr")
        mapped = mapping.mapped(document)
        past = self._past(tx, document, mapped.profile)
        after = user_states.provisioned(
            self._person(tx, id, document, mapped.profile),
            now=tx.now,
            tombstones=(past,) if past else (),
        )
        users.insert(tx, after.user)
        keys = _keys(document, mapped.profile)
        resource = self.shelving.inserted(tx, id, document, keys, accepted.extras)
        self.licensing.settling(tx, after.user, after.effects)
        events.append(
            tx,
            self.directory.project,
            HAPPENED[after.user.status],
            user=id,
            row=after.row,
            cause="directory",
        )
        self._record(
            tx,
            Result.CREATED,
            id,
            document,
            warnings=(*warned(accepted.warnings), *mapped.warnings),
        )
        return self._answered(tx, resource, computed - {"groups"})  # nobody is born into a group

    def _changing(
        self, tx: Transaction, id: str, change: Change, if_match: IfMatch, computed: frozenset[str]
    ) -> Stored:
        resource, before, extras = self.shelving.locked(tx, id, if_match)
        accepted = change(before, extras)
        document = accepted.document
        mapped = mapping.mapped(document)
        user = users.get(tx, self.directory.project, id)
        barred = self._renamed(tx, user, document, mapped.profile)
        heard = self._heard(tx, user, document)
        keys = _keys(document, mapped.profile)
        after = self.shelving.changed(tx, resource, document, keys, accepted.extras, was=extras)
        changed = after.version != resource.version
        if changed:
            external_id = document.get("externalId")
            users.describe(tx, self.directory.project, id, mapped.profile, external_id)
        self._record(
            tx,
            _result(barred or heard, changed=changed),
            id,
            document,
            warnings=(*warned(accepted.warnings), *mapped.warnings),
            before=before,
        )
        return self._answered(tx, after, computed)

    def _deleting(self, tx: Transaction, id: str, if_match: IfMatch) -> None:
        resource, document, _ = self.shelving.leaving(tx, id, if_match)
        self.licensing.happening(tx, self.directory.project, id, Event.DELETED, self._actor)
        resources.delete(tx, self.shelving.shelf, resource.n)
        self._record(tx, Result.DELETED, id, document)

    def _past(self, tx: Transaction, document: Document, profile: Profile) -> User | None:
        """The tombstone that counts for these names (safety 6)."""
        external_id = document.get("externalId")
        return tombstones.past(
            tx, self.directory.project, self.directory.id, external_id, profile.user_name
        )

    def _renamed(
        self, tx: Transaction, user: User, document: Document, profile: Profile
    ) -> str | None:
        """What new names ask of the person's status, as the row that answered (safety 6).

        An administrator's suspension stays with a name: whoever leaves it suspended leaves a
        tombstone there, and whoever takes it is suspended, as one created under it would be.
        """
        names = fold(profile.user_name), document.get("externalId")
        if names == (fold(user.user_name), user.external_id):
            return None
        licenses.lock(tx, user.project)  # before any person, as everywhere
        user = users.lock(tx, user.project, user.id)
        if user.suspended_by is SuspendedBy.ADMIN:
            tombstones.leave(tx, user_states.left_behind(user, ids.new("usr"), now=tx.now))
            return None
        past = self._past(tx, document, profile)
        if past is None or past.suspended_by is not SuspendedBy.ADMIN:
            return None
        why, event = past.status_reason, Event.SUSPENDED
        row = self.licensing.happening(
            tx, user.project, user.id, event, self._actor, reason=why
        ).row
        about = {"row": row, "tombstone": past.id}
        audit.append(tx, user.project, self._actor, "user.suspended", user.id, **about)
        return row

    def _heard(self, tx: Transaction, user: User, document: Document) -> str | None:
        """What `active` asks of the person's status, as the row that answered (U9 to U14).

        Access ends and comes back by a word only: a document that does not say `active` leaves
        things as they are.
        """
        said = document.get("active")
        if said is None or said is user.idp_active:
            return None
        event = Event.DIRECTORY_ACTIVE if said else Event.DIRECTORY_INACTIVE
        return self.licensing.happening(tx, user.project, user.id, event, self._actor).row

    def _person(self, tx: Transaction, id: str, document: Document, profile: Profile) -> User:
        return User(
            id=id,
            project=self.directory.project,
            directory=self.directory.id,
            external_id=document.get("externalId"),
            profile=profile,
            status=Status.INVITED,
            created_at=tx.now,
            changed_at=tx.now,
            idp_active=document.get("active", True),
        )

    def _record(
        self,
        tx: Transaction,
        result: Result,
        id: str,
        document: Document,
        *,
        warnings: Sequence[Warning] = (),
        before: Document | None = None,
    ) -> None:
        record = Record(
            run="",
            kind="User",
            result=result,
            at=tx.now,
            resource_id=id,
            external_id=document.get("externalId"),
            name=document["userName"],
            warnings=tuple(warnings),
            changes=differences(before, document) if before is not None else (),
        )
        self.syncing.recording(tx, self.directory, record)

    def _answered(self, tx: Transaction, resource: Resource, computed: frozenset[str]) -> Stored:
        outside = self.belonging.of_users(tx, [resource], computed)
        return stored(resource, outside.get(resource.n, {}))

    @property
    def _actor(self) -> str:
        return f"directory:{self.directory.id}"


def _attempted(id: str | None, body: Document) -> Attempted:
    return Attempted.of("User", id, body, named="userName")


def _keys(document: Document, profile: Profile) -> Keys:
    external_id = document.get("externalId")
    return Keys(fold(profile.user_name), external_id and exact(external_id), profile.label)


def _result(row: str | None, *, changed: bool) -> Result:
    if row in ENDED:
        return Result.SUSPENDED
    return Result.UPDATED if changed or row else Result.UNCHANGED
