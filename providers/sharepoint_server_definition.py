"""What SharePoint Server declares: a host of the customer's own, and three ways to be known."""

from dataclasses import replace

from providers import clients
from providers.definition import (
    PRINTABLE,
    SIGN_IN,
    Definition,
    Field,
    Integration,
    Kind,
    Method,
    Section,
    Source,
)
from providers.places import Environment
from providers.sharepoint import HOST, PATH, STEP_TYPES

HIGH_TRUST, OIDC, PASSWORD = "high_trust", "oidc", "password"
HOUR_S = 3600
ANY_HOST = ("*", "*.*", "*.*.*", "*.*.*.*", "*.*.*.*.*")
"""A customer's own host may be called anything; which addresses are spoken to, egress says."""

_TRUSTED, _SIGNED_IN = frozenset({HIGH_TRUST}), frozenset({OIDC})
_NAMED = frozenset({PASSWORD})
_GUID = "-0-9A-Fa-f"

FIELDS = (
    Field(
        "site",
        "Path of the site",
        Section.GENERAL,
        Kind.TEXT,
        shape=(PATH, "it has no dots alone between slashes"),
        help="For example /sites/sales; left empty for the root site.",
    ),
    Field(
        "client_id",
        "Client ID",
        Section.GENERAL,
        Kind.ACCOUNT,
        required=True,
        alphabet=PRINTABLE,
        integrations=_TRUSTED | _SIGNED_IN,
    ),
    Field(
        "issuer_id",
        "Issuer ID",
        Section.GENERAL,
        Kind.ACCOUNT,
        required=True,
        alphabet=_GUID,
        help="The one that New-SPTrustedSecurityTokenIssuer registered the certificate with.",
        integrations=_TRUSTED,
    ),
    replace(
        clients.CERTIFICATE,
        section=Section.GENERAL,
        required=True,
        help="The one the farm trusts.",
        integrations=_TRUSTED,
    ),
    replace(
        clients.PRIVATE_KEY,
        section=Section.GENERAL,
        help="Without a pass phrase.",
        integrations=_TRUSTED,
    ),
    Field(
        "person_suffix",
        "Suffix of the logons that hold people's SID",
        Section.GENERAL,
        Kind.ACCOUNT,
        help="Whoever has no logon with this suffix cannot be acted for.",
        integrations=_TRUSTED,
    ),
    Field(
        "realm",
        "Realm",
        Section.ADVANCED,
        Kind.TEXT,
        alphabet=_GUID,
        help="What Get-SPAuthenticationRealm says; left empty, the farm is asked each time.",
        integrations=_TRUSTED,
    ),
    Field(
        "adfs",
        "Host of AD FS",
        Section.GENERAL,
        Kind.HOST,
        shape=(rf"(?:https://)?{HOST}*/*", "it has to look like sts.acme.example"),
        help="Left empty where it is the site's own.",
        integrations=_SIGNED_IN,
        binds=True,
    ),
    replace(clients.CLIENT_SECRET, integrations=_SIGNED_IN),
    Field(
        "resource",
        "Relying party identifier",
        Section.ADVANCED,
        Kind.TEXT,
        alphabet=PRINTABLE,
        help="By which AD FS knows SharePoint; left empty, the address of the host.",
        integrations=_SIGNED_IN,
    ),
    Field(
        "user_name",
        "User name",
        Section.GENERAL,
        Kind.ACCOUNT,
        required=True,
        help="For example ACME\\svc-flows.",
        integrations=_NAMED,
    ),
    Field(
        "password",
        "Password",
        Section.GENERAL,
        Kind.SECRET,
        protected=True,
        required=True,
        integrations=_NAMED,
    ),
)

DEFINITION = Definition(
    kind="sharepoint_server",
    title="SharePoint Server",
    environments=(Environment("server", "Your own host", None, typed=ANY_HOST),),
    integrations=(
        Integration(
            HIGH_TRUST, "OAuth, high trust (certificate)", Method(Source.MINTED, Source.MINTED)
        ),
        Integration(OIDC, "OAuth, people sign in at AD FS (OpenID Connect)", SIGN_IN),
        Integration(PASSWORD, "User name and password", Method(None, Source.MINTED)),
    ),
    fields=FIELDS,
    step_types=STEP_TYPES,
    test="Opens the site with the certificate, or with the user name and password; with AD FS, asks"
    " it whether it knows this client ID and secret.",
    assumed_lifetime_s=HOUR_S,
    idle_s=7 * 24 * HOUR_S,  # ° AD FS's default; it tells each grant's own life, which counts
    keep_alive_s=4 * HOUR_S,  # within the 8 hours that farms shorten it to°
    warnings=(
        "An account with a user name and password must not have multi-factor authentication:"
        " nobody is there to answer it.",
        "Use an account of its own for this connector, not one that another integration shares: a"
        " shared one is throttled for all of them.",
    ),
    person_field="person_suffix",
    rehearsal="/sharepoint",
)
