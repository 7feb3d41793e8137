"""People mapped again: what is kept of what their directory said meets the mapping of today."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import orjson

from broker.db.database import Duplicate, Transaction
from broker.domain.directories import Directory
from broker.domain.errors import Invalid
from broker.domain.runs import Result
from broker.domain.users import User
from broker.service.describing import described
from broker.service.documents import Document
from broker.service.hosting import Hosting
from broker.service.mapping import Compiled
from broker.service.provisioning import Users
from broker.service.refusals import Attempted
from broker.store import users
from broker.store.resources import Resource
from scim.document import Accepted, load
from scim.fold import fold


class Taken(Duplicate):
    """The userName that a mapping makes is another person's; nothing was written."""


@dataclass(frozen=True, slots=True)
class Remapping(Users):
    """The people of one directory, as a run maps them again; whoever stays as they are, and about
    whom nothing is to be said, is no record.
    """

    @classmethod
    def of(cls, hosting: Hosting, directory: Directory) -> "Remapping":
        """As any other visitor of the directory finds them."""
        plain = hosting.users(directory)
        return cls(**{each.name: getattr(plain, each.name) for each in fields(plain)})

    def each(
        self,
        tx: Transaction,
        found: Sequence[tuple[Resource, bytes]],
        mapping: Compiled,
        met: Exception | None = None,
    ) -> int:
        """Map these locked people; how many of them are no record. Or write down that each fails by
        what was `met` before.
        """
        project = self.directory.project
        people = users.some(tx, project, [resource.id for resource, _ in found])
        unchanged = 0
        for resource, extras in found:
            document, aside = load(resource.document), orjson.loads(extras)
            user = people[resource.id]
            if met is not None:
                self.failing(tx, user, document, met)
                continue
            try:
                unchanged += not self.again(tx, user, document, aside, mapping)
            except (Invalid, Taken) as error:  # before anything of this person was written
                self.failing(tx, user, document, error)
        return unchanged

    def again(
        self,
        tx: Transaction,
        user: User,
        document: Document,
        extras: Document,
        mapping: Compiled,
        *,
        always: bool = False,
    ) -> bool:
        """Keep what the mapping makes of a person where it differs: before and after are in the
        record. Whether there is one; `always` asks for it.

        Invalid, Taken: nothing was written, and the person stays as they are.
        """
        mapped = mapping.mapped(document, extras)
        name = mapped.profile.user_name
        if fold(name) != fold(user.user_name) and users.named(tx, user.project, name):
            raise Taken(name)
        barred = self._renamed(tx, user, document, mapped.profile)
        made = described(tx, user, mapped, document.get("externalId"))
        warnings = (*mapping.unmapped(extras), *mapped.warnings, *made.warnings)
        if not (always or barred or made.changes or warnings):
            return False
        result = Result.UPDATED if made.changes else Result.UNCHANGED
        self._record(
            tx,
            Result.SUSPENDED if barred else result,
            user.id,
            document,
            warnings=warnings,
            changes=made.changes,
        )
        return True

    def once_more(self, tx: Transaction, accepted: Accepted, met: Exception | None) -> None:
        """Create who could not be created; or write down that it failed by what was `met`."""
        if met is None:
            self._creating(tx, self.new_id(), accepted, frozenset())
            return
        attempted = self._attempted(None, accepted.document)
        attempted = replace(attempted, meant=lambda _: accepted)
        self.syncing.failing(tx, self.directory, attempted, met)

    def failing(self, tx: Transaction, user: User, document: Document, error: Exception) -> None:
        """Write down that a person cannot be mapped, and why."""
        name = str(error) if isinstance(error, Taken) else document.get("userName", "")
        attempted = Attempted("User", user.id, user.external_id, name)
        self.syncing.failing(tx, self.directory, attempted, error)
