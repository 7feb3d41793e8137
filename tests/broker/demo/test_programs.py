"""What every pretend program does alike: consent, codes, refresh tokens, clients (RFC 6749)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from broker.demo.simulator import serving
from tests.broker.demo.stage import CALLBACK, KIM, ROBOT, query_of
from tests.broker.demo.visiting import API, SECRET, Visit, signer
from tests.waiting import until

PROGRAMS = tuple(API)
DAY = 24 * 3600


@pytest.fixture(params=PROGRAMS)
async def visit(request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    """An app at each of the programs in turn."""
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        yield Visit(simulator, browser, request.param)


async def test_the_whole_way(visit: Visit) -> None:
    """Consent page, code, tokens, refresh; the API says whose token each is (R22, R23, R25)."""
    given = await visit.connect()
    assert KIM in (await visit.ask(given["access_token"])).text
    fresh = (await visit.refresh(given["refresh_token"])).json()
    assert fresh["access_token"] != given["access_token"]
    assert KIM in (await visit.ask(fresh["access_token"])).text
    robot = await visit.connect(ROBOT)
    assert ROBOT in (await visit.ask(robot["access_token"])).text
    assert visit.program.state.calls["exchange", KIM] == 1


async def test_deny(visit: Visit) -> None:
    """Deny sends the browser back with access_denied, the state, and no code (R78)."""
    answer = query_of((await visit.press("deny")).headers["location"])
    assert answer["error"] == "access_denied"
    assert answer["state"] == "s1"
    assert "code" not in answer


async def test_nothing_goes_to_an_address_nobody_registered(visit: Visit) -> None:
    """An unknown app or redirect URI is told on the page, never redirected to (RFC 6749)."""
    for wrong in ({"redirect_uri": "http://evil.example/"}, {"client_id": "nobody"}):
        answer = await visit.page(**wrong)
        assert answer.status_code == 400
        posted = {**visit.question(**wrong), "signed_in_as": KIM, "decision": "allow"}
        url = visit.at + visit.program.authorize_path
        assert (await visit.browser.post(url, data=posted)).status_code == 400
    nobody = {**visit.question(), "signed_in_as": "nobody", "decision": "allow"}
    url = visit.at + visit.program.authorize_path
    assert (await visit.browser.post(url, data=nobody)).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [{"code_challenge": ""}, {"code_challenge_method": "plain"}, {"response_type": "token"}],
)
async def test_codes_and_pkce_alone(visit: Visit, wrong: dict[str, str]) -> None:
    """A request without PKCE S256, or for anything but a code, comes back with an error."""
    answer = await visit.page(**wrong)
    assert answer.status_code == 303
    assert query_of(answer.headers["location"])["error"] in (
        "invalid_request",
        "unsupported_response_type",
    )


async def test_a_code_works_once_for_who_asked(visit: Visit) -> None:
    """A code is over after one use, after 15 minutes, and for another verifier or redirect URI."""
    code = await visit.code()
    assert (await visit.redeem(code)).status_code == 200
    assert (await visit.redeem(code)).status_code == 400
    assert (await visit.redeem(await visit.code(), code_verifier="w" * 43)).status_code == 400
    other = {"redirect_uri": CALLBACK + "2"}
    assert (await visit.redeem(await visit.code(), **other)).status_code == 400
    late = await visit.code()
    visit.simulator.clock.advance(15 * 60 + 1)
    assert (await visit.redeem(late)).status_code == 400


async def test_a_wrong_client_gets_nothing(visit: Visit) -> None:
    """An unknown app, a wrong secret and none are each refused, in the program's words."""
    url = visit.at + visit.program.token_path
    sent = {"grant_type": "refresh_token", "refresh_token": "x", "scope": "x"}
    for name, secret in (("nobody", SECRET), ("the-app", "wrong"), ("the-app", "")):
        named = {"client_id": name, "client_secret": secret}
        for way in ({"data": {**sent, **named}}, {"data": sent, "auth": (name, secret)}):
            answer = await visit.browser.post(url, **way)
            assert answer.status_code in (400, 401)
            assert "client" in answer.json()["error"]


