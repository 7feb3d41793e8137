"""The OAuth 2 engine: what is sent, and what each answer means, whatever the program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.capabilities import (
    Account,
    CanAuthorize,
    CanInspect,
    CanMint,
    CanRefresh,
    CanRevoke,
    CanTest,
    Registration,
    TokenResponse,
)
from providers.definition import Method, Source
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    HostRefused,
    NotProven,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.oauth2 import Dialect
from providers.places import Environment
from providers.secret import Secret
from providers.speech import Who, filled
from tests.providers.bordering import (
    CANARIES,
    HOST,
    INTROSPECT,
    REVOKE,
    TICKETS,
    TOKEN,
    USERINFO,
    Border,
    basic,
    bordering,
    sent,
)

DATE = "Sat, 21 Nov 2026 20:00:00 GMT"
EXP = 1_795_298_400  # two hours after DATE


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    async with bordering() as made:
        yield made


def test_a_program_can_do_everything(border: Border) -> None:
    """The token source is an interface: each verb is a protocol that services ask for."""
    for protocol in (CanAuthorize, CanRefresh, CanMint, CanRevoke, CanInspect, CanTest):
        assert isinstance(border.program, protocol)


def test_the_browser_is_sent_with_state_and_proof_key(border: Border) -> None:
    """R76, K7, K15: state, S256, the exact redirect URI, each scope once, and the claims."""
    url = border.program.authorize_url(
        border.registration, state="s", challenge="c" * 43, scopes=("tickets", "wide"), claims="{}"
    )
    parts = urlsplit(url)
    assert url.startswith(f"{HOST}/oauth/authorize?")
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "response_type": "code",
        "client_id": "ours",
        "redirect_uri": border.registration.redirect_uri,
        "scope": "tickets offline_access wide",
        "state": "s",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        "claims": "{}",
    }


def test_a_program_has_its_own_words_for_a_request(border: Border) -> None:
    """providers.md b.1: scopes between commas and constant parameters are data."""
    odd = border.speaking(separator=",", more={"prompt": "consent"})
    url = odd.program.authorize_url(odd.registration, state="s", challenge="c" * 43)
    query = parse_qs(urlsplit(url).query)
    assert query["scope"] == ["tickets,offline_access"]
    assert query["prompt"] == ["consent"]


async def test_a_code_becomes_tokens_of_somebody(border: Border) -> None:
    """R77: the code goes with verifier, redirect URI and secret; the account's key is immutable."""
    route, who = border.answers(refresh_token_expires_in="5184000"), border.is_kim()
    given = await border.exchange()
    assert sent(route) == {
        "grant_type": "authorization_code",
        "code": CANARIES[0],
        "redirect_uri": border.registration.redirect_uri,
        "code_verifier": CANARIES[1],
        "client_id": "ours",
        "client_secret": CANARIES[2],
    }
    assert who.calls.last.request.headers["Authorization"] == "Bearer at-1"
    assert given.account == Account("u-7", "kim@acme.example")
    assert given.access_token == Secret("at-1")
    assert given.refresh_token == Secret("rt-1")
    assert (given.expires_in_s, given.grant_expires_in_s) == (3600, 5184000)
    assert (given.scopes, given.base_url) == (("tickets",), f"{HOST}/api")


@pytest.mark.parametrize(
    ("client", "header", "named"),
    [
        ("post", None, {"client_id", "client_secret"}),
        ("basic", basic("ours", CANARIES[2]), set()),
        ("none", None, {"client_id"}),
    ],
)
async def test_a_client_proves_itself_as_the_program_wants(
    border: Border, client: str, header: str | None, named: set[str]
) -> None:
    """RFC 6749 §2.3.1: in the form, by HTTP Basic, or not at all (a public client with PKCE)."""
    route = border.answers()
    await border.speaking(client=client).refresh()
    assert route.calls.last.request.headers.get("Authorization") == header
    assert {name for name in sent(route) if name.startswith("client")} == named


