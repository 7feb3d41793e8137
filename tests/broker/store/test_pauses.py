"""Pauses, kept: one open a step, changed by compare-and-set, found by an index."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.db.database import Database, Transaction
from broker.domain import ids
from broker.domain.pauses import Event, Pause, State, after
from broker.store import pauses

PROJECT = "prj_1"


def pause(**more: str) -> Pause:
    """A step that waits."""
    waiting = Pause(
        id=ids.new("pse"),
        project=PROJECT,
        key="key_1",
        decision="dec_1",
        connector="con_1",
        user="usr_1",
        execution="r-1",
        step="s1",
        state=State.WAITING,
        created_at=1,
        changed_at=1,
    )
    return replace(waiting, **more)  # type: ignore[arg-type]  # the texts among its fields


async def test_one_open_pause_a_step(db: Database) -> None:
    """c.4: of many who open a pause for one step one does; once it is over the next may."""
    several = [pause() for _ in range(8)]
    opened = await asyncio.gather(*(db.write(pauses.insert, one) for one in several))
    assert sorted(opened) == [False] * 7 + [True]
    first = several[opened.index(True)]
    over = after(first, Event.WITHDRAWN, now=2, reason="flow-cancelled")
    assert await db.write(pauses.change, first, over)
    assert await db.write(pauses.insert, pause())
    assert await db.write(pauses.insert, pause(step="s2"))
    assert await db.write(pauses.insert, pause(project="prj_2"))


@pytest.mark.parametrize("event", [Event.ENDED, Event.OVERRIDDEN])
async def test_words_of_people_are_no_news(db: Database, event: Event) -> None:
    """P11, P12: what an administrator writes is kept with the pause; feed and webhooks get a code
    .
    """
    waiting = pause()
    await db.write(pauses.insert, waiting)
    [moved] = await db.write(pauses.move, [waiting], event, reason="Kim is in hospital")
    assert (await db.read(pauses.get, PROJECT, waiting.id)).reason == moved.reason
    said = "SELECT data FROM events ORDER BY n"
    told = await db.read(lambda tx: [row["data"] for row in tx.all(said)])
    assert "hospital" not in "".join(told)
    assert f'"reason":"{event}"' in told[-1]


async def test_compare_and_set(db: Database) -> None:
    """P4: of many changes that began with the same pause exactly one is kept."""
    waiting = pause()
    await db.write(pauses.insert, waiting)
    ready = after(waiting, Event.SIGNED_IN, now=2)
    assert await db.write(pauses.change, waiting, ready)
    claims = [after(ready, Event.CLAIMED, now=3, claim_hash=f"{n}") for n in range(8)]
    kept = await asyncio.gather(*(db.write(pauses.change, ready, one) for one in claims))
    assert sorted(kept) == [False] * 7 + [True]
    found = await db.read(pauses.get, PROJECT, waiting.id)
    assert found == claims[kept.index(True)]


async def test_comes_back_as_it_was(db: Database) -> None:
    """c.4: every field of a pause is kept."""
    waiting = replace(pause(), expires_at=99, remind_at=98, scopes=("api", "web"))
    await db.write(pauses.insert, waiting)
    assert await db.read(pauses.find, PROJECT, waiting.id) == waiting
    assert await db.read(pauses.find, "prj_2", waiting.id) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_found_by_an_index(db: Database) -> None:
    """building.md: what waits, what is overdue and what belongs to a step are found without
    reading the other pauses.
    """
    plans: list[str] = []

    class Explaining:
        """A transaction that notes the plan of each question."""

        now, for_update, skip_locked = 2**50, "", ""

        def __init__(self, tx: Transaction) -> None:
            self._tx = tx

        def all(self, sql: str, **params: object) -> list[object]:
            plans.extend(
                row["detail"] for row in self._tx.all("EXPLAIN QUERY PLAN " + sql, **params)
            )
            return []

        def find(self, sql: str, **params: object) -> None:
            self.all(sql, **params)

    def asking(tx: Transaction) -> None:
        explaining: Transaction = Explaining(tx)  # type: ignore[assignment]  # reads alone
        pauses.overdue(explaining)
        pauses.cancel_all(explaining, PROJECT, "usr_1", "x")
        pauses.cancel_connector(explaining, PROJECT, "con_1", "x")
        pauses.mismatched(explaining, PROJECT, "usr_1", "con_1", "x")
        pauses.open_for(explaining, PROJECT, "r-1", "s1")
        pauses.page(explaining, PROJECT)
        pauses.page(explaining, PROJECT, names=["crm"], policy_changed=True)
        pauses.waiting(explaining, PROJECT, "con_1")
        pauses.scopes(explaining, PROJECT, "usr_1", "con_1")
        pauses.unreminded(explaining)

    await db.read(asking)
    assert plans
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
