"""A power cut in the middle of a pull: it goes on from its last page, nothing twice."""

from __future__ import annotations

from pathlib import Path

from broker.db import seal
from broker.db.database import Database, Transaction
from broker.db.seal import Seal
from broker.demo.simulator import serving
from tests import engines
from tests.pulling import TOKEN, read_from, sync_now
from tests.serving import KEYS, serve
from tests.waiting import until

PEOPLE = 1500
A_PAGE = 100


async def test_sigkill_in_a_pull_goes_on_from_its_last_page(
    database_url: str, tmp_path: Path
) -> None:
    """R10: killed between two pages, another process takes the run over once the lease is out,
    reads no page before the one it was at, and everybody has one record, one letter.
    """
    async with serving() as simulator:
        simulator.hr.staff.hire(PEOPLE)
        simulator.hr.largest = A_PAGE
        simulator.hr.tokens.add(TOKEN)
        db = await engines.connect(database_url)
        url = simulator.base_url
        async with serve(tmp_path, database_url, BROKER_SIMULATOR_URL=url) as broker:
            made = await broker.command("directory", "add", "hr")
            await read_from(db, made["directory"], simulator, Seal(seal.keys_from(KEYS)))
            run = await sync_now(db, made["directory"])
            await until(lambda: _taken(db, run, 3 * A_PAGE))
            await broker.kill()
        before = simulator.hr.calls["page"]
        assert before < PEOPLE // A_PAGE
        await db.write(_a_minute_passes)
        async with serve(tmp_path, database_url, BROKER_SIMULATOR_URL=url):
            await until(lambda: _ended(db, run), within_s=60)
        # The page it was at is read once more, and so may be the one that was under way.
        assert simulator.hr.calls["page"] <= PEOPLE // A_PAGE + 1 + 2 + 1
        counts = await db.read(_counts, run)
        assert counts == {
            "resources": PEOPLE + 5,
            "people": PEOPLE,
            "letters": PEOPLE,
            "records": PEOPLE + 5,
            "named": PEOPLE + 5,
            "members": PEOPLE,
            "unchanged": 0,
        }
        await db.close()


async def _taken(db: Database, run: str, least: int) -> bool:
    def asked(tx: Transaction) -> int:
        row = tx.find("SELECT count(*) AS n FROM records WHERE run_id = :run", run=run)
        return int(row["n"]) if row else 0

    return await db.read(asked) >= least


async def _ended(db: Database, run: str) -> bool:
    def asked(tx: Transaction) -> bool:
        return bool(tx.find("SELECT 1 FROM runs WHERE id = :run AND state = 'ended'", run=run))

    return await db.read(asked)


def _a_minute_passes(tx: Transaction) -> None:
    """The lease of whoever died runs out."""
    tx.run("UPDATE jobs SET lease_until = 1 WHERE lease_until IS NOT NULL")


def _counts(tx: Transaction, run: str) -> dict[str, int]:
    row = tx.find(
        """
        SELECT (SELECT count(*) FROM resources) AS resources,
               (SELECT count(*) FROM users WHERE status = 'invited') AS people,
               (SELECT count(*) FROM invitations) AS letters,
               (SELECT count(*) FROM records WHERE run_id = :run) AS records,
               (SELECT count(DISTINCT resource_id) FROM records WHERE run_id = :run) AS named,
               (SELECT count(*) FROM members) AS members,
               (SELECT unchanged FROM runs WHERE id = :run) AS unchanged
        """,
        run=run,
    )
    assert row is not None
    return dict(row)
