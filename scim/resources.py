"""The protocols a host fulfils: one directory, and the resources of one type in it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from scim.cursor import CanSeal
from scim.document import Accepted
from scim.errors import ScimError
from scim.etag import IfMatch
from scim.patch import Patch
from scim.query import Query
from scim.schema import Catalogue, ResourceType
from scim.tolerance import Tolerance

Batches: TypeAlias = AsyncIterator[Sequence[Mapping[str, Any]]]
"""The values of one attribute as they are answered, some at a time."""


class Stored(NamedTuple):
    """A resource as its host keeps it: ready to be answered. A tuple, as pages are full of them."""

    id: str
    """Letters, digits, `_` and `-`: it stands in addresses and in JSON as it is."""

    version: int
    document: bytes
    """What `scim.document.render` made: complete but for meta.location and `computed`."""

    computed: bytes = b""
    """JSON members to splice in front, without braces: `"members":[…]`; empty for none."""

    left_out: bool = False
    """Whether members were asked for and are more than `at_most`, so they are not in here."""

    members: Batches | None = None
    """The members of a group too large to be held in `computed`, read when they are asked for."""

    at: tuple[Any, ...] = ()
    """Where it stands in the order of the search that found it, as `Cursor.at`."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer, each item with its place (`Stored.at`), in the query's order."""

    total: int | None
    """How many match in all; None where counting costs more than the page (cursors alone)."""

    items: Sequence[Stored]
    more: bool = False
    """With a cursor: whether more match beyond the page, on the side the cursor asks for."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A changing request that named a resource and was refused before its host saw it."""

    op: Literal["create", "replace", "patch", "delete"]
    id: str | None
    """None for a create."""

    body: Mapping[str, Any]


class Resources(Protocol):
    """The resources of one type in one directory.

    `computed` names which attributes kept outside the document the answer shows; the host
    makes no others. What a method raises beside is a ScimError: Uniqueness, NoTarget, Busy.
    """

    def new_id(self) -> str:
        """An id nobody has, for a resource to be created."""
        ...

    async def create(
        self, accepted: Accepted, *, computed: frozenset[str], id: str | None = None
    ) -> Stored:
        """Keep a new resource, under an id of `new_id` where given; Uniqueness where another
        holds its unique value.
        """
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
        """One page of what the query matches, in a stable order; `query.computed` is shown.

        With `query.cursor` it is the page beside that place, never empty while there is one.
        """
        ...

    async def refused(self, attempt: Attempt, problem: ScimError) -> None:
        """Take note of a changing request that made no sense: it failed, and is a record."""
        ...


class Host(CanSeal, Protocol):
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
