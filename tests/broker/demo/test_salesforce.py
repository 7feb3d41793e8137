"""Our Salesforce provider and the pretend Salesforce, over real HTTP on loopback."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.demo.grants import ORGANIZATION, App
from broker.demo.world import Trouble
from providers.egress import Egress
from providers.errors import (
    ClientMisconfigured,
    Denied,
    GrantDead,
    HostRefused,
    PersonNeeded,
    ProviderError,
    TryLater,
    Unclassified,
)
from providers.oauth2 import Pkce
from providers.salesforce import Salesforce
from providers.secret import Secret
from tests.broker.demo.stage import CALLBACK, KIM, ROBOT, Form, Stage

DAY = 24 * 3600


async def test_allow_connects_an_account_of_ones_own(stage: Stage) -> None:
    """R77, R1: Allow gives tokens for exactly the person who pressed it, with their account."""
    kim, robot = await stage.connect(KIM), await stage.connect(ROBOT)
    assert kim.account is not None
    assert robot.account is not None
    assert kim.account.key == f"{ORGANIZATION}:005Dm0000000001"
    assert (kim.account.display, robot.account.display) == (KIM, ROBOT)
    assert (kim.base_url, kim.scopes) == (
        stage.simulator.base_url,
        ("api", "id", "refresh_token"),
    )
    assert kim.expires_in_s is not None
    assert 7190 <= kim.expires_in_s <= 7200
    for given, name in ((kim, KIM), (robot, ROBOT)):
        answer = await stage.ask(given)
        assert answer.json()["records"][0]["Username"] == name


async def test_deny_comes_back_without_a_code(stage: Stage) -> None:
    """R78: Deny is told as such, with the state, and nothing was granted."""
    pkce = Pkce.new()
    registration = stage.registration()
    url = stage.salesforce.authorize_url(registration, state="s1", challenge=pkce.challenge)
    answer = await stage.press(url, KIM, "deny")
    assert answer["state"] == "s1"
    with pytest.raises(Denied, match="access_denied: end-user denied authorization"):
        await stage.salesforce.exchange(registration, answer=answer, verifier=pkce.verifier)
    assert stage.simulator.salesforce.approvals == []


async def test_the_page_knows_who_is_expected(stage: Stage) -> None:
    """A login hint preselects the person on the consent page."""
    url = stage.salesforce.authorize_url(
        stage.registration(), state="s", challenge=Pkce.new().challenge
    )
    page = await stage.browser.get(f"{url}&login_hint={KIM}")
    assert Form(page.text).selected == KIM
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client_id"),
        ({"redirect_uri": CALLBACK + "x"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1:9/oauth/callback"}, "redirect_uri_mismatch"),
    ],
)
async def test_a_strange_request_is_redirected_nowhere(
    stage: Stage, changed: dict[str, str], error: str
) -> None:
    """RFC 6749 §4.1.2.1: an unknown client or redirect URI gets a page, not a redirect."""
    registration = stage.registration(**changed)
    url = stage.salesforce.authorize_url(
        registration, state="<script>", challenge=Pkce.new().challenge
    )
    answer = await stage.browser.get(url)
    assert answer.status_code == 400
    assert error in answer.text


@pytest.mark.parametrize("left_out", ["code_challenge", "code_challenge_method", "response_type"])
async def test_a_request_without_its_proof_key_is_sent_back(stage: Stage, left_out: str) -> None:
    """RFC 7636 §4.4.1: the pretend Salesforce takes S256 and nothing less."""
    url = stage.salesforce.authorize_url(
        stage.registration(), state="s", challenge=Pkce.new().challenge
    )
    kept = "&".join(part for part in url.split("&") if not part.startswith(left_out + "="))
    kept = kept.replace("?response_type=code&", "?") if left_out == "response_type" else kept
    answer = await stage.browser.get(kept)
    assert answer.status_code == 303
    assert "error=invalid_request" in answer.headers["location"]


async def test_another_verifier_redeems_nothing(stage: Stage) -> None:
    """PKCE: a stolen code is worthless without the verifier, and it is used up."""
    pkce = Pkce.new()
    registration = stage.registration()
    url = stage.salesforce.authorize_url(registration, state="s", challenge=pkce.challenge)
    answer = await stage.press(url, KIM)
    for verifier in (Pkce.new().verifier, pkce.verifier):
        with pytest.raises(GrantDead):
            await stage.salesforce.exchange(registration, answer=answer, verifier=verifier)


async def test_a_code_is_for_its_redirect_uri_and_its_time(stage: Stage) -> None:
    """RFC 6749 §4.1.3: the same redirect URI again; and a code lives for minutes."""
    other = CALLBACK + "2"
    stage.app.redirect_uris.add(other)
    pkce = Pkce.new()
    url = stage.salesforce.authorize_url(stage.registration(), state="s", challenge=pkce.challenge)
    answer = await stage.press(url, KIM)
    with pytest.raises(ClientMisconfigured, match="redirect_uri_mismatch"):
        await stage.salesforce.exchange(
            stage.registration(redirect_uri=other), answer=answer, verifier=pkce.verifier
        )
    answer = await stage.press(url, KIM)
    stage.simulator.clock.advance(16 * 60)
    with pytest.raises(GrantDead, match="expired authorization code"):
        await stage.salesforce.exchange(stage.registration(), answer=answer, verifier=pkce.verifier)


async def test_a_refresh_without_rotation(stage: Stage) -> None:
    """providers.md: the refresh token stays; the new access token works beside the old one."""
    given = await stage.connect()
    assert given.refresh_token is not None
    again = await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    assert again.refresh_token is None
    assert again.access_token != given.access_token
    assert again.expires_in_s is not None
    for each in (given, again):
        assert (await stage.ask(each)).status_code == 200
    assert stage.simulator.salesforce.calls["refresh", KIM] == 1


async def test_strict_rotation_punishes_a_second_use(stage: Stage) -> None:
    """providers.md [L4]: each use renews the token; the old one kills the whole approval."""
    stage.app.rotation = True
    given = await stage.connect()
    assert given.refresh_token is not None
    first = await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    assert first.refresh_token is not None
    assert first.refresh_token != given.refresh_token
    second = await stage.salesforce.refresh(stage.registration(), first.refresh_token)
    with pytest.raises(GrantDead):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    assert second.refresh_token is not None
    with pytest.raises(GrantDead):
        await stage.salesforce.refresh(stage.registration(), second.refresh_token)
    assert (await stage.ask(second)).status_code == 401


async def test_a_lost_answer_rotated_all_the_same(stage: Stage) -> None:
    """semantics.md c.2, lost answer: the work was done, the next try finds the grant dead."""
    stage.app.rotation = True
    given = await stage.connect()
    assert given.refresh_token is not None
    stage.simulator.salesforce.switches.set("lost-answer", times=1)
    with pytest.raises(TryLater):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    with pytest.raises(GrantDead):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)


async def test_revoked_is_revoked(stage: Stage) -> None:
    """K12: afterwards neither token works, introspection says so, and once more is fine."""
    given = await stage.connect()
    assert given.refresh_token is not None
    assert given.base_url is not None
    registration = stage.registration()
    alive = await stage.salesforce.introspect(registration, given.access_token, given.base_url)
    assert alive.active
    for _ in range(2):
        await stage.salesforce.revoke(registration, given.refresh_token)
    dead = await stage.salesforce.introspect(registration, given.access_token, given.base_url)
    assert (dead.active, dead.expires_in_s) == (False, None)
    with pytest.raises(GrantDead, match="expired access/refresh token"):
        await stage.salesforce.refresh(registration, given.refresh_token)


async def test_a_revoked_session_leaves_the_grant(stage: Stage) -> None:
    """Revoking an access token ends that session alone."""
    given = await stage.connect()
    assert given.refresh_token is not None
    await stage.salesforce.revoke(stage.registration(), given.access_token)
    assert (await stage.ask(given)).status_code == 401
    await stage.salesforce.refresh(stage.registration(), given.refresh_token)


async def test_a_dead_token_is_told_as_salesforce_tells_it(stage: Stage) -> None:
    """providers.md: 401 INVALID_SESSION_ID from the API, for an ended and for no session."""
    given = await stage.connect()
    stage.simulator.salesforce.end_sessions()
    for answer in (
        await stage.ask(given),
        await stage.ask(replace(given, access_token=Secret("nonsense"))),
        await stage.browser.get(f"{given.base_url}/services/data/v62.0/limits"),
    ):
        assert answer.status_code == 401
        assert answer.json()[0]["errorCode"] == "INVALID_SESSION_ID"


async def test_a_session_ends_by_the_programs_clock(stage: Stage) -> None:
    """The access token lives as long as the org's session; its end is told by its own clock."""
    stage.app.session_s = 900
    stage.simulator.clock.advance(-300)
    given = await stage.connect()
    assert given.expires_in_s is not None
    assert 890 <= given.expires_in_s <= 900
    stage.simulator.clock.advance(901)
    assert (await stage.ask(given)).status_code == 401