async def test_reserved_characters_survive_basic(border: Border) -> None:
    """RFC 6749 §2.3.1: id and secret are form-encoded before they are joined by a colon."""
    route = border.answers()
    odd = border.speaking(client="basic").registered(
        fields={"client_id": "a:b"}, secrets={"client_secret": Secret("c d%")}
    )
    await odd.refresh()
    assert route.calls.last.request.headers["Authorization"] == basic("a%3Ab", "c+d%25")


@pytest.mark.parametrize("iss", ["", "https://evil.example", HOST + "/"])
async def test_another_issuers_code_is_not_redeemed(border: Border, iss: str) -> None:
    """RFC 9207 §2.4, promise 19: nothing is sent where `iss` is missing, though promised, or
    not exactly the issuer we asked.
    """
    route = border.answers()
    with pytest.raises(NotProven):
        await border.exchange(iss=iss)
    assert not route.called


async def test_an_issuer_nobody_named_is_at_the_programs_hosts(border: Border) -> None:
    """RFC 9207: where the issuer's name is not known, at least its host is the program's."""
    border.answers()
    border.is_kim()
    free = border.speaking(issuer="", issuer_promised=False)
    assert (await free.exchange(iss=HOST + "/anything")).account
    assert (await free.exchange(iss="")).account
    with pytest.raises(NotProven):
        await free.exchange(iss="https://evil.example")


async def test_a_denial_is_no_code(border: Border) -> None:
    """R78, K3: what the person said no to is told by the program's own word."""
    route = border.answers()
    with pytest.raises(Denied) as refused:
        await border.exchange(code="", error="access_denied")
    assert refused.value.provider_code == "access_denied"
    assert not route.called


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {}, NotProven),
        (403, {}, NotProven),
        (200, {"name": "Kim"}, NotProven),
        (200, {"sub": ""}, NotProven),
        (200, {"sub": {"id": 1}}, NotProven),
        (503, {}, TryLater),
        (302, {}, TryLater),
        (404, {}, Unclassified),
    ],
)
async def test_an_account_has_to_be_known(
    border: Border, status: int, body: dict[str, object], kind: type[ProviderError]
) -> None:
    """safety 17, K2: a grant of nobody knows whom is not kept."""
    border.answers()
    border.host.get(USERINFO).respond(status, json=body)
    with pytest.raises(kind):
        await border.exchange()


async def test_the_token_answer_may_name_the_account(border: Border) -> None:
    """providers.md b.1: some programs nest tokens, and say whose they are beside them."""
    who = Who(key=("team.id", "by.id"), display=("by.nick", "by.mail"))
    nested = border.speaking(who=who, tokens_at="by", separator=",")
    by = {"access_token": "at-2", "id": 7, "mail": "kim@acme.example", "scope": "read,write"}
    border.host.post(TOKEN).respond(200, json={"ok": True, "team": {"id": "T1"}, "by": by})
    border.alive({"active": False})
    given = await nested.exchange()
    assert given.account == Account("T1:7", "kim@acme.example")
    assert given.access_token == Secret("at-2")
    assert given.scopes == ("read", "write")


async def test_a_refresh_sends_what_the_program_wants(border: Border) -> None:
    """K4, R28: the refresh token; its scopes only where asked for (Entra: AADSTS90009)."""
    route = border.answers(refresh_token="")
    given = await border.refresh("wide")
    assert sent(route)["refresh_token"] == CANARIES[3]
    assert "scope" not in sent(route)
    assert given.refresh_token is None
    await border.speaking(scope_on_refresh=True).refresh("wide")
    assert sent(route)["scope"] == "tickets offline_access wide"


CLASSES = [
    (400, {"error": "invalid_grant"}, GrantDead),
    (401, {"error": "invalid_grant"}, GrantDead),
    (400, {"error": "interaction_required", "claims": '{"a":1}'}, PersonNeeded),
    (400, {"error": "invalid_grant", "suberror": "basic_action"}, PersonNeeded),
    (401, {"error": "invalid_client"}, ClientMisconfigured),
    (400, {"error": "unauthorized_client"}, ClientMisconfigured),
    (401, {}, ClientMisconfigured),
    (429, {}, TryLater),
    (503, {"error": "invalid_grant"}, TryLater),
    (400, {"error": "temporarily_unavailable"}, TryLater),
    (302, {}, TryLater),
    (400, {"error": "something_else"}, Unclassified),
    (200, {"error": "invalid_grant"}, GrantDead),
    (200, {"access_token": ""}, TryLater),
    (200, {"access_token": "x" * 16385}, TryLater),
    (200, {"access_token": "x", "token_type": "mac"}, Unclassified),
]


