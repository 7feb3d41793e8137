"""What Microsoft Entra's numbers mean (AADSTS…), and what somebody can do about each: data.

Microsoft's page "Microsoft Entra authentication and authorization error codes" says to decide by
`error` and never by numbers, which may change. So the word decides. A number adds advice, and
tells what a word means that says nothing by itself (`invalid_request`). One alone is believed
whatever the word: 50196, for asking on would make it worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.oauth2 import Dialect

DIALECT = Dialect(transient_texts=("aadsts50196",))

SIGN_IN = "The person has to sign in again."
FACTOR = (
    "The person has to sign in with a second factor. An account that signs in by itself must have"
    " none: exempt it from the policy, or use an app with a certificate."
)
POLICY = (
    "A Conditional Access policy forbids it: have the policy's administrator allow this app, this"
    " device or this address. An app may prove itself by certificate: see Advanced Options."
)
CONSENT = "Have an administrator of the tenant consent to the app's permissions."
ASSIGN = "Have an administrator assign the person to the app (Enterprise applications)."
SECRET = "Enter a client secret of the app that has not expired: its value, not its ID."
CERTIFICATE = (
    "Upload this certificate to the app registration, and see that this machine's clock is right."
)
APP = "Compare the application (client) ID and the tenant with the app registration."
TENANT = "Name the tenant by its own ID or domain, in the cloud that it belongs to."
REDIRECT = "Add the connector's redirect URI to the app registration, platform Web."
SCOPE = "Name permissions of Microsoft Graph that the app registration has."
WAIT = "Microsoft is disturbed. Nothing has to be done; it will be tried again."
LOOP = "Too many requests in a row. Nobody asks for a while, and then one at a time."


@dataclass(frozen=True, slots=True)
class Meaning:
    """One number: the class it belongs to, and what helps."""

    kind: type[ProviderError]
    advice: str


def _all(kind: type[ProviderError], advice: str, *numbers: int) -> dict[int, Meaning]:
    return dict.fromkeys(numbers, Meaning(kind, advice))


NUMBERS: Mapping[int, Meaning] = {
    **_all(GrantDead, SIGN_IN, 50173, 700082, 70008, 70043, 70000, 50089, 54005),
    **_all(GrantDead, "The account is disabled in Microsoft Entra.", 50057),
    **_all(PersonNeeded, FACTOR, 50072, 50074, 50076, 50078, 50079),
    **_all(PersonNeeded, POLICY, 50158, 53000, 53003),
    **_all(PersonNeeded, CONSENT, 65001, 65004),
    **_all(PersonNeeded, ASSIGN, 50105),
    **_all(ClientMisconfigured, SECRET, 7000215, 7000222, 70002),
    **_all(ClientMisconfigured, CERTIFICATE, 700027),
    **_all(ClientMisconfigured, APP, 700016, 700011, 70001),
    **_all(ClientMisconfigured, TENANT, 90002, 50194),
    **_all(ClientMisconfigured, REDIRECT, 50011),
    **_all(ClientMisconfigured, SCOPE, 28000, 70011, 90009, 1002012),
    **_all(TryLater, WAIT, 90006, 90012, 50087, 40010, 80002),
    **_all(TryLater, LOOP, 50196),
}

_NUMBER = re.compile(r"\bAADSTS(\d{4,8})\b")


@contextmanager
def explained() -> Iterator[None]:
    """Whatever Entra refuses in here comes with advice, in the class its word and number tell."""
    try:
        yield
    except ProviderError as error:
        told = _told(error)
        if told is error:
            raise
    else:
        return
    raise told


def _told(error: ProviderError) -> ProviderError:
    """The error with advice; of another class where its word was one that says nothing."""
    number = _NUMBER.search(error.provider_text)
    meaning = NUMBERS.get(int(number[1])) if number else None
    if meaning is None:
        return error
    if type(error) is Unclassified:
        error = meaning.kind(error.provider_code, error.provider_text)
    error.advice = meaning.advice
    return error
