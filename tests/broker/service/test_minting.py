"""Tokens nobody signs in for: made by being asked for, pinned to a logon (R23, safety 17, 20)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import orjson
import pytest

from broker.db.database import Transaction
from broker.demo.sharepoint import sid
from broker.domain.callers import Caller, Kind
from broker.domain.clock import DAY, MINUTE
from broker.domain.connectors import Connector
from broker.domain.connectors import State as ConnectorState
from broker.domain.errors import Conflict, Forbidden, NotFound
from broker.domain.steps import Token
from broker.domain.tokens import State, TokenSet
from broker.domain.users import License, Status, SuspendedBy, User
from broker.service.connecting import Connecting
from broker.service.forms import Said
from broker.service.leasing import Lease
from broker.service.managing import Managing
from broker.service.minting import Minting
from broker.service.pausing import Pausing
from broker.service.vault import Vault
from broker.store import connectors, logons, tokens
from providers.capabilities import Registration
from tests.clocks import MovableClock
from tests.farm import CLIENT, SUFFIX, at_the_farm, high_trust, known, signed
from tests.stepping import END, KIM, PAUSE, World

AUTHORIZING = {"state": ConnectorState.AUTHORIZING}


@pytest.fixture
async def farm(at: World) -> Connector:
    """A farm that believes us, where people authenticate themselves."""
    return await high_trust(at, **END)


@pytest.fixture
async def kim(at: World) -> User:
    """Somebody whom the farm knows."""
    user = await at.person(KIM)
    await known(at, user, 1)
    return user


async def test_r23_a_person_is_minted_for_by_being_asked_for(
    at: World, farm: Connector, kim: User
) -> None:
    """R23, F6: nobody signs in; the first step makes the row and the token, and the farm takes it
    for exactly this person.
    """
    answer = await at.resolving.resolve(await at.key(), at_the_farm(kim))
    assert answer.decision.row == "F6"
    assert await who(answer.rendered()["credential"]) == kim.user_name
    token = await held(at, farm, kim)
    assert (token.state, token.minted, token.version) == (State.VALID, True, 1)
    assert (token.account, token.refresh, token.journal) == (sid(1), None, None)


async def test_one_token_serves_until_it_ends(
    at: World, farm: Connector, kim: User, clock: MovableClock
) -> None:
    """K4: the second step gets the same version; after its five minutes the next one is minted."""
    caller = await at.key()
    for step in ("s1", "s2"):
        await at.resolving.resolve(caller, at_the_farm(kim, step=step))
    assert (await held(at, farm, kim)).version == 1
    clock.advance(6 * MINUTE)
    assert (await at.resolving.resolve(caller, at_the_farm(kim, step="s3"))).decision.row == "F6"
    assert (await held(at, farm, kim)).version == 2


async def test_however_many_ask_one_is_minted(at: World, farm: Connector, kim: User) -> None:
    """K5, promise 1: 32 askers of two replicas for a set that is not there yet: one lease."""
    other = Vault(at.db, at.hasher, at.programs)
    key = (at.project, farm.id, kim.id)
    asked = [vault.refreshed(*key) for vault in (at.vault, other) for _ in range(16)]
    assert {one.token for one in await asyncio.gather(*asked)} == {Token.USABLE}
    token = await held(at, farm, kim)
    assert (token.version, token.fence) == (1, 1)
    rows = await at.rows("SELECT detail FROM audit WHERE action = 'connector.secret.opened'")
    assert len(rows) == 1


async def test_who_has_no_logon_is_nobody_there(
    at: World, farm: Connector, clock: MovableClock
) -> None:
    """providers.md: "absent" means no user mapping; no link is made, for there is nothing to
    sign in to (F12); the logon alone mends it.
    """
    user = await at.person(KIM)
    caller = await at.key()
    answer = await at.resolving.resolve(caller, at_the_farm(user, interactive=True))
    assert (answer.decision.row, answer.link) == ("F12", None)
    assert await at.db.read(tokens.read, at.project, farm.id, user.id) is None
    await known(at, user, 1)
    assert (await at.resolving.resolve(caller, at_the_farm(user, step="s5"))).decision.row == "F6"
    await at.db.write(logons.drop, at.project, user.id, SUFFIX)
    clock.advance(6 * MINUTE)
    assert (await at.resolving.resolve(caller, at_the_farm(user, step="s6"))).decision.row == "F12"
    assert (await held(at, farm, user)).reason == "no-logon"
    await known(at, user, 1)
    assert (await at.resolving.resolve(caller, at_the_farm(user, step="s7"))).decision.row == "F6"


async def test_safety_20_a_changed_logon_blocks_until_it_is_confirmed(
    at: World, farm: Connector, kim: User, clock: MovableClock
) -> None:
    """Safety 20: whom a person is at the farm does not change by itself: said once, and confirmed
    by an administrator who names the new one.
    """
    caller, minting = await at.key(), Minting(at.vault)
    await at.resolving.resolve(caller, at_the_farm(kim))
    await known(at, kim, 2)
    clock.advance(6 * MINUTE)
    for step in ("s5", "s6"):
        assert (await at.resolving.resolve(caller, at_the_farm(kim, step=step))).decision.row == (
            "F12"
        )
    assert (await held(at, farm, kim)).reason == "identity-changed"
    assert await said(at) == ["authorization.failing identity-changed"]
    with pytest.raises(Forbidden):
        await minting.confirm(await at.key("connectors:write"), farm.id, kim.id, sid(2))
    administrator = await at.administrator()
    with pytest.raises(Conflict) as refused:
        await minting.confirm(administrator, farm.id, kim.id, sid(3))
    assert refused.value.reason == "logon-changed"
    await minting.confirm(administrator, farm.id, kim.id, sid(2))
    assert (await at.resolving.resolve(caller, at_the_farm(kim, step="s7"))).decision.row == "F6"
    assert (await held(at, farm, kim)).account == sid(2)
    assert await said(at) == [
        "authorization.failing identity-changed",
        "authorization.recovered identity-changed",
    ]
    with pytest.raises(NotFound):
        await minting.confirm(administrator, farm.id, kim.id, sid(2))


async def test_the_logon_of_before_needs_no_confirmation(
    at: World, farm: Connector, kim: User, clock: MovableClock
) -> None:
    """Safety 20: back to the pinned one, nothing has changed."""
    caller = await at.key()
    await at.resolving.resolve(caller, at_the_farm(kim))
    await known(at, kim, 2)
    clock.advance(6 * MINUTE)
    assert (await at.resolving.resolve(caller, at_the_farm(kim, step="s5"))).decision.row == "F12"
    await known(at, kim, 1)
    assert (await at.resolving.resolve(caller, at_the_farm(kim, step="s6"))).decision.row == "F6"
    assert (await held(at, farm, kim)).account == sid(1)


async def test_safety_17_one_account_one_person(at: World, farm: Connector, kim: User) -> None:
    """Safety 17: who takes over a logon that another is minted for is not minted for by it."""
    caller, ana = await at.key(), await at.person("ana")
    await at.resolving.resolve(caller, at_the_farm(kim))
    await known(at, kim, 2)
    await known(at, ana, 1)
    answer = await at.resolving.resolve(caller, at_the_farm(ana, step="s5"))
    assert answer.decision.row == "F12"
    assert (await held(at, farm, ana)).reason == "account-taken"
    administrator = await at.administrator()
    with pytest.raises(Conflict) as refused:
        await Minting(at.vault).confirm(administrator, farm.id, ana.id, sid(1))
    assert refused.value.reason == "account-taken"


@pytest.mark.usefixtures("farm")
async def test_safety_20_no_key_writes_a_minting_logon(at: World, kim: User) -> None:
    """Safety 20: logons by which a connector mints are an administrator's, in any spelling; a key
    may send them again as they are.
    """
    managing, key = Managing(at.db, at.programs), await at.key("logons:write")
    for given in ({SUFFIX: sid(2)}, {"ad": sid(2)}, {}):
        with pytest.raises(Forbidden):
            await managing.set_logons(key, kim.id, given)
    assert (await managing.set_logons(key, kim.id, {SUFFIX: sid(1)})).logons == {SUFFIX: sid(1)}
    administrator = Caller(Kind.ADMINISTRATOR, at.project, "setup")
    changed = await managing.set_logons(administrator, kim.id, {SUFFIX: sid(2)})
    assert changed.logons == {SUFFIX: sid(2)}


async def test_k13_a_suspended_person_keeps_nothing(at: World, farm: Connector, kim: User) -> None:
    """K13: dropped at once; reinstated, the person is minted for again, as the same account."""
    caller = await at.key()
    await at.resolving.resolve(caller, at_the_farm(kim))
    await at.db.write(tokens.drop_all, at.project, kim.id, "deprovision")
    dropped = await held(at, farm, kim)
    assert (dropped.state, dropped.access) == (State.REVOKED, None)
    assert (await at.resolving.resolve(caller, at_the_farm(kim, step="s5"))).decision.row == "F6"
    token = await held(at, farm, kim)
    assert (token.state, token.account) == (State.VALID, sid(1))


async def test_k13_whoever_is_suspended_meanwhile_gets_nothing(
    at: World, farm: Connector, kim: User
) -> None:
    """K13, safety 8: suspended while the first token is made, so that there was none to drop."""
    lease = await at.db.write(at.vault.leased, (at.project, farm.id, kim.id), "refresh")
    assert isinstance(lease, Lease)
    gone = {"status": Status.SUSPENDED, "suspended_by": SuspendedBy.ADMIN}
    await at.change(kim, **gone, license=License.NONE)
    answer = await at.programs.minter(farm.type).mint(lease.registration, lease.person)
    standing = await at.db.write(at.vault.answered, lease, answer)
    assert standing is not None
    assert standing.token is Token.NOT_USABLE
    token = await held(at, farm, kim)
    assert (token.state, token.reason, token.access) == (State.REVOKED, "deprovision", None)


async def test_what_is_unused_is_not_minted(
    at: World, farm: Connector, kim: User, clock: MovableClock
) -> None:
    """T13: there is no grant to keep alive; only what a step was given is minted ahead, once."""
    await at.vault.refreshed(at.project, farm.id, kim.id)
    clock.advance(DAY)
    assert await at.vault.keep_alive() == 0
    caller = await at.key()
    await at.resolving.resolve(caller, at_the_farm(kim))
    version = (await held(at, farm, kim)).version
    for _ in range(3):
        clock.advance(6 * MINUTE)
        await at.vault.keep_alive()
    assert (await held(at, farm, kim)).version == version + 1


async def test_a_paused_step_is_no_dead_end(at: World) -> None:
    """F11: with the policy Pause the step waits for the logon; nobody gets a link."""
    await high_trust(at, **PAUSE)
    user = await at.person(KIM)
    caller = await at.key()
    answer = await at.resolving.resolve(caller, at_the_farm(user))
    assert (answer.decision.row, answer.link) == ("F11", None)
    assert answer.pause is not None
    await known(at, user, 1)
    assert await at.vault.keep_alive() == 1
    claim = await Pausing(at.db, at.hasher, at.resolving).claim(caller, answer.pause.id)
    assert claim.token is not None


async def test_c4_the_connector_user_is_minted_at_authorize(at: World) -> None:
    """C3, C4, safety 20: an administrator's act mints and looks at once; before it nothing is."""
    farm = await high_trust(at, **AUTHORIZING)
    assert (await at.vault.refreshed(at.project, farm.id, None)).token is Token.NOT_USABLE
    done = await Minting(at.vault).connector_user(await at.administrator(), farm.id)
    assert done.ok, done
    kept = await at.db.read(connectors.get, at.project, farm.id)
    assert kept.state is ConnectorState.AUTHORIZED
    token = await held(at, farm, None)
    assert (token.state, token.minted, token.account) == (State.VALID, True, CLIENT)


