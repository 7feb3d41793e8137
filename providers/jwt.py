"""JWTs believed and made: the only file that knows python-jose, which needs watching.

python-jose has taken public keys for shared secrets (CVE-2024-33663); hence five rules, here: a key
is built once and handed over as an object; it is picked by `kid`, never tried; it is for one
asymmetric algorithm; claims are checked by us; the header is read first, and refused where it
points anywhere. Nothing of jose leaves: no type, no exception.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate
from jose import jwk, jws
from jose.backends.base import Key
from jose.exceptions import JOSEError

from providers.claims import Claims, Expected, check
from providers.errors import ClientMisconfigured, NotProven
from providers.secret import Secret

Algorithm = Literal["RS256", "ES256"]

LARGEST = 16 * 1024
SMALLEST_RSA, LARGEST_RSA = 2048, 8192  # bits; below is weak, above only costs time
KEY_TYPES: Mapping[str, tuple[Algorithm, tuple[str, ...]]] = {
    "RSA": ("RS256", ("n", "e")),
    "EC": ("ES256", ("x", "y")),
}

THUMBED = frozenset({"crv", "e", "kty", "n", "x", "y"})  # RFC 7638 §3.2

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_PEM = re.compile(r"(-----BEGIN [A-Z0-9 ]+-----)([^-]*)(-----END [A-Z0-9 ]+-----)")
_NUMBER = re.compile(r"[A-Za-z0-9_-]+")
_POINTING = ("crit", "zip", "jku", "x5u", "jwk")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of an issuer: its id, its one algorithm, and jose's object, built once."""

    kid: str
    alg: Algorithm
    key: Key = field(repr=False)


class Keys(Protocol):
    """Where verification keys come from."""

    async def find(self, kid: str, alg: str, now: int) -> PublicKey:
        """The one key with this id for this algorithm; NotProven where there is none, or more."""


async def verify(token: str, keys: Keys, expected: Expected, now: int) -> Claims:
    """Who this token is about; NotProven, with the reason as its code, for any flaw at all."""
    if len(token) > LARGEST:
        raise NotProven("too-large", f"the token is longer than {LARGEST} characters")
    if not _COMPACT.fullmatch(token):
        raise NotProven("malformed", "this is not a signed JWT")
    kid, alg = _named(token.partition(".")[0])
    _verified(token, await keys.find(kid, alg, now))
    claims = _object(token.split(".")[1])
    if claims is None:
        raise NotProven("malformed", "the claims are not a JSON object")
    check(claims, expected, now)
    return Claims(
        issuer=expected.issuer,
        subject=str(claims["sub"]),
        all=claims,
        digest=hashlib.sha256(token.rpartition(".")[0].encode()).digest(),
    )


def unverified_issuer(token: str) -> str | None:
    """Which issuer a token claims, to choose whom to ask; nothing of it may be believed."""
    if len(token) > LARGEST or not _COMPACT.fullmatch(token):
        return None
    issuer = (_object(token.split(".")[1]) or {}).get("iss")
    return issuer if isinstance(issuer, str) else None


def _named(segment: str) -> tuple[str, str]:
    """Key id and algorithm of a header that is a JWT's and points to nothing outside."""
    header = _object(segment)
    if header is None:
        raise NotProven("malformed", "the header is not a JSON object")
    for name in _POINTING:
        if name in header:
            raise NotProven(f"header-{name}", f"the header holds {name}")
    kind, kid, alg = header.get("typ", "JWT"), header.get("kid"), header.get("alg")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise NotProven("type", "the token is of another type than JWT")
    if alg not in ("RS256", "ES256"):
        raise NotProven("algorithm", "the token is not signed with RS256 or ES256")
    if not isinstance(kid, str) or not kid:
        raise NotProven("key-id", "the token does not name its key")
    return kid, alg


def _verified(token: str, key: PublicKey) -> None:
    """NotProven unless the signature is this key's."""
    try:
        jws.verify(token, key.key, [key.alg])
    except (JOSEError, ValueError, RecursionError):
        failure = NotProven("signature", "the signature is not that of the key it names")
    else:
        return
    raise failure


class KeySet:
    """The usable keys of one JWK set (RFC 7517); all others are passed over."""

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        self._keys = keys

    @classmethod
    def parse(cls, document: object) -> KeySet:
        """The set in a JSON document; NotProven where it is no set at all."""
        found = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(found, list):
            raise NotProven("key-set", "the issuer's keys are not a JWK set")
        return cls(tuple(key for one in found for key in _usable(one)))

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, kid: str, alg: str) -> bool:
        """Whether exactly one key has this id for this algorithm."""
        return len(self._fitting(kid, alg)) == 1

    def pick(self, kid: str, alg: str) -> PublicKey:
        """The one key with this id for this algorithm; NotProven where there is none, or more."""
        fitting = self._fitting(kid, alg)
        if len(fitting) != 1:
            raise NotProven("unknown-key", "the issuer has no such key, or more than one")
        return fitting[0]

    def _fitting(self, kid: str, alg: str) -> list[PublicKey]:
        return [key for key in self._keys if key.kid == kid and key.alg == alg]


