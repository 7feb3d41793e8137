"""The resources of one directory, for whoever speaks for it: a push, a pull, a re-apply."""

from dataclasses import dataclass

from broker.domain.directories import Directory
from broker.service.belonging import Belonging
from broker.service.documents import Documents
from broker.service.grouping import Groups
from broker.service.licensing import Licensing
from broker.service.mapping import Mappings
from broker.service.provisioning import Users
from broker.service.searching import Searching
from broker.service.shelving import Shelving
from broker.service.syncing import Syncing
from scim.schema import Catalogue, ResourceType


@dataclass(frozen=True, slots=True)
class Hosting:
    """What every directory of this service is made of."""

    syncing: Syncing
    searching: Searching
    licensing: Licensing
    mappings: Mappings
    catalogue: Catalogue
    base_url: str
    """Where this service answers, without a slash at its end."""

    def scim(self, directory: str) -> str:
        """Where the SCIM of a directory begins."""
        return f"{self.base_url}/scim/v2/{directory}"

    def resources(self, directory: Directory, type: ResourceType) -> Documents:
        """The people of the directory, its groups, or what a deployment's own type describes."""
        if type.name == "User":
            return self.users(directory)
        if type.name == "Group":
            return self.groups(directory)
        return Documents(directory, self._shelving(directory, type), self.syncing, self.searching)

    def users(self, directory: Directory) -> Users:
        """The people of the directory."""
        shelving = self._shelving(directory, self.catalogue.by_name["User"])
        return Users(
            directory,
            shelving,
            self.syncing,
            self.searching,
            self._belonging(directory),
            self.licensing,
            self.mappings,
        )

    def groups(self, directory: Directory) -> Groups:
        """The groups of the directory."""
        shelving = self._shelving(directory, self.catalogue.by_name["Group"])
        belonging = self._belonging(directory)
        return Groups(directory, shelving, self.syncing, self.searching, belonging)

    def _shelving(self, directory: Directory, type: ResourceType) -> Shelving:
        return Shelving.of(directory, type, self.catalogue)

    def _belonging(self, directory: Directory) -> Belonging:
        return Belonging(directory.project, self.scim(directory.id))
