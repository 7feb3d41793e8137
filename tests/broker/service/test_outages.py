"""What providers do to us for hours and for months, simulated (R19, R74, T13, promises 4, 5, 7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from broker.db.database import Database, Transaction
from broker.demo.grants import App, Code
from broker.demo.oauth import Program
from broker.demo.world import Trouble
from broker.domain import ids
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.connectors import Connector
from broker.domain.connectors import State as ConnectorState
from broker.domain.steps import Token
from broker.domain.token_states import Event, after
from broker.domain.tokens import Grant
from broker.service.breaking import LIMIT
from broker.service.forms import Said
from broker.service.vault import Vault
from broker.store import connectors, tokens
from providers import custom
from providers.capabilities import Account, TokenResponse
from providers.registry import Registry
from providers.secret import Secret
from tests import engines
from tests.broker.service.outside import Outside
from tests.clocks import MovableClock
from tests.programs import FILE
from tests.stepping import CLIENT, CLIENT_SECRET, KIM, ROBOT, World

MANY = 10_000
STEP = 375 * SECOND
"""The longest wait between two tries: 300 s and a quarter (K9)."""


async def test_promise_4_a_day_without_the_provider(world: Outside, clock: MovableClock) -> None:
    """Promise 4, K9, K10: 24 hours down while ten clients ask on: counters change and nothing else,
    nobody is asked to sign in, few calls get through, and one step after it is back all serve.
    """
    id = await world.connector()
    users = [await world.granted(id, number) for number in range(10)]
    world.programs.salesforce.switches.set(Trouble.BROKEN)
    clock.advance(3 * HOUR)
    rounds = 48
    for _ in range(rounds):
        asked = (world.vault.refreshed(world.project, id, user) for user in users)
        assert {one.token for one in await asyncio.gather(*asked)} == {Token.TRANSIENT}
        await world.vault.keep_alive()
        clock.advance(30 * MINUTE)
    calls = world.programs.salesforce.calls["token"]
    assert calls <= 2 * rounds + LIMIT + len(users), "the breaker lets one through at a time"
    sql = "SELECT DISTINCT state, reason, version, unclassified, told FROM tokens"
    kept = [tuple(row.values()) for row in await world.rows(sql)]
    assert kept == [("valid", None, 1, 0, None)]
    assert (await state(world, id)) is ConnectorState.CONNECTED
    assert await failing(world) == []
    world.programs.salesforce.switches.clear()
    clock.advance(STEP)
    await world.vault.keep_alive()
    clock.advance(12 * SECOND)  # those that one probe held back
    await world.vault.keep_alive()
    asked = (world.vault.refreshed(world.project, id, user) for user in users)
    assert {one.token for one in await asyncio.gather(*asked)} == {Token.USABLE}


async def test_promise_5_a_wrong_secret_and_10_000_people(
    world: Outside, clock: MovableClock
) -> None:
    """Promise 5, K8: one alert, none of 10,000 people changed, a handful of calls; all are as good
    as before once the secret is right.
    """
    id = await world.connector()
    connector = await world.db.read(connectors.get, world.project, id)
    await world.db.write(crowded, world.vault, connector)
    user = await world.granted(id, 1)
    clock.advance(3 * HOUR)
    world.app.client_secret = "changed over there"
    before = world.programs.salesforce.calls["token"]
    assert await world.vault.keep_alive() >= 1000
    assert (await world.vault.refreshed(world.project, id, user)).token is Token.TRANSIENT
    assert await world.vault.keep_alive() == 0
    assert world.programs.salesforce.calls["token"] - before <= 8, "those who were on their way"
    sql = """
        SELECT state, reason, version, failures, count(*) AS sets FROM tokens
         WHERE user_id <> '' GROUP BY state, reason, version, failures
    """
    kept = [tuple(row.values()) for row in await world.rows(sql)]
    assert kept == [("valid", None, 1, 0, MANY + 1)]
    assert await failing(world) == ["connector.failing"]
    said = Said(fields={"client_secret": "changed over there"})
    await world.connecting.configure(world.administrator, id, said)
    assert (await world.vault.refreshed(world.project, id, user)).token is Token.USABLE
    assert await failing(world) == ["connector.failing"]


@dataclass(frozen=True)
class Idle:
    """A program, a way in, and a policy of its own that is stricter than what it declares."""

    kind: str
    name: str
    fields: dict[str, str]
    integration: str | None = None
    scopes: tuple[str, ...] = ("openid", "offline_access")
    idle_s: int | None = None


SITE = {"tenant": "acme.example", "site": "acme.sharepoint.com/sites/flows"}
PROGRAMS = (
    Idle("salesforce", "salesforce", {}, scopes=("api", "refresh_token"), idle_s=14 * 24 * 3600),
    Idle("sharepoint_online", "entra", SITE, "delegated"),
    Idle("sharepoint_server", "sharepoint", {}, "oidc"),
    Idle("docusign", "docusign", {}, "code", scopes=("signature", "extended")),
    Idle("tickets", "tickets", {}, scopes=("tickets", "offline_access")),
)


@pytest.mark.parametrize("program", PROGRAMS, ids=[one.kind for one in PROGRAMS])
async def test_r19_r74_ninety_days_idle(at: World, clock: MovableClock, program: Idle) -> None:
    """R19, R74, T13: nobody runs a step for 90 days; each program's own policy for unused grants is
    enforced (Salesforce's 14 days), and the grant still gives a token on day 60 and day 90.
    """
    described = custom.load(FILE)
    registry = Registry(at.egress, simulator=at.simulator.base_url, programs=described)
    programs = replace(at.programs, registry=registry)
    at = replace(at, programs=programs, vault=replace(at.vault, programs=programs))
    connector, user = await idle(at, program)
    key = (at.project, connector.id, user)
    for day in range(1, 91):
        clock.advance(DAY)
        at.simulator.clock.advance(DAY / SECOND)
        await at.vault.keep_alive()
        if day in (60, 90):
            alive = replace(at.vault, flights={})
            assert (await alive.refreshed(*key)).token is Token.USABLE
    token = await at.db.read(tokens.read, *key)
    assert token is not None
    assert (token.reason, token.failures) == (None, 0)
    assert at.simulator.programs[program.name].state.living() != []


@pytest.fixture(params=[-10, 10], ids=["behind", "ahead"])
async def apart(
    request: pytest.FixtureRequest, database_url: str, clock: MovableClock
) -> AsyncIterator[Database]:
    """A further replica on the same database, whose own clock is ten minutes off."""
    if not database_url.startswith("postgres"):
        pytest.skip(
            "replicas share PostgreSQL; the clock of SQLite's one process is the database's"
        )

    def wrong() -> int:
        return clock() + int(request.param) * MINUTE

    db = await engines.connect(database_url, clock=wrong)
    yield db
    await db.close()


async def test_promise_7_a_replica_whose_clock_is_off(
    world: Outside, clock: MovableClock, apart: Database
) -> None:
    """Promise 7: ten minutes off, a replica refreshes neither earlier nor later than the others:
    the time is the database's.
    """
    id = await world.connector()
    user = await world.granted(id, 1)
    other = replace(world.vault, db=apart, flights={})
    asked = await asyncio.gather(
        world.vault.refreshed(world.project, id, user), other.refreshed(world.project, id, user)
    )
    assert {one.token for one in asked} == {Token.USABLE}
    assert (await world.token(id, user)).version == 2
    clock.advance(HOUR)
    assert (await other.refreshed(world.project, id, user)).token is Token.USABLE
    await other.landed()
    assert (await world.token(id, user)).version == 2, "an hour is left of two"


def crowded(tx: Transaction, vault: Vault, connector: Connector) -> None:
    """Ten thousand people with grants that are due."""
    secret = Secret("over")
    for number in range(MANY):
        token = tokens.absent(tx, connector.project, connector.id, f"usr_{number:05d}")
        grant = Grant(
            access=vault.sealed(token, "access_token", secret),
            refresh=vault.sealed(token, "refresh_token", secret),
            expires_at=tx.now,
            origin=connector.origin,
        )
        token = after(token, Event.CONNECTED, now=tx.now, grant=grant)
        tokens.save(tx, token, due_at=tx.now)


async def idle(at: World, program: Idle) -> tuple[Connector, str]:
    """A connector of that program with one person's grant, which nobody uses."""
    pretend: Program = at.simulator.programs[program.name]
    app = pretend.state.register(App(CLIENT, CLIENT_SECRET, idle_s=program.idle_s))
    app.redirect_prefix = "http"
    connector = await at.connector(
        program.kind.title(),
        type=program.kind,
        integration=program.integration,
        fields={"client_id": CLIENT} | program.fields,
    )
    user = await at.person(KIM)
    who = pretend.state.users.get(KIM) or pretend.state.users[ROBOT]
    approval = pretend.state.approve(Code(app, who, "", "", program.scopes, 0.0))
    answer = TokenResponse(
        access_token=Secret(pretend.state.session(approval)),
        refresh_token=Secret(approval.refresh_token),
        expires_in_s=3600,
        scopes=program.scopes,
        base_url=at.simulator.base_url,
        account=Account(ids.new("account"), who.user_name),
    )
    await at.db.write(at.granting, connector, user, answer, {})
    return connector, user.id


async def state(world: Outside, id: str) -> ConnectorState:
    return (await world.db.read(connectors.get, world.project, id)).state


async def failing(world: Outside) -> list[str]:
    """What anybody was told of trouble."""
    sql = "SELECT type FROM events WHERE type LIKE :failing ORDER BY n"
    return [row["type"] for row in await world.rows(sql, failing="%failing")]