async def test_c5_a_refusal_is_told_and_nothing_is_kept(at: World) -> None:
    """C5: the farm does not believe the certificate: configured again, with the reason."""
    farm = await high_trust(at, **AUTHORIZING)
    at.simulator.farm.trusted.clear()
    done = await Minting(at.vault).connector_user(await at.administrator(), farm.id)
    assert (done.ok, done.reason) == (False, "check-failed")
    assert "does not believe" in done.message
    kept = await at.db.read(connectors.get, at.project, farm.id)
    assert (kept.state, kept.reason) == (ConnectorState.CONFIGURED, "check-failed")
    assert await at.db.read(tokens.read, at.project, farm.id, None) is None


async def test_c8_another_account_asks_first(at: World, farm: Connector) -> None:
    """C8: connected again as the same account; another one takes over only where that was said."""
    minting, administrator = Minting(at.vault), await at.administrator()
    assert (await minting.connector_user(administrator, farm.id)).ok
    await at.setting(farm, fields={**farm.fields, "client_id": CLIENT.replace("a", "b")})
    done = await minting.connector_user(administrator, farm.id)
    assert (done.ok, done.reason) == (False, "other-account")
    assert (await minting.connector_user(administrator, farm.id, other_account=True)).ok
    assert await said(at) == ["connector.account_changed None"]


