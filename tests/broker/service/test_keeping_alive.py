"""What the background does for tokens, and what it tells: ahead of their end, unused, lapsing."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from broker.db.database import Transaction
from broker.demo.world import Trouble
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.connectors import Connector
from broker.domain.errors import Conflict, Unavailable
from broker.domain.steps import Token
from broker.domain.tokens import TokenSet
from broker.domain.users import User
from broker.service.breaking import LIMIT
from broker.service.forms import Said
from broker.store import connectors, pauses, tokens
from tests.broker.service.outside import KIM, ROBOT, Outside
from tests.clocks import MovableClock
from tests.waiting import until
from tests.watching import Watched, scans


@pytest.fixture
async def kim(world: Outside) -> User:
    """Somebody who has connected their account."""
    user = await world.person()
    await world.authorized(user, await world.connector())
    return user


async def test_a_version_a_step_was_given_is_refreshed_ahead(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K9, "expiring": nobody waits for the end of a token in use; the one that follows is left
    alone until a step is given it.
    """
    await given(world, kim)
    clock.advance(2 * HOUR - 15 * MINUTE - SECOND)
    assert await world.vault.keep_alive() == 0
    clock.advance(8 * MINUTE)
    assert await world.vault.keep_alive() == 1
    token = await held(world, kim)
    assert (token.version, token.asked) == (2, 1)
    for _ in range(12):
        clock.advance(HOUR)
        assert await world.vault.keep_alive() == 0
    assert (await held(world, kim)).version == 2


async def test_those_given_at_once_are_not_refreshed_at_once(world: Outside, kim: User) -> None:
    """K9: a random part of the margin lies between them, all of it before the token ends."""
    token = await held(world, kim)
    ends, margin = token.expires_at or 0, 15 * MINUTE
    begins = [token.ahead_at(step / 10) or 0 for step in range(11)]
    assert begins == sorted(set(begins))
    assert begins[0] == ends - margin
    assert begins[-1] <= ends - MINUTE - margin // 3


