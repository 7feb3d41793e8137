"""Tokens made by hand: the honest ones, and everything an attacker would try."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECOND = 1_000_000
NOW_S = 1_800_000_000
NOW = NOW_S * SECOND
ISSUER = "https://idp.example"
AUDIENCE = "broker"

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
EC_384 = ec.generate_private_key(ec.SECP384R1())

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def jwk(key: Private, kid: str, **more: object) -> dict[str, object]:
    """A public key as its issuer shows it."""
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_numbers()
        return {"kty": "RSA", "kid": kid, "n": number(public.n), "e": number(public.e), **more}
    point = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    crv = "P-256" if key.curve.key_size == 256 else "P-384"
    x, y = b64(point.x.to_bytes(size)), b64(point.y.to_bytes(size))
    return {"kty": "EC", "crv": crv, "kid": kid, "x": x, "y": y, **more}


def claims(**changed: object) -> dict[str, object]:
    """An honest person's claims; None takes one away."""
    honest: dict[str, object] = {
        "iss": ISSUER,
        "sub": "acme-0007",
        "aud": AUDIENCE,
        "iat": NOW_S - 10,
        "exp": NOW_S + 290,
    }
    return {name: value for name, value in {**honest, **changed}.items() if value is not None}


def token(
    body: Mapping[str, object] | bytes, key: Private = RSA, kid: object = "rsa", **header: object
) -> str:
    """A compact JWS by this key; None takes a header away."""
    alg = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    head = {"alg": alg, "kid": kid, **header}
    text = _input(head, body)
    return f"{text}.{b64(_signature(text.encode(), key))}"


def unsigned(body: Mapping[str, object], alg: str, signature: str = "") -> str:
    """alg:none in one of its spellings."""
    return f"{_input({'alg': alg, 'kid': 'rsa'}, body)}.{signature}"


def confused(body: Mapping[str, object], form: Encoding) -> str:
    """HS256 with the public RSA key as the shared secret (CVE-2015-9235 and its kin)."""
    secret = RSA.public_key().public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    text = _input({"alg": "HS256", "kid": "rsa"}, body)
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def _input(head: Mapping[str, object], body: Mapping[str, object] | bytes) -> str:
    shown = {name: value for name, value in head.items() if value is not None}
    payload = body if isinstance(body, bytes) else orjson.dumps(body)
    return f"{b64(orjson.dumps(shown))}.{b64(payload)}"


def _signature(text: bytes, key: Private) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)