@pytest.mark.parametrize(("status", "body", "kind"), CLASSES)
async def test_every_answer_has_its_class(
    border: Border, status: int, body: dict[str, object], kind: type[ProviderError]
) -> None:
    """semantics.md c.2, failure classes (K6 to K10), for a refresh and for a minted token alike."""
    border.host.post(TOKEN).respond(status, json=body, headers={"Retry-After": "7"})
    with pytest.raises(kind) as refused:
        await border.refresh()
    assert type(refused.value) is kind
    with pytest.raises(kind):
        await border.program.mint(border.registration, None)
    if isinstance(refused.value, TryLater) and status in (429, 503):
        assert refused.value.retry_after_s == 7
    if isinstance(refused.value, PersonNeeded) and "claims" in body:
        assert refused.value.claims == '{"a":1}'


@pytest.mark.parametrize(
    "trouble", [httpx.ConnectTimeout("x"), httpx.ReadError("x"), httpx.RemoteProtocolError("x")]
)
async def test_the_network_is_never_the_grants_fault(border: Border, trouble: Exception) -> None:
    """K9, promise 4: whatever the way to the program does is transient."""
    border.host.post(TOKEN).mock(side_effect=trouble)
    with pytest.raises(TryLater):
        await border.refresh()


async def test_refusals_are_data(border: Border) -> None:
    """semantics.md c.2: adapters add; a refresh may have other words than a code."""
    odd = border.speaking(
        refusals=Dialect(grant_dead=frozenset({"bad_code"}), error_at="fault.code"),
        refresh_refusals=Dialect(grant_dead=frozenset({"token_revoked"})),
    )
    border.host.post(TOKEN).respond(200, json={"ok": False, "error": "token_revoked"})
    with pytest.raises(GrantDead):
        await odd.refresh()
    border.host.post(TOKEN).respond(200, json={"fault": {"code": "bad_code"}})
    with pytest.raises(GrantDead):
        await odd.exchange()


@pytest.mark.parametrize(
    ("verb", "sends"), [("exchange", (0, 1, 2)), ("refresh", (3, 2)), ("mint", (2,))]
)
async def test_no_secret_is_repeated(border: Border, verb: str, sends: tuple[int, ...]) -> None:
    """Promises 13, 17: an error text of the program's holds nothing that we sent."""
    words = " and ".join(CANARIES[number] for number in sends)
    body = {"error": "invalid_grant", "error_description": f"not {words}"}
    border.host.post(TOKEN).respond(400, json=body)
    calls: dict[str, Callable[[], Awaitable[TokenResponse]]] = {
        "exchange": border.exchange,
        "refresh": border.refresh,
        "mint": lambda: border.program.mint(border.registration, None),
    }
    with pytest.raises(GrantDead) as refused:
        await calls[verb]()
    assert refused.value.provider_text == "not " + " and ".join("***" for _ in sends)


async def test_introspection_tells_a_life_nobody_told(border: Border) -> None:
    """providers.md b.1: without `expires_in` the program is asked, by its own clock."""
    border.answers(expires_in="")
    route = border.alive({"active": True, "exp": EXP}, Date=DATE)
    assert (await border.refresh()).expires_in_s == 7200
    assert sent(route)["token"] == "at-1"
    for body in ({"active": False}, {"active": True}, {"error": "invalid_client"}):
        border.alive(body)
        assert (await border.refresh()).expires_in_s is None
    border.host.post(INTROSPECT).respond(500)
    assert (await border.refresh()).access_token == Secret("at-1")


