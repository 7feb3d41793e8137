"""The vault: rows K4 to K10, K13, K16, T13; promises 1 to 5, 13, 14; safety 18."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from broker.db.seal import Seal
from broker.demo.world import Trouble
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.connectors import Connector
from broker.domain.connectors import State as ConnectorState
from broker.domain.steps import Token
from broker.domain.token_states import Event, after
from broker.domain.tokens import State, TokenSet
from broker.domain.users import User
from broker.service.forms import Said
from broker.service.leasing import Lease
from broker.service.programs import Programs
from broker.service.refreshing import Standing
from broker.service.vault import Vault
from broker.store import connectors, tokens
from providers.capabilities import TokenResponse
from providers.secret import Secret
from tests.broker.service.outside import KIM, ROBOT, Outside
from tests.canaries import planted
from tests.clocks import MovableClock
from tests.waiting import until

PEOPLE = ("kim.lee", "amara.lee", "bela.lee", "carlos.lee", "dana.lee")


@pytest.fixture
async def kim(world: Outside) -> User:
    """Somebody who has connected their account."""
    user = await world.person()
    await world.authorized(user, await world.connector())
    return user


async def test_an_expired_token_is_refreshed(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K4: expired, lease won, 200: valid, next version; no new refresh token: the old is kept."""
    before = await held(world, kim)
    clock.advance(3 * HOUR)
    assert (await refreshed(world, kim)).token is Token.USABLE
    token = await held(world, kim)
    assert (token.state, token.version, token.journal) == (State.VALID, 2, None)
    assert token.refresh == before.refresh
    assert token.access != before.access
    living = [one.access for one in world.programs.salesforce.living()]
    assert any(world.vault.opened(token).reveal() in access for access in living)


