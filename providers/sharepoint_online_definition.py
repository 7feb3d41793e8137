"""What SharePoint Online declares: Microsoft's clouds, its form, its step types, how it speaks."""

from collections.abc import Mapping
from dataclasses import replace

from providers import clients
from providers.definition import (
    NO_DOTS,
    PRINTABLE,
    SIGN_IN,
    Choice,
    Definition,
    Field,
    Integration,
    Kind,
    Method,
    Section,
    Source,
)
from providers.entra_errors import DIALECT
from providers.places import Environment
from providers.sharepoint import HOST, PATH, STEP_TYPES
from providers.sources.entra_kind import CLOUDS
from providers.speech import Speech, Who

DELEGATED, APP_ONLY = "delegated", "app_only"
DAY_S = 24 * 3600

SPEECH = Speech(
    authorize="{base}/{tenant}/oauth2/v2.0/authorize",
    token="{base}/{tenant}/oauth2/v2.0/token",
    # Without their resource, names are Microsoft Graph's, in whichever cloud is asked.
    scopes=("offline_access", "openid", "profile", "User.Read"),
    scope_on_refresh=True,  # without one: AADSTS90009 (Microsoft's list of AADSTS error codes)
    refusals=DIALECT,
    base_url="{api}/v1.0",
    who=Who(key=("id",), display=("userPrincipalName", "displayName"), url="{api}/v1.0/me"),
)
SPEECHES: Mapping[str, Speech] = {
    DELEGATED: SPEECH,
    APP_ONLY: replace(SPEECH, who=None),  # there is no `/me` for an app
}

SECRET, CHOICE, CERTIFICATE, PRIVATE_KEY = clients.either(
    certificate=replace(
        clients.CERTIFICATE,
        required=True,
        help="The one that was uploaded to the app registration.",
    ),
    help="Some tenants allow no client secrets, or exempt only apps with a certificate.",
)

FIELDS = (
    Field(
        "tenant",
        "Tenant ID",
        Section.GENERAL,
        Kind.ACCOUNT,
        required=True,
        alphabet="-.0-9A-Za-z",
        shape=NO_DOTS,
        help="The directory's own ID or domain, never common or organizations.",
        binds=True,
    ),
    Field(
        "client_id",
        "Application (client) ID",
        Section.GENERAL,
        Kind.ACCOUNT,
        required=True,
        alphabet=PRINTABLE,
    ),
    SECRET,
    Field(
        "site",
        "Site",
        Section.GENERAL,
        Kind.HOST,
        required=True,
        shape=(
            rf"(?:https://)?{HOST}+(?:/{PATH})?",
            "it has to look like acme.sharepoint.com/sites/sales",
        ),
        help="Host and path, for example acme.sharepoint.com/sites/sales.",
    ),
    Field(
        "access",
        "What flows do at the site",
        Section.ADDITIONAL,
        Kind.FEATURE,
        choices=(Choice("read", "Read"), Choice("write", "Read and write")),
        default="read",
        help="Asked of whoever signs in. An app has what the tenant's administrator granted it.",
        integrations=frozenset({DELEGATED}),
    ),
    CHOICE,
    PRIVATE_KEY,
    CERTIFICATE,
)

DEFINITION = Definition(
    kind="sharepoint_online",
    title="SharePoint Online",
    environments=tuple(
        Environment(name, cloud.label, cloud.login, api=cloud.graph)
        for name, cloud in CLOUDS.items()
    ),
    integrations=(
        Integration(DELEGATED, "People sign in (delegated permissions)", SIGN_IN),
        Integration(
            APP_ONLY, "The app alone (application permissions)", Method(None, Source.MINTED)
        ),
    ),
    fields=FIELDS,
    step_types=STEP_TYPES,
    test="Asks Microsoft Entra for a token of the app itself, which proves tenant, app and its"
    " secret or certificate; where the app acts alone, also reads the site.",
    assumed_lifetime_s=3600,
    idle_s=90 * DAY_S,  # each refresh begins 90 new (Microsoft's page on refresh tokens)
    keep_alive_s=30 * DAY_S,
    warnings=(
        "Use an account or app of its own for this connector, not one that another integration"
        " shares.",
        "Microsoft throttles by account and app: one that several integrations share is slowed"
        " down for all of them.",
    ),
    rehearsal="/entra",
)
