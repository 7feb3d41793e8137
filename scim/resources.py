"""The protocols a host fulfils: one directory, and the resources of one type in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from scim.document import Accepted
from scim.errors import ScimError
from scim.etag import IfMatch
from scim.patch import Patch
from scim.query import Query
from scim.schema import Catalogue, ResourceType
from scim.tolerance import Tolerance


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as its host keeps it: ready to be answered."""

    id: str
    version: int
    document: bytes
    """What `scim.document.render` made: complete but for meta.location and `computed`."""

    computed: bytes = b""
    """JSON members to splice in front, without braces: `"members":[…]`; empty for none."""

    left_out: bool = False
    """Whether members were asked for and are more than `at_most`, so they are not in here."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer, and how many resources match in all."""

    total: int
    items: Sequence[Stored]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A changing request that named a resource and was refused before its host saw it."""

    op: Literal["create", "replace", "patch"]
    id: str | None
    """None for a create."""

    body: Mapping[str, Any]


class Resources(Protocol):
    """The resources of one type in one directory.

    `computed` names which attributes kept outside the document the answer shows; the host
    makes no others. What a method raises beside is a ScimError: Uniqueness, NoTarget, Busy.
    """

    async def create(self, accepted: Accepted, *, computed: frozenset[str]) -> Stored:
        """Keep a new resource; Uniqueness where another holds its unique value."""
        ...

    async def find(self, id: str, *, computed: frozenset[str]) -> Stored | None:
        """The resource with this id, None where this directory has none."""
        ...

    async def replace(
        self, id: str, accepted: Accepted, if_match: IfMatch, *, computed: frozenset[str]
    ) -> Stored:
        """Put a document in place of another; NotFound, PreconditionFailed, Uniqueness.

        A replacement by what is there keeps version and lastModified.
        """
        ...

    async def patch(
        self,
        id: str,
        patch: Patch,
        if_match: IfMatch,
        *,
        computed: frozenset[str],
        at_most: int | None,
    ) -> Stored:
        """Apply a patch and its member changes in one transaction; NotFound and as replace.

        Where more than `at_most` members would be shown, they are left out and Stored says so.
        """
        ...

    async def delete(self, id: str, if_match: IfMatch) -> None:
        """Remove the resource; NotFound, PreconditionFailed."""
        ...

    async def search(self, query: Query) -> Page:
        """One page of what the query matches, in a stable order; `query.computed` is shown."""
        ...

    async def refused(self, attempt: Attempt, problem: ScimError) -> None:
        """Take note of a changing request that made no sense: it failed, and is a record."""
        ...


class Host(Protocol):
    """One directory as its client sees it, for one request."""

    @property
    def base_url(self) -> str:
        """Where this directory's SCIM begins, without a slash at the end."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """The resource types of this directory."""
        ...

    @property
    def tolerance(self) -> Tolerance:
        """How far this directory's client may depart from the letter."""
        ...

    def resources(self, type: ResourceType) -> Resources:
        """The resources of one type."""
        ...

    def note(self, what: Literal["read", "unreadable"]) -> None:
        """Count what is no record: a read, a body nobody can read."""
        ...
