"""JWTs: the five rules of python-jose (scim-libraries.md 8) and the attack table (stack.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from providers import jwt
from providers.claims import Expected
from providers.errors import NotProven
from providers.jwt import KeySet, PublicKey, SigningKey
from tests.detached import is_signed
from tests.providers import forging
from tests.providers.forging import AUDIENCE, EC, ISSUER, NOW, NOW_S, RSA, b64, claims, token

HONEST = Expected(ISSUER, AUDIENCE)
ED25519 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "rsa",
    "x": "11qYAYKxCrfVS_7TyWQHOg",
    "use": "sig",
}


@dataclass(frozen=True)
class Fixed:
    """Keys that are all there from the start."""

    keys: KeySet

    async def find(self, kid: str, alg: str, _: int) -> PublicKey:
        return self.keys.pick(kid, alg)


def published(*keys: Mapping[str, object]) -> Fixed:
    return Fixed(KeySet.parse({"keys": list(keys)}))


KEYS = published(
    ED25519,
    forging.jwk(forging.OTHER_RSA, "other"),
    forging.jwk(EC, "ec", alg="ES256", use="sig"),
    forging.jwk(RSA, "rsa", alg="RS256", use="sig"),
)


async def test_an_honest_token_is_believed_with_either_algorithm() -> None:
    """RS256 and ES256 tokens of a set with foreign keys in front name their person."""
    for text in (token(claims()), token(claims(), EC, "ec"), token(claims(), typ="jwt")):
        believed = await jwt.verify(text, KEYS, HONEST, NOW)
        assert (believed.issuer, believed.subject) == (ISSUER, "acme-0007")


SIGNED_BY_EC = token(claims(), EC, "ec").rpartition(".")[0]

SIGNATURES = [
    ("alg none, empty signature", forging.unsigned(claims(), "none"), "malformed"),
    ("alg none with a signature", forging.unsigned(claims(), "none", "AAAA"), "algorithm"),
    ("alg nOnE", forging.unsigned(claims(), "nOnE", "AAAA"), "algorithm"),
    ("RSA key as HMAC secret, PEM", forging.confused(claims(), Encoding.PEM), "algorithm"),
    ("RSA key as HMAC secret, DER", forging.confused(claims(), Encoding.DER), "algorithm"),
    ("algorithm we do not take", token(claims(), alg="RS512"), "algorithm"),
    ("algorithm that is no text", token(claims(), alg=["RS256"]), "algorithm"),
    ("no algorithm", token(claims(), alg=None), "algorithm"),
    ("RS256 key named by an ES256 token", token(claims(), EC, "rsa"), "unknown-key"),
    ("ES256 announced over an RSA signature", token(claims(), alg="ES256"), "unknown-key"),
    ("someone else's key under this kid", token(claims(), forging.OTHER_RSA), "signature"),
    ("another key of the same set", token(claims(), RSA, "other"), "signature"),
    ("kid nobody has", token(claims(), kid="stranger"), "unknown-key"),
    ("kid in other case", token(claims(), kid="RSA"), "unknown-key"),
    ("kid missing", token(claims(), kid=None), "key-id"),
    ("kid empty", token(claims(), kid=""), "key-id"),
    ("kid that is no text", token(claims(), kid=7), "key-id"),
    ("signature cut", token(claims())[:-8], "signature"),
    ("zeroes for an ES256 signature", f"{SIGNED_BY_EC}.{b64(bytes(64))}", "signature"),
]

HEADERS = [
    ("unknown crit", token(claims(), crit=["x"], x=1), "header-crit"),
    ("crit b64", token(claims(), crit=["b64"], b64=False), "header-crit"),
    ("empty crit", token(claims(), crit=[]), "header-crit"),
    ("zip", token(claims(), zip="DEF"), "header-zip"),
    ("jku", token(claims(), jku="https://evil.example/keys"), "header-jku"),
    ("x5u", token(claims(), x5u="https://evil.example/cert"), "header-x5u"),
    ("embedded jwk", token(claims(), jwk=forging.jwk(RSA, "rsa")), "header-jwk"),
    ("logout token", token(claims(), typ="logout+jwt"), "type"),
    ("access token", token(claims(), typ="at+jwt"), "type"),
    ("typ that is no text", token(claims(), typ=1), "type"),
    ("oversize", token(claims(pad="x" * 16_384)), "too-large"),
    ("JWE", "a.b.c.d.e", "malformed"),
    ("two parts", "a.b", "malformed"),
    ("nothing", "", "malformed"),
    ("white space", token(claims()) + "\n", "malformed"),
    ("padding", token(claims()) + "=", "malformed"),
    ("header that is no JSON", f"{b64(b'x')}.{b64(b'{}')}.AAAA", "malformed"),
    ("header that is a list", f"{b64(b'[]')}.{b64(b'{}')}.AAAA", "malformed"),
    ("header nested deep", f"{b64(b'[' * 9000)}.{b64(b'{}')}.AAAA", "malformed"),
    ("claims nested deep", token(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"), "malformed"),
    ("claims that are a list", token(b"[]"), "malformed"),
    ("claims that are no JSON", token(b"\xff"), "malformed"),
]

CLAIMS = [
    ("no exp", claims(exp=None), "claim-exp"),
    ("exp as text", claims(exp=str(NOW_S + 290)), "claim-exp"),
    ("exp true", claims(exp=True), "claim-exp"),
    ("exp over", claims(exp=NOW_S - 31), "expired"),
    ("exp from the last century", claims(exp=0), "expired"),
    ("exp as a list", claims(exp=[NOW_S + 290]), "claim-exp"),
    ("no iat", claims(iat=None), "claim-iat"),
    ("iat in the future", claims(iat=NOW_S + 31), "issued-in-future"),
    ("iat hours in the future", claims(iat=NOW_S + 7200, exp=NOW_S + 9000), "issued-in-future"),
    ("iat as text", claims(iat="yesterday"), "claim-iat"),
    ("nbf in the future", claims(nbf=NOW_S + 31), "not-yet"),
    ("nbf as text", claims(nbf="soon"), "claim-nbf"),
    ("no issuer", claims(iss=None), "issuer"),
    ("another issuer", claims(iss=ISSUER + "/"), "issuer"),
    ("issuers as a list", claims(iss=[ISSUER]), "issuer"),
    ("no audience", claims(aud=None), "audience"),
    ("another audience", claims(aud="other"), "audience"),
    ("audience that begins like ours", claims(aud=AUDIENCE + "2"), "audience"),
    ("audience as an object", claims(aud={AUDIENCE: 1}), "audience"),
    ("two audiences and no azp", claims(aud=[AUDIENCE, "other"]), "authorized-party"),
    ("two audiences, azp the other", claims(aud=[AUDIENCE, "o"], azp="o"), "authorized-party"),
    ("one audience, azp another", claims(azp="other"), "authorized-party"),
    ("no subject", claims(sub=None), "subject"),
    ("empty subject", claims(sub=""), "subject"),
    ("subject that is a number", claims(sub=7), "subject"),
    ("subject of 256 characters", claims(sub="x" * 256), "subject"),
]


@pytest.mark.parametrize(
    ("text", "reason"),
    [row[1:] for row in SIGNATURES + HEADERS],
    ids=[row[0] for row in SIGNATURES + HEADERS],
)
async def test_a_token_that_is_not_theirs(text: str, reason: str) -> None:
    """Rules 1, 2, 3 and 5: forged, confused, pointing or misshapen tokens prove nothing."""
    with pytest.raises(NotProven) as caught:
        await jwt.verify(text, KEYS, HONEST, NOW)
    assert caught.value.provider_code == reason
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("body", "reason"), [row[1:] for row in CLAIMS], ids=[row[0] for row in CLAIMS]
)
async def test_claims_that_do_not_count(body: dict[str, object], reason: str) -> None:
    """Rule 4: a good signature over missing, odd or foreign claims proves nothing."""
    with pytest.raises(NotProven) as caught:
        await jwt.verify(token(body), KEYS, HONEST, NOW)
    assert caught.value.provider_code == reason


@pytest.mark.parametrize(
    "body",
    [
        claims(exp=NOW_S - 29),
        claims(iat=NOW_S + 29),
        claims(nbf=NOW_S + 29),
        claims(iat=NOW_S - 0.5, exp=NOW_S + 0.5),
        claims(aud=[AUDIENCE]),
        claims(aud=[AUDIENCE, "other"], azp=AUDIENCE),
        claims(azp=AUDIENCE),
    ],
)
async def test_claims_that_count(body: dict[str, object]) -> None:
    """Clocks may differ by 30 seconds, times may have fractions, and azp may be us."""
    assert (await jwt.verify(token(body), KEYS, HONEST, NOW)).subject == "acme-0007"


@pytest.mark.parametrize(
    ("age_s", "believed"), [(0, True), (300, True), (301, False), (86_400, False)]
)
async def test_old_evidence(age_s: int, believed: bool) -> None:
    """safety 28: evidence is at most five minutes old, however long the token itself lives."""
    text = token(claims(iat=NOW_S - age_s, exp=NOW_S + 86_400))
    expected = Expected(ISSUER, AUDIENCE, max_age_s=300)
    if believed:
        await jwt.verify(text, KEYS, expected, NOW)
    else:
        with pytest.raises(NotProven, match="too-old"):
            await jwt.verify(text, KEYS, expected, NOW)


@pytest.mark.parametrize("nonce", [None, "other", "", 5, "ñ"])
async def test_a_nonce_comes_back(nonce: object) -> None:
    """OpenID Connect Core §3.1.3.7: the id_token answers the very request we made."""
    expected = Expected(ISSUER, AUDIENCE, nonce="n-0S6")
    await jwt.verify(token(claims(nonce="n-0S6")), KEYS, expected, NOW)
    with pytest.raises(NotProven, match="nonce"):
        await jwt.verify(token(claims(nonce=nonce)), KEYS, expected, NOW)


UNUSABLE = {
    "1024 bits": forging.jwk(forging.WEAK_RSA, "k"),
    "for encryption": forging.jwk(RSA, "k", use="enc"),
    "for signing only": forging.jwk(RSA, "k", key_ops=["sign"]),
    "for another algorithm": forging.jwk(RSA, "k", alg="PS256"),
    "a secret": {"kty": "oct", "kid": "k", "k": "c2VjcmV0"},
    "Ed25519": {**ED25519, "kid": "k"},
    "another curve": forging.jwk(forging.EC_384, "k"),
    "a point off the curve": {**forging.jwk(EC, "k"), "y": b64(bytes(31) + b"\x01")},
    "no modulus": {"kty": "RSA", "kid": "k", "e": "AQAB"},
    "a modulus that is a number": {"kty": "RSA", "kid": "k", "e": "AQAB", "n": 65537},
    "exponent 1": {**forging.jwk(RSA, "k"), "e": "AQ"},
    "exponent even": {**forging.jwk(RSA, "k"), "e": "BA"},
    "modulus of a megabit": {"kty": "RSA", "kid": "k", "e": "AQAB", "n": "f" * 20_000},
    "private": {**forging.jwk(RSA, "k"), "d": "AQAB"},
    "without an id": {**forging.jwk(RSA, "k"), "kid": None},
    "a type that is a list": {**forging.jwk(RSA, "k"), "kty": ["RSA"]},
    "operations that are none": forging.jwk(RSA, "k", key_ops=5),
    "no object": "k",
}


@pytest.mark.parametrize("key", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_key_we_do_not_take(key: Mapping[str, object]) -> None:
    """Weak, foreign and broken keys are passed over and do not hide the good one behind them."""
    keys = KeySet.parse({"keys": [key, forging.jwk(RSA, "good")]})
    assert (keys.has("k", "RS256"), keys.has("k", "ES256")) == (False, False)
    assert keys.has("good", "RS256")


def test_two_keys_with_one_id_are_none() -> None:
    """Rule 2: exactly one key fits, or none; RSA and EC may share an id (RFC 7517 §4.5)."""
    keys = KeySet.parse({"keys": [forging.jwk(RSA, "k"), forging.jwk(forging.OTHER_RSA, "k")]})
    assert not keys.has("k", "RS256")
    with pytest.raises(NotProven, match="unknown-key"):
        keys.pick("k", "RS256")
    mixed = KeySet.parse({"keys": [forging.jwk(EC, "k"), forging.jwk(RSA, "k")]})
    assert mixed.has("k", "RS256")
    assert mixed.has("k", "ES256")


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": "x"}, "keys"])
def test_a_document_that_is_no_key_set(document: object) -> None:
    """Whatever else a jwks_uri answers is refused in one sentence."""
    with pytest.raises(NotProven, match="key-set"):
        KeySet.parse(document)


async def test_the_digest_cannot_be_varied() -> None:
    """safety 28: one token written with other spare bits still has the digest it had."""
    text = token(claims(), EC, "ec")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(text[-1])
    twin = text[:-1] + alphabet[last ^ 1]
    one, other = [await jwt.verify(each, KEYS, HONEST, NOW) for each in (text, twin)]
    assert one.digest == other.digest
    assert one.digest != (await jwt.verify(token(claims(jti="2")), KEYS, HONEST, NOW)).digest


async def test_our_own_key_signs_and_checks() -> None:
    """building.md: one ES256 key per project, sealed as text, public as JWK with a thumbprint."""
    made = SigningKey.generate()
    loaded = SigningKey.load(made.private())
    assert loaded.public() == made.public()
    assert "d" not in made.public()
    keys = published(made.public())
    believed = await jwt.verify(loaded.sign(claims()), keys, HONEST, NOW)
    assert believed.all == claims()
    assert (made.public()["alg"], made.public()["use"]) == ("ES256", "sig")
    assert repr(made.private()) == "***"


@given(payload=st.binary(max_size=300), other=st.binary(max_size=300))
def test_a_detached_signature_is_over_these_bytes(payload: bytes, other: bytes) -> None:
    """RFC 7515 appendix F: the signature alone travels, and fits no other bytes."""
    signature = PROJECT.sign_detached(payload)
    assert signature.split(".")[1] == ""
    assert is_signed(payload, signature, [PROJECT.public()])
    assert is_signed(other, signature, [PROJECT.public()]) is (other == payload)


PROJECT = SigningKey.generate()
PROJECT_KEYS = KeySet.parse({"keys": [PROJECT.public()]})


async def test_a_detached_signature_is_no_token() -> None:
    """What signs answers signs no one in: the two have different types."""
    payload = orjson.dumps(claims())
    header, _, signature = PROJECT.sign_detached(payload).split(".")
    with pytest.raises(NotProven, match="type"):
        await jwt.verify(f"{header}.{b64(payload)}.{signature}", Fixed(PROJECT_KEYS), HONEST, NOW)


@given(st.text() | st.binary(max_size=200).map(lambda raw: f"{b64(raw)}.{b64(raw)}.{b64(raw)}"))
def test_nothing_but_not_proven_comes_out_of_rubbish(text: str) -> None:
    """Whatever is presented, the claimed issuer is a text or nothing, and no error escapes."""
    assert isinstance(jwt.unverified_issuer(text), str | None)


JSON: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.text() | st.lists(st.text()) | st.just({})
)
NAMES = ["kty", "kid", "use", "alg", "key_ops", "crv", "n", "e", "x", "y", "d"]


@example({"n": "0"})
@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_key_is_taken_or_passed_over(changed: dict[str, object]) -> None:
    """Whatever an issuer publishes beside its good key, the good one is found."""
    odd = {**forging.jwk(RSA, "odd"), **changed}
    assert KeySet.parse({"keys": [odd, forging.jwk(EC, "good")]}).has("good", "ES256")


@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "x5c"]), JSON),
    body=st.dictionaries(st.sampled_from(["iss", "sub", "aud", "azp", "iat", "exp", "nbf"]), JSON),
)
async def test_any_token_is_believed_or_not_proven(
    header: dict[str, object], body: dict[str, object]
) -> None:
    """Headers and claims of any shape, well signed, end in a person or in NotProven."""
    text = token({**claims(), **body}, **header)  # type: ignore[arg-type]  # kid may be anything
    try:
        believed = await jwt.verify(text, KEYS, HONEST, NOW)
    except NotProven:
        return
    assert believed.subject == {**claims(), **body}["sub"]


async def test_the_claimed_issuer_is_readable() -> None:
    """The caller may look whom to ask before anything is believed."""
    assert jwt.unverified_issuer(token(claims())) == ISSUER
    assert jwt.unverified_issuer(token(claims(iss=7))) is None
    assert jwt.unverified_issuer(token(claims(pad="x" * 20_000))) is None
