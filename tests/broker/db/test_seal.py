"""Encryption at rest: what is sealed opens in its place, with its key, and nowhere else."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.db.seal import Hasher, Seal, Unreadable, key_id, keys_from, new_key

PLACE = ("prj_1", "tokens", "tok_1", "refresh_token")


@pytest.fixture(scope="module")
def seal() -> Seal:
    """A ring of one key."""
    return Seal({"k1": os.urandom(32)})


@given(plain=st.binary(max_size=4096))
def test_what_is_sealed_opens_in_its_place(plain: bytes) -> None:
    """Any bytes come back; the sealed form never holds them (promise 13)."""
    ring = Seal({"k1": os.urandom(32)})
    sealed = ring.seal(plain, *PLACE)
    assert ring.open(sealed, *PLACE) == plain
    assert len(plain) < 8 or plain not in sealed


@pytest.mark.parametrize("part", range(4))
def test_a_value_moved_to_another_place_does_not_open(seal: Seal, part: int) -> None:
    """Promise 14: another project, table, row or column is another place."""
    sealed = seal.seal(b"secret", *PLACE)
    elsewhere = [*PLACE]
    elsewhere[part] += "x"
    with pytest.raises(Unreadable):
        seal.open(sealed, *elsewhere)


@given(position=st.integers(0, 200), flip=st.integers(1, 255))
def test_a_changed_byte_does_not_open(position: int, flip: int) -> None:
    """Whatever byte is changed, the value is unreadable, and nothing else is raised."""
    ring = Seal({"k1": b"k" * 32})
    sealed = bytearray(ring.seal(b"a secret of some length", *PLACE))
    sealed[position % len(sealed)] ^= flip
    with pytest.raises(Unreadable):
        ring.open(bytes(sealed), *PLACE)


def test_the_first_key_seals_and_all_open() -> None:
    """Promise 15: after a rotation the old value opens until its key is gone."""
    old, new = os.urandom(32), os.urandom(32)
    sealed = Seal({"old": old}).seal(b"secret", *PLACE)
    both = Seal({"new": new, "old": old})
    assert both.open(sealed, *PLACE) == b"secret"
    assert key_id(both.seal(b"secret", *PLACE)) == "new"
    with pytest.raises(Unreadable, match="old"):
        Seal({"new": new}).open(sealed, *PLACE)


def test_whether_a_key_is_here_is_told_unopened() -> None:
    """K16: a value of another ring, or what is no sealed value, is not known; nothing is raised."""
    here, gone = Seal({"b": os.urandom(32), "a": os.urandom(32)}), Seal({"c": os.urandom(32)})
    assert here.keys == ("b", "a")
    assert here.is_known(here.seal(b"secret", *PLACE))
    assert not here.is_known(gone.seal(b"secret", *PLACE))
    assert not here.is_known(b"junk")


@pytest.mark.parametrize("junk", [b"", b"\x01", b"\x01\x05ab", b"\x02" + b"x" * 60, b"plain"])
def test_what_is_no_sealed_value_is_unreadable(seal: Seal, junk: bytes) -> None:
    """Junk in a sealed column is a sentence, not an index error."""
    with pytest.raises(Unreadable):
        seal.open(junk, *PLACE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "id"),
        ("k1", "an id of its own"),
        ("k1:", "0 bytes"),
        ("k1:AAAA", "3 bytes"),
        ("k1:!!!!", "bytes|base64url"),
        (":" + "A" * 43, "id"),
        (f"a:{'A' * 43},a:{'B' * 42}A", "id"),
    ],
)
def test_a_wrong_key_setting_says_what_is_wrong(text: str, says: str) -> None:
    """The sentence names the key's id, never its value."""
    with pytest.raises(ValueError, match=says) as caught:
        keys_from(text)
    assert text == "" or text.partition(":")[2] not in str(caught.value) or len(text) < 4


def test_a_new_key_is_a_key_setting() -> None:
    """What `--demo` writes can be read back, alone and in a ring, in order."""
    keys = keys_from(f"{new_key('b')}, {new_key('a')}")
    assert list(keys) == ["b", "a"]
    assert {len(key) for key in keys.values()} == {32}


def test_a_hash_needs_the_installation_s_key() -> None:
    """Promise 16: a copied table of hashes says nothing about a guessed secret elsewhere."""
    assert Hasher(b"one")("secret") == Hasher(b"one")("secret")
    assert Hasher(b"one")("secret") != Hasher(b"two")("secret")


@given(text=st.text(), of=st.text())
def test_no_hash_is_a_secret(text: str, of: str) -> None:
    """Whatever somebody has us hash and keep, it is never a secret that the same key gives out."""
    hasher = Hasher(b"one")
    assert hasher.secret(of) == hasher.secret(of) != Hasher(b"two").secret(of)
    given_out = base64.urlsafe_b64decode(hasher.secret(of) + "=")
    assert given_out != bytes.fromhex(hasher(text))
    assert given_out != bytes.fromhex(hasher("\xff" + of))
