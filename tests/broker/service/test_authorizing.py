"""Links and callbacks: rows K1 to K3, C3 to C5, C8, P2, P3; safety 8, 14 to 17; promise 19."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.db.database import Database, Transaction
from broker.demo.world import Trouble
from broker.domain import ids
from broker.domain.callers import Caller
from broker.domain.clock import DAY, MINUTE
from broker.domain.connectors import State
from broker.domain.errors import BrokerError, Conflict, Forbidden, Invalid, NotFound, Unknown
from broker.domain.links import Link
from broker.domain.links import State as LinkState
from broker.domain.pauses import Pause
from broker.domain.pauses import State as PauseState
from broker.domain.tokens import State as TokenState
from broker.domain.users import License, Status, SuspendedBy, User
from broker.service.revoking import Revoking
from broker.store import connectors, jobs, links, pauses, tokens, users
from tests.broker.service import outside
from tests.broker.service.outside import KIM, ROBOT, Outside
from tests.clocks import MovableClock

ANA = "amara.okafor@acme.example"


async def test_a_person_connects_their_account(world: Outside) -> None:
    """K2: state, PKCE and person match: valid, the next version, the account pinned."""
    id, user = await world.connector(), await world.person()
    token = await world.authorized(user, id)
    assert (token.state, token.version) == (TokenState.VALID, 1)
    assert token.account_display == KIM
    assert token.account == f"00DDm0000000001:{world.programs.salesforce.users[KIM].id}"
    assert token.base_url == world.programs.base_url
    assert token.origin == world.programs.base_url
    living = world.programs.salesforce.living()
    assert world.vault.opened(token).reveal() in living[-1].access


async def test_the_authorization_request_is_what_the_standards_ask_for(world: Outside) -> None:
    """R76, RFC 7636: code flow, state, S256 challenge, exactly one redirect URI a connector."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    url = urlsplit(await world.authorizing.begin(link.id, caller, "browser"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}" == world.programs.base_url
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == len(query["state"]) == 43
    assert query["redirect_uri"] == f"{outside.PUBLIC_URL}/oauth/callback/{id}"


async def test_everyone_who_waits_shares_one_link(world: Outside) -> None:
    """K1: while a link is open, asking again gives the same one, with the scopes of all (K15)."""
    id, user = await world.connector(), await world.person()
    first = await world.link(user, id, scopes=("api",))
    second = await world.link(user, id, scopes=("chatter_api",))
    assert second.id == first.id
    assert second.scopes == ("api", "chatter_api")


async def test_links_asked_for_at_once_are_one(world: Outside) -> None:
    """K1: however many ask in the same moment, one link is made."""
    id, user = await world.connector(), await world.person()
    made = await asyncio.gather(*(world.link(user, id) for _ in range(8)))
    assert len({link.id for link in made}) == 1


async def test_a_link_needs_a_session(world: Outside) -> None:
    """Safety 16: a link authorizes nothing by itself."""
    id, user = await world.connector(), await world.person()
    link = await world.link(user, id)
    with pytest.raises(Unknown):
        await world.authorizing.page(link.id, None)
    with pytest.raises(Unknown):
        await world.authorizing.begin(link.id, None, "browser")


async def test_somebody_else_cannot_open_a_link(world: Outside) -> None:
    """Promise 19 (fastmcp#3201): another person is refused, and it is a security event."""
    id, user = await world.connector(), await world.person()
    link = await world.link(user, id)
    stranger = await world.session(await world.person(ANA))
    for opening in (world.authorizing.page(link.id, stranger), begin(world, link.id, stranger)):
        with pytest.raises(Forbidden) as refused:
            await opening
        assert refused.value.reason == "wrong-person"
    assert await security(world) == ["wrong-person"] * 2


async def test_an_administrator_cannot_open_a_persons_link(world: Outside) -> None:
    """Safety 14: who may set up connectors may not become their people."""
    id, user = await world.connector(), await world.person()
    link = await world.link(user, id)
    with pytest.raises(Forbidden):
        await begin(world, link.id, world.administrator)


