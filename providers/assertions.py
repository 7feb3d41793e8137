"""How a client proves itself: by a secret, or by an assertion that it signs (RFC 7523)."""

import base64
import time
import uuid
from collections.abc import Mapping
from urllib.parse import quote_plus

from providers import clients
from providers.capabilities import Registration
from providers.errors import ClientMisconfigured
from providers.jwt import SigningKey
from providers.oauth2 import Form
from providers.secret import Secret
from providers.speech import Speech, filled

LIFE_S = 300
EARLY_S = 60  # a program whose clock is behind ours by less than this believes it at once
BY_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def introduced(
    registration: Registration, speech: Speech, form: Form
) -> tuple[Form, Mapping[str, str]]:
    """The form with what says who sends it, and the headers that do.

    A bearer assertion says so itself. A secret that is not there is not sent; the program then
    says what it thinks of that.
    """
    if "assertion" in form:
        return form, {}
    name = registration.client_id
    named = {**form, "client_id": name}
    certified = registration.fields.get(clients.AUTHENTICATION) == "certificate"
    if certified or speech.client == "private_key_jwt":
        claims = {"iss": name, "sub": name, "aud": audience(registration, speech)}
        proof = {"client_assertion": signed(registration, claims)}
        return {**named, "client_assertion_type": BY_ASSERTION, **proof}, {}
    secret = registration.client_secret
    if secret is None or speech.client == "none":
        return named, {}
    if speech.client == "post":
        return {**named, "client_secret": secret}, {}
    pair = f"{quote_plus(name)}:{quote_plus(secret.reveal())}"  # RFC 6749 §2.3.1
    return form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def sent(registration: Registration, *more: Secret) -> tuple[Secret, ...]:
    """What an error text may not repeat."""
    return (*more, *registration.secrets.values())


def audience(registration: Registration, speech: Speech) -> str:
    """Whom our assertions are for (RFC 7523 §3)."""
    return filled(speech.audience or speech.token, registration)


def bearer_assertion(
    registration: Registration, speech: Speech, *, subject: str, scopes: str
) -> Secret:
    """An assertion that the client acts for `subject` (RFC 7523 §2.1), with these scopes."""
    named = {"iss": registration.client_id, "sub": subject, "scope": scopes}
    return signed(registration, {**named, "aud": audience(registration, speech)})


def signed(registration: Registration, claims: Mapping[str, object]) -> Secret:
    """A JWT of these claims by the connector's private key, good for five minutes from now.

    Where the connector has a certificate, the header names it. ClientMisconfigured where there is
    no key that can sign.
    """
    private = registration.secrets.get("private_key")
    if private is None:
        raise ClientMisconfigured("private-key", "the private key has to be entered")
    key = SigningKey.from_pem(private, registration.fields.get("certificate", ""))
    now = int(time.time())
    life = {"iat": now, "nbf": now - EARLY_S, "exp": now + LIFE_S}
    return Secret(key.sign({**claims, **life, "jti": str(uuid.uuid4())}))
