"""A new encryption key in real processes: beside two services, and when the power fails."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.db import seal
from broker.db.database import Database, Transaction
from broker.db.seal import Seal, keys_from
from broker.domain.tokens import State
from broker.service.sealing import AT_ONCE, Sealing
from broker.store import projects, tokens
from tests import engines
from tests.journeys.stage import KIM, Stage, stage
from tests.serving import NotServing, Served, command, serve

OLD, NEW = seal.new_key("k1"), seal.new_key("k2")
BOTH = f"{NEW},{OLD}"
MANY = AT_ONCE * 2 + 100
ASKED: dict[str, Any] = {
    "connector": "salesforce",
    "step": {"id": "s1", "type": "retrieve_data"},
    "subject": {"user_name": KIM.user_name},
}


def crowd(tx: Transaction, many: int) -> None:
    """Access tokens of people nobody asks for, sealed with the old key."""
    project = projects.named(tx, "default") or projects.insert(tx, "default")
    assert project is not None
    for n in range(many):
        token = tokens.absent(tx, project.id, "cnr_of_the_crowd", f"usr_{n:05}")
        place = project.id, "tokens", token.id, "access_token"
        value = Seal(keys_from(OLD)).seal(b"held", *place)
        tokens.save(tx, replace(token, state=State.VALID, access=value), due_at=None)


async def test_a_key_changes_beside_two_services(database_url: str, tmp_path: Path) -> None:
    """Promise 15: two replicas that have both keys answer every question while `broker seal rotate`
    runs; 0 rows are left; without the old key the service starts, and gives out and refreshes what
    it kept.
    """
    async with (
        stage(tmp_path, database_url, BROKER_ENCRYPTION_KEYS=OLD) as on,
        AsyncExitStack() as stack,
    ):
        await connected(on)
        key = str(on.engine.headers["authorization"])
        assert await on.broker.stop() == 0
        db = await engines.connect(database_url)
        stack.push_async_callback(db.close)
        await db.write(crowd, MANY)
        around = {"BROKER_SIMULATOR_URL": on.simulator.base_url}

        def replica(name: str, keys: str) -> AbstractAsyncContextManager[Served]:
            told: dict[str, Any] = {"BROKER_ENCRYPTION_KEYS": keys, **around}
            return serve(tmp_path, database_url, name=name, **told)

        async with replica("a", BOTH) as one, replica("b", BOTH) as other:
            before = await one.command("seal", "status")
            assert held(before)["k1"] > MANY
            rotated = asyncio.Event()
            askers = [asyncio.create_task(asking(each, key, rotated)) for each in (one, other)]
            done = await one.command("seal", "rotate")
            rotated.set()
            answers = [answer for asked in await asyncio.gather(*askers) for answer in asked]
            assert (done["left"], held(done)["k1"], done["sealing"]) == (0, 0, "k2")
            assert done["resealed"] >= before["left"]
            assert {answer["row"] for answer in answers} == {"F6"}
            assert len(answers) >= 2
        async with replica("c", NEW) as alone:
            assert held(await alone.command("seal", "status")).keys() == {"k2"}
            kept = await ask(alone, key, "kept")
            assert await on.runs_as(kept["credential"]) == KIM.user_name
            await db.write(lambda tx: tx.run("UPDATE tokens SET expires_at = 1"))
            fresh = await ask(alone, key, "refreshed")
            assert await on.runs_as(fresh["credential"]) == KIM.user_name
            assert fresh["credential"] != kept["credential"]


async def connected(on: Stage) -> str:
    """Kim connects their account; the connector."""
    await on.push(KIM)
    connector = await on.connector()
    await on.switch(connector, enabled=True, policy="pause")
    asked = await on.decided(ASKED["subject"], interactive=True)
    browser = on.browser()
    await on.sign_in(browser, asked["link"]["url"], KIM)
    await on.allow(browser, asked["link"]["url"], KIM.user_name)
    return connector


async def ask(served: Served, key: str, execution: str) -> dict[str, Any]:
    """What a replica answers to a step of Kim's."""
    body = ASKED | {"execution": {"id": execution, "attempt": 1}}
    async with httpx.AsyncClient(headers={"authorization": key}) as client:
        answer = await client.post(f"{served.base_url}/v1/resolve", json=body)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert said["credential"]["access_token"]
    return said


async def asking(served: Served, key: str, over: asyncio.Event) -> list[dict[str, Any]]:
    """The same, again and again until the rotation is over, and once more."""
    answers: list[dict[str, Any]] = []
    while not over.is_set():
        answers.append(await ask(served, key, f"{served.pid}-{len(answers)}"))
    return [*answers, await ask(served, key, f"{served.pid}-last")]


def held(status: dict[str, Any]) -> dict[str, int]:
    """Rows by key id."""
    return {key["id"]: key["rows"] for key in status["keys"]}


async def test_a_rotation_killed_in_the_middle_goes_on(db: Database, database_url: str) -> None:
    """Promise 15: SIGKILL within a batch undoes that batch alone; everything opens, and the next
    rotation leaves 0.
    """
    await db.write(crowd, MANY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.races.rotating", database_url, BOTH, str(AT_ONCE + 7)),
        cwd=Path(__file__).parents[2],
    )
    assert await process.wait() == -signal.SIGKILL
    sealing = Sealing(db, Seal(keys_from(BOTH)))
    assert (await sealing.status()).keys == {"k2": AT_ONCE, "k1": MANY - AT_ONCE}
    done, after = await sealing.rotate(by="operator")
    assert (done, after.keys) == (MANY - AT_ONCE, {"k2": MANY, "k1": 0})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_the_old_key_nothing_starts_too_early(
    database_url: str, tmp_path: Path
) -> None:
    """Promise 12, 15: until the rotation is over a start without the old key is refused, in a
    sentence that names it; with it everything is as it was.
    """
    async with serve(tmp_path, database_url, BROKER_ENCRYPTION_KEYS=OLD) as first:
        seen = dict(first.environment)
    with pytest.raises(NotServing, match="the key 'k1' is not among BROKER_ENCRYPTION_KEYS"):
        async with serve(tmp_path, database_url, BROKER_ENCRYPTION_KEYS=NEW):
            pass
    done = await command(seen | {"BROKER_ENCRYPTION_KEYS": BOTH}, "seal", "rotate")
    assert (done["resealed"], held(done)) == (1, {"k2": 1, "k1": 0})
    async with serve(tmp_path, database_url, BROKER_ENCRYPTION_KEYS=NEW) as last:
        assert held(await last.command("seal", "status")) == {"k2": 1}
