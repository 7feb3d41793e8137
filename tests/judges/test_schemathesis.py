"""What schemathesis says of a running broker, the contracts in its hand."""

from __future__ import annotations

import asyncio
import copy
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from broker.domain.callers import SCOPES
from tests.judges.live import live
from tests.keeping import METHODS, contract
from tests.serving import Served, serve

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCIM, BROKER = ROOT / "openapi" / "scim.yaml", ROOT / "openapi" / "broker.yaml"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
IN_THE_SUITE, AT_SIZE = "3", "60"
"""Requests of each kind for each operation."""


async def judge(folder: Path, config: str, url: str, *options: str, **told: str) -> None:
    """Let schemathesis ask for what a contract describes; AssertionError with what it found."""
    process = await asyncio.create_subprocess_exec(
        *(str(SCHEMATHESIS), "--config-file", str(HERE / config), "run", "--no-color"),
        *("--url", url, *options),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | told,
        stdout=PIPE,
        stderr=STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@ONE_ENGINE
async def test_every_answer_keeps_the_contract(database_url: str, tmp_path: Path) -> None:
    """R132: thousands of requests, good and bad: status, media type, headers and schema of each
    answer are those of `openapi/scim.yaml`, and none is a 5xx.
    """
    async with live(tmp_path, database_url) as at:
        where = urlsplit(at.base_url)
        url, told = f"{where.scheme}://{where.netloc}", {"DIRECTORY": Path(where.path).name}
        await judge(tmp_path, "schemathesis.toml", url, str(SCIM), TOKEN=at.token, **told)
    assert "Traceback" not in at.broker.logs


async def by_key(broker: Served, _: Path) -> tuple[str, ...]:
    """As a program that may do whatever programs may: the whole contract."""
    scopes = [word for scope in sorted(SCOPES) for word in ("--scope", scope)]
    made = await broker.command("apikey", "add", "judge", *scopes)
    return (str(BROKER), "-H", f"Authorization: Bearer {made['key']}")


async def by_session(broker: Served, folder: Path) -> tuple[str, ...]:
    """As an administrator who is signed in: what is theirs alone.

    The contract in hand says nothing of credentials: the judge would try without the cookie, and
    cannot take it away.
    """
    link = (await broker.command("admin", "link"))["url"]
    async with httpx.AsyncClient() as client:
        entered = await client.post(link)
    document = copy.deepcopy(contract().document) | {"security": []}
    said = [item[method] for item in document["paths"].values() for method in METHODS & item.keys()]
    theirs = [each for each in said if each.pop("security", None) == [{"session": []}]]
    ids = [word for each in theirs for word in ("--include-operation-id", each["operationId"])]
    file = folder / "without-credentials.json"
    file.write_bytes(orjson.dumps(document))
    return (str(file), "-H", f"Cookie: broker={entered.cookies['broker']}", *ids)


CALLERS: Mapping[str, Any] = {"key": by_key, "session": by_session}


@ONE_ENGINE
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("requests", [IN_THE_SUITE, pytest.param(AT_SIZE, marks=pytest.mark.drill)])
async def test_every_answer_of_v1_keeps_the_contract(
    database_url: str, tmp_path: Path, caller: str, requests: str
) -> None:
    """api-conventions.md 10: as a program and as an administrator, good requests and bad ones:
    each answer is one of `openapi/broker.yaml`, what it does not allow is refused, none is a 5xx.

    Without a worker nothing leaves this machine.
    """
    settings: dict[str, Any] = {"BROKER_RATE": "0", "BROKER_CCOW": "1"}
    async with serve(tmp_path, database_url, "--no-worker", **settings) as broker:
        asked = await CALLERS[caller](broker, tmp_path)
        options = (*asked, "--max-examples", requests)
        await judge(tmp_path, "broker.toml", broker.base_url, *options)
    assert "Traceback" not in broker.logs
