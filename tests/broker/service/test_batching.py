"""Many steps asked about at once: in their order, as of one moment, all kept or none."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from broker.db.database import Transaction
from broker.demo.world import Trouble
from broker.domain.callers import Caller
from broker.domain.errors import BrokerError, Forbidden, Invalid
from broker.domain.pauses import State as PauseState
from broker.service.answering import Answer
from broker.service.batching import Batch, Batching, Found, worst
from broker.service.resolving import Renewals, Resolving
from broker.store import connectors, pauses
from tests.counting import Counting
from tests.stepping import ANA, BO, END, EXPIRED, FALLBACK, KIM, LATER, PAUSE, World

WHO = {"user_name": KIM}
DEFAULTS = {
    "connector": "salesforce",
    "step": {"type": "retrieve_data"},
    "execution": {"id": "r-1"},
    "subject": WHO,
}


def batch(*items: Any, stop: str = "never", **defaults: Any) -> Batch:
    """Questions about steps of one flow; a text is the id of a step asked about as by default."""
    said = [{"step": {"id": item}} if isinstance(item, str) else item for item in items]
    return Batch.parse({"defaults": DEFAULTS | defaults, "items": said, "stop": stop})


async def answered(at: World, caller: Caller, asked: Batch) -> list[Found]:
    """What the batch comes to."""
    return await Batching(at.resolving).resolve(caller, asked)


def row(found: Found) -> str | None:
    """The row of an answer, or the word of what is wrong."""
    if isinstance(found, Answer):
        return found.decision.row
    return None if found is None else found.reason


def test_items_override_the_defaults() -> None:
    """api-conventions 11: defaults at the top, each item overrides; a step and an execution member
    by member, a subject as a whole, and null is something that was said.
    """
    asked = batch(
        "s1",
        {"step": {"id": "s2", "type": "create_data"}, "subject": {"user_id": "usr_1"}},
        {"step": {"id": "s3"}, "execution": {"attempt": 2}, "subject": None, "interactive": True},
    )
    first, second, third = (item.question for item in asked.items if not isinstance(item, Invalid))
    assert first["step"] == {"id": "s1", "type": "retrieve_data", "scopes": []}
    assert (second["step"]["type"], second["subject"]) == ("create_data", {"user_id": "usr_1"})
    assert third["execution"] == {"id": "r-1", "flow": None, "attempt": 2}
    assert (third["subject"], third["interactive"], first["interactive"]) == (None, True, False)


@pytest.mark.parametrize(
    ("said", "pointers"),
    [
        ({}, ["/items"]),
        ({"items": []}, ["/items"]),
        ({"items": [{}] * 101}, ["/items"]),
        ({"items": {}, "stop": "later", "x": 1}, ["/x", "/stop", "/items"]),
        ({"items": [{}], "defaults": []}, ["/defaults"]),
        ([], [""]),
    ],
)
def test_a_batch_that_is_none(said: Any, pointers: list[str]) -> None:
    """api.md: from 1 to 100 items; what is wrong with the batch itself is 422, all at once."""
    with pytest.raises(Invalid) as refused:
        Batch.parse(said)
    assert [problem.pointer for problem in refused.value.problems] == pointers


async def test_nothing_vanishes(at: World) -> None:
    """Each item is answered in its place: runs, waits, asks, pauses, errors, and questions that are
    wrong, which spoil no other; the worst is named.
    """
    connector = await at.connector(**PAUSE)
    await at.connect(connector, None)
    await at.connect(connector, await at.person(KIM))
    await at.person(ANA)
    await at.connect(connector, await at.person(BO), **LATER)
    ana, caller = {"user_name": ANA}, await at.key()
    found = await answered(
        at,
        caller,
        batch(
            "s1",
            {"step": {"id": "s2", "type": "create_data"}},
            {"step": {"id": "s3"}, "subject": ana, "interactive": True},
            {"step": {"id": "s4"}, "subject": ana},
            {"step": {"id": "s5"}, "subject": {"user_name": BO}},
            {"step": {"id": "s6"}, "subject": {"user_name": "nobody"}},
            {"step": {"id": "s7", "type": "retrieve"}},
            {"step": {"id": "s8"}, "execution": "r-1"},
            7,
        ),
    )
    assert [row(one) for one in found] == [
        *("F6", "F4", "F8", "F11", "F7", "F19"),
        *("unknown-step-type", "invalid-request", "invalid-request"),
    ]
    assert worst(found) == 6
    assert [worst(found[:end]) for end in range(1, 7)] == [0, 0, 2, 3, 4, 5]
    lines = await at.rows("SELECT row FROM decision_lines ORDER BY n")
    assert [line["row"] for line in lines] == ["F6", "F4", "F8", "F11", "F7", "F19"]
    assert [one["version"] for one in await at.rows("SELECT version FROM decisions")] == [1] * 6
    wait = found[4]
    assert isinstance(wait, Answer)
    assert wait.rendered()["retry_after_s"] >= 1


@pytest.mark.parametrize(
    ("stop", "rows"),
    [
        ("never", ["F6", "F11", "F6", "F19", "F6"]),
        ("on_pause", ["F6", "F11", None, None, None]),
        ("on_error", ["F6", "F11", "F6", "F19", None]),
    ],
)
async def test_stop(at: World, stop: str, rows: list[str | None]) -> None:
    """api-conventions 11: what stands behind the stop is not evaluated, and leaves no line."""
    connector = await at.connector(**PAUSE)
    await at.connect(connector, await at.person(KIM))
    await at.person(ANA)
    asked = batch(
        "s1",
        {"step": {"id": "s2"}, "subject": {"user_name": ANA}},
        "s3",
        {"step": {"id": "s4"}, "subject": {"user_name": "nobody"}},
        "s5",
        stop=stop,
    )
    found = await answered(at, await at.key(), asked)
    assert [row(one) for one in found] == rows
    kept = await at.rows("SELECT version FROM decisions")
    assert len(kept) == len([one for one in rows if one])


async def test_on_error_stops_at_a_wrong_question(at: World) -> None:
    """A question that is wrong is an error to whoever wants to stop at one."""
    await at.connect(await at.connector(), None)
    found = await answered(at, await at.key(), batch("s1", {"step": 7}, "s3", stop="on_error"))
    assert [row(one) for one in found] == ["F3", "invalid-request", None]


async def test_the_same_batch_again(at: World) -> None:
    """Safety 23: idempotent by natural key: the same decisions, looked at afresh; the same attempt
    asked twice differently is a conflict wherever the first stands.
    """
    connector = await at.connector()
    await at.connect(connector, None)
    caller, asked = await at.key(), batch("s1", "s2", "s1")
    first = [one.decision_id for one in await answered(at, caller, asked) if one is not None
             and isinstance(one, Answer)]  # fmt: skip
    again = [one for one in await answered(at, caller, asked) if isinstance(one, Answer)]
    assert [one.decision_id for one in again] == first
    assert first[0] == first[2]
    assert [one.version for one in again] == [3, 2, 4]
    other = {"step": {"id": "s9", "type": "create_data"}}
    found = await answered(at, caller, batch(other, "s1", "s9", {**other, "interactive": True}))
    assert [row(one) for one in found] == ["F3", "F3", *["decision-conflict"] * 2]
    found = await answered(at, caller, batch("s9", "s1"))
    assert [row(one) for one in found] == ["decision-conflict", "F3"]


async def test_one_attempt_of_a_step(at: World) -> None:
    """P10: an answer of a batch tells of no pause that a later item ended: of two attempts of one
    step the second is refused, whichever it is, and the first is answered.
    """
    await at.connector(**PAUSE)
    await at.person(KIM)
    later = {"step": {"id": "s1"}, "execution": {"attempt": 2}}
    found = await answered(at, await at.key(), batch(later, "s1", "s2", later))
    assert [row(one) for one in found] == ["F11", "duplicate-step", "F11", "F11"]
    told = {one.pause.id: one.pause.state for one in found if isinstance(one, Answer) and one.pause}
    kept = await at.rows("SELECT id, state FROM pauses")
    assert {one["id"]: one["state"] for one in kept} == told


async def test_one_link_for_all(at: World) -> None:
    """api-conventions 11: a missing authorization makes one link per person and connector."""
    connector = await at.connector(**END)
    await at.person(KIM)
    found = await answered(at, await at.key(), batch(*"abc", interactive=True))
    links = {one.link.id for one in found if isinstance(one, Answer) and one.link}
    assert (len(links), connector.state) == (1, "connected")


async def test_all_refreshes_at_once(at: World) -> None:
    """K4, K5: what is due for any item is refreshed at the same time, once for each token set,
    before everything is looked at once more; nobody waits for another's provider.
    """
    connector = await at.connector(**FALLBACK)
    await at.connect(connector, None, **EXPIRED)
    for name in (KIM, ANA, BO):
        await at.connect(connector, await at.person(name), **EXPIRED)
    under_way: list[int] = []
    vault = at.vault
    original = type(vault)._answer

    async def slowly(self: Any, lease: Any) -> Any:
        under_way.append(len(vault.flights))
        while len(vault.flights) < 4:
            await asyncio.sleep(0)
        return await original(self, lease)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(vault), "_answer", slowly)
        people = [{"step": {"id": name}, "subject": {"user_name": name}} for name in (KIM, ANA, BO)]
        alone = {"step": {"id": "x", "type": "create_data"}}
        found = await answered(at, await at.key(), batch(*people, alone, *people))
    assert [row(one) for one in found] == ["F6", "F6", "F6", "F4", "F6", "F6", "F6"]
    assert at.simulator.salesforce.calls["refresh"] == len(under_way) == 4
    assert len(await at.rows("SELECT n FROM decision_lines")) == 7


async def test_a_dead_grant_falls_back_after_its_refresh(at: World) -> None:
    """F9, R28: a refresh that finds the grant dead leads to the connector user, who is due too."""
    connector = await at.connector(**FALLBACK)
    await at.connect(connector, None, **EXPIRED)
    await at.connect(connector, await at.person(KIM), **EXPIRED)
    at.simulator.salesforce.switches.set(Trouble.GRANT_DEAD, endpoint="token", user=KIM)
    found = await answered(at, await at.key(), batch("s1", "s2"))
    assert [row(one) for one in found] == ["F9", "F9"]
    assert at.simulator.salesforce.calls["refresh"] == 2


async def test_one_unit(at: World) -> None:
    """One transaction decides all of a batch where nothing is to be refreshed."""
    await at.connect(await at.connector(), None)
    counting, caller = Counting(at.db), await at.key()
    batching = Batching(replace(at.resolving, db=counting))
    assert len(await batching.resolve(caller, batch(*map(str, range(100))))) == 100
    assert counting.units == ["write"]


async def test_all_or_nothing(at: World) -> None:
    """V1, R2: where one line cannot be written no credential of the whole batch leaves."""
    connector = await at.connector(**END)
    await at.connect(connector, await at.person(KIM))
    caller = await at.key()

    def breaking(tx: Transaction) -> None:
        tx.run("CREATE UNIQUE INDEX once ON decision_lines (project_id, outcome)")

    await at.db.write(breaking)
    with pytest.raises(Exception) as refused:
        await answered(at, caller, batch("s1", "s2"))
    assert not isinstance(refused.value, BrokerError | sqlite3.ProgrammingError | psycopg.DataError)
    assert await at.rows("SELECT * FROM decisions") == []
    assert await at.rows("SELECT * FROM audit WHERE action = 'token.opened'") == []


async def test_a_limited_key(at: World) -> None:
    """Safety 22: the items a key is not for carry its 403; a key without `resolve` asks nothing."""
    await at.connect(await at.connector(), None)
    caller = await at.key("resolve", step_types=("retrieve_data",))
    found = await answered(at, caller, batch("s1", {"step": {"id": "s2", "type": "create_data"}}))
    assert [row(one) for one in found] == ["F3", "step-type-not-allowed"]
    with pytest.raises(Forbidden):
        await answered(at, await at.key("explain"), batch("s1"))


async def test_one_moment(at: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One snapshot: what is saved between two items of a batch counts for both or for none."""
    await at.connector(**END)
    kim = await at.person(KIM)
    begun, saved, answering = threading.Event(), threading.Event(), Resolving.answering

    def slowly(self: Resolving, tx: Transaction, *more: Any) -> Answer:
        answer = answering(self, tx, *more)
        begun.set()
        if tx.for_update:  # SQLite's writer keeps everybody else out
            saved.wait(10)
        return answer

    monkeypatch.setattr(Resolving, "answering", slowly)
    deciding = asyncio.create_task(answered(at, await at.key(), batch("s1", "s2")))
    await asyncio.to_thread(begun.wait)
    await at.change(kim, user_authentication=False)
    saved.set()
    found = await deciding
    assert [row(one) for one in found] == ["F12", "F12"]
    assert [row(one) for one in await answered(at, await at.key(), batch("s1"))] == ["F5"]


