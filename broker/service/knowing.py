"""Credentials that were checked, remembered while the database says what it said then."""

import hashlib
from dataclasses import dataclass, field

from broker.domain.directories import Directory


@dataclass(slots=True)
class Known:
    """SCIM tokens that were checked against the database as it is now.

    Whatever is committed, a revocation or anything else, forgets them all: so none outlives what
    it was checked against. Half of what a read costs is to know who asks.
    """

    version: int | None = None
    directories: dict[bytes, Directory] = field(default_factory=dict)

    def opened(self, version: int | None, words: str | None) -> Directory | None:
        """The directory these words were found to open, by the database of that version."""
        if version is None or version != self.version or words is None:
            return None
        return self.directories.get(digest(words))

    def remember(self, version: int | None, words: str | None, directory: Directory) -> None:
        """These words open the directory, by the database of that version."""
        if version is None or words is None:
            return
        if version != self.version:
            self.version = version
            self.directories.clear()
        self.directories[digest(words)] = directory


def digest(words: str) -> bytes:
    """What words are remembered by: never themselves."""
    return hashlib.sha256(words.encode()).digest()
