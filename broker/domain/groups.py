"""Groups as a directory pushes them; who is in one is kept in rows, never in its document."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """A group of one directory; `version` and `changed_at` are those of its SCIM document."""

    id: str
    project: str
    directory: str
    external_id: str | None
    display_name: str
    version: int
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a group: `value` as the directory sent it.

    `kind` is User or Group (RFC 7643, 4.2), None where the id names nothing we know: the entry
    is kept, counts as a warning, and gives nobody anything.
    """

    group: str
    value: str
    kind: str | None

    @property
    def is_effective(self) -> bool:
        """Whether somebody stands behind this entry."""
        return self.kind is not None
