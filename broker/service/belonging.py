"""What is kept outside a document and made anew for each answer: members, groups, our status."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker.db.database import Transaction
from broker.domain.clock import rfc3339
from broker.domain.users import User
from broker.service.searching import Outside
from broker.store import members, queue, users
from broker.store.members import Entry, Membership
from broker.store.resources import Resource

ENDPOINTS = {"User": "/Users/", "Group": "/Groups/"}
BROKER = "urn:ietf:params:scim:schemas:extension:broker:2.0:User"


@dataclass(frozen=True, slots=True)
class Belonging:
    """Members and groups as one directory sees them, below `base_url`; one statement a page."""

    project: str
    base_url: str

    def of_users(
        self, tx: Transaction, resources: Sequence[Resource], names: frozenset[str]
    ) -> dict[int, Outside]:
        """`groups`, also by nesting (RFC 7643 section 4.1.2), and the broker extension."""
        outside: dict[int, Outside] = {}
        if "groups" in names:
            found = members.groups_of(tx, self.project, [each.n for each in resources])
            outside = {n: {"groups": self.groups(groups)} for n, groups in found.items()}
        if BROKER in names:
            standing = _standing(tx, self.project, resources)
            for n, where in standing.items():
                outside[n] = outside.get(n, {}) | {BROKER: where}
        return outside

    def of_groups(
        self, tx: Transaction, resources: Sequence[Resource], names: frozenset[str]
    ) -> dict[int, Outside]:
        """`members`, each with its address and what it is called now."""
        if "members" not in names:
            return {}
        found = members.of_groups(tx, self.project, [each.n for each in resources])
        return {n: {"members": self.members(entries)} for n, entries in found.items()}

    def members(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Members as answered."""
        return [self._entry(entry, type=entry.type) for entry in entries]

    def direct(self, groups: Sequence[Entry]) -> Outside:
        """What a person's direct groups, who are in no others, come to."""
        return {"groups": self.groups([Membership(group, direct=True) for group in groups])}

    def groups(self, groups: Sequence[Membership]) -> list[dict[str, Any]]:
        """Groups of somebody as answered."""
        return [
            self._entry(each.group, type="direct" if each.direct else "indirect") for each in groups
        ]

    def _entry(self, entry: Entry, *, type: str) -> dict[str, Any]:
        reference = f"{self.base_url}{ENDPOINTS[entry.type]}{entry.id}"
        return {"value": entry.id, "$ref": reference, "display": entry.display, "type": type}


def _standing(
    tx: Transaction, project: str, resources: Sequence[Resource]
) -> dict[int, dict[str, Any]]:
    people = users.some(tx, project, [each.id for each in resources])
    waiting = [user.queue_seq for user in people.values() if user.queue_seq is not None]
    places = queue.places(tx, project, last=max(waiting)) if waiting else {}
    return {
        each.n: _status(people[each.id], places.get(each.id))
        for each in resources
        if each.id in people
    }


def _status(user: User, place: int | None) -> dict[str, Any]:
    standing = {
        "status": user.status.value,
        "statusReason": user.status_reason,
        "invitedAt": user.invited_at and rfc3339(user.invited_at),
        "activatedAt": user.activated_at and rfc3339(user.activated_at),
        "queuePosition": place,
    }
    return {name: value for name, value in standing.items() if value is not None}