async def test_a_person_cannot_open_the_wizards_link(world: Outside) -> None:
    """C3: the connector user is an administrator's affair."""
    link = await world.connecting.authorize(world.administrator, await world.draft())
    assert isinstance(link, Link)
    person = await world.session(await world.person())
    with pytest.raises(Forbidden):
        await begin(world, link.id, person)


async def test_a_connect_session_opens_its_link_and_no_other(world: Outside) -> None:
    """Safety 16: one session, one person, one link."""
    id, user = await world.connector(), await world.person()
    link = await world.link(user, id)
    with pytest.raises(Forbidden):
        await begin(world, link.id, await world.session(user, link_id="lnk_other"))
    caller = await world.session(user, link_id=link.id)
    assert (await world.sign_in(link, caller, KIM)).ok


async def test_another_projects_link_is_a_missing_link(world: Outside, db: Database) -> None:
    """Safety 3: no word of it, not even that it exists."""
    id, user = await world.connector(), await world.person()
    link = await world.link(user, id)
    async with outside.opened(db, world.programs, project="other") as other:
        with pytest.raises(NotFound):
            await other.authorizing.page(link.id, other.administrator)


@pytest.mark.parametrize("stolen", ["session", "browser", "state", "connector", "nobody"])
async def test_a_callback_needs_every_proof(world: Outside, stolen: str) -> None:
    """Safety 14, 15: state, browser, session and connector are all in the WHERE, before the code
    is redeemed: whoever lacks one gets nothing, and the code stays unspent.
    """
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    exchanged = world.programs.salesforce.calls["exchange"]
    other, browser = caller, world.browser(caller)
    if stolen == "session":
        other = await world.session(await world.person(ANA))
    elif stolen == "browser":
        browser = "another browser"
    elif stolen == "state":
        answer = replace(answer, params=answer.params | {"state": "guessed"})
    elif stolen == "connector":
        answer = replace(answer, connector=await second(world))
    with pytest.raises(BrokerError):
        await world.authorizing.complete(
            answer.connector, answer.params, browser, None if stolen == "nobody" else other
        )
    assert world.programs.salesforce.calls["exchange"] == exchanged
    assert await world.db.read(tokens.read, world.project, id, user.id) is None


async def test_a_session_of_the_same_person_elsewhere_does_not_do(world: Outside) -> None:
    """Safety 14: the session that went on has to come back, not merely the same person's."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    again = await world.session(user)
    with pytest.raises(Forbidden):
        await world.authorizing.complete(id, answer.params, world.browser(caller), again)
    assert (await world.bring(answer, caller)).ok


async def test_a_replayed_callback_finds_nothing(world: Outside) -> None:
    """K2: the second callback is a friendly error; nothing is redeemed or stored twice."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    assert (await world.bring(answer, caller)).ok
    calls = dict(world.programs.salesforce.calls)
    with pytest.raises(Conflict) as refused:
        await world.bring(answer, caller)
    assert refused.value.reason == "link-over"
    assert dict(world.programs.salesforce.calls) == calls
    assert (await world.token(id, user.id)).version == 1


async def test_one_of_two_callbacks_at_once_wins(world: Outside) -> None:
    """K2: the claim is one UPDATE: of two at the same time one redeems the code."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    ends = await asyncio.gather(
        *(world.bring(answer, caller) for _ in range(4)), return_exceptions=True
    )
    assert sum(not isinstance(end, Conflict) for end in ends) == 1
    assert world.programs.salesforce.calls["exchange", KIM] == 1


async def test_a_state_lives_ten_minutes(world: Outside, clock: MovableClock) -> None:
    """Promise 19: a callback that comes later finds nothing; the link itself is still open."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    clock.advance(11 * MINUTE)
    with pytest.raises(Conflict):
        await world.bring(answer, caller)
    assert (await world.sign_in(link, caller, KIM)).ok


async def test_a_link_lives_a_day(world: Outside, clock: MovableClock) -> None:
    """K3: an expired link is over; who asks again gets a new one."""
    id, user = await world.connector(), await world.person()
    link = await world.link(user, id)
    clock.advance(DAY + 1)
    with pytest.raises(Conflict):
        await begin(world, link.id, await world.session(user))
    assert (await world.link(user, id)).id != link.id
    assert (await stored(world, link.id)).state is LinkState.FAILED


