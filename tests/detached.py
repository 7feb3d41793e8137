"""Checks a detached signature the way another program would: with the published key alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def is_signed(payload: bytes, signature: str, keys: Iterable[Mapping[str, str]]) -> bool:
    """Whether `signature` is a detached JWS (RFC 7515, appendix F) by one of these ES256 JWKs."""
    header, between, mark = signature.split(".")
    said = orjson.loads(_decoded(header))
    (shown,) = (one for one in keys if one["kid"] == said["kid"])
    assert (between, said["alg"], said["typ"]) == ("", "ES256", "JOSE")
    x, y = (int.from_bytes(_decoded(shown[name])) for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    r, s = (int.from_bytes(half) for half in (_decoded(mark)[:32], _decoded(mark)[32:]))
    body = base64.urlsafe_b64encode(payload).rstrip(b"=")
    try:
        key.verify(encode_dss_signature(r, s), header.encode() + b"." + body, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