async def test_an_unused_grant_lapses(stage: Stage) -> None:
    """R74: under "expire if unused for 14 days" a used grant lives on, an idle one is dead."""
    stage.app.idle_s = 14 * DAY
    given = await stage.connect()
    assert given.refresh_token is not None
    for _ in range(9):
        stage.simulator.clock.advance(7 * DAY)
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)
    stage.simulator.clock.advance(15 * DAY)
    with pytest.raises(GrantDead):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)


async def test_the_sixth_approval_ends_the_first(stage: Stage) -> None:
    """providers.md [L3]: about five grants a user and app; the oldest goes without a word."""
    grants = [await stage.connect() for _ in range(6)]
    first, second = grants[0].refresh_token, grants[1].refresh_token
    assert first is not None
    assert second is not None
    await stage.salesforce.refresh(stage.registration(), second)
    with pytest.raises(GrantDead):
        await stage.salesforce.refresh(stage.registration(), first)


async def test_a_switched_off_user(stage: Stage) -> None:
    """providers.md: "authentication failure" is a changed or deactivated user: grant dead."""
    given = await stage.connect()
    assert given.refresh_token is not None
    stage.simulator.salesforce.users[KIM].active = False
    with pytest.raises(GrantDead, match="authentication failure"):
        await stage.salesforce.refresh(stage.registration(), given.refresh_token)


