"""A power cut in the middle of a re-apply run: whoever starts next goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from broker.db.database import Row, Transaction
from tests import engines
from tests.serving import serve
from tests.waiting import until

PEOPLE = 900
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
LOUD = {"rules": [{"to": "displayName", "rule": "upper", "from": ["userName"]}]}


async def test_sigkill_in_a_re_apply_leaves_nobody_out(database_url: str, tmp_path: Path) -> None:
    """R10: after SIGKILL another process goes on; everybody is mapped, each of them once."""
    async with serve(tmp_path, database_url) as broker:
        directory = await broker.command("directory", "add", "entra")
        added = await broker.command(
            "apikey", "add", "test", "--scope", "directories:read", "--scope", "directories:write"
        )
        key = {"Authorization": f"Bearer {added['key']}"}
        headers = {"Authorization": f"Bearer {directory['scim']['token']}"}
        id = directory["directory"]
        async with httpx.AsyncClient(base_url=broker.base_url, timeout=60) as http:
            operations = [
                {
                    "method": "POST",
                    "path": "/Users",
                    "bulkId": f"b{n}",
                    "data": {"schemas": [USER], "userName": f"user-{n}"},
                }
                for n in range(PEOPLE)
            ]
            said = {"schemas": [BULK], "Operations": operations}
            url = f"{directory['scim']['base_url']}/Bulk"
            assert (await http.post(url, json=said, headers=headers)).status_code == 200
            (pushed,) = (await http.get("/v1/runs", headers=key)).json()["items"]
            await http.post(f"/v1/runs/{pushed['id']}/stop", headers=key)
            url = f"/v1/directories/{id}/mapping"
            saved = await http.put(url, json=LOUD, headers=key | {"If-Match": "*"})
            assert saved.status_code == 200, saved.text
            begun = await http.post(f"/v1/directories/{id}/syncs", headers=key)
            run = begun.json()["id"]

            async def is_under_way() -> bool:
                at = (await http.get(f"/v1/runs/{run}", headers=key)).json()
                return bool(at["progress"]["processed"])

            await until(is_under_way)
            await broker.kill()
    database = await engines.connect(database_url)
    before = await database.read(_mapped, run)
    assert before["records"] == before["people"] > 0
    await database.write(_a_minute_passes)
    await database.close()

    async with (
        serve(tmp_path, database_url) as broker,
        httpx.AsyncClient(base_url=broker.base_url, timeout=60) as http,
    ):

        async def over() -> dict[str, Any] | None:
            at: dict[str, Any] = (await http.get(f"/v1/runs/{run}", headers=key)).json()
            return at if at["state"] == "ended" else None

        at = await until(over, within_s=60)
    assert (at["status"], at["counts"]["updated"], at["counts"]["total"]) == (
        "Success",
        PEOPLE,
        PEOPLE,
    )
    database = await engines.connect(database_url)
    after = await database.read(_mapped, run)
    await database.close()
    assert (after["records"], after["people"]) == (PEOPLE, PEOPLE)


def _mapped(tx: Transaction, run: str) -> Row:
    """How many people are as the mapping wants them, and how many records say so."""
    row = tx.find(
        """
        SELECT (SELECT count(*) FROM users WHERE display_name = UPPER(user_name)) AS people,
               (SELECT count(DISTINCT resource_id) FROM records WHERE run_id = :run) AS records
        """,
        run=run,
    )
    assert row is not None
    return row


def _a_minute_passes(tx: Transaction) -> None:
    """The lease of whoever died runs out."""
    tx.run("UPDATE jobs SET lease_until = 0 WHERE lease_until IS NOT NULL")
