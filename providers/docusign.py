"""DocuSign: which of a user's accounts is meant, and where its API lives."""

import re
from collections.abc import Mapping
from dataclasses import replace

from providers import redaction
from providers.capabilities import Registration, TokenResponse
from providers.docusign_definition import DEFINITION, SPEECHES
from providers.egress import Egress
from providers.errors import ClientMisconfigured, NotProven
from providers.program import Program

ACCOUNT_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

Accounts = Mapping[str, Mapping[str, object]]


class DocuSign(Program):
    """Authorization code or JWT grant, and the account that userinfo names."""

    def __init__(self, egress: Egress, *, simulator: str | None = None) -> None:
        super().__init__(egress, DEFINITION, SPEECHES, simulator=simulator)

    def owned(
        self, registration: Registration, given: TokenResponse, told: Mapping[str, object]
    ) -> TokenResponse:
        """The tokens with whose they are, and the API of the account that is meant."""
        account_id, one = chosen(listed(told), registration.fields.get("account_id", ""))
        base = registration.environment.trusted(one.get("base_uri")).rstrip("/")
        base_url = f"{base}/restapi/v2.1/accounts/{account_id}"
        return replace(super().owned(registration, given, told), base_url=base_url)


def listed(told: Mapping[str, object]) -> Accounts:
    """The accounts of an answer by their ids; what has none that can stand in a path is none."""
    accounts = told.get("accounts")
    known: dict[str, Mapping[str, object]] = {}
    for one in accounts if isinstance(accounts, list) else ():
        name = one.get("account_id") if isinstance(one, dict) else None
        if isinstance(name, str) and ACCOUNT_ID.fullmatch(name):
            known[name] = one
    return known


def chosen(known: Accounts, wanted: str) -> tuple[str, Mapping[str, object]]:
    """The account of the connector's form; else the default one, else the only one.

    NotProven where the user has none such, ClientMisconfigured with the ids where an administrator
    has to choose: a guess would send somebody's envelopes from the wrong company.
    """
    ids = redaction.text(", ".join(known))
    theirs = [name for name in known if name.lower() == wanted.lower()]
    if wanted and not theirs:
        raise NotProven("account-not-theirs", f"the user has other accounts: {ids}")
    defaults = [name for name, one in known.items() if one.get("is_default") in (True, "true")]
    for fitting in (theirs, defaults, list(known)):
        if len(fitting) == 1:
            return fitting[0], known[fitting[0]]
    if not known:
        raise NotProven("no-account", "the user belongs to no account")
    raise ClientMisconfigured("account-needed", f"the API account ID has to be one of {ids}")
