"""The fields by which a client proves itself in a form: its secret, or a certificate (R41)."""

from dataclasses import replace

from providers.definition import PEM, PRINTABLE, Choice, Field, Kind, Section

AUTHENTICATION = "client_authentication"
BY_SECRET = (AUTHENTICATION, "secret")
BY_CERTIFICATE = (AUTHENTICATION, "certificate")

CLIENT_ID = Field("client_id", "Client ID", Section.GENERAL, Kind.ACCOUNT, required=True)
CLIENT_SECRET = Field(
    "client_secret",
    "Client secret",
    Section.GENERAL,
    Kind.SECRET,
    protected=True,
    required=True,
    alphabet=PRINTABLE,
)
PRIVATE_KEY = Field(
    "private_key",
    "Private key (RSA, PEM)",
    Section.ADVANCED,
    Kind.SECRET,
    protected=True,
    required=True,
    alphabet=PEM,
)
CERTIFICATE = Field(
    "certificate",
    "Certificate (PEM)",
    Section.ADVANCED,
    Kind.TEXT,
    alphabet=PEM,
    help="The certificate of the private key, as the program knows it; its thumbprint is sent.",
)


def either(
    secret: Field = CLIENT_SECRET, *, certificate: Field = CERTIFICATE, help: str = ""
) -> tuple[Field, ...]:
    """The choice with its help text, and the fields that each of its two answers shows."""
    choice = Field(
        AUTHENTICATION,
        "Client authentication",
        Section.ADVANCED,
        Kind.TEXT,
        choices=(Choice("secret", "Client secret"), Choice("certificate", "Certificate")),
        default="secret",
        help=help,
    )
    return (
        replace(secret, when=BY_SECRET),
        choice,
        replace(certificate, when=BY_CERTIFICATE),
        replace(PRIVATE_KEY, when=BY_CERTIFICATE),
    )