async def test_a_rotated_refresh_token_is_kept(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K4, n8n#25926: under strict rotation each new refresh token is stored; ten in a row work."""
    world.app.rotation = True
    for _ in range(10):
        clock.advance(3 * HOUR)
        assert (await refreshed(world, kim)).token is Token.USABLE
    assert (await held(world, kim)).version == 11


async def test_a_living_token_is_left_alone(world: Outside, kim: User) -> None:
    """K4: nothing is due, so nobody is called."""
    assert (await refreshed(world, kim)).token is Token.USABLE
    assert world.programs.salesforce.calls["refresh"] == 0


async def test_an_expiring_token_is_served_and_refreshed_behind(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """c.2 "expiring": inside the margin the old token serves while one refresh runs."""
    clock.advance(2 * HOUR - 10 * MINUTE)
    world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=0.3)
    assert (await refreshed(world, kim)).token is Token.USABLE
    assert (await held(world, kim)).version == 1
    await world.vault.landed()
    assert (await held(world, kim)).version == 2


async def test_however_many_ask_one_calls(world: Outside, kim: User, clock: MovableClock) -> None:
    """K5, promise 1: 64 askers of two replicas, one provider call, everyone gets the token."""
    world.app.rotation = True
    clock.advance(3 * HOUR)
    replicas = [world.vault, replica(world)]
    asked = [refreshed(world, kim, vault) for vault in replicas for _ in range(32)]
    assert {one.token for one in await asyncio.gather(*asked)} == {Token.USABLE}
    assert world.programs.salesforce.calls["refresh"] == 1
    assert (await held(world, kim)).version == 2


async def test_a_dead_grant_needs_the_person(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K6, R28: invalid_grant: needs_reauth, said once, and the provider is asked no more."""
    world.programs.salesforce.revoke(KIM)
    clock.advance(3 * HOUR)
    for _ in range(3):
        assert (await refreshed(world, kim)).token is Token.NOT_USABLE
    token = await held(world, kim)
    assert (token.state, token.reason) == (State.NEEDS_REAUTH, "grant_dead")
    assert world.programs.salesforce.calls["refresh"] == 1
    assert len(await world.rows("SELECT id FROM events WHERE type = 'authorization.failing'")) == 1
    assert (await connector(world)).state is ConnectorState.CONNECTED


@pytest.mark.usefixtures("kim")
async def test_a_dead_grant_of_the_connector_user_is_the_connectors(
    world: Outside, clock: MovableClock
) -> None:
    """C7: the connector user's grant is dead: the connector needs to be authorized again (C8)."""
    world.programs.salesforce.revoke(ROBOT)
    clock.advance(3 * HOUR)
    await refreshed(world, None)
    assert (await connector(world)).state is ConnectorState.NEEDS_REAUTH
    link = await world.connecting.authorize(world.administrator, (await connector(world)).id)
    assert (await world.sign_in(link, world.administrator, ROBOT)).ok
    assert (await connector(world)).state is ConnectorState.CONNECTED
    assert len(await world.rows("SELECT id FROM events WHERE type = 'connector.recovered'")) == 1


async def test_a_lost_answer_is_told_from_a_revocation(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """c.2, promise 2: the provider rotated and its answer never came: lost_rotation, exactly."""
    world.app.rotation = True
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.LOST, times=1)
    assert (await refreshed(world, kim)).token is Token.TRANSIENT
    assert (await held(world, kim)).journal is not None
    clock.advance(10 * SECOND)
    assert (await refreshed(world, kim)).token is Token.NOT_USABLE
    token = await held(world, kim)
    assert (token.state, token.reason) == (State.NEEDS_REAUTH, "lost_rotation")


async def test_a_clear_no_in_between_forgets_no_lost_answer(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """c.2: lost answer, then a 429, then invalid_grant is still a lost rotation."""
    world.app.rotation = True
    clock.advance(3 * HOUR)
    for trouble in (Trouble.LOST, Trouble.RATE_LIMITED):
        world.programs.salesforce.switches.set(trouble, times=1)
        await refreshed(world, kim)
        clock.advance(MINUTE)
    await refreshed(world, kim)
    assert (await held(world, kim)).reason == "lost_rotation"


async def test_an_outage_that_answers_blames_nobody(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """c.2: a clear 429 and then a revocation is a revocation, no lost rotation."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.RATE_LIMITED, times=1)
    await refreshed(world, kim)
    clock.advance(MINUTE)
    world.programs.salesforce.revoke(KIM)
    await refreshed(world, kim)
    assert (await held(world, kim)).reason == "grant_dead"


async def test_the_person_is_needed(world: Outside, kim: User, clock: MovableClock) -> None:
    """K7: interaction needed is needs_reauth(interaction)."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.PERSON_NEEDED)
    assert (await refreshed(world, kim)).token is Token.NOT_USABLE
    token = await held(world, kim)
    assert (token.state, token.reason) == (State.NEEDS_REAUTH, "interaction")


async def test_a_wrong_client_is_one_alert_and_nobodys_fault(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K8, promise 5: connector needs_admin, one alert, no person changes state; it is tried again
    when the connector changes.
    """
    id = (await connector(world)).id
    others = [await world.person(f"{name}@acme.example") for name in PEOPLE[1:]]
    for user in others:
        await world.authorized(user, id, user.user_name)
    clock.advance(3 * HOUR)
    world.app.client_secret = "changed over there"
    before = [await held(world, user) for user in (kim, *others)]
    standings = await asyncio.gather(*(refreshed(world, user) for user in (kim, *others)))
    assert {one.token for one in standings} == {Token.TRANSIENT}
    assert [(await held(world, user)).state for user in (kim, *others)] == [State.VALID] * 5
    assert [(await held(world, one)).version for one in (kim, *others)] == [
        one.version for one in before
    ]
    assert (await connector(world)).state is ConnectorState.NEEDS_ADMIN
    assert len(await world.rows("SELECT id FROM events WHERE type = 'connector.failing'")) == 1
    told = world.programs.salesforce.calls["token"]
    await refreshed(world, kim)
    assert world.programs.salesforce.calls["token"] == told, "nobody asks until it changes"
    said = Said(fields={"client_secret": "changed over there"})
    await world.connecting.configure(world.administrator, id, said)
    assert (await refreshed(world, kim)).token is Token.USABLE
    assert len(await world.rows("SELECT id FROM events WHERE type = 'connector.recovered'")) == 1


@pytest.mark.parametrize("trouble", [Trouble.BROKEN, Trouble.HTML, Trouble.EMPTY_TOKEN])
async def test_an_outage_changes_nothing_but_counters(
    world: Outside, kim: User, clock: MovableClock, trouble: Trouble
) -> None:
    """K9, K10, promise 4: transient with a time to retry, not asked before; then it recovers."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(trouble)
    assert (await refreshed(world, kim)).token is Token.TRANSIENT
    assert ((await held(world, kim)).retry_at or 0) > clock()
    for _ in range(5):
        await refreshed(world, kim)
    assert world.programs.salesforce.calls["token"] - world.programs.salesforce.calls[
        "exchange"
    ] in (1, 2), "the backoff holds everyone back"
    token = await held(world, kim)
    assert (token.state, token.failures) == (State.VALID, 1)
    world.programs.salesforce.switches.clear()
    clock.advance(5 * SECOND)
    assert (await refreshed(world, kim)).token is Token.USABLE
    assert (await held(world, kim)).failures == 0


async def test_a_day_without_the_provider(world: Outside, kim: User, clock: MovableClock) -> None:
    """Promise 4: down for 24 hours: no state changes, nobody is asked to sign in, and it recovers
    within one step of the backoff.
    """
    world.programs.salesforce.switches.set(Trouble.BROKEN)
    clock.advance(3 * HOUR)
    assert (await refreshed(world, kim)).token is Token.TRANSIENT
    for _ in range(24):
        clock.advance(HOUR)
        await world.vault.keep_alive()
    assert (await held(world, kim)).failures == 25
    world.programs.salesforce.switches.clear()
    clock.advance(6 * MINUTE + 15 * SECOND)
    assert await world.vault.keep_alive() == 1
    assert ((await held(world, kim)).state, (await held(world, kim)).version) == (State.VALID, 2)
    assert (
        await world.rows("SELECT id FROM events WHERE type LIKE :failing", failing="%failing") == []
    )


async def test_the_providers_own_wish_is_heard(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K9: 429 with Retry-After 7: nobody asks for seven seconds."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.RATE_LIMITED, times=1)
    assert (await refreshed(world, kim)).token is Token.TRANSIENT
    wait = ((await held(world, kim)).retry_at or 0) - clock()
    assert 6 * SECOND < wait < 8 * SECOND  # the clocks of two engines differ by a moment


async def test_an_expiring_token_outlives_an_outage(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K9: still usable, the refresh is tried again by the background within one step."""
    clock.advance(2 * HOUR - 10 * MINUTE)
    world.programs.salesforce.switches.set(Trouble.BROKEN, times=1)
    await refreshed(world, kim)
    await world.vault.landed()
    assert (await refreshed(world, kim)).token is Token.USABLE
    clock.advance(2 * SECOND)
    assert await world.vault.keep_alive() == 1
    assert (await held(world, kim)).version == 2


async def test_five_unknown_answers_over_a_day(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """c.2 "unknown": counted; after five over a day the person is asked, with the answer kept."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.UNKNOWN)
    for expected in (1, 2, 3, 4):
        assert (await refreshed(world, kim)).token is Token.TRANSIENT
        assert (await held(world, kim)).unclassified == expected
        clock.advance(7 * HOUR)
    assert (await refreshed(world, kim)).token is Token.NOT_USABLE
    token = await held(world, kim)
    assert token.state is State.NEEDS_REAUTH
    assert token.reason == "unclassified: unknown_error: retry your request"


async def test_a_reconnect_during_a_refresh_wins(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K4, K6: the version moved on while the provider was asked: its result is dropped."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=0.5)
    asking = asyncio.create_task(refreshed(world, kim))
    await until(lambda: leased(world, kim))
    reconnected = await world.authorized(kim, (await connector(world)).id)
    assert (await asking).token is Token.USABLE
    assert await held(world, kim) == reconnected


async def test_a_result_slower_than_its_lease_is_dropped_where_another_wrote(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K4, promise 3: an older result never overwrites a newer one."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=0.6)
    slow = asyncio.create_task(refreshed(world, kim))
    await until(lambda: leased(world, kim))
    clock.advance(20 * SECOND)
    assert (await refreshed(world, kim, replica(world))).token is Token.USABLE
    newer = await held(world, kim)
    assert (await slow).token is Token.USABLE
    assert await held(world, kim) == newer


async def test_a_lease_left_behind_runs_out(world: Outside, kim: User, clock: MovableClock) -> None:
    """K5: nobody waits for a dead holder longer than the lease; no restart is needed."""
    clock.advance(3 * HOUR)
    key = (world.project, (await connector(world)).id, kim.id)
    await world.db.write(world.vault.leased, key, "refresh")
    clock.advance(16 * SECOND)
    assert (await refreshed(world, kim)).token is Token.USABLE


async def test_a_person_deprovisioned_during_a_refresh_keeps_nothing(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K13: revoked, erased at once; the token rotated meanwhile is revoked too."""
    world.app.rotation = True
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=0.5)
    asking = asyncio.create_task(refreshed(world, kim))
    await until(lambda: leased(world, kim))
    assert await world.db.write(tokens.drop_all, world.project, kim.id, "deprovision") == 1
    assert (await asking).token is Token.NOT_USABLE
    token = await held(world, kim)
    assert (token.state, token.reason) == (State.REVOKED, "deprovision")
    assert (token.access, token.refresh) == (None, None)
    assert len(await world.rows("SELECT id FROM jobs WHERE kind = 'revoke'")) == 2


async def test_a_late_answer_goes_back_to_where_it_came_from(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """Safety 18, C9: the connector went elsewhere while the provider was asked: what it gave is
    revoked there, and the new place never sees it.
    """
    clock.advance(3 * HOUR)
    here = await connector(world)
    lease = await world.db.write(world.vault.leased, (world.project, here.id, kim.id), "refresh")
    assert isinstance(lease, Lease)
    await world.db.write(tokens.drop_connector, world.project, here.id, "connector-changed")
    await world.db.write(connectors.change, replace(here, origin="https://elsewhere.example"))
    late = Secret(planted("late"))
    answer = TokenResponse(late, late, None, (), None, None)
    assert await world.db.write(world.vault.answered, lease, answer) is None
    jobs = await world.rows("SELECT data FROM jobs WHERE kind = 'revoke'")
    assert len(jobs) == 3
    assert {orjson.loads(row["data"])["origin"] for row in jobs} == {here.origin}


async def test_a_missing_key_is_unreadable_and_heals(world: Outside, kim: User) -> None:
    """K16, promise 12: never overwritten; usable again by itself when the key is back."""
    before = await held(world, kim)
    other = replica(world, Seal({"k2": b"2" * 32}))
    assert (await refreshed(world, kim, other)).token is Token.NOT_USABLE
    token = await held(world, kim)
    assert token.state is State.UNREADABLE
    assert (token.access, token.refresh) == (before.access, before.refresh)
    assert (await refreshed(world, kim)).token is Token.USABLE
    assert (await held(world, kim)).state is State.VALID


async def test_a_refused_token_stays_refused_while_its_key_is_away(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K11, K16: whoever comes after the key is back is given a renewed token, not the refused."""
    clock.advance(MINUTE)
    before = await held(world, kim)
    expired = after(before, Event.REJECTED, now=clock())
    await world.db.write(tokens.save, expired, due_at=None)
    await refreshed(world, kim, replica(world, Seal({"k2": b"2" * 32})))
    assert (await held(world, kim)).state is State.UNREADABLE
    assert (await refreshed(world, kim)).token is Token.USABLE
    token = await held(world, kim)
    assert (token.state, token.version) == (State.VALID, before.version + 1)
    assert token.access != before.access


async def test_a_moved_ciphertext_does_not_open(world: Outside, kim: User) -> None:
    """Promise 14: one person's token in another's row is unreadable there."""
    other = await world.person("amara.lee@acme.example")
    await world.authorized(other, (await connector(world)).id, other.user_name)
    stolen = (await held(world, kim)).access
    moved = replace(await held(world, other), access=stolen)
    await world.db.write(tokens.save, moved, due_at=None)
    assert (await refreshed(world, other)).token is Token.NOT_USABLE
    assert (await held(world, other)).state is State.UNREADABLE


async def test_an_old_grant_never_goes_to_a_new_origin(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """Safety 18: even where a set survived a move, its token is not sent elsewhere."""
    clock.advance(3 * HOUR)
    await world.db.write(
        tokens.save,
        replace(await held(world, kim), origin="https://elsewhere.example"),
        due_at=None,
    )
    assert (await refreshed(world, kim)).token is Token.NOT_USABLE
    assert world.programs.salesforce.calls["refresh"] == 0


async def test_an_idle_grant_is_kept_alive(world: Outside, kim: User, clock: MovableClock) -> None:
    """T13, R74: under "expire if unused for 14 days" an idle connector works on day 60."""
    world.app.idle_s = 14 * 24 * 3600
    for _ in range(60):
        clock.advance(DAY)
        world.programs.clock.advance(24 * 3600)
        await world.vault.keep_alive()
    assert world.programs.salesforce.calls["refresh", KIM] == 8
    rows = await world.rows("SELECT detail FROM audit WHERE action = 'connector.secret.opened'")
    assert sum('"purpose":"keep-alive"' in row["detail"] for row in rows) == 16
    assert (await refreshed(world, kim)).token is Token.USABLE
    assert (await refreshed(world, None)).token is Token.USABLE


@pytest.mark.usefixtures("kim")
async def test_keep_alive_ends_when_nobody_asks(world: Outside, clock: MovableClock) -> None:
    """T13: 180 days without a resolve end it; a resolve begins them anew; a switch ends it too."""
    known = await connector(world)
    id = known.id
    clock.advance(170 * DAY)
    assert await world.vault.keep_alive() == 2
    clock.advance(11 * DAY)
    assert await world.vault.keep_alive() == 0
    await world.db.write(connectors.resolved, known)
    assert await world.vault.keep_alive() == 2
    await world.connecting.configure(world.administrator, id, Said(keep_alive=False))
    clock.advance(30 * DAY)
    assert await world.vault.keep_alive() == 0


@pytest.mark.usefixtures("kim")
async def test_nobody_without_a_grant_is_usable(world: Outside) -> None:
    """c.2 "absent": no row, no call."""
    other = await world.person("amara.lee@acme.example")
    assert (await refreshed(world, other)).token is Token.NOT_USABLE


def replica(world: Outside, seal: Seal | None = None) -> Vault:
    """The vault of another process over the same database."""
    programs = world.vault.programs
    other = Programs(programs.registry, seal or programs.seal, programs.public_url)
    return Vault(world.db, world.vault.hasher, other)


async def refreshed(world: Outside, user: User | None, vault: Vault | None = None) -> Standing:
    id = (await connector(world)).id
    return await (vault or world.vault).refreshed(world.project, id, user.id if user else None)


async def held(world: Outside, user: User) -> TokenSet:
    return await world.token((await connector(world)).id, user.id)


async def leased(world: Outside, user: User) -> bool:
    return (await held(world, user)).lease_until is not None


async def connector(world: Outside) -> Connector:
    return (await world.db.read(connectors.every, world.project))[0]
