"""RFC 6749 with PKCE: what is asked, and how every answer is sorted (semantics.md c.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import oauth2
from providers.egress import Answer
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.oauth2 import Dialect, Pkce
from providers.reading import lifetime
from providers.secret import Secret

JSON = st.none() | st.text() | st.integers(-9, 9) | st.lists(st.text()) | st.just({"code": 1})
PROXY = b"<html><h1>502 Bad Gateway</h1></html>"


def answered(status: int, body: Mapping[str, object] | bytes = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


CLASSES = [
    ("invalid_grant", answered(400, {"error": "invalid_grant"}), GrantDead),
    ("invalid_grant with 401", answered(401, {"error": "invalid_grant"}), GrantDead),
    ("invalid_grant with 403", answered(403, {"error": "invalid_grant"}), Unclassified),
    ("invalid_grant with 500", answered(500, {"error": "invalid_grant"}), TryLater),
    ("invalid_grant in a 200", answered(200, {"error": "invalid_grant"}), GrantDead),
    ("interaction_required", answered(400, {"error": "interaction_required"}), PersonNeeded),
    ("consent_required", answered(400, {"error": "consent_required"}), PersonNeeded),
    *(
        (
            f"suberror {word}",
            answered(400, {"error": "invalid_grant", "suberror": word}),
            PersonNeeded,
        )
        for word in sorted(oauth2.PERSON_SUBERRORS)
    ),
    ("another suberror", answered(400, {"error": "invalid_grant", "suberror": "x"}), GrantDead),
    ("invalid_client", answered(400, {"error": "invalid_client"}), ClientMisconfigured),
    ("invalid_client with 401", answered(401, {"error": "invalid_client"}), ClientMisconfigured),
    ("unauthorized_client", answered(400, {"error": "unauthorized_client"}), ClientMisconfigured),
    (
        "unsupported_grant_type",
        answered(400, {"error": "unsupported_grant_type"}),
        ClientMisconfigured,
    ),
    ("redirect mismatch", answered(400, {"error": "redirect_uri_mismatch"}), ClientMisconfigured),
    ("401 alone", answered(401), ClientMisconfigured),
    ("401 with an empty object", answered(401, {}), ClientMisconfigured),
    ("401 with another word", answered(401, {"error": "nope"}), ClientMisconfigured),
    ("401 with a page", answered(401, PROXY), TryLater),
    ("403 alone", answered(403), Unclassified),
    ("404 with a page", answered(404, PROXY), TryLater),
    ("407 of a proxy", answered(407, PROXY), TryLater),
    *((f"{status}", answered(status), TryLater) for status in (408, 425, 429, 500, 502, 503, 504)),
    ("429 with a grant error", answered(429, {"error": "invalid_grant"}), TryLater),
    ("temporarily_unavailable", answered(400, {"error": "temporarily_unavailable"}), TryLater),
    ("server_error", answered(400, {"error": "server_error"}), TryLater),
    ("temporarily in a 200", answered(200, {"error": "temporarily_unavailable"}), TryLater),
    ("200 with a page", answered(200, PROXY), TryLater),
    ("200 with nothing", answered(200), TryLater),
    ("200 with a list", answered(200, b"[1]"), TryLater),
    ("200 cut short", answered(200, b'{"access_token": "x'), TryLater),
    ("200 in another encoding", answered(200, '{"access_token": "é"}'.encode("latin-1")), TryLater),
    ("302", answered(302, location="https://elsewhere.example"), TryLater),
    ("unknown word", answered(400, {"error": "account_on_fire"}), Unclassified),
    ("unknown word in a 200", answered(200, {"error": "account_on_fire"}), Unclassified),
    ("no word at all", answered(400, {}), Unclassified),
    ("a word that is none", answered(400, {"error": {"code": 1}}), Unclassified),
    ("invalid_request", answered(400, {"error": "invalid_request"}), Unclassified),
    ("invalid_scope", answered(400, {"error": "invalid_scope"}), Unclassified),
]


@pytest.mark.parametrize(
    ("answer", "kind"), [row[1:] for row in CLASSES], ids=[row[0] for row in CLASSES]
)
def test_every_answer_has_its_class(answer: Answer, kind: type[ProviderError]) -> None:
    """semantics.md c.2, failure classes: row by row; 401 alone is about us, not about the grant."""
    with pytest.raises(ProviderError) as caught:
        oauth2.sort(answer, oauth2.PLAIN)
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(
    status=st.integers(100, 599),
    error=JSON | st.sampled_from(sorted(oauth2.MISCONFIGURED | {"invalid_grant"})),
    more=st.dictionaries(st.sampled_from(["suberror", "claims", "error_description"]), JSON),
)
def test_an_error_answer_is_always_a_class(
    status: int, error: object, more: dict[str, str]
) -> None:
    """Whatever comes back is a good body or one of the classes, and dead only for invalid_grant."""
    body: dict[str, object] = {"error": error, **more}
    try:
        assert oauth2.sort(answered(status, body), oauth2.PLAIN) == body
        assert status < 300
        assert not error
    except GrantDead:
        assert error == "invalid_grant"
        assert status < 300 or status in (400, 401)
    except ProviderError:
        assert status >= 300 or error


def test_a_program_adds_its_own_words() -> None:
    """semantics.md c.2: adapters add codes, class by class, and find errors in their own bodies."""
    slack = Dialect(
        grant_dead=frozenset({"invalid_refresh_token"}),
        person_needed=frozenset({"mfa"}),
        misconfigured=frozenset({"bad_client"}),
        transient=frozenset({"fatal_error"}),
        transient_texts=("at the same time",),
        misconfigured_texts=("unknown team",),
    )
    for word, kind in [
        ("invalid_refresh_token", GrantDead),
        ("mfa", PersonNeeded),
        ("bad_client", ClientMisconfigured),
        ("fatal_error", TryLater),
        ("other", Unclassified),
    ]:
        with pytest.raises(kind):
            oauth2.sort(answered(200, {"ok": False, "error": word}), slack)
    with pytest.raises(TryLater):
        description = "Refreshed AT THE SAME TIME"
        body = {"error": "invalid_grant", "error_description": description}
        oauth2.sort(answered(400, body), slack)
    with pytest.raises(ClientMisconfigured):
        body = {"error": "invalid_grant", "error_description": "Unknown team"}
        oauth2.sort(answered(400, body), slack)
    inside = Dialect(error_at="fault.code")
    assert oauth2.sort(answered(200, {"error": "x", "access_token": "t"}), inside)
    for status in (200, 400):
        with pytest.raises(GrantDead):
            oauth2.sort(answered(status, {"fault": {"code": "invalid_grant"}}), inside)


def test_what_the_person_has_to_do_travels_on() -> None:
    """K7: suberror and claims are there for the next link."""
    body = {"error": "interaction_required", "suberror": "basic_action", "claims": '{"a":1}'}
    with pytest.raises(PersonNeeded) as caught:
        oauth2.sort(answered(400, body), oauth2.PLAIN)
    assert (caught.value.suberror, caught.value.claims) == ("basic_action", '{"a":1}')


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        (" 120 ", 120),
        ("999999999999", 3600),
        ("Sat, 21 Nov 2026 20:01:00 GMT", 60),
        ("Sat, 21 Nov 2026 19:00:00 GMT", 0),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_program_says_when_to_come_back(said: str, seconds: int | None) -> None:
    """RFC 9110 §10.2.3: seconds or a date by the program's own clock; an hour at most."""
    answer = answered(429, retry_after=said, date="Sat, 21 Nov 2026 20:00:00 GMT")
    with pytest.raises(TryLater) as caught:
        oauth2.sort(answer, oauth2.PLAIN)
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (3599.9, 3599),
        ("3600.0", 3600),
        (0, None),
        (-1, None),
        ("-1", None),
        ("", None),
        ("never", None),
        (None, None),
        (True, None),
        ([3600], None),
        (math.inf, None),
        ("nan", None),
        (31_536_000, 31_536_000),
        (31_536_001, 31_536_000),
        (10**400, None),
    ],
)
def test_a_lifetime_is_seconds_or_nothing(said: object, seconds: int | None) -> None:
    """semantics.md c.2, edge cases: `expires_in` 0, negative, text, absent, beyond a year."""
    assert lifetime(said) == seconds


