"""Which kinds of program there are."""

from collections.abc import Mapping

from providers.capabilities import Provider
from providers.definition import Definition
from providers.egress import Egress
from providers.salesforce import Salesforce


class Registry:
    """kind → provider; a further kind of program is one further line here."""

    def __init__(self, egress: Egress, *, simulator: str | None = None) -> None:
        """With `simulator`, each definition has the environment Rehearsal, whose host is that."""
        providers: tuple[Provider, ...] = (Salesforce(egress, simulator=simulator),)
        self._by_kind: Mapping[str, Provider] = {one.definition.kind: one for one in providers}

    def find(self, kind: str) -> Provider | None:
        """The provider of one kind of program, None where there is no such kind."""
        return self._by_kind.get(kind)

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """Everything a connector can be made for, in the order of the type list."""
        return tuple(one.definition for one in self._by_kind.values())
