"""High-trust tokens, claim by claim as Microsoft's page shows them, and checked by a key."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from providers.errors import ClientMisconfigured
from providers.jwt import SigningKey
from providers.s2s import LIFETIME_S, Trust, realm_of
from providers.secret import Secret
from tests.farm import signed
from tests.providers import forging

NOW_S = 1_800_000_000
REALM = "52aa6841-b76b-4ed4-a3d7-a259fce1dfa2"
APP = "c3ab8885-458f-4864-8804-1608145e2ac4"
ISSUER = "11111111-1111-1111-1111-111111111111"
AUDIENCE = f"00000003-0000-0ff1-ce00-000000000000/sharepoint.acme.example@{REALM}"
SID = "S-1-5-21-2127521184-1604012920-1887927527-2963467"


@pytest.fixture
def trust() -> Trust:
    certificate, private = signed()
    key = SigningKey.from_pem(Secret(private), certificate)
    return Trust(APP.upper(), ISSUER.upper(), REALM, "sharepoint.acme.example", key)


def decoded(part: str) -> Any:
    return orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def proven(token: str) -> dict[str, Any]:
    """The claims of a token that the certificate's key signed, and says so in its header."""
    head, body, signature = token.split(".")
    certificate = x509.load_pem_x509_certificate(signed()[0].encode())
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.verify(raw, f"{head}.{body}".encode(), padding.PKCS1v15(), SHA256())
    thumbprint = hashlib.sha1(certificate.public_bytes(Encoding.DER)).digest()
    named = base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()
    assert decoded(head) == {"typ": "JWT", "alg": "RS256", "x5t": named}
    claims: dict[str, Any] = decoded(body)
    return claims


def test_the_app_alone_is_the_actor_token(trust: Trust) -> None:
    """R23, [L8]: signed by the certificate, for the farm, five minutes; letters are small ones."""
    assert proven(trust.for_app(NOW_S).reveal()) == {
        "aud": AUDIENCE,
        "iss": f"{ISSUER}@{REALM}",
        "nbf": str(NOW_S - 60),
        "exp": str(NOW_S + 300),
        "nameid": f"{APP}@{REALM}",
    }
    assert LIFETIME_S == 300


def test_a_person_is_named_in_an_unsigned_token_around_it(trust: Trust) -> None:
    """R23, [L8]: `alg` none, the SID in small letters, and the actor trusted for delegation."""
    head, body, signature = trust.for_person(SID, NOW_S).reveal().split(".")
    outer = decoded(body)
    actor = proven(outer.pop("actortoken"))
    assert decoded(head) == {"typ": "JWT", "alg": "none"}
    assert signature == ""
    assert outer == {
        "aud": AUDIENCE,
        "iss": f"{APP}@{REALM}",
        "nbf": str(NOW_S - 60),
        "exp": str(NOW_S + 300),
        "nameid": SID.lower(),
        "nii": "urn:office:idp:activedirectory",
    }
    assert actor["nameid"] == outer["iss"]
    assert actor["trustedfordelegation"] == "true"


@pytest.mark.parametrize(
    ("challenge", "realm"),
    [
        (f'Bearer realm="{REALM}",client_id="00000003-0000-0ff1-ce00-000000000000"', REALM),
        (f'NTLM, Bearer realm="{REALM.upper()}",trusted_issuers="{ISSUER}@*"', REALM),
        (f'Bearer client_id="{APP}", realm="{REALM}"', REALM),
        (f'Basic realm="{REALM}"', None),
        ('Bearer realm="acme"', None),
        ("", None),
    ],
)
def test_the_realm_is_read_out_of_the_challenge(challenge: str, realm: str | None) -> None:
    """[L8]: a farm tells its realm to whoever comes with an empty bearer token."""
    assert realm_of(challenge) == realm


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_form_may_have_eaten_the_line_breaks() -> None:
    """R41: a PEM pasted into one line of a form is the same key and certificate."""
    certificate, private = signed()
    one_line = SigningKey.from_pem(
        Secret(private.replace("\n", " ")), certificate.replace("\n", " ")
    )
    whole = SigningKey.from_pem(Secret(private), certificate)
    assert one_line.public() == whole.public()
    assert one_line.sign({"a": 1}) == whole.sign({"a": 1})


def test_a_key_is_read_once() -> None:
    """Reading an RSA key costs more than 100 signatures: tokens of five minutes share one."""
    certificate, private = signed()
    first = SigningKey.from_pem(Secret(private), certificate)
    assert SigningKey.from_pem(Secret(private), certificate) is first
    assert SigningKey.from_pem(Secret(private)) is not first


def test_a_key_without_a_certificate_is_named_by_its_thumbprint() -> None:
    """RFC 7638: what a bare key signs carries its `kid`, and no `x5t`."""
    key = SigningKey.from_pem(Secret(pem(forging.RSA)))
    assert decoded(key.sign({}).split(".")[0]) == {
        "alg": "RS256",
        "kid": key.public()["kid"],
        "typ": "JWT",
    }


@pytest.mark.parametrize(
    ("private", "certificate", "code"),
    [
        (pem(forging.WEAK_RSA), "", "private-key"),
        ("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", "", "private-key"),
        ("canary-key", "", "private-key"),
        ("", "", "private-key"),
        (pem(forging.OTHER_RSA), signed()[0], "certificate"),
        (pem(forging.RSA), "not a certificate \u00e9", "certificate"),
    ],
)
def test_a_key_that_cannot_sign_is_told(private: str, certificate: str, code: str) -> None:
    """R44, R55: weak, unreadable or not of this certificate; nothing of it is in the error."""
    with pytest.raises(ClientMisconfigured) as caught:
        SigningKey.from_pem(Secret(private), certificate)
    assert caught.value.provider_code == code
    assert "canary" not in repr(caught.value)
    assert caught.value.__context__ is None
