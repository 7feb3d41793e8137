"""Ten thousand people pushed at once: one run, and every one of them in it."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.pushing import USER
from tests.races.test_licenses import CLIENTS, in_parallel
from tests.serving import Served, serve
from tests.waiting import until

SIZES = [100, pytest.param(10_000, marks=pytest.mark.drill)]


def peak_mb(served: Served) -> float:
    """The most memory the process ever held, where the kernel tells it."""
    status = Path(f"/proc/{served.pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    return int(found[1]) / 1024 if found else 0.0


@pytest.mark.parametrize("size", SIZES)
async def test_a_push_of_thousands_is_one_run_that_adds_up(
    database_url: str, tmp_path: Path, size: int
) -> None:
    """R107, R120, R127: one run with a record each, one warning each shown once with its count, one
    invitation each; the second push of the same people changes nothing and invites nobody.
    """
    async with (
        serve(tmp_path, database_url) as broker,
        httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=CLIENTS)) as http,
    ):
        made = await broker.command("directory", "add", "entra", "--window-s", "2")
        key = (await broker.command("apikey", "add", "k", "--scope", "directories:read"))["key"]
        http.headers["authorization"] = f"Bearer {made['scim']['token']}"
        scim = broker.base_url + urlsplit(made["scim"]["base_url"]).path

        def person(n: int) -> dict[str, Any]:
            name = {"givenName": f"Given{n}", "familyName": f"Family{n}"}
            emails = [{"value": f"p{n}@acme.example", "type": "work", "primary": True}]
            return {"schemas": [USER], "userName": f"p{n}@acme.example", "externalId": f"e{n}",
                    "name": name, "emails": emails, "active": True, "shoeSize": "44"}  # fmt: skip

        async def push(n: int) -> httpx.Response:
            answer = await http.post(f"{scim}/Users", json=person(n))
            assert answer.status_code == 201, answer.text
            return answer

        async def again(id: str, n: int) -> httpx.Response:
            answer = await http.put(f"{scim}/Users/{id}", json=person(n))
            assert answer.status_code == 200, answer.text
            return answer

        async def ended(count: int) -> list[dict[str, Any]]:
            async def runs() -> list[dict[str, Any]] | None:
                answer = await http.get(
                    f"{broker.base_url}/v1/runs", headers={"authorization": f"Bearer {key}"}
                )
                found: list[dict[str, Any]] = answer.json()["items"]
                done = len(found) == count and all(run["state"] == "ended" for run in found)
                return found if done else None

            found: list[dict[str, Any]] = await until(runs, within_s=120)
            return found

        answers = await in_parallel([lambda n=n: push(n) for n in range(size)])
        ids = [answer.json()["id"] for answer in answers]
        (first,) = await ended(1)
        begun, last = (datetime.fromisoformat(first[name]) for name in ("started_at", "last_at"))
        took = (last - begun).total_seconds()
        told = f"{size} people pushed in {took:.1f} s, {size / took:.0f} a second"
        sys.stdout.write(f"\n{told}, peak {peak_mb(broker):.0f} MB\n")
        assert first["counts"]["created"] == first["counts"]["total"] == size
        assert (first["status"], first["warnings"]) == ("Partial success", size)

        await in_parallel([lambda id=id, n=n: again(id, n) for n, id in enumerate(ids)])
        second, _ = await ended(2)
        assert second["counts"]["unchanged"] == second["counts"]["total"] == size