async def test_strict_rotation(visit: Visit) -> None:
    """With rotation each refresh token works once; one that comes again ends the approval."""
    visit.app.rotation = True
    given = await visit.connect()
    second = (await visit.refresh(given["refresh_token"])).json()
    assert second["refresh_token"] != given["refresh_token"]
    assert (await visit.refresh(given["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await visit.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_no_lifetime_told(visit: Visit) -> None:
    """An app may be one whose answers hold no expires_in; Salesforce's never do (L2)."""
    told = "expires_in" in await visit.connect()
    assert told is (visit.name != "salesforce")
    visit.app.lifetime = False
    given = await visit.connect()
    assert "expires_in" not in given
    assert "expires_in" not in (await visit.refresh(given["refresh_token"])).json()


async def test_tokens_end(visit: Visit) -> None:
    """Access tokens end by the clock, and for a user who is switched off; so do refreshes."""
    visit.app.session_s = 600
    given = await visit.connect()
    visit.simulator.clock.advance(601)
    assert (await visit.ask(given["access_token"])).status_code in (401, 403)
    fresh = (await visit.refresh(given["refresh_token"])).json()
    visit.program.state.users[KIM].active = False
    assert (await visit.ask(fresh["access_token"])).status_code in (401, 403)
    refused = await visit.refresh(given["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"


async def test_unused_approvals_lapse(visit: Visit) -> None:
    """Entra keeps an unused grant 90 days, DocuSign 30, the others as their app says (R74)."""
    if visit.name in ("salesforce", "tickets", "sharepoint"):
        visit.app.idle_s = 14 * DAY
    idle = visit.app.idle_s or visit.program.state.rules.idle_s
    assert idle == {"entra": 90 * DAY, "docusign": 30 * DAY}.get(visit.name, 14 * DAY)
    token = (await visit.connect())["refresh_token"]
    for _ in range(3):
        visit.simulator.clock.advance(idle - 60)
        answer = await visit.refresh(token)
        assert answer.status_code == 200
        token = answer.json().get("refresh_token", token)
    visit.simulator.clock.advance(idle + 60)
    assert (await visit.refresh(token)).json()["error"] == "invalid_grant"


async def test_an_administrator_ends_it(visit: Visit) -> None:
    """After a revocation over there the grant is dead, and stays so (K6)."""
    given = await visit.connect()
    assert visit.program.state.revoke(KIM) == 1
    assert (await visit.ask(given["access_token"])).status_code in (401, 403)
    assert (await visit.refresh(given["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_lost_answer_has_done_its_work(visit: Visit) -> None:
    """The proxy's page comes back, and the old token of a rotating app is spent (K8)."""
    visit.app.rotation = True
    given = await visit.connect()
    visit.program.state.switches.set("lost-answer", times=1)
    assert (await visit.refresh(given["refresh_token"])).status_code == 502
    assert (await visit.refresh(given["refresh_token"])).json()["error"] == "invalid_grant"


async def test_slow_and_late(visit: Visit) -> None:
    """A slow program works later; a late answer is of work that was done at once."""
    given = await visit.connect()
    sessions = visit.program.state.approvals[-1].access
    before = len(sessions)
    for trouble, done in (("slow", 0), ("late-answer", 1)):
        visit.program.state.switches.set(trouble, times=1, seconds=1.0)
        waiting = asyncio.create_task(visit.refresh(given["refresh_token"]))
        await until(lambda: visit.program.state.approvals[-1].refreshing)
        assert len(sessions) == before + done
        assert not waiting.done()
        assert (await waiting).status_code == 200
        before = len(sessions)


async def test_refreshes_at_the_same_time_are_noticed(visit: Visit) -> None:
    """Two refreshes of one grant under way together are counted: whoever holds a lease is alone."""
    given = await visit.connect()
    await visit.refresh(given["refresh_token"])
    assert visit.program.state.together == 1
    visit.program.state.switches.set("slow", times=2, seconds=0.2)
    await asyncio.gather(*(visit.refresh(given["refresh_token"]) for _ in range(2)))
    assert visit.program.state.together == 2


@pytest.mark.parametrize("visit", ["entra", "tickets"], indirect=True)
async def test_a_client_may_prove_itself_by_its_key(visit: Visit) -> None:
    """private_key_jwt (RFC 7523) at Entra and Tickets: right key, right audience, in time (R41)."""
    url = visit.at + visit.program.token_path
    now = visit.simulator.clock.now()
    good = {"iss": "the-app", "sub": "the-app", "aud": url, "exp": now + 60, "jti": "1"}
    scope = f"{visit.simulator.base_url}/entra/.default"

    async def sent(assertion: str) -> int:
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        return (await visit.browser.post(url, data=form)).status_code

    assert await sent(signer().sign(good)) == 200
    for wrong in (
        signer("another").sign(good),
        signer().sign(good, x5t="another"),
        signer().sign(good, alg="none"),
        signer().sign(good | {"aud": "https://another.example"}),
        signer().sign(good | {"exp": now - 600}),
        signer().sign(good | {"iss": "another"}),
        signer().sign(good | {"sub": "another", "iss": "another"}),
        "no.jwt.here",
        "nothing",
    ):
        assert await sent(wrong) in (400, 401)
