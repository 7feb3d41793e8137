"""What is kept outside a document and made anew for each answer: members, groups, our status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.db.database import Transaction
from broker.domain.clock import rfc3339
from broker.domain.users import User
from broker.service.searching import Outside
from broker.store import members, nesting, queue, users
from broker.store.members import Entry
from broker.store.nesting import Membership
from scim.errors import TooMany

ENDPOINTS = {"User": "/Users/", "Group": "/Groups/"}
DISPLAY = "members.display"
MOST = 20_000
"""Members held at once, of all groups of a page, or that a filter looks at together."""
BROKER = "urn:ietf:params:scim:schemas:extension:broker:2.0:User"


class Crowded(TooMany):
    """The filter looks at more members than the service is willing to read."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """Members and groups as one directory sees them, below `base_url`; one statement a page."""

    project: str
    base_url: str

    def of_users(
        self, tx: Transaction, found: Mapping[int, str], names: frozenset[str]
    ) -> dict[int, Outside]:
        """`groups`, also by nesting (RFC 7643 section 4.1.2), and the broker extension."""
        outside: dict[int, Outside] = {}
        if "groups" in names:
            above = nesting.groups_of(tx, self.project, list(found))
            outside = {n: {"groups": self.groups(groups)} for n, groups in above.items()}
        if BROKER in names:
            standing = _standing(tx, self.project, found)
            for n, where in standing.items():
                outside[n] = outside.get(n, {}) | {BROKER: where}
        return outside

    def of_groups(
        self, tx: Transaction, found: Mapping[int, str], names: frozenset[str]
    ) -> dict[int, Outside]:
        """`members`, each with its address, and with its present name where that is asked for;
        Crowded where they are more than 20,000.
        """
        if "members" not in names:
            return {}
        held = members.of_groups(tx, self.project, list(found), MOST)
        if held is None:
            raise Crowded
        return {n: {"members": self.members(entries, names)} for n, entries in held.items()}

    def numbered(
        self, tx: Transaction, numbers: Sequence[int], names: frozenset[str]
    ) -> list[dict[str, Any]]:
        """The members of these numbers as answered, without those who are gone."""
        return self.members(members.numbered(tx, self.project, numbers), names)

    def members(
        self, entries: Sequence[Entry], names: frozenset[str] = frozenset({DISPLAY})
    ) -> list[dict[str, Any]]:
        """Members as answered (RFC 7643 section 4.2)."""
        if DISPLAY in names:
            return [self._entry(entry, type=entry.type) for entry in entries]
        at = {type: self.base_url + path for type, path in ENDPOINTS.items()}
        return [
            {"value": each.id, "$ref": at[each.type] + each.id, "type": each.type}
            for each in entries
        ]

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


def _standing(tx: Transaction, project: str, found: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    people = users.some(tx, project, list(found.values()))
    waiting = [user.queue_seq for user in people.values() if user.queue_seq is not None]
    places = queue.places(tx, project, last=max(waiting)) if waiting else {}
    return {n: _status(people[id], places.get(id)) for n, id in found.items() if id in people}


def _status(user: User, place: int | None) -> dict[str, Any]:
    standing = {
        "status": user.status.value,
        "statusReason": user.status_reason,
        "invitedAt": user.invited_at and rfc3339(user.invited_at),
        "activatedAt": user.activated_at and rfc3339(user.activated_at),
        "queuePosition": place,
    }
    return {name: value for name, value in standing.items() if value is not None}
