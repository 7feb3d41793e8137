"""Who granted a connector, and disconnecting: row K12; `/v1/connectors/{id}/authorizations`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.db.database import Transaction
from broker.demo.world import Trouble
from broker.domain.clock import SECOND
from broker.domain.errors import Conflict, Forbidden, NotFound
from broker.domain.steps import Token
from broker.domain.token_states import Event
from broker.domain.tokens import State
from broker.domain.users import User
from broker.service.granting import Granting
from broker.service.revoking import Revoking
from broker.service.working import Later
from broker.store import jobs, tokens
from tests.broker.service.outside import KIM, Outside
from tests.clocks import MovableClock
from tests.waiting import until


@pytest.fixture
async def kim(world: Outside) -> User:
    """Somebody who has connected their account."""
    user = await world.person()
    await world.authorized(user, await world.connector())
    return user


async def test_disconnect_ends_it_here_and_there(world: Outside, kim: User) -> None:
    """K12: revoked by an administrator, erased in the same transaction, told to the program by a
    job; whoever asks is asked to sign in again, and doing it twice does nothing.
    """
    id = await connector(world)
    living = len(world.programs.salesforce.living())
    await disconnect(world, kim)
    token = await world.token(id, kim.id)
    assert (token.state, token.reason) == (State.REVOKED, "admin")
    assert (token.access, token.refresh, token.journal) == (None, None, None)
    assert (await world.vault.refreshed(world.project, id, kim.id)).token is Token.NOT_USABLE
    await disconnect(world, kim)
    job = await world.db.write(jobs.claim)
    assert job is not None
    assert await world.db.write(jobs.claim) is None
    await Revoking(world.db, world.vault.programs).revoke(job)
    assert len(world.programs.salesforce.living()) == living - 1
    audited = "SELECT detail FROM audit WHERE action = 'authorization.disconnected'"
    assert all(kim.id in row["detail"] for row in await world.rows(audited))


async def test_a_disturbed_program_is_told_later(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K12 "queued and retried": here it is over at once, there as soon as it answers."""
    await disconnect(world, kim)
    living = len(world.programs.salesforce.living())
    world.programs.salesforce.switches.set(Trouble.BROKEN, endpoint="revoke", times=1)
    revoking = Revoking(world.db, world.vault.programs)
    job = await world.db.write(jobs.claim)
    assert job is not None
    with pytest.raises(Later):
        await revoking.revoke(job)
    assert len(world.programs.salesforce.living()) == living
    clock.advance(60 * SECOND)
    await revoking.revoke(job)
    assert len(world.programs.salesforce.living()) == living - 1


async def test_disconnect_beats_a_refresh_under_way(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """K12, K4: what the program rotated meanwhile is not kept, and revoked there too."""
    id = await connector(world)
    world.app.rotation = True
    clock.advance(7200 * SECOND)
    world.programs.salesforce.switches.set(Trouble.LATE, times=1, seconds=0.5)
    refresh = asyncio.create_task(world.vault.refreshed(world.project, id, kim.id))
    await until(lambda: world.programs.salesforce.calls["refresh", KIM] == 1)
    await disconnect(world, kim)
    assert (await refresh).token is Token.NOT_USABLE
    token = await world.token(id, kim.id)
    assert (token.state, token.refresh) == (State.REVOKED, None)
    assert [row["kind"] for row in await world.rows("SELECT kind FROM jobs")] == ["revoke"] * 2


async def test_what_is_made_here_has_no_grant_to_end(world: Outside, kim: User) -> None:
    """K12: nobody signed in for a minted set: 409 says what to do instead."""
    id = await connector(world)

    def minting(tx: Transaction) -> None:
        token = tokens.read(tx, world.project, id, kim.id, lock=True)
        assert token is not None
        tokens.save(tx, replace(token, minted=True), due_at=None)

    await world.db.write(minting)
    with pytest.raises(Conflict) as refused:
        await disconnect(world, kim)
    assert refused.value.reason == "minted"


async def test_nobodys_grant_is_a_missing_one(world: Outside, kim: User) -> None:
    """Safety 3: a person without a grant, the connector user, another connector: 404; without the
    scope 403.
    """
    id, granting = await connector(world), Granting(world.db)
    other = await world.person("amara.okafor@acme.example")
    for where, who in ((id, other.id), (id, ""), ("con_other", kim.id)):
        with pytest.raises(NotFound):
            await granting.disconnect(world.administrator, where, who)
    with pytest.raises(Forbidden):
        await granting.disconnect(world.key("connectors:read"), id, kim.id)
    assert (await world.token(id, kim.id)).state is State.VALID


async def test_the_list_says_how_each_grant_stands(
    world: Outside, kim: User, clock: MovableClock
) -> None:
    """R49, c.2: state, account, counters of failures and of 429, when it lapses and when the next
    try is; no token.
    """
    id = await connector(world)
    clock.advance(7200 * SECOND)
    world.programs.salesforce.switches.set(Trouble.RATE_LIMITED, times=1)
    await world.vault.refreshed(world.project, id, kim.id)
    [found] = await Granting(world.db).page(world.key("connectors:read"), id)
    said = found.rendered()
    assert (said["user_id"], said["provider_account"], said["state"]) == (kim.id, KIM, "expired")
    assert (said["failures"], said["throttled"], said["minted"]) == (1, 1, False)
    assert said["ends_at"] > said["retry_at"] > said["expires_at"]
    assert said.keys().isdisjoint({"access", "refresh", "access_token", "refresh_token"})
    await world.db.write(
        lambda tx: tokens.drop(tx, tokens.locked(tx, found.token), Event.DISCONNECTED)
    )
    [gone] = await Granting(world.db).page(world.administrator, id)
    assert (gone.standing, gone.token.reason) == ("revoked", "user")


async def disconnect(world: Outside, user: User) -> None:
    id = await connector(world)
    await Granting(world.db).disconnect(world.administrator, id, user.id)


async def connector(world: Outside) -> str:
    """The connector there is."""
    [row] = await world.rows("SELECT id FROM connectors")
    return str(row["id"])
