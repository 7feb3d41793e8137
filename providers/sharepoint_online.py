"""SharePoint Online: Microsoft Entra's way of OAuth 2, and one site behind Microsoft Graph."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from providers import oauth2
from providers.capabilities import Finding, Registration, Report, TokenResponse
from providers.egress import Egress
from providers.entra_errors import explained
from providers.errors import FieldWrong
from providers.program import Program
from providers.secret import Secret
from providers.sharepoint import path_of
from providers.sharepoint_online_definition import APP_ONLY, DEFINITION, SPEECHES
from providers.speech import Probe, Speech, filled

ROOT = Probe(
    "{base_url}/sites/root",
    "Microsoft Graph answers.",
    "Microsoft Graph does not let the app in: has an administrator of the tenant granted it an"
    " application permission such as Sites.Read.All?",
)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.I)


class SharePointOnline(Program):
    """People by delegated permissions, or the app alone by application permissions."""

    def __init__(self, egress: Egress, *, simulator: str | None = None) -> None:
        super().__init__(egress, DEFINITION, SPEECHES, simulator=simulator)

    def speech(self, registration: Registration) -> Speech:
        """The integration's, with the connector's site and what flows do there."""
        speech = super().speech(registration)
        site = Probe(
            "{base_url}/sites/" + _addressed(registration.fields.get("site", "")),
            "The site answers.",
            "The site cannot be opened: does it exist, and may this account read it?",
        )
        if registration.integration == APP_ONLY:
            granted = filled("{api}/.default", registration)
            return replace(speech, mint_scopes=(granted,), probes=(ROOT, site))
        writes = registration.fields.get("access") == "write"
        wanted = "Sites.ReadWrite.All" if writes else "Sites.Read.All"
        return replace(speech, scopes=(*speech.scopes, wanted), probes=(site,))

    def authorize_url(
        self,
        registration: Registration,
        *,
        state: str,
        challenge: str,
        scopes: tuple[str, ...] = (),
        claims: str | None = None,
    ) -> str:
        short = _shortened(registration, scopes)
        return super().authorize_url(
            registration, state=state, challenge=challenge, scopes=short, claims=claims
        )

    async def exchange(
        self, registration: Registration, *, answer: Mapping[str, str], verifier: Secret
    ) -> TokenResponse:
        with explained():
            given = await super().exchange(registration, answer=answer, verifier=verifier)
        return replace(given, scopes=_shortened(registration, given.scopes))

    async def refresh(
        self, registration: Registration, refresh_token: Secret, *, scopes: tuple[str, ...] = ()
    ) -> TokenResponse:
        """A new access token for Microsoft Graph: one answer is for one resource alone."""
        short = _shortened(registration, scopes)
        graph = tuple(scope for scope in short if "://" not in scope)
        given = await super().refresh(registration, refresh_token, scopes=graph)
        return replace(given, scopes=_shortened(registration, given.scopes))

    async def revoke(self, registration: Registration, token: Secret) -> None:
        """Nothing: Entra revokes no single grant.

        Its `revokeSignInSessions` would end all a person's sessions everywhere. What is
        disconnected is forgotten here; the consent is taken back at Microsoft, by the person.
        """

    async def test(self, registration: Registration) -> Report:
        """A token of the app itself, which opens nothing that nobody granted it.

        Entra looks at a code before it looks at who brings it°: a made-up one proves nothing.
        """
        if registration.integration == APP_ONLY:
            return await super().test(registration)
        scope = filled("{api}/.default", registration)
        form: oauth2.Form = {"grant_type": "client_credentials", "scope": scope}
        await self._ask(registration, form, self.speech(registration).refusals)
        known = "Microsoft Entra knows this app. Whether people may use it shows as they sign in."
        return Report((Finding("ok", known),))

    async def _ask(
        self, registration: Registration, form: oauth2.Form, refusals: oauth2.Dialect
    ) -> Mapping[str, object]:
        with explained():
            return await super()._ask(registration, form, refusals)


def _shortened(registration: Registration, scopes: Iterable[str]) -> tuple[str, ...]:
    """Microsoft Graph's scopes by their short names, whichever way they were written."""
    graph = filled("{api}/", registration)
    return tuple(scope.removeprefix(graph) for scope in scopes)


def _addressed(site: str) -> str:
    """A site the way Graph names it, `{host}:/{path}`; FieldWrong where it is none."""
    host, _, path = site.removeprefix("https://").partition("/")
    if not _HOST.fullmatch(host):
        raise FieldWrong("site", "the site has to look like acme.sharepoint.com/sites/sales")
    parts = path_of(path)
    return f"{host}:/{'/'.join(parts)}" if parts else host