async def test_deny_keeps_the_previous_state(world: Outside) -> None:
    """K3: denied: the reason is told, nothing is stored, and the same address works again."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    completed = await world.sign_in(link, caller, KIM, allow=False)
    assert (completed.ok, completed.reason) == (False, "access_denied")
    assert await world.db.read(tokens.read, world.project, id, user.id) is None
    assert (await world.sign_in(link, caller, KIM)).ok


async def test_another_account_than_before_is_refused(world: Outside) -> None:
    """K3: the first account is pinned; a later other one keeps the old grant and is revoked."""
    id, user = await world.connector(), await world.person()
    before = await world.authorized(user, id)
    caller = await world.session(user)
    completed = await world.sign_in(await world.link(user, id), caller, ANA)
    assert (completed.ok, completed.reason) == (False, "other-account")
    assert await world.token(id, user.id) == before
    assert len(await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 1


async def test_one_account_is_one_persons(world: Outside) -> None:
    """Safety 17: an account that somebody else connected is refused, and so is the robot's."""
    id, user, other = await world.connector(), await world.person(), await world.person(ANA)
    await world.authorized(user, id)
    caller = await world.session(other)
    for account in (KIM, ROBOT):
        completed = await world.sign_in(await world.link(other, id), caller, account)
        assert (completed.ok, completed.reason) == (False, "account-taken")
    assert await world.db.read(tokens.read, world.project, id, other.id) is None


async def test_one_account_is_one_persons_at_the_same_time(world: Outside) -> None:
    """Safety 17: two people who bring one account in the same moment: one keeps it."""
    id, both = await world.connector(), [await world.person(), await world.person(ANA)]
    callers = [await world.session(user) for user in both]
    answers = [
        await world.sent(await world.link(user, id), caller, KIM)
        for user, caller in zip(both, callers, strict=True)
    ]
    ends = await asyncio.gather(
        *(world.bring(answer, caller) for answer, caller in zip(answers, callers, strict=True))
    )
    assert sorted((end.ok, end.reason) for end in ends) == [(False, "account-taken"), (True, None)]


async def test_a_person_suspended_at_the_consent_page_gets_nothing(world: Outside) -> None:
    """Safety 8, 14: the save requires person active and link open; the new grant is dropped."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    gone = replace(
        user, status=Status.SUSPENDED, suspended_by=SuspendedBy.ADMIN, license=License.NONE
    )
    await world.db.write(users.change, gone)
    completed = await world.bring(answer, caller)
    assert (completed.ok, completed.reason) == (False, "user-not-active")
    assert await world.db.read(tokens.read, world.project, id, user.id) is None
    assert len(await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 1


async def test_a_voided_link_claims_nothing(world: Outside) -> None:
    """Safety 8: a person's links end with their access."""
    id, user = await world.connector(), await world.person()
    link, caller = await world.link(user, id), await world.session(user)
    answer = await world.sent(link, caller, KIM)
    await world.db.write(links.void_all, world.project, user.id)
    with pytest.raises(Conflict):
        await world.bring(answer, caller)


async def test_a_sign_in_frees_every_pause_of_that_connector(world: Outside) -> None:
    """P2, R16: all waiting pauses of person and connector are ready, an event each; no other."""
    id, user, other = await world.connector(), await world.person(), await world.person(ANA)
    mine = [await pause(world, id, user) for _ in range(3)]
    theirs = await pause(world, id, other)
    await world.authorized(user, id)
    rows = await world.rows("SELECT id, state FROM pauses")
    states = {row["id"]: row["state"] for row in rows}
    assert states == {**dict.fromkeys(mine, "ready"), theirs: "waiting"}
    ready = await world.rows("SELECT data FROM events WHERE type = 'pause.ready'")
    assert len(ready) == 3


async def test_a_wrong_account_leaves_pauses_waiting(world: Outside) -> None:
    """P3: signed in with another account: still waiting, with the reason."""
    id, user = await world.connector(), await world.person()
    await pause(world, id, user)
    await world.sign_in(await world.link(user, id), await world.session(user), ROBOT)
    [row] = await world.rows("SELECT state, reason FROM pauses")
    assert (row["state"], row["reason"]) == ("waiting", "account-taken")