TROUBLES = {
    Trouble.GRANT_DEAD: GrantDead,
    Trouble.USER_INACTIVE: GrantDead,
    Trouble.CLIENT_REFUSED: ClientMisconfigured,
    Trouble.UNAUTHORIZED: ClientMisconfigured,
    Trouble.PERSON_NEEDED: PersonNeeded,
    Trouble.CONCURRENT: TryLater,
    Trouble.UNKNOWN: Unclassified,
    Trouble.RATE_LIMITED: TryLater,
    Trouble.BROKEN: TryLater,
    Trouble.ERROR_IN_200: GrantDead,
    Trouble.EMPTY_TOKEN: TryLater,
    Trouble.HTML: TryLater,
    Trouble.LOST: TryLater,
}


@pytest.mark.parametrize("trouble", Trouble)
async def test_every_trouble_has_its_class(stage: Stage, trouble: Trouble) -> None:
    """promises.md: customers rehearse each error; it meets one user, so often, then all is well."""
    kim, robot = await stage.connect(KIM), await stage.connect(ROBOT)
    assert kim.refresh_token is not None
    assert robot.refresh_token is not None
    switches = stage.simulator.salesforce.switches
    switches.set(trouble, user=KIM, times=1, seconds=0.01)
    await stage.salesforce.refresh(stage.registration(), robot.refresh_token)
    expected: type[ProviderError] | None = TROUBLES.get(trouble)
    if expected is None:
        await stage.salesforce.refresh(stage.registration(), kim.refresh_token)
    else:
        with pytest.raises(ProviderError) as caught:
            await stage.salesforce.refresh(stage.registration(), kim.refresh_token)
        assert type(caught.value) is expected
    again = await stage.salesforce.refresh(stage.registration(), kim.refresh_token)
    assert (await stage.ask(again)).status_code == 200


async def test_the_wrong_secret_is_the_connectors_fault(stage: Stage) -> None:
    """K8: a refused client says nothing about the person's grant, which goes on working."""
    given = await stage.connect()
    assert given.refresh_token is not None
    with pytest.raises(ClientMisconfigured):
        await stage.salesforce.refresh(
            stage.registration(client_secret="typo"), given.refresh_token
        )
    await stage.salesforce.refresh(stage.registration(), given.refresh_token)


async def test_test_looks_at_what_was_typed(stage: Stage) -> None:
    """R52: with a wrong secret the test fails, with the right one it passes; nobody is granted."""
    assert (await stage.salesforce.test(stage.registration())).passed
    for wrong in ({"client_secret": "typo"}, {"client_id": "nobody"}):
        with pytest.raises(ClientMisconfigured):
            await stage.salesforce.test(stage.registration(**wrong))
    assert stage.simulator.salesforce.approvals == []


async def test_check_names_what_is_missing(stage: Stage) -> None:
    """R58, R59: account, API, each permission present or missing; missing ones warn, not fail."""
    given = await stage.connect(ROBOT)
    assert given.base_url is not None
    stage.simulator.salesforce.users[ROBOT].permissions.remove("PermissionsAuthorApex")
    report = await stage.salesforce.check(stage.registration(), given.access_token, given.base_url)
    assert report.passed
    told = [(finding.level, finding.text) for finding in report.findings]
    assert told[:2] == [("ok", f"Connected as {ROBOT}."), ("ok", "The API answers.")]
    assert ("warning", "Author Apex: missing.") in told
    assert ("ok", "Modify All Data: present.") in told
    assert not any("Send Email" in text for _, text in told)
    emails = stage.registration(send_email="yes")
    report = await stage.salesforce.check(emails, given.access_token, given.base_url)
    assert ("warning", "Send Email: missing.") in [(f.level, f.text) for f in report.findings]
    stage.simulator.salesforce.end_sessions()
    report = await stage.salesforce.check(emails, given.access_token, given.base_url)
    assert not report.passed


async def test_the_wall_stands_around_the_rehearsal(stage: Stage) -> None:
    """building.md: without its origin on the list, the simulator is loopback like any other."""
    egress = Egress()
    walled = Salesforce(egress, simulator=stage.simulator.base_url)
    with pytest.raises(HostRefused):
        await walled.test(stage.registration())
    await egress.aclose()


async def test_a_prefix_takes_the_wizards_callbacks(stage: Stage) -> None:
    """The demo's app accepts each new connector's redirect URI, and none beside the prefix."""
    app = App("demo", "s", redirect_prefix="http://127.0.0.1:9/oauth/callback/")
    assert app.takes(CALLBACK)
    assert not app.takes("http://127.0.0.1:9/oauth/")
    assert not app.takes("http://evil.example/oauth/callback/con_1")
    assert not stage.app.takes(CALLBACK + "/more")
