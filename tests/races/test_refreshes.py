"""Refreshes under a power cut, under a crowd and too late: promises 1 to 3, rows K4 to K6."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import orjson
import pytest

from broker.db.database import Database, Transaction
from broker.demo.simulator import Simulator
from broker.demo.world import Trouble
from broker.domain.clock import HOUR, SECOND
from broker.domain.steps import Token
from broker.domain.tokens import State
from tests.broker.service import outside
from tests.broker.service.outside import KIM, Outside
from tests.clocks import MovableClock
from tests.races.refreshing import POINTS, SLOW
from tests.waiting import until

MID_CALL = "while the provider works"
VALID = (State.VALID, None)
LOST = (State.NEEDS_REAUTH, "lost_rotation")
ENDS = {
    "before the lease": VALID,
    "in the lease": VALID,
    "before the lease commits": VALID,
    "before the call": VALID,
    MID_CALL: LOST,
    "after the answer": LOST,
    "in the save": LOST,
    "before the save commits": LOST,
    "after the commit": VALID,
}
"""The nine points where a refresh is cut short under strict rotation -> what the next one finds."""
IN_THE_SUITE = ("before the call", MID_CALL, "in the save")
ALL_POINTS = [
    point if point in IN_THE_SUITE else pytest.param(point, marks=pytest.mark.drill)
    for point in (*POINTS, MID_CALL)
]
CROWDS = [50, pytest.param(1000, marks=pytest.mark.drill)]
"""Grants that are over when the crowd comes."""
ASKERS = 64
REPLICAS = {"postgresql": 2, "sqlite": 1}


@pytest.fixture(scope="module")
def programs() -> Iterator[Simulator]:
    with outside.running() as simulator:
        yield simulator


@pytest.fixture
async def world(db: Database, programs: Simulator) -> AsyncIterator[Outside]:
    async with outside.opened(db, programs) as opened:
        yield opened


@pytest.mark.parametrize("point", ALL_POINTS)
@pytest.mark.parametrize("rotation", [True, pytest.param(False, marks=pytest.mark.drill)])
async def test_sigkill_in_a_refresh_leaves_nothing_half(
    world: Outside, database_url: str, clock: MovableClock, point: str, rotation: bool
) -> None:
    """Promise 2: killed at any point of a refresh, the next one ends in valid, or in needs_reauth
    with the exact reason; a provider that does not rotate strictly loses nothing at all.
    """
    id, user = await world.connector(), await world.person()
    before = await world.authorized(user, id)
    await expire(world, user.id)
    world.app.rotation = rotation
    job = described(world, database_url, id, [user.id])
    if point == MID_CALL:
        world.programs.salesforce.switches.set(Trouble.SLOW, times=1, seconds=1.0)
        async with process(job) as replica:
            await say(replica, "ready")
            await until(lambda: world.programs.salesforce.calls["refresh", KIM] == 1)
            replica.kill()
        await until(lambda: rotated(world, rotation))
    else:
        async with process(job | {"die_at": point}) as replica:
            await heard(replica, "here")
            replica.kill()
    after = await world.token(id, user.id)
    assert after.state is State.VALID
    assert after.version == (before.version + 1 if point == "after the commit" else before.version)
    clock.advance(20 * SECOND)
    await world.vault.refreshed(world.project, id, user.id)
    token = await world.token(id, user.id)
    assert (token.state, token.reason) == (ENDS[point] if rotation else VALID)
    assert token.journal is None
    if token.state is State.VALID:
        living = [one.access for one in world.programs.salesforce.living()]
        assert any(world.vault.opened(token).reveal() in access for access in living)


@pytest.mark.parametrize("grants", CROWDS)
async def test_a_crowd_loses_no_grant(world: Outside, database_url: str, grants: int) -> None:
    """Promise 1: every grant expired, 64 ask for each of them, from two replicas on PostgreSQL,
    strict rotation: one refresh each and never two at a time, 0 lost.
    """
    replicas = REPLICAS[database_url.partition(":")[0]]
    id = await world.connector()
    users = [await world.granted(id, number) for number in range(grants)]
    world.app.rotation, world.programs.salesforce.together = True, 0
    job = described(world, database_url, id, users) | {"askers": ASKERS // replicas}
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(process(job)) for _ in range(replicas)]
        await asyncio.gather(*(say(replica, "ready") for replica in crowd))
        stood = [await answered(replica) for replica in crowd]
    assert Counter(token for one in stood for token in one) == {Token.USABLE: ASKERS * grants}
    assert world.programs.salesforce.calls["refresh"] == grants
    assert world.programs.salesforce.together == 1
    held = await world.rows("SELECT state, version FROM tokens WHERE user_id <> ''")
    assert Counter((one["state"], one["version"]) for one in held) == {("valid", 2): grants}


@pytest.mark.parametrize("rotation", [False, True])
async def test_an_answer_thirty_seconds_late_overwrites_nothing(
    world: Outside, database_url: str, clock: MovableClock, rotation: bool
) -> None:
    """Promise 3: a replica stood still with the answer in its hands until its lease was over and
    another had refreshed: what that one wrote stays. Where the provider rotates strictly the late
    answer held the only living token: needs_reauth with the exact reason, never a wrong token.
    """
    id, user = await world.connector(), await world.person()
    await world.authorized(user, id)
    await expire(world, user.id)
    world.app.rotation = rotation
    async with process(described(world, database_url, id, [user.id]) | {"die_at": SLOW}) as late:
        await heard(late, "here")
        clock.advance(30 * SECOND)
        await world.vault.refreshed(world.project, id, user.id)
        newer = await world.token(id, user.id)
        assert (newer.state, newer.reason) == (LOST if rotation else VALID)
        await tell(late)
        assert await answered(late) == [Token.NOT_USABLE if rotation else Token.USABLE]
    assert await world.token(id, user.id) == newer


async def expire(world: Outside, user_id: str) -> None:
    """The access token is over by the clock of every process."""

    def expiring(tx: Transaction) -> None:
        tx.run(
            "UPDATE tokens SET obtained_at = :then, expires_at = :now WHERE user_id = :user",
            then=tx.now - 2 * HOUR,
            now=tx.now,
            user=user_id,
        )

    await world.db.write(expiring)


def described(world: Outside, url: str, connector_id: str, users: list[str]) -> dict[str, Any]:
    return {
        "url": url,
        "simulator": world.programs.base_url,
        "project": world.project,
        "connector": connector_id,
        "users": users,
        "askers": 1,
    }


@asynccontextmanager
async def process(job: dict[str, Any]) -> AsyncIterator[Process]:
    """A replica; killed at the end where it has not ended by itself."""
    words = (sys.executable, "-m", "tests.races.refreshing", orjson.dumps(job).decode())
    replica = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, limit=2**24)
    try:
        yield replica
    finally:
        if replica.returncode is None:
            with suppress(ProcessLookupError):
                replica.kill()
        await replica.wait()


async def heard(replica: Process, word: str) -> None:
    """Wait until the process says that word."""
    assert replica.stdout is not None
    assert (await replica.stdout.readline()).decode().strip() == word


async def say(replica: Process, word: str) -> None:
    """Wait until the process is ready, then let it go on."""
    await heard(replica, word)
    await tell(replica)


async def tell(replica: Process) -> None:
    """Let the process go on."""
    assert replica.stdin is not None
    replica.stdin.write(b"go\n")
    await replica.stdin.drain()


async def answered(replica: Process) -> list[str]:
    """How everybody stands who asked there."""
    assert replica.stdout is not None
    said: list[str] = orjson.loads(await replica.stdout.readline())
    assert await replica.wait() == 0
    return said


def rotated(world: Outside, rotation: bool) -> bool:
    """Whether the provider has finished what the dead process asked for."""
    mine = [one for one in world.programs.salesforce.approvals if one.user.user_name == KIM]
    return bool(mine[-1].spent) if rotation else len(mine[-1].access) > 1
