"""Encryption at rest: AES-256-GCM, the key's id in the value, its place as associated data."""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE = 12


class Unreadable(ValueError):
    """A sealed value does not open: its key is missing, or it was changed or moved."""


class Seal:
    """A ring of keys: the first seals, all open.

    A sealed value is version (1 byte), length of the key id (1), key id, nonce (12), ciphertext
    and tag. Its associated data names project, table, row, column and key id, so a ciphertext
    moved to another place does not open (promise 14).
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """`keys`: key id -> 32 bytes, the sealing one first."""
        if not keys:
            raise ValueError("a seal needs a key")
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}
        self._first = next(iter(keys))

    @property
    def keys(self) -> tuple[str, ...]:
        """The ids of the keys that open, the sealing one first."""
        return tuple(self._ciphers)

    def is_known(self, sealed: bytes) -> bool:
        """Whether the key of a value is here; nothing is opened."""
        try:
            return key_id(sealed) in self._ciphers
        except Unreadable:
            return False

    def seal(self, plain: bytes, project: str, table: str, row: str, column: str) -> bytes:
        """`plain`, readable only with the key and only in this place."""
        kid, nonce = self._first, os.urandom(_NONCE)
        data = _associated(kid, project, table, row, column)
        head = _VERSION + bytes([len(kid)]) + kid.encode()
        return head + nonce + self._ciphers[kid].encrypt(nonce, plain, data)

    def open(self, sealed: bytes, project: str, table: str, row: str, column: str) -> bytes:
        """What was sealed in this place; Unreadable where it was not, or its key is gone."""
        kid = key_id(sealed)
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise Unreadable(f"the key {kid!r} is not among BROKER_ENCRYPTION_KEYS")
        start = 2 + len(kid.encode())
        nonce, ciphertext = sealed[start : start + _NONCE], sealed[start + _NONCE :]
        try:
            return cipher.decrypt(nonce, ciphertext, _associated(kid, project, table, row, column))
        except InvalidTag as error:
            raise Unreadable("the value was changed or moved") from error


def key_id(sealed: bytes) -> str:
    """Which key sealed it; Unreadable where the envelope is not one of ours."""
    if len(sealed) < 2 or sealed[:1] != _VERSION or len(sealed) < 2 + sealed[1] + _NONCE:
        raise Unreadable("not a sealed value")
    return sealed[2 : 2 + sealed[1]].decode("utf-8", "replace")


def keys_from(text: str) -> dict[str, bytes]:
    """Parse `kid:base64url of 32 bytes[,kid:…]`; ValueError names the wrong key, not its value."""
    keys: dict[str, bytes] = {}
    for part in text.split(","):
        kid, colon, encoded = part.strip().partition(":")
        if not colon or not kid or len(kid.encode()) > 64 or kid in keys:
            raise ValueError("each key needs an id of its own before the colon")
        try:
            key = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError as error:
            raise ValueError(f"the key {kid!r} is not base64url") from error
        if len(key) != 32:
            raise ValueError(f"the key {kid!r} has {len(key)} bytes, 32 are needed")
        keys[kid] = key
    return keys


def new_key(kid: str) -> str:
    """A fresh key in the form of the setting."""
    return f"{kid}:{base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip('=')}"


class Hasher:
    """Keyed hashes of what we must recognize and never read: API keys, SCIM tokens, link secrets.

    One random key for the installation, itself sealed in a row, so that rotating the seal
    re-seals that row and the hashes never change.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, secret: str) -> str:
        """HMAC-SHA-256 of `secret`, in hexadecimal."""
        return hmac.digest(self._key, secret.encode(), hashlib.sha256).hex()

    def secret(self, of: str) -> str:
        """A secret of 256 bits for whatever has this id, the same each time: none is kept.

        It is the hash of nothing anybody could have us hash: no text holds the byte it begins
        with.
        """
        made = hmac.digest(self._key, b"\xff" + of.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _associated(*parts: str) -> bytes:
    return "\x00".join(parts).encode()
