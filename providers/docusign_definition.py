"""What DocuSign declares: its two hosts, its form, its step types, and how it speaks OAuth 2."""

from dataclasses import replace

from providers.clients import CLIENT_ID, CLIENT_SECRET, PRIVATE_KEY
from providers.definition import (
    SIGN_IN,
    Definition,
    Field,
    Integration,
    Kind,
    Method,
    Section,
    Source,
    StepType,
)
from providers.oauth2 import Dialect
from providers.places import Environment
from providers.speech import Probe, Speech, Who

CODE, JWT = "code", "jwt"
ONLY_JWT = frozenset({JWT})
DAY_S = 24 * 3600

# The API lives at the data center of the account (na2, na3, eu, au, ca …), which userinfo names.
ANSWERS = ("*.docusign.net",)

# A client or signature DocuSign does not know is an `invalid_grant` there too, and in a JWT grant
# so is a user that the form names wrongly; the user of a refresh is somebody's own affair.
UNKNOWN = ("issuer_not_found", "no_valid_keys_or_signatures")
REFUSALS = Dialect(misconfigured_texts=UNKNOWN)

SPEECH = Speech(
    authorize="{base}/oauth/auth",
    token="{base}/oauth/token",
    # `extended` from the first request on: each refresh then begins 30 new days (DocuSign's
    # pages, scopes).
    scopes=("signature", "extended"),
    client="basic",
    refusals=REFUSALS,
    who=Who(key=("sub",), display=("email", "name"), url="{base}/oauth/userinfo"),
    revoke="{base}/oauth/revoke",  # ° seen in public clients, in no page of DocuSign's
    probes=(
        Probe(
            "{base_url}",
            "The account's API answers.",
            "The account's API does not answer: does this user belong to the account?",
        ),
    ),
)
SPEECHES = {
    CODE: SPEECH,
    JWT: replace(
        SPEECH,
        refusals=Dialect(misconfigured_texts=(*UNKNOWN, "user_not_found")),
        refresh_refusals=REFUSALS,
        mint="jwt_bearer",
        mint_scopes=("signature", "impersonation"),
        audience="{host}",
        subject="{user_id}",
    ),
}

DEFINITION = Definition(
    kind="docusign",
    title="DocuSign",
    environments=(
        Environment(
            "production",
            "Production (account.docusign.com)",
            "https://account.docusign.com",
            answers=ANSWERS,
        ),
        Environment(
            "developer",
            "Developer (account-d.docusign.com)",
            "https://account-d.docusign.com",
            answers=ANSWERS,
        ),
    ),
    integrations=(
        Integration(CODE, "Everybody signs in (authorization code)", SIGN_IN),
        Integration(
            JWT,
            "The connector user by signed assertion (JWT grant); people sign in",
            Method(Source.REFRESH, Source.MINTED),
        ),
    ),
    fields=(
        replace(CLIENT_ID, label="Integration key"),
        replace(CLIENT_SECRET, label="Secret key"),
        Field(
            "account_id",
            "API account ID",
            Section.GENERAL,
            Kind.ACCOUNT,
            help="Needed where users belong to several accounts; else their default one is taken.",
        ),
        Field(
            "user_id",
            "User ID of the connector user",
            Section.GENERAL,
            Kind.ACCOUNT,
            required=True,
            integrations=ONLY_JWT,
            help="The user has to consent to the scopes signature and impersonation once, or an"
            " administrator of the organization for everybody.",
        ),
        replace(PRIVATE_KEY, section=Section.GENERAL, integrations=ONLY_JWT),
    ),
    step_types=(
        StepType("send_envelope", "Send Envelope (DocuSign)", user_authentication=True),
        StepType("retrieve_envelope", "Retrieve Envelope (DocuSign)", user_authentication=True),
        StepType("retrieve_document", "Retrieve Document (DocuSign)", user_authentication=True),
        StepType("void_envelope", "Void Envelope (DocuSign)", user_authentication=True),
    ),
    test="Asks the token endpoint whether it knows this integration key and secret; with a JWT"
    " grant also whose token it is and whether the account's API answers.",
    assumed_lifetime_s=3600,
    idle_s=30 * DAY_S,
    keep_alive_s=7 * DAY_S,
    warnings=(
        "Use an account of its own for this connector, not one that another integration shares.",
    ),
    rehearsal="/docusign",
)