async def test_an_app_acts_for_itself(border: Border) -> None:
    """RFC 6749 §4.4: client credentials; the account is the client."""
    route = border.answers(refresh_token="", scope="")
    given = await border.program.mint(border.registration, None)
    assert sent(route) == {
        "grant_type": "client_credentials",
        "scope": "tickets",
        "client_id": "ours",
        "client_secret": CANARIES[2],
    }
    assert given.account == Account("ours", "ours")
    assert (given.scopes, given.base_url) == (("tickets",), f"{HOST}/api")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (204, {}),
        (400, {"error": "invalid_token"}),
        (400, {"error": "unsupported_token_type"}),
    ],
)
async def test_a_token_is_revoked(border: Border, status: int, body: dict[str, str]) -> None:
    """K12, RFC 7009 §2.2: with the client's proof; a token that was dead before is fine."""
    route = border.host.post(REVOKE).respond(status, json=body)
    await border.program.revoke(border.registration, Secret(CANARIES[3]))
    assert sent(route) == {
        "token": CANARIES[3],
        "client_id": "ours",
        "client_secret": CANARIES[2],
    }


async def test_what_cannot_be_revoked_now_is_told(border: Border) -> None:
    """K12: a failure is raised, so that the job repeats; no endpoint means no call."""
    route = border.host.post(REVOKE).respond(503)
    with pytest.raises(TryLater):
        await border.program.revoke(border.registration, Secret("t"))
    await border.speaking(revoke="").program.revoke(border.registration, Secret("t"))
    assert route.call_count == 1


async def test_a_secret_we_no_longer_have_is_not_sent(border: Border) -> None:
    """safety 18: at a place the connector has left, a token is revoked without our secret."""
    route = border.host.post(REVOKE).respond(200)
    await border.registered(secrets={}).program.revoke(
        border.registered(secrets={}).registration, Secret("t")
    )
    assert sent(route) == {"token": "t", "client_id": "ours"}


@pytest.mark.parametrize(
    ("status", "active"), [(200, True), (401, False), (403, True), (404, True)]
)
async def test_a_program_without_introspection_is_asked_who(
    border: Border, status: int, active: bool
) -> None:
    """safety 25: whether a token lives, the program itself says; only a 401 calls it dead."""
    border.host.get(USERINFO).respond(status, json={"sub": "u-7"})
    silent = border.speaking(introspect="")
    found = await silent.program.introspect(silent.registration, Secret("at"), f"{HOST}/api")
    assert found.active is active
    border.host.get(USERINFO).respond(503)
    with pytest.raises(TryLater):
        await silent.program.introspect(silent.registration, Secret("at"), f"{HOST}/api")


async def test_nobody_to_ask_is_no_answer(border: Border) -> None:
    """safety 25: where nothing can be asked, nothing is claimed."""
    mute = border.speaking(introspect="", who=None, probes=())
    with pytest.raises(Unclassified):
        await mute.program.introspect(mute.registration, Secret("at"), "")


async def test_a_base_url_out_of_an_answer_is_the_programs(border: Border) -> None:
    """safety 19: an address in an answer is theirs, or the tokens are not handed out."""
    told = border.speaking(base_url_at="api_domain", introspect="")
    border.answers(api_domain=HOST + "/v9/")
    border.is_kim()
    assert (await told.exchange()).base_url == f"{HOST}/v9"
    for hostile in ("https://evil.example", "http://tickets.example.com", 7):
        border.answers(api_domain=hostile)
        with pytest.raises(HostRefused):
            await told.exchange()
        with pytest.raises(HostRefused):
            await told.refresh()
    with pytest.raises(HostRefused):
        await told.program.check(told.registration, Secret("at"), "https://evil.example/api")


async def test_the_test_tries_what_was_typed(border: Border) -> None:
    """R50, R52: a code that was never given is refused only to who is known there."""
    typed = border.speaking()
    route = border.host.post(TOKEN).respond(400, json={"error": "invalid_grant"})
    report = await typed.program.test(typed.registration)
    assert report.passed
    assert sent(route)["client_secret"] == CANARIES[2]
    assert len(sent(route)["code_verifier"]) >= 43
    border.host.post(TOKEN).respond(401, json={"error": "invalid_client"})
    with pytest.raises(ClientMisconfigured):
        await typed.program.test(typed.registration)
    border.answers()
    with pytest.raises(ClientMisconfigured):
        await typed.program.test(typed.registration)


