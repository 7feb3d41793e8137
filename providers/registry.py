"""Which kinds of program there are."""

from collections.abc import Iterable, Mapping

from providers.capabilities import Provider
from providers.custom import Custom
from providers.definition import Definition
from providers.docusign import DocuSign
from providers.egress import Egress
from providers.program import Program
from providers.salesforce import Salesforce
from providers.sharepoint_online import SharePointOnline
from providers.sharepoint_server import SharePointServer

BUILT_IN = ("salesforce", "sharepoint_online", "sharepoint_server", "docusign")


class Registry:
    """kind → provider; a further kind of program is one further line here."""

    def __init__(
        self, egress: Egress, *, simulator: str | None = None, programs: Iterable[Custom] = ()
    ) -> None:
        """With `simulator`, each definition has the environment Rehearsal, whose host is that.

        `programs` are the operator's own.
        """
        described = (
            Program(egress, one.definition, {"": one.speech}, simulator=simulator)
            for one in programs
        )
        providers: tuple[Provider, ...] = (
            Salesforce(egress, simulator=simulator),
            SharePointOnline(egress, simulator=simulator),
            SharePointServer(egress, simulator=simulator),
            DocuSign(egress, simulator=simulator),
            *described,
        )
        self._by_kind: Mapping[str, Provider] = {one.definition.kind: one for one in providers}

    def find(self, kind: str) -> Provider | None:
        """The provider of one kind of program, None where there is no such kind."""
        return self._by_kind.get(kind)

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """Everything a connector can be made for, in the order of the type list."""
        return tuple(one.definition for one in self._by_kind.values())