async def test_fewer_scopes_leave_pauses_waiting(world: Outside) -> None:
    """K15, P3: scopes that were not granted are named; the next link asks for all of them again."""
    id, user = await world.connector(), await world.person()
    await pause(world, id, user, scopes=("chatter_api",))
    link, caller = await world.link(user, id, scopes=("chatter_api",)), await world.session(user)
    answer = await world.sent(link, caller, KIM, grants="api id refresh_token")
    assert (await world.bring(answer, caller)).ok
    token = await world.token(id, user.id)
    assert (token.state, token.missing_scopes) == (TokenState.VALID, ("chatter_api",))
    [row] = await world.rows("SELECT state, reason FROM pauses")
    assert (row["state"], row["reason"]) == ("waiting", "scopes-missing")
    link = await world.link(user, id, scopes=("chatter_api",))
    assert (await world.sign_in(link, caller, KIM)).ok
    assert (await world.token(id, user.id)).missing_scopes == ()
    assert await world.rows("SELECT id FROM pauses WHERE state = 'ready'")


async def test_the_wizard_shows_why_it_was_denied(world: Outside) -> None:
    """C5, R78: back to configured with the reason; then it can be authorized after all."""
    id = await world.draft()
    link = await world.connecting.authorize(world.administrator, id)
    completed = await world.sign_in(link, world.administrator, ROBOT, allow=False)
    assert not completed.ok
    view = await world.connecting.get(world.administrator, id)
    assert (view.connector.state, view.connector.reason) == (State.CONFIGURED, "access_denied")
    link = await world.connecting.authorize(world.administrator, id)
    assert (await world.sign_in(link, world.administrator, ROBOT)).ok


async def test_a_wrong_client_secret_is_told_in_the_wizard(world: Outside) -> None:
    """C5, R78: the program's own word is the reason, and nothing is authorized."""
    wrong = outside.complete()["fields"] | {"client_secret": "wrong"}
    id = await world.draft(fields=wrong)
    link = await world.connecting.authorize(world.administrator, id)
    completed = await world.sign_in(link, world.administrator, ROBOT)
    assert (completed.ok, completed.reason) == (False, "invalid_client")


async def test_a_disturbed_provider_is_told_and_tried_again(world: Outside) -> None:
    """K3: the exchange failed: nothing stored, the person may start again."""
    id, user = await world.connector(), await world.person()
    caller = await world.session(user)
    world.programs.salesforce.switches.set(Trouble.BROKEN, times=1)
    completed = await world.sign_in(await world.link(user, id), caller, KIM)
    assert (completed.ok, completed.reason) == (False, "provider-unavailable")
    assert (await world.sign_in(await world.link(user, id), caller, KIM)).ok


async def test_authorized_again(world: Outside) -> None:
    """C8, R73: re-authorizing keeps the connector connected and sends no button action."""
    id = await world.connector()
    link = await world.connecting.authorize(world.administrator, id)
    assert (await world.sign_in(link, world.administrator, ROBOT)).ok
    view = await world.connecting.get(world.administrator, id)
    assert view.connector.state is State.CONNECTED
    assert len(await world.rows("SELECT id FROM events WHERE type = 'connector.connected'")) == 1
    assert (await world.token(id, None)).version == 2


async def test_the_connector_user_changes_only_on_confirmation(world: Outside) -> None:
    """T1: another account would change whom fallbacks run as: refused, unless confirmed; then it
    is announced.
    """
    id = await world.connector()
    link = await world.connecting.authorize(world.administrator, id)
    completed = await world.sign_in(link, world.administrator, ANA)
    assert (completed.ok, completed.reason) == (False, "other-account")
    link = await world.connecting.authorize(world.administrator, id, other_account=True)
    assert (await world.sign_in(link, world.administrator, ANA)).ok
    assert (await world.token(id, None)).account_display == ANA
    said = await world.rows("SELECT id FROM events WHERE type = 'connector.account_changed'")
    assert len(said) == 1