async def test_the_test_of_an_app_reads_the_api(border: Border) -> None:
    """R50: where nobody signs in a token is asked for, and the API with it."""
    method = Method(None, Source.MINTED)
    app = border.with_program(replace(TICKETS.definition, method=method), TICKETS.speech)
    border.answers()
    who = border.is_kim()
    border.host.get(f"{HOST}/api/tickets").respond(200, json=[])
    report = await app.program.test(app.registration)
    assert report.passed
    assert len(report.findings) == 2
    assert not who.called


async def test_the_check_says_who_and_what(border: Border) -> None:
    """T6, R55: the saved identity by name, then each probe in its own sentence."""
    saved = border.speaking()
    border.is_kim()
    tickets = border.host.get(f"{HOST}/api/tickets").respond(200, json=[])
    report = await saved.program.check(saved.registration, Secret("at"), f"{HOST}/api")
    assert [one.text for one in report.findings] == [
        "Connected as kim@acme.example.",
        "The tickets can be read.",
    ]
    tickets.respond(403)
    report = await saved.program.check(saved.registration, Secret("at"), f"{HOST}/api")
    assert not report.passed
    tickets.respond(503)
    with pytest.raises(TryLater):
        await saved.program.check(saved.registration, Secret("at"), f"{HOST}/api")
    border.host.get(USERINFO).respond(401)
    report = await saved.program.check(saved.registration, Secret("at"), f"{HOST}/api")
    assert [one.text for one in report.findings] == ["Tickets does not accept the access token."]


async def test_a_relay_that_is_no_more_stops_everything(border: Border) -> None:
    """R42, safety 20: nothing goes around the relay a connector names."""
    route = border.answers()
    lost = border.registered(relay="gone")
    with pytest.raises(HostRefused):
        await lost.refresh()
    with pytest.raises(HostRefused):
        await lost.program.check(lost.registration, Secret("at"), f"{HOST}/api")
    assert not route.called


async def test_an_integration_has_to_be_chosen(border: Border) -> None:
    """R36: how a program is spoken to is the integration's; none is guessed."""
    with pytest.raises(ClientMisconfigured):
        await border.registered(integration="other").refresh()


@given(st.text(max_size=40))
def test_a_field_stays_one_part_of_the_path(value: str) -> None:
    """safety 18: whatever an administrator types, the address keeps its host and its parts."""
    place = Environment("e", "E", "https://a.example", path="/x")
    registration = Registration(place, "https://a.example", "", {"tenant": value})
    if value in ("", ".", ".."):
        with pytest.raises(ClientMisconfigured):
            filled("{base}/{tenant}/token", registration)
        return
    parts = urlsplit(filled("{base}/{tenant}/token", registration))
    assert (parts.scheme, parts.netloc) == ("https", "a.example")
    assert (parts.query, parts.fragment) == ("", "")
    assert parts.path.count("/") == 3


def test_addresses_know_their_place() -> None:
    """Decision 0021: {base}, {host}, {api} and the fields; an unknown hole is nobody's address."""
    place = Environment("e", "E", "https://a.example", path="/x", api="https://b.example/y")
    registration = Registration(place, "https://a.example", "", {"tenant": "t/.."})
    template = "{base}|{host}|{api}|{tenant}|{base_url}"
    told = filled(template, registration, base_url="https://c.example")
    assert told == "https://a.example/x|a.example|https://b.example/y|t%2F..|https://c.example"
    with pytest.raises(ClientMisconfigured):
        filled("{base}/{other}", registration)


def test_the_first_name_that_is_one_is_shown() -> None:
    """R58: people see the name they know, never an empty one; else the key."""
    who = Who(key=("sub",), display=("nick", "email"))
    assert who.account({"sub": 7, "nick": "", "email": "k@a"}) == Account("7", "k@a")
    assert who.account({"sub": "7", "nick": 1}) == Account("7", "7")