async def test_what_is_in_use_is_refreshed_with_the_switch_off(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """T13: the switch is about grants that lie unused; a token in use is renewed all the same."""
    await switched_off(world)
    await given(world, kim)
    clock.advance(2 * HOUR - 7 * MINUTE)
    assert await world.vault.keep_alive() == 1
    assert (await held(world, kim)).version == 2
    clock.advance(30 * DAY)
    assert await world.vault.keep_alive() == 0


async def test_a_long_access_token_does_not_let_its_grant_lapse(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """R74: an access token that lives for a year is no reason not to use the refresh token."""
    connector = await one(world)

    def lasting(tx: Transaction) -> None:
        token = replace(tokens.locked(tx, before), expires_at=tx.now + 365 * DAY)
        world.vault.save(tx, connector, token)

    before = await held(world, kim)
    await world.db.write(lasting)
    clock.advance(8 * DAY)
    await world.vault.keep_alive()
    assert (await held(world, kim)).version == 2


async def test_the_worker_is_not_held_up(world: Outside, kim: User, clock: MovableClock) -> None:
    """Promise 23: a slow program holds up its own refreshes, and nothing else the worker does."""
    await given(world, kim)
    world.programs.salesforce.switches.set(Trouble.SLOW, seconds=0.4)
    clock.advance(2 * HOUR - 7 * MINUTE)
    await world.vault.begin()
    await world.vault.begin()
    await until(lambda: held_is(world, kim, 2))
    assert world.programs.salesforce.calls["refresh"] == 1


async def test_the_end_of_a_grant_is_told_once_before_it_comes(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """R28, T13: three days before an unused grant lapses that nobody refreshes, somebody is told
    once; being used tells that it is over.
    """
    clock.advance(11 * DAY + MINUTE)
    assert await world.vault.warn() == 0, "it is kept alive"
    await switched_off(world)
    assert [await world.vault.warn() for _ in range(2)] == [2, 0]
    id = (await one(world)).id
    assert await said(world) == [
        ("connector.expiring", {"connector": id, "reason": "unused"}),
        ("authorization.expiring", {"connector": id, "user_id": kim.id, "reason": "unused"}),
    ]
    assert (await refreshed(world, kim)) is Token.USABLE
    assert (await said(world))[2:] == [
        ("authorization.recovered", {"connector": id, "user_id": kim.id, "reason": "expiring"})
    ]
    assert await world.vault.warn() == 0
    clock.advance(12 * DAY)
    assert await world.vault.warn() == 1, "the next time is the next"


async def test_the_same_reason_is_told_once(world: Outside, kim: User, clock: MovableClock) -> None:
    """Complaints 20, 21: one event a token and reason, however often it is looked at; one when it
    is over.
    """
    world.programs.salesforce.revoke(KIM)
    clock.advance(3 * HOUR)
    for _ in range(3):
        assert await refreshed(world, kim) is Token.NOT_USABLE
        await world.vault.keep_alive()
    id = (await one(world)).id
    about = {"connector": id, "user_id": kim.id, "reason": "grant_dead"}
    assert await said(world) == [("authorization.failing", about)]
    await world.authorized(kim, id)
    assert (await said(world))[1] == ("authorization.recovered", about)
    assert len(await said(world)) == 2


async def test_r49_throttling_is_counted(world: Outside, kim: User, clock: MovableClock) -> None:
    """R49: how often the program said 429 for this account."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(Trouble.RATE_LIMITED, times=2)
    for _ in range(3):
        await refreshed(world, kim)
        clock.advance(MINUTE)
    assert (await held(world, kim)).throttled == 2
    assert (await held(world, kim)).version == 2


async def test_an_open_breaker_holds_back_no_sign_in(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K9 and the edge case of c.2: while refreshes are held back a person at the consent screen
    comes through, with a new token.
    """
    id = (await one(world)).id
    crowd = [await world.granted(id, number) for number in range(LIMIT + 3)]
    world.programs.salesforce.switches.set(Trouble.BROKEN, endpoint="token", times=LIMIT)
    clock.advance(3 * HOUR)
    for user in crowd:
        found = await world.vault.refreshed(world.project, id, user)
        assert found.token is Token.TRANSIENT
    assert world.programs.salesforce.calls["token"] - 2 == LIMIT, "two signed in before"
    late = await world.token(id, crowd[-1])
    assert (late.failures, late.fence) == (0, 0), "nobody called for it"
    assert (late.retry_at or 0) > clock() - SECOND
    assert (await world.authorized(kim, id)).version == 2
    clock.advance(20 * SECOND)
    assert (await world.vault.refreshed(world.project, id, crowd[0])).token is Token.USABLE


async def test_usable_is_the_set_and_its_token(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """Vault.usable: of a person and of the connector user; refreshed once where it is over."""
    id = (await one(world)).id
    for advanced in (0, 3 * HOUR):
        clock.advance(advanced)
        for user in (kim.id, None):
            token, access = await world.vault.usable(world.project, id, user)
            assert world.vault.opened(token).reveal() == access.reveal()
            living = world.programs.salesforce.by_access_token(access.reveal())
            assert living is not None
            assert living.user.user_name == (KIM if user else ROBOT)
    assert world.programs.salesforce.calls["refresh"] == 2


async def test_usable_behind_a_refresh(world: Outside, kim: User, clock: MovableClock) -> None:
    """Vault.usable: one that is merely expiring serves while the next is fetched."""
    clock.advance(2 * HOUR - 10 * MINUTE)
    world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=0.3)
    token, _ = await world.vault.usable(world.project, (await one(world)).id, kim.id)
    assert token.version == 1
    await world.vault.landed()
    token, _ = await world.vault.usable(world.project, (await one(world)).id, kim.id)
    assert token.version == 2


@pytest.mark.parametrize(
    ("trouble", "error"), [(Trouble.BROKEN, Unavailable), (Trouble.GRANT_DEAD, Conflict)]
)
async def test_usable_says_which_it_is(
    world: Outside, kim: User, clock: MovableClock, trouble: Trouble, error: type[Exception]
) -> None:
    """Vault.usable: Unavailable where waiting may help, Conflict where only a sign-in does."""
    clock.advance(3 * HOUR)
    world.programs.salesforce.switches.set(trouble)
    with pytest.raises(error):
        await world.vault.usable(world.project, (await one(world)).id, kim.id)


@pytest.mark.usefixtures("kim")
async def test_usable_of_nobody(world: Outside) -> None:
    """Vault.usable: whoever never connected has to sign in."""
    with pytest.raises(Conflict) as refused:
        await world.vault.usable(world.project, (await one(world)).id, "usr_nobody")
    assert refused.value.reason == "authorization-needed"


async def test_background_work_is_asked_for_by_an_index(world: Outside, kim: User) -> None:
    """What is due and what lapses is found by an index, however many sets there are."""
    await given(world, kim)
    watched = Watched(world.db)
    await watched.write(tokens.due, world.project)
    await watched.write(tokens.lapsing, world.project, by=0)
    await watched.write(pauses.awaited, world.project, (await one(world)).id)
    plans = await watched.plans()
    assert len(plans) >= 3
    assert [plan for plan in plans if scans(plan)] == []


async def given(world: Outside, user: User) -> None:
    """A step is given the person's token."""
    connector, token = await one(world), await held(world, user)
    await world.db.write(world.vault.given, connector, token)


async def switched_off(world: Outside) -> None:
    """No keep-alive for the connector."""
    id = (await one(world)).id
    await world.connecting.configure(world.administrator, id, Said(keep_alive=False))


async def refreshed(world: Outside, user: User) -> Token:
    id = (await one(world)).id
    return (await world.vault.refreshed(world.project, id, user.id)).token


async def held(world: Outside, user: User) -> TokenSet:
    return await world.token((await one(world)).id, user.id)


async def held_is(world: Outside, user: User, version: int) -> bool:
    return (await held(world, user)).version == version


async def one(world: Outside) -> Connector:
    return (await world.db.read(connectors.every, world.project))[0]


async def said(world: Outside) -> list[tuple[str, dict[str, str]]]:
    """The events about what fails, lapses and recovers."""
    sql = "SELECT type, data FROM events ORDER BY n"
    words = ("expiring", "failing", "recovered")
    rows = [row for row in await world.rows(sql) if row["type"].endswith(words)]
    return [(row["type"], orjson.loads(row["data"])) for row in rows]
