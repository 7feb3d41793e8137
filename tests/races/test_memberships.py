"""Membership PATCHes of one group, all at once, through real processes: nothing is lost."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.pushing import GROUP, PATCH_OP, USER
from tests.races.test_licenses import CLIENTS, in_parallel, replicas

SIZES = [60, pytest.param(600, marks=pytest.mark.drill)]


@pytest.mark.parametrize("size", SIZES)
async def test_parallel_changes_of_one_group_lose_nothing(
    database_url: str, tmp_path: Path, size: int
) -> None:
    """Half of them leave while the others come, each by a PATCH of their own, and three who leave
    are deleted as well: those who came are in, and the version counts everybody once.
    """
    async with (
        replicas(tmp_path, database_url) as brokers,
        httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=CLIENTS)) as http,
    ):
        directory = await brokers[0].command("directory", "add", "entra")
        http.headers["authorization"] = f"Bearer {directory['scim']['token']}"
        scim = urlsplit(directory["scim"]["base_url"]).path
        turns = cycle(broker.base_url for broker in brokers)

        async def asked(method: str, path: str, body: Any = None) -> httpx.Response:
            answer = await http.request(method, f"{next(turns)}{scim}{path}", json=body)
            assert answer.status_code in (200, 201, 204), answer.text
            return answer

        async def person(n: int) -> httpx.Response:
            return await asked("POST", "/Users", {"schemas": [USER], "userName": f"p{n}"})

        async def change(operation: dict[str, Any]) -> httpx.Response:
            body = {"schemas": [PATCH_OP], "Operations": [operation]}
            return await asked("PATCH", f"/Groups/{group}", body)

        async def come(id: str) -> httpx.Response:
            return await change({"op": "Add", "path": "members", "value": [{"value": id}]})

        async def leave(id: str) -> httpx.Response:
            return await change({"op": "Remove", "path": f'members[value eq "{id}"]'})

        made = await in_parallel([lambda n=n: person(n) for n in range(size)])
        ids = [answer.json()["id"] for answer in made]
        leaving, coming = ids[: size // 2], ids[size // 2 :]
        deleted = leaving[-3:]  # while they leave, or just before
        members = [{"value": id} for id in leaving]
        body = {"schemas": [GROUP], "displayName": "All", "members": members}
        group = (await asked("POST", "/Groups", body)).json()["id"]

        calls = [
            call
            for came, left in zip(coming, leaving, strict=True)
            for call in (lambda id=came: come(id), lambda id=left: leave(id))
        ]
        calls += [lambda id=id: asked("DELETE", f"/Users/{id}") for id in deleted]
        await in_parallel(calls)

        for broker in brokers:
            shown = (await http.get(f"{broker.base_url}{scim}/Groups/{group}")).json()
            assert sorted(member["value"] for member in shown["members"]) == sorted(coming)
            assert shown["meta"]["version"] == f'W/"{1 + size}"'
