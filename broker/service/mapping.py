"""Mappings: how what a directory says becomes a profile; each version kept, compiled once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.db.database import Database, Transaction
from broker.domain import mapping
from broker.domain.directories import Directory
from broker.domain.mapping import Mapped, Warning
from scim.values import Warning as Unused

UNKNOWN_ATTRIBUTE = "unknown-attribute"


@dataclass(frozen=True, slots=True)
class Compiled:
    """One version of a directory's mapping, ready to be used on its people."""

    version: int = 0

    def mapped(self, document: Mapping[str, Any], extras: Mapping[str, Any]) -> Mapped:
        """The profile of a person; Invalid where it lacks what is required: that record fails."""
        del extras
        return mapping.mapped(document)

    def warned(self, unused: Iterable[Unused]) -> list[Warning]:
        """What the protocol could not use and no rule names or ignores, as warnings (R120)."""
        return [Warning(each.attribute, each.text, UNKNOWN_ATTRIBUTE) for each in unused]


@dataclass(frozen=True, slots=True)
class Mappings:
    """The mapping of each directory; the default one is the identity for declared attributes."""

    db: Database
    kept: dict[tuple[str, int], Compiled] = field(default_factory=dict)

    def of(self, tx: Transaction, directory: Directory) -> Compiled:
        """The mapping this directory has."""
        del tx, directory
        return Compiled()