def test_a_token_answer_is_read() -> None:
    """RFC 6749 §5.1: tokens are secrets, a missing scope is what was asked for."""
    body = {"access_token": "at", "refresh_token": "rt", "expires_in": "60", "token_type": "bEARER"}
    given = oauth2.tokens(body, asked=("api", "id"))
    assert (given.access_token.reveal(), given.expires_in_s) == ("at", 60)
    assert given.refresh_token == Secret("rt")
    assert given.scopes == ("api", "id")
    assert "at" not in repr(given).replace("refresh", "").split("(")[1].split(",")[0]
    assert oauth2.tokens({"access_token": "a", "scope": "x y"}, asked=("z",)).scopes == ("x", "y")
    assert oauth2.tokens({"access_token": "a", "refresh_token": ""}).refresh_token is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, TryLater),
        ({"access_token": ""}, TryLater),
        ({"access_token": "  "}, TryLater),
        ({"access_token": None}, TryLater),
        ({"access_token": 7}, TryLater),
        ({"access_token": "x" * 16_385}, TryLater),
        ({"access_token": "x", "refresh_token": "y" * 16_385}, TryLater),
        ({"access_token": "x", "token_type": "mac"}, Unclassified),
        ({"access_token": "x", "token_type": 7}, Unclassified),
    ],
)
def test_a_success_without_a_token_is_none(
    body: dict[str, object], kind: type[ProviderError]
) -> None:
    """providers.md: an empty access_token in a 200 is a failure, and the old token stays."""
    with pytest.raises(kind):
        oauth2.tokens(body)


