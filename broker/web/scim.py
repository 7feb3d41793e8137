"""Where identity providers push: each directory as a host of the SCIM protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from broker.domain.directories import Directory
from broker.domain.errors import Unknown
from broker.service.callers import Callers
from broker.service.hosting import Hosting
from broker.service.refusals import when_unavailable
from broker.service.syncing import Syncing
from scim.endpoints import Endpoints
from scim.errors import Busy, Unauthorized
from scim.resources import Host, Resources
from scim.schema import Catalogue, ResourceType
from scim.tolerance import STANDARD, STRICT, Tolerance

DISABLED_S = 300
"""When to come back while an administrator has disabled the directory (R111)."""
Sealing: TypeAlias = Callable[[bytes, str, str, str, str], bytes]
"""What hides a value in its place, or finds it there: project, table, row, column."""
TOLERANCES = {"standard": STANDARD, "strict": STRICT}


@dataclass(frozen=True, slots=True)
class Scim:
    """Turns a SCIM token into the one directory it is for (safety 1)."""

    callers: Callers
    hosting: Hosting
    sealed: Sealing
    opened: Sealing

    async def admit(self, directory_id: str, authorization: str | None) -> Host:
        """The host for this request; Unauthorized, or Busy while the directory is disabled."""
        with when_unavailable():
            try:
                directory = await self.callers.directory(directory_id, authorization)
            except Unknown as error:
                await self.syncing.refused(directory_id)
                raise Unauthorized from error
        if not directory.is_enabled:
            raise Busy(DISABLED_S)
        return DirectoryHost(self, directory)

    def endpoints(self) -> Endpoints:
        """The ASGI application below `/scim/v2/`."""
        # Without a token it is the standard set: a deployment's own is its own affair (safety 4).
        return Endpoints(self.admit, Catalogue.standard(), self.hosting.scim)

    @property
    def syncing(self) -> Syncing:
        """Where what they say is counted."""
        return self.hosting.syncing


@dataclass(frozen=True, slots=True)
class DirectoryHost:
    """One directory, for one request."""

    scim: Scim
    directory: Directory

    @property
    def base_url(self) -> str:
        """Where this directory's SCIM begins."""
        return self.scim.hosting.scim(self.directory.id)

    @property
    def catalogue(self) -> Catalogue:
        """The resource types there are."""
        return self.scim.hosting.catalogue

    @property
    def tolerance(self) -> Tolerance:
        """How far its identity provider may depart from the letter."""
        return TOLERANCES[self.directory.tolerance]

    def resources(self, type: ResourceType) -> Resources:
        """The people of the directory, its groups, or what a deployment's own type describes."""
        return self.scim.hosting.resources(self.directory, type)

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """A cursor for this directory's client alone (safety 1)."""
        return self.scim.sealed(plain, *self._place(bound))

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """A cursor this directory's client was given; ValueError for anything else."""
        return self.scim.opened(sealed, *self._place(bound))

    def _place(self, bound: bytes) -> tuple[str, str, str, str]:
        return self.directory.project, "directories", self.directory.id, f"cursor:{bound.hex()}"

    def note(self, what: Literal["read", "unreadable"]) -> None:
        """Count what is no record on the open run."""
        self.scim.syncing.note(self.directory, "reads" if what == "read" else what)
