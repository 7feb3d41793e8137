"""What an Entra source has to be told: its cloud, its tenant, its app registration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from providers.definition import PRINTABLE, REHEARSAL, Choice, Field, Section
from providers.definition import Kind as Holds
from providers.egress import Egress
from providers.places import origin_of_url
from providers.secret import Secret
from providers.sources.asking import demand
from providers.sources.entra import App, Entra
from providers.sources.reading import Problem

_TENANT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|([\w-]+\.)+[\w-]+", re.A)
_CLIENT = re.compile(r"[\w.-]{1,100}", re.A)
_FIELD = re.compile(r"[A-Za-z]\w{0,127}", re.A)
MOST_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Cloud:
    """One environment of Microsoft's: where its tokens come from, and where its Graph is."""

    label: str
    login: str
    graph: str


CLOUDS: Mapping[str, Cloud] = {
    "global": Cloud(
        "Microsoft Azure", "https://login.microsoftonline.com", "https://graph.microsoft.com"
    ),
    "usgov": Cloud(
        "US Government (GCC High)", "https://login.microsoftonline.us", "https://graph.microsoft.us"
    ),
    "usgov-dod": Cloud(
        "US Government (DoD)", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us"
    ),
    "china": Cloud(
        "China (21Vianet)",
        "https://login.chinacloudapi.cn",
        "https://microsoftgraph.chinacloudapi.cn",
    ),
}
"""Microsoft's page "Microsoft Graph national cloud deployments"."""


class EntraKind:
    """How an Entra source is told and opened; with `simulator`, Rehearsal is a further cloud."""

    kind = "entra"
    title = "Microsoft Entra ID"

    def __init__(self, egress: Egress, simulator: str | None = None) -> None:
        self._egress = egress
        self._clouds = dict(CLOUDS)
        if simulator is not None:
            label = f"Rehearsal ({simulator.split('://')[-1]})"
            at = simulator.rstrip("/") + "/entra"
            self._clouds[REHEARSAL] = Cloud(label, at, at)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Cloud, tenant, app registration, and what else of people is read."""
        clouds = tuple(Choice(name, cloud.label) for name, cloud in self._clouds.items())
        general = Section.GENERAL
        return (
            Field(
                "environment",
                "Cloud",
                general,
                Holds.HOST,
                required=True,
                choices=clouds,
                default="global",
            ),
            Field("tenant", "Tenant ID", general, Holds.ACCOUNT, required=True),
            Field("client_id", "Application (client) ID", general, Holds.ACCOUNT, required=True),
            Field(
                "client_secret",
                "Client secret",
                general,
                Holds.SECRET,
                protected=True,
                required=True,
                alphabet=PRINTABLE,
            ),
            Field(
                "fields",
                "Further fields",
                Section.ADVANCED,
                Holds.TEXT,
                help="Names of Microsoft Graph's, such as companyName, with commas between them.",
            ),
        )

    def check(self, settings: Mapping[str, str]) -> tuple[Problem, ...]:
        """A known cloud, a tenant and an app that look like some, and names of fields."""
        wrong = {
            "environment": settings.get("environment") not in self._clouds and "Choose a cloud.",
            "tenant": not _TENANT.fullmatch(settings.get("tenant", ""))
            and "A tenant is named by its id, or by a domain such as acme.onmicrosoft.com.",
            "client_id": not _CLIENT.fullmatch(settings.get("client_id", ""))
            and "The id of the app registration is missing, or is none.",
            "fields": not _are_fields(_listed(settings))
            and f"Name at most {MOST_FIELDS} fields, with commas between them.",
        }
        return tuple(Problem(name, text) for name, text in wrong.items() if text)

    def origin(self, settings: Mapping[str, str]) -> str:
        """Where the client secret goes."""
        demand(self.check(settings))
        return origin_of_url(self._clouds[settings["environment"]].login) or ""

    def open(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Entra:
        """The tenant, which is not asked anything yet."""
        demand(self.check(settings), self.fields, secrets)
        cloud = self._clouds[settings["environment"]]
        token_url = f"{cloud.login}/{settings['tenant']}/oauth2/v2.0/token"
        app = App(token_url, cloud.graph, settings["client_id"], secrets["client_secret"])
        return Entra(self._egress, app, _listed(settings))


def _listed(settings: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in settings.get("fields", "").split(",") if name.strip()]


def _are_fields(names: list[str]) -> bool:
    return len(names) <= MOST_FIELDS and all(map(_FIELD.fullmatch, names))
