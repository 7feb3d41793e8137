"""Which kinds of source there are."""

from collections.abc import Mapping

from providers.egress import Egress
from providers.sources.entra_kind import EntraKind
from providers.sources.reading import SourceKind
from providers.sources.scim import ScimKind


class Sources:
    """kind → source; a further kind of source is one further line here."""

    def __init__(self, egress: Egress, *, simulator: str | None = None) -> None:
        """With `simulator`, that origin may be read too, though it has no certificate."""
        kinds: tuple[SourceKind, ...] = (ScimKind(egress, simulator), EntraKind(egress, simulator))
        self._by_kind: Mapping[str, SourceKind] = {one.kind: one for one in kinds}

    def find(self, kind: str) -> SourceKind | None:
        """The source of this kind, None where there is no such kind."""
        return self._by_kind.get(kind)

    @property
    def kinds(self) -> tuple[SourceKind, ...]:
        """Everything a directory can be read from, in the order of the form."""
        return tuple(self._by_kind.values())