async def test_a_sign_in_meanwhile_is_not_missed(at: World) -> None:
    """F11, c.4: a sign-in that ends behind the batch's snapshot and before its pauses are kept is
    seen all the same: the batch begins again.
    """
    connector = await at.connector(**PAUSE)
    kim = await at.person(KIM)
    answer = at.approved(KIM)
    begun, signed_in = threading.Event(), threading.Event()
    batching, caller, asked = Batching(at.resolving), await at.key(), batch("s1", "s2")

    def slowly(tx: Transaction) -> list[str | None]:
        connectors.find(tx, at.project, connector.id)
        begun.set()
        if tx.for_update:
            signed_in.wait(10)
        found = batching._answering(tx, Renewals(), caller, asked)
        return [row(one) for one in found]

    def signing_in(tx: Transaction) -> None:
        at.granting(tx, connector, kim, answer, {})
        pauses.readying(tx, at.project, kim.id, connector.id)

    deciding = asyncio.create_task(at.db.write_on_snapshot(slowly))
    await asyncio.to_thread(begun.wait)
    await at.db.write(signing_in)
    signed_in.set()
    rows = await deciding
    open_ones = await at.db.read(pauses.page, at.project)
    assert (rows, open_ones) == (["F6", "F6"], []) or (
        rows == ["F11", "F11"] and {one.state for one in open_ones} == {PauseState.READY}
    )


async def test_batches_about_the_same_steps(at: World) -> None:
    """Safety 23: however they overlap and in whatever order, no batch is lost or doubled: one
    decision an attempt, one line an answer, one open pause a step.
    """
    connector = await at.connector(**PAUSE)
    await at.connect(connector, None)
    await at.person(KIM)
    caller, steps = await at.key(), [f"s{n}" for n in range(8)]
    turns = [batch(*(steps[n:] + steps[:n])) for n in range(6)]
    found = await asyncio.gather(*(answered(at, caller, turn) for turn in turns))
    assert {row(one) for answers in found for one in answers} == {"F11"}
    assert len(await at.rows("SELECT id FROM decisions")) == 8
    assert len(await at.rows("SELECT n FROM decision_lines")) == 48
    assert len(await at.rows("SELECT id FROM pauses")) == 8
