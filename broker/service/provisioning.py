"""A pushed person: mapped, kept and recorded, in one transaction (`Resources` for Users)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain import ids, user_states
from broker.domain.changes import differences
from broker.domain.mapping import Profile
from broker.domain.runs import Change, Result
from broker.domain.users import Event, Status, SuspendedBy, User
from broker.service import consequences
from broker.service.adopting import adopted
from broker.service.belonging import Belonging
from broker.service.describing import described, given_logons
from broker.service.documents import Asked, Document, Documents
from broker.service.licensing import Licensing
from broker.service.mapping import Mappings
from broker.service.searching import Outside, stored
from broker.service.withholding import Withholding
from broker.store import audit, licenses, nesting, resources, tombstones, users
from scim.document import Accepted
from scim.etag import IfMatch
from scim.fold import fold
from scim.resources import Stored

ENDED = {
    "U9": Result.SUSPENDED,
    "U10": Result.SUSPENDED,
    "U11": Result.SUSPENDED,
    "R5": Result.STAGED,
}


@dataclass(frozen=True, slots=True)
class Users(Documents):
    """The people of one directory: invited, never active, without a license (U1, U2, R123, R131).

    Deleting one leaves a tombstone, and the userName is free again (U15).
    """

    belonging: Belonging
    licensing: Licensing
    mappings: Mappings

    def _finding(self, tx: Transaction, id: str, computed: frozenset[str]) -> Stored | None:
        """One statement for what is asked most: the document and direct groups."""
        if computed != {"groups"}:
            return Documents._finding(self, tx, id, computed)
        found = nesting.find_with_groups(tx, self.shelving.shelf, id)
        if found is None:
            return None
        resource, groups, nested = found
        if nested:
            return self._answered(tx, resource, computed)
        return stored(resource, self.belonging.direct(groups))

    def _creating(
        self, tx: Transaction, id: str, accepted: Accepted, computed: frozenset[str]
    ) -> Stored:
        document = accepted.document
        mapping = self.mappings.of(tx, self.directory)
        mapped = mapping.mapped(document, accepted.extras)
        profile, result = mapped.profile, Result.CREATED
        changes: tuple[Change, ...] = ()
        taken = adopted(tx, self.directory, profile, document.get("externalId"))
        if taken is None:
            self._invited(tx, id, document, profile)
        else:
            id, result = taken.id, self._returned(tx, taken, document)
            changes = (Change("directory", None, self.directory.id),)
        given = given_logons(tx, self.directory.project, id, mapped)
        resource = self.shelving.inserted(tx, id, accepted, profile.label)
        self._record(
            tx,
            result,
            id,
            document,
            held=Result.SUSPENDED if result is Result.STAGED else None,
            warnings=(*mapping.warned(accepted.warnings), *mapped.warnings, *given.warnings),
            changes=changes,
        )
        return self._answered(tx, resource, computed - {"groups"})  # nobody is born into a group

    def _changing(self, tx: Transaction, asked: Asked) -> Stored:
        id = asked.id
        resource, before, extras = self.shelving.locked(tx, id, asked.if_match)
        accepted = asked.change(before, extras)
        document = accepted.document
        mapping = self.mappings.of(tx, self.directory)
        mapped = mapping.mapped(document, accepted.extras)
        user = users.get(tx, self.directory.project, id)
        barred = self._renamed(tx, user, document, mapped.profile)
        heard = self._heard(tx, user, document)
        label = mapped.profile.label
        after = self.shelving.changed(tx, resource, accepted, label, was=before, extras=extras)
        made = described(tx, user, mapped, document.get("externalId"))
        changed = after.version != resource.version or bool(made.changes)
        result = _result(barred or heard, changed=changed)
        self._record(
            tx,
            result,
            id,
            document,
            held=Result.SUSPENDED if result is Result.STAGED else None,
            warnings=(*mapping.warned(accepted.warnings), *mapped.warnings, *made.warnings),
            changes=_told(differences(before, document), made.changes),
        )
        return self._answered(tx, after, asked.computed)

    def _deleting(self, tx: Transaction, id: str, if_match: IfMatch) -> None:
        resource, document = self.shelving.leaving(tx, id, if_match)
        after = self._withholding.ending(tx, self.directory, id, Event.DELETED, self._actor)
        resources.delete(tx, self.shelving.shelf, resource.n)
        if after.user.deletion_is_held:
            self._record(tx, Result.STAGED, id, document, held=Result.DELETED)
        else:
            self._record(tx, Result.DELETED, id, document)

    def _invited(self, tx: Transaction, id: str, document: Document, profile: Profile) -> None:
        """Somebody new: U1, U2, U16."""
        past = self._past(tx, document, profile)
        after = user_states.provisioned(
            self._person(tx, id, document, profile),
            now=tx.now,
            tombstones=(past,) if past else (),
        )
        users.insert(tx, after.user)
        consequences.carry_out(tx, after.user, after.effects)
        consequences.announce(tx, None, after, self._actor)

    def _returned(self, tx: Transaction, user: User, document: Document) -> Result:
        """Somebody adopted, whom this directory says is active or not (U9 to U14, safety 12)."""
        row: str | None
        lapsed = user.suspended_by is SuspendedBy.DETACHED and document.get("active", True)
        if lapsed:
            row = self._withholding.returning(tx, user, self._actor).row
        else:
            row = self._heard(tx, user, document)
        return _result(row, changed=True)

    def _past(self, tx: Transaction, document: Document, profile: Profile) -> User | None:
        """The tombstone that counts for these names (safety 6), once none is held back (R5)."""
        directory = self.directory
        named = document.get("externalId"), profile.user_name
        past = tombstones.past(tx, directory.project, directory.id, *named)
        while past is not None and past.deletion_is_held:
            self._withholding.created_again(tx, past, self._actor)
            past = tombstones.past(tx, directory.project, directory.id, *named)
        return past

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
        if said:
            return self._withholding.returning(tx, user, self._actor).row
        event = Event.DIRECTORY_INACTIVE
        return self._withholding.ending(tx, self.directory, user.id, event, self._actor).row

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

    def _outside(
        self, tx: Transaction, found: Mapping[int, str], names: frozenset[str]
    ) -> dict[int, Outside]:
        return self.belonging.of_users(tx, found, names)

    @property
    def _withholding(self) -> Withholding:
        return Withholding(self.licensing)

    @property
    def _actor(self) -> str:
        return f"directory:{self.directory.id}"


def _told(said: Sequence[Change], made: Sequence[Change]) -> tuple[Change, ...]:
    """What the directory changed; of what was made of it only what is not the same told again."""
    return (*said, *(each for each in made if not said or "." in each.path))


def _result(row: str | None, *, changed: bool) -> Result:
    if row in ENDED:
        return ENDED[row]
    return Result.UPDATED if changed or row else Result.UNCHANGED