def _usable(one: object) -> Iterator[PublicKey]:
    """The key, where it is a public signing key of a kind and size we take; else nothing.

    An unusable key may stand in front of a good one: Ed25519 and encryption keys often do.
    """
    kind = one.get("kty") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(kind, str) or kind not in KEY_TYPES:
        return
    alg, numbers = KEY_TYPES[kind]
    kid, operations = one.get("kid"), one.get("key_ops", ["verify"])
    if not isinstance(kid, str) or not kid or "d" in one:
        return
    if not isinstance(operations, list) or "verify" not in operations:
        return
    if one.get("use", "sig") != "sig" or one.get("alg", alg) != alg:
        return
    if not all(isinstance(one.get(n), str) and _NUMBER.fullmatch(one[n]) for n in numbers):
        return
    if alg == "ES256" and one.get("crv") != "P-256":
        return
    try:
        if alg == "RS256" and not SMALLEST_RSA <= _bits(one["n"]) <= LARGEST_RSA:
            return
        yield PublicKey(kid, alg, jwk.construct(one, alg))
    except (JOSEError, ValueError):
        return  # a number that is none, a point off the curve


class SigningKey:
    """A private key of ours: signs what we say, and shows the key to check it with."""

    def __init__(self, key: Key, alg: Algorithm, thumbprint: str = "") -> None:
        self._key = key
        self._alg = alg
        self._public = _public(key)
        self._named = {"x5t": thumbprint} if thumbprint else {"kid": self._public["kid"]}

    @classmethod
    def generate(cls, alg: Algorithm = "ES256") -> SigningKey:
        """A fresh key: P-256, or RSA of 2,048 bits."""
        if alg == "ES256":
            return cls(jwk.construct(_pem(ec.generate_private_key(ec.SECP256R1())), alg), alg)
        return cls(jwk.construct(_pem(rsa.generate_private_key(65537, SMALLEST_RSA)), alg), alg)

    @classmethod
    def load(cls, private: Secret) -> SigningKey:
        """The key that `private` gave."""
        kept = orjson.loads(private.reveal())
        return cls(jwk.construct(kept, kept["alg"]), kept["alg"])

    @classmethod
    @lru_cache(maxsize=32)  # reading one takes 60 ms of CPU; whoever asks holds it
    def from_pem(cls, private: Secret, certificate: str = "") -> SigningKey:
        """An administrator's RSA key, which signs RS256.

        With a certificate, what it signs names that one (`x5t`, RFC 7515 §4.1.7) in place of a
        `kid`. ClientMisconfigured where one cannot be read, or they do not belong together.
        """
        key = _rsa(private)
        thumbprint = _thumbprint(key, certificate) if certificate else ""
        return cls(jwk.construct(_pem(key), "RS256"), "RS256", thumbprint)

    def private(self) -> Secret:
        """The key as a private JWK, to be sealed."""
        return Secret(orjson.dumps(self._key.to_dict()).decode())

    def public(self) -> dict[str, str]:
        """The key to check with, as a JWK; its `kid` is its thumbprint (RFC 7638)."""
        return dict(self._public)

    def sign(self, claims: Mapping[str, object]) -> str:
        """A JWT of these claims."""
        return self._sign(orjson.dumps(claims), "JWT")

    def sign_detached(self, payload: bytes) -> str:
        """A detached JWS (RFC 7515, appendix F) over these bytes: `header..signature`."""
        header, _, signature = self._sign(payload, "JOSE").split(".")
        return f"{header}..{signature}"

    def _sign(self, payload: bytes, typ: str) -> str:
        headers = {**self._named, "typ": typ}
        return jws.sign(payload, self._key, headers=headers, algorithm=self._alg)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _rsa(private: Secret) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(_lines(private.reveal()), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # told below, so that nothing of the key hangs on to it
    if isinstance(key, rsa.RSAPrivateKey) and SMALLEST_RSA <= key.key_size <= LARGEST_RSA:
        return key
    wanted = f"an RSA key of {SMALLEST_RSA} bits or more, without a pass phrase, is needed as PEM"
    raise ClientMisconfigured("private-key", wanted)


def _thumbprint(key: rsa.RSAPrivateKey, certificate: str) -> str:
    """The SHA-1 of a certificate, once it is this key's: a name, not a proof."""
    with suppress(ValueError, UnsupportedAlgorithm):
        shown = load_pem_x509_certificate(_lines(certificate))
        if shown.public_key() == key.public_key():
            return _encoded(shown.fingerprint(hashes.SHA1()))
    raise ClientMisconfigured("certificate", "this is not the private key's certificate as PEM")


def _lines(pem: str) -> bytes:
    """A PEM file whose line breaks a form may have turned into spaces."""
    whole = _PEM.sub(lambda found: "\n".join((found[1], "".join(found[2].split()), found[3])), pem)
    return whole.encode()


def _public(key: Key) -> Mapping[str, str]:
    shown: dict[str, str] = {str(k): str(v) for k, v in key.public_key().to_dict().items()}
    needed = {name: value for name, value in shown.items() if name in THUMBED}
    thumbprint = hashlib.sha256(orjson.dumps(needed, option=orjson.OPT_SORT_KEYS)).digest()
    return {**needed, "kid": _encoded(thumbprint), "alg": shown["alg"], "use": "sig"}


def _object(segment: str) -> Mapping[str, object] | None:
    """The JSON object in one part of a token, None where it holds none."""
    try:
        found = orjson.loads(_decoded(segment))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _bits(number: str) -> int:
    return int.from_bytes(_decoded(number)).bit_length()


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
