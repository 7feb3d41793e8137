"""How callers prove who they are: HTTP Basic, and JWTs whose signer's certificate is held here."""

import base64
import hashlib
from collections.abc import Iterable
from urllib.parse import unquote_plus

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from starlette.requests import Request

LENIENT_S = 300
LONGEST_S = 24 * 3600


class NotTheirs(Exception):
    """The token is not signed with that key, or not meant for here, or not now."""


def proven(
    token: str, certificates: Iterable[str], audiences: Iterable[str], now: float
) -> dict[str, object]:
    """The claims of a JWT that one of these keys signed with RS256 or PS256, for us, for now.

    NotTheirs for any flaw. A thumbprint in its header (`x5t`, `x5t#S256`) has to be the
    certificate's; `aud` may be a list.
    """
    try:
        head, body, signature = token.split(".")
        header, claims = orjson.loads(_decoded(head)), orjson.loads(_decoded(body))
        signed = _decoded(signature)
    except ValueError:
        raise NotTheirs("this is no signed JWT") from None
    if not any(_fits(pem, header, f"{head}.{body}".encode(), signed) for pem in certificates):
        raise NotTheirs("no known key signed it")
    addressed = claims.get("aud")
    if not set(addressed if isinstance(addressed, list) else [addressed]) & set(audiences):
        raise NotTheirs(f"it is for {addressed}")
    begins, ends = float(claims.get("nbf", now)), float(claims.get("exp", 0))
    if not begins - LENIENT_S <= now < ends + LENIENT_S or ends - now > LONGEST_S:
        raise NotTheirs("it is not for now")
    return dict(claims)


def _fits(pem: str, header: dict[str, object], text: bytes, signature: bytes) -> bool:
    if not pem:
        return False
    key: object
    if "CERTIFICATE" in pem:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        der = certificate.public_bytes(Encoding.DER)
        for name, make in (("x5t", hashlib.sha1), ("x5t#S256", hashlib.sha256)):
            print_ = base64.urlsafe_b64encode(make(der).digest()).rstrip(b"=").decode()
            if header.get(name, print_) != print_:
                return False
        key = certificate.public_key()
    else:
        key = load_pem_public_key(pem.encode())
    pads: dict[object, padding.AsymmetricPadding] = {
        "RS256": padding.PKCS1v15(),
        "PS256": padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size),
    }
    if not isinstance(key, rsa.RSAPublicKey) or header.get("alg") not in pads:
        return False
    try:
        key.verify(signature, text, pads[header["alg"]], SHA256())
    except InvalidSignature:
        return False
    return True


def basic(request: Request) -> tuple[str, str] | None:
    """Name and password out of HTTP Basic, each decoded as a form's (RFC 6749 §2.3.1)."""
    scheme, _, pair = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(pair).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(password)


def claims_of(token: str) -> dict[str, object]:
    """What a JWT says, unproven; empty where it is none."""
    try:
        said = orjson.loads(_decoded(token.split(".")[1]))
    except (IndexError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