async def test_of_two_clicks_one_counts(at: World) -> None:
    """C3, C4: the other click begins the same once more; nothing that matters is another thing."""

    class Clicked(Minting):
        def _beginning(
            self, tx: Transaction, caller: Caller, connector_id: str
        ) -> tuple[Connector, Registration, tuple[object, ...]]:
            begun = Minting._beginning(self, tx, caller, connector_id)
            Minting._beginning(self, tx, caller, connector_id)
            return begun

    farm = await high_trust(at, **AUTHORIZING)
    done = await Clicked(at.vault).connector_user(await at.administrator(), farm.id)
    assert done.ok, done
    kept = await at.db.read(connectors.get, at.project, farm.id)
    assert kept.state is ConnectorState.AUTHORIZED


async def test_r23_what_was_minted_of_the_old_secret_is_minted_again(
    at: World, farm: Connector, kim: User
) -> None:
    """R23, R45: a protected field typed anew: nobody is given what was made of the one before, nor
    what is made of it in this very moment.
    """
    await at.vault.refreshed(at.project, farm.id, kim.id)
    key, typed = (at.project, farm.id, kim.id), Said(fields={"private_key": signed()[1]})
    changing = Connecting(at.db, at.vault)
    await changing.configure(await at.administrator(), farm.id, typed)
    assert (await held(at, farm, kim)).state is State.EXPIRED
    lease = await at.db.write(at.vault.leased, key, "refresh")
    assert isinstance(lease, Lease)
    await changing.configure(await at.administrator(), farm.id, typed)
    answer = await at.programs.minter(farm.type).mint(lease.registration, lease.person)
    assert await at.db.write(at.vault.answered, lease, answer) is None
    assert (await held(at, farm, kim)).state is State.EXPIRED
    assert (await at.vault.refreshed(*key)).token is Token.USABLE