async def test_another_account_takes_nothing_of_the_one_before(world: Outside) -> None:
    """K2, safety 14, 17: signed in as another account that brings no refresh token: the old one is
    not its, so it is dropped, and revoked where it was given.
    """
    id = await world.connector()
    before = world.programs.salesforce.living()
    link = await world.connecting.authorize(world.administrator, id, other_account=True)
    answer = await world.sent(link, world.administrator, ANA, grants="api id")
    assert (await world.bring(answer, world.administrator)).ok
    token = await world.token(id, None)
    assert (token.account_display, token.refresh) == (ANA, None)
    job = await world.db.write(jobs.claim)
    assert job is not None
    await Revoking(world.db, world.vault.programs).revoke(job)
    assert not [one for one in before if one in world.programs.salesforce.living()]


async def test_the_same_account_confirmed_keeps_its_grant(world: Outside) -> None:
    """C8: an administrator allowed another account, and it is the one before: nothing is revoked,
    and a refresh token that did not come anew is kept.
    """
    id = await world.connector()
    before = await world.token(id, None)
    link = await world.connecting.authorize(world.administrator, id, other_account=True)
    answer = await world.sent(link, world.administrator, ROBOT, grants="api id")
    assert (await world.bring(answer, world.administrator)).ok
    assert (await world.token(id, None)).refresh == before.refresh
    assert await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'") == []


async def test_a_return_url_has_to_be_registered(world: Outside) -> None:
    """Safety 29: nobody is sent to an address the key did not register."""
    id, user = await world.connector(), await world.person()
    key = world.key("links:write", return_urls=("https://flows.example/done",))
    with pytest.raises(Invalid):
        await world.authorizing.make_link(key, user.id, id, return_url="https://evil.example/")
    link = await world.authorizing.make_link(key, user.id, id, return_url=key.return_urls[0])
    completed = await world.sign_in(link, await world.session(user), KIM)
    assert completed.return_url == "https://flows.example/done"


async def test_links_left_behind_are_ended(world: Outside, clock: MovableClock) -> None:
    """K3, C5: the wizard's link nobody came back through gives its connector back."""
    id = await world.draft()
    link = await world.connecting.authorize(world.administrator, id)
    assert isinstance(link, Link)
    await world.sent(link, world.administrator, ROBOT)
    clock.advance(DAY + MINUTE)
    assert await world.authorizing.sweep() == 1
    assert (await stored(world, link.id)).state is LinkState.FAILED
    connector = await world.db.read(connectors.find, world.project, id)
    assert connector is not None
    assert (connector.state, connector.reason) == (State.CONFIGURED, "expired")


async def begin(world: Outside, link_id: str, caller: Caller) -> str:
    return await world.authorizing.begin(link_id, caller, world.browser(caller))


async def second(world: Outside) -> str:
    """A further connector of the project, past the rule of one."""
    made = await world.db.read(connectors.every, world.project)
    other = replace(made[0], id=ids.new("con"), name="Second", name_key="second")
    await world.db.write(connectors.insert, other)
    return other.id


async def stored(world: Outside, id: str) -> Link:
    return await world.db.read(links.get, world.project, id)


async def security(world: Outside) -> list[str]:
    """The reasons of the security events so far."""
    rows = await world.rows("SELECT data FROM events WHERE type = 'security.link_refused'")
    acts = await world.rows("SELECT detail FROM audit WHERE action = 'link.refused' ORDER BY n")
    assert len(rows) == len(acts)
    return [row["detail"].split('"')[3] for row in acts]


async def pause(world: Outside, connector_id: str, user: User, **more: Any) -> str:
    """A step of that person that waits for that connector."""
    made = Pause(
        id=ids.new("pse"),
        project=world.project,
        decision=ids.new("dec"),
        connector=connector_id,
        user=user.id,
        key="key_test",
        execution=ids.new("run"),
        step="s1",
        state=PauseState.WAITING,
        created_at=0,
        changed_at=0,
        **more,
    )

    def opening(tx: Transaction) -> None:
        assert pauses.insert(tx, made)

    await world.db.write(opening)
    return made.id
