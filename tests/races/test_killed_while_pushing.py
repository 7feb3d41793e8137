"""A power cut in the middle of a push: every answered write is there, and nothing half."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from broker.db.database import Row, Transaction
from tests import engines
from tests.serving import serve

ANSWERED_BEFORE = 60
CLIENTS = 8
ONCE_AND_TEN_TIMES = [0, *(pytest.param(n, marks=pytest.mark.drill) for n in range(1, 10))]


@pytest.mark.parametrize("go", ONCE_AND_TEN_TIMES)
async def test_sigkill_in_a_push_loses_no_answered_write(
    database_url: str, tmp_path: Path, go: int
) -> None:
    """Durability: 201 means it is there after SIGKILL, with its person, its record and its run."""
    answered: dict[str, str] = {}
    enough = asyncio.Event()
    async with serve(tmp_path, database_url) as broker:
        directory = await broker.command("directory", "add", f"entra-{go}")
        users = directory["scim"]["base_url"] + "/Users"
        headers = {"Authorization": f"Bearer {directory['scim']['token']}"}

        async def client(number: int) -> None:
            async with httpx.AsyncClient(headers=headers, timeout=10) as http:
                for n in range(10_000):
                    name = f"c{number}-{n}@example.com"
                    person = {
                        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                        "userName": name,
                        "shoeSize": 44,
                    }
                    try:
                        answer = await http.post(users, json=person)
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 201, answer.text
                    answered[answer.json()["id"]] = name
                    if len(answered) >= ANSWERED_BEFORE:
                        enough.set()

        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        await enough.wait()
        await broker.kill()
        await asyncio.gather(*clients)

    async with (
        serve(tmp_path, database_url) as broker,
        httpx.AsyncClient(headers=headers) as http,
    ):
        base = users.replace(users.split("/scim/")[0], broker.base_url)
        for id, name in answered.items():
            again = await http.get(f"{base}/{id}")
            assert again.status_code == 200, (name, again.text)
            assert again.json()["userName"] == name
    database = await engines.connect(database_url)
    counts = await database.read(_counts)
    await database.close()
    assert counts["resources"] >= len(answered)
    assert len(set(dict(counts).values())) == 1, dict(counts)


def _counts(tx: Transaction) -> Row:
    """Everything a push writes: one of each for each person."""
    row = tx.find(
        """
        SELECT (SELECT count(*) FROM resources) AS resources,
               (SELECT count(*) FROM users WHERE status = 'invited') AS users,
               (SELECT count(*) FROM invitations) AS invitations,
               (SELECT count(*) FROM records WHERE result = 'created') AS records,
               (SELECT count(*) FROM record_warnings WHERE attribute = 'shoeSize') AS warnings
        """
    )
    assert row is not None
    return row