def test_a_token_of_16_kib_fits() -> None:
    """providers.md: 16 KiB per token."""
    assert len(oauth2.tokens({"access_token": "x" * 16_384}).access_token.reveal()) == 16_384


def test_the_authorization_request() -> None:
    """R76: state, PKCE S256, exactly our redirect URI; nothing empty in it."""
    pkce = Pkce.new()
    url = oauth2.authorize_url(
        "https://login.example/authorize",
        client_id="c&d",
        redirect_uri="https://broker.example/oauth/callback/con_1?x=1",
        scopes=("api", "id"),
        state="s t",
        challenge=pkce.challenge,
        more={"nonce": "n"},
    )
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["c&d"],
        "redirect_uri": ["https://broker.example/oauth/callback/con_1?x=1"],
        "scope": ["api id"],
        "state": ["s t"],
        "code_challenge": [pkce.challenge],
        "code_challenge_method": ["S256"],
        "nonce": ["n"],
    }


def test_a_proof_key_is_new_each_time_and_hidden() -> None:
    """RFC 7636: the appendix B example, 256 random bits, and a verifier that does not print."""
    assert (
        oauth2.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
    one, other = Pkce.new(), Pkce.new()
    assert one.verifier != other.verifier
    assert len(one.verifier.reveal()) == 43
    assert one.verifier.reveal() not in repr(one)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": "access_denied", "error_description": "end-user denied"}, Denied),
        ({"error": "access_denied", "code": "c"}, Denied),
        ({"error": ""}, Denied),
        ({}, Denied),
        ({"code": ""}, Denied),
        ({"code": "c", "iss": "https://evil.example"}, NotProven),
        ({"error": "access_denied", "iss": "https://evil.example"}, NotProven),
        ({"code": "c", "iss": ""}, NotProven),
    ],
)
def test_a_callback_without_a_code_of_ours(
    answer: dict[str, str], kind: type[ProviderError]
) -> None:
    """K3, C5 and RFC 9207: a refusal is said so; an answer of another server is not believed."""
    with pytest.raises(kind):
        oauth2.code_of(answer, issuer=lambda sent: sent == "https://idp.example")


def test_a_callback_with_a_code() -> None:
    """RFC 9207: the issuer fits where it is sent, and is missed where it was promised."""
    sent = {"code": "c", "iss": "https://idp.example"}
    assert oauth2.code_of(sent, issuer="https://idp.example".__eq__).reveal() == "c"
    assert oauth2.code_of({"code": "c"}, issuer=lambda _: False).reveal() == "c"
    with pytest.raises(NotProven, match="issuer-mismatch"):
        oauth2.code_of({"code": "c"}, issuer=lambda _: True, issuer_promised=True)