async def test_t1_another_account_is_not_slipped_in(
    at: World, farm: Connector, clock: MovableClock
) -> None:
    """T1, C7, C8: the connector user is minted as another account: the connector needs to be
    authorized again, and only an administrator lets the new one through; both are announced.
    """
    minting, administrator = Minting(at.vault), await at.administrator()
    assert (await minting.connector_user(administrator, farm.id)).ok
    kept = await at.db.read(connectors.get, at.project, farm.id)
    other = CLIENT.replace("a", "b")
    await at.setting(kept, fields={**farm.fields, "client_id": other})
    clock.advance(6 * MINUTE)
    assert (await at.vault.refreshed(at.project, farm.id, None)).token is Token.NOT_USABLE
    token = await held(at, farm, None)
    assert (token.state, token.reason) == (State.NEEDS_REAUTH, "identity-changed")
    assert token.account == CLIENT
    kept = await at.db.read(connectors.get, at.project, farm.id)
    assert (kept.state, kept.reason) == (ConnectorState.NEEDS_REAUTH, "identity-changed")
    assert (await minting.connector_user(administrator, farm.id)).reason == "other-account"
    assert (await minting.connector_user(administrator, farm.id, other_account=True)).ok
    assert (await held(at, farm, None)).account == other
    assert await said(at) == [
        "connector.failing identity-changed",
        "connector.recovered None",
        "connector.account_changed None",
    ]


async def test_usable_says_why_not(at: World, farm: Connector, kim: User) -> None:
    """Vault.usable: a token that works, after one refresh at most; else Conflict."""
    token, access = await at.vault.usable(at.project, farm.id, kim.id)
    credential = {"base_url": token.base_url, "access_token": access.reveal()}
    assert await who(credential) == kim.user_name
    with pytest.raises(Conflict) as refused:
        await at.vault.usable(at.project, farm.id, None)
    assert refused.value.reason == "authorization-needed"


async def who(credential: Mapping[str, str | None]) -> str:
    """For whom the pretend farm takes a credential."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"{credential['base_url']}/currentuser",
            headers={"Authorization": f"Bearer {credential['access_token']}"},
        )
    return str(answer.json()["Email"])


async def held(at: World, farm: Connector, user: User | None) -> TokenSet:
    found = await at.db.read(tokens.read, at.project, farm.id, user.id if user else None)
    assert found is not None
    return found


async def said(at: World) -> list[str]:
    """The events about authorizations and connectors, in their order."""
    sql = "SELECT type, data FROM events ORDER BY n"
    found = [(row["type"], orjson.loads(row["data"])) for row in await at.rows(sql)]
    kinds = ("authorization.", "connector.")
    return [f"{type} {data.get('reason')}" for type, data in found if type.startswith(kinds)]
