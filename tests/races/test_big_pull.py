"""A hundred thousand people read in one run: from page to page, and never all of them at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from broker.db import seal
from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.demo.simulator import serving
from broker.domain.clock import SECOND
from tests import engines
from tests.pulling import TOKEN, analyzed, read_from, sync_now
from tests.races.test_big_push import peak_mb
from tests.serving import KEYS, serve
from tests.waiting import until

SIZES = [300, pytest.param(100_000, marks=pytest.mark.drill)]


@pytest.mark.parametrize("size", SIZES)
async def test_a_pull_of_a_hundred_thousand_adds_up_and_holds_few(
    database_url: str, tmp_path: Path, size: int
) -> None:
    """R107, R123, R127: everybody and their groups in one run, one invitation each; the second run
    finds all as it was and writes no line. Memory does not grow with the directory.
    """
    async with serving() as simulator:
        simulator.hr.staff.hire(size)
        simulator.hr.tokens.add(TOKEN)
        async with serve(tmp_path, database_url, BROKER_SIMULATOR_URL=simulator.base_url) as broker:
            made = await broker.command("directory", "add", "hr")
            idle = peak_mb(broker)
            db = await engines.connect(database_url)
            await read_from(db, made["directory"], simulator, Seal(seal.keys_from(KEYS)))
            for turn in ("first", "again"):
                async with analyzed(database_url):
                    run = await sync_now(db, made["directory"])
                    ended = await _ended(db, run)
                took = (ended["ended_at"] - ended["started_at"]) / SECOND
                told = f"{turn}: {size} people pulled in {took:.1f} s, {size / took:.0f} a second"
                sys.stdout.write(f"\n{told}, peak {peak_mb(broker):.0f} MB ({idle:.0f} idle)")
                sys.stdout.flush()
                assert ended["reason"] is None
                lines = {"created": size + 5} if turn == "first" else {"unchanged": 2}
                assert ended["lines"] == lines  # two people carry what no schema here knows
            counts = await db.read(_counts)
            assert counts["resources"] == size + 5
            assert counts["people"] == counts["invitations"] == counts["members"] == size
            assert counts["seen"] == 0
            await db.close()
    sys.stdout.write("\n")


async def _ended(db: Database, run: str) -> dict[str, Any]:
    """What the run came to, once nothing of it is left to do."""

    def asked(tx: Transaction) -> dict[str, Any] | None:
        row = tx.find(
            "SELECT reason, started_at, ended_at FROM runs WHERE id = :run AND state = 'ended'"
            " AND NOT EXISTS (SELECT 1 FROM seen WHERE run_id = :run)",
            run=run,
        )
        if row is None:
            return None
        sql = "SELECT result, count(*) AS n FROM records WHERE run_id = :run GROUP BY result"
        return dict(row) | {"lines": {line["result"]: line["n"] for line in tx.all(sql, run=run)}}

    found: dict[str, Any] = await until(lambda: db.read(asked), within_s=1800)
    return found


def _counts(tx: Transaction) -> dict[str, int]:
    row = tx.find(
        """
        SELECT (SELECT count(*) FROM resources) AS resources,
               (SELECT count(*) FROM users WHERE status = 'invited') AS people,
               (SELECT count(*) FROM invitations) AS invitations,
               (SELECT count(*) FROM members) AS members,
               (SELECT count(*) FROM seen) AS seen
        """
    )
    assert row is not None
    return dict(row)
