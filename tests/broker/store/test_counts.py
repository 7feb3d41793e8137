"""How often each person, or each connector, came to what."""

from __future__ import annotations

from typing import Any

from broker.db.database import Database, Transaction
from broker.domain.clock import HOUR
from broker.store import counts, decisions
from broker.store.decisions import Line
from tests.clocks import MovableClock
from tests.watching import Watched

PROJECT = "prj_1"
KINDS = [("run", "user"), ("run", "connector"), ("ask", None), ("pause", None), ("wait", None)]
KINDS += [("error", None)]


def answer(
    tx: Transaction, key: str, user: str | None, kind: int, connector: str = "con_1"
) -> None:
    """One answer of a kind."""
    asked = decisions.ask(tx, PROJECT, key, "r-1", f"{key}-{user}", 1, b"{}", "hash")
    outcome, identity = KINDS[kind]
    line = Line(asked.version, "F6", outcome, "x", connector, identity=identity, user=user)
    decisions.append(tx, PROJECT, asked.id, line)


async def test_each_line_counts_once(db: Database) -> None:
    """R2: the sums over people, and over connectors, are the number of lines; of one key or all."""
    for place in range(24):
        user = (None, "usr_1", "usr_2")[place % 3]
        await db.write(answer, f"key_{place % 2}", user, place % 6, f"con_{place % 4}")
    for by, many in (("user", 3), ("connector", 4)):
        for key, lines in ((None, 24), ("key_0", 12), ("key_1", 12), ("key_2", 0)):
            found = await db.read(counts.counted, PROJECT, by, key=key)
            assert sum(one.lines for one in found) == lines
            assert all(one.lines == _sum(one) for one in found)
            assert len(found) <= many
    everybody = await db.read(counts.counted, PROJECT, "user")
    assert [one.who for one in everybody] == ["", "usr_1", "usr_2"]
    rest = await db.read(counts.counted, PROJECT, "user", after="", limit=1)
    assert rest == everybody[1:2]
    assert await db.read(counts.counted, "prj_2", "user") == []


async def test_a_window_reads_its_own_lines(db: Database, clock: MovableClock) -> None:
    """R2: windows that meet share no line and leave none out; what lies hours away is not read."""
    begun = await db.read(lambda tx: tx.now)
    for _ in range(40):
        await db.write(answer, "key_1", "usr_1", 0)
        clock.advance(HOUR)
    middle = begun + 20 * HOUR - HOUR // 2
    halves: list[dict[str, Any]] = [
        {"until": middle},
        {"since": middle},
        {"since": middle, "until": middle + 2 * HOUR},
    ]
    watched = Watched(db)
    for window, lines in zip(halves, (20, 20, 2), strict=True):
        [one] = await watched.read(counts.counted, PROJECT, "user", **window)
        assert one.lines == lines
    bounds = [each for each in watched.asked if "l.n >= :first" in each.sql]
    assert len(bounds) == 2
    assert not await db.read(counts.counted, PROJECT, "user", since=begun + 99 * HOUR)
    assert not await db.read(counts.counted, PROJECT, "user", until=begun - 99 * HOUR)


def _sum(one: counts.Count) -> int:
    ran = one.run_as_user + one.run_as_connector
    return ran + one.asked + one.paused + one.waited + one.errors
