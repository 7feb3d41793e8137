"""The recorded traffic of identity providers, sent over a real socket to a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import uvicorn

from tests.scim.calling import NAME
from tests.scim.memory import MemoryService

TRAFFIC = Path(__file__).resolve().parents[1] / "idp"
UNANNOUNCED = {"rfc-bulk-with-bulkid-references.json", "rfc-cursor-paging.json"}
"""Scenarios of features ServiceProviderConfig does not announce."""


async def _replayed(out: Path) -> dict[str, Any]:
    """The outcome of every scenario, by file name."""
    service = MemoryService()
    # Named as TCP, so that asyncio switches Nagle's delay off: 40 ms a request otherwise.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        service.origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        service.add(NAME)
        config = uvicorn.Config(service.app(), lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        replay = await asyncio.create_subprocess_exec(
            *(sys.executable, str(TRAFFIC / "replay.py"), "--quiet", "--allow-skip"),
            *("--base-url", service.base_url(NAME), "--token", f"token-of-{NAME}"),
            *("--json", str(out), str(TRAFFIC)),
            stdout=PIPE,
            stderr=STDOUT,
        )
        said, _ = await replay.communicate()
        server.should_exit = True
        await serving
    assert out.exists(), said.decode()
    return {each["file"]: each for each in json.loads(out.read_text())}


async def test_the_recorded_traffic_is_answered_as_its_clients_need(tmp_path: Path) -> None:
    """R132: every scenario of every client passes; only unannounced features are skipped."""
    outcomes = await _replayed(tmp_path / "outcomes.json")
    failed = {name: each["message"] for name, each in outcomes.items() if each["outcome"] == "fail"}
    assert failed == {}
    assert {name for name, each in outcomes.items() if each["outcome"] == "skip"} == UNANNOUNCED
    assert len(outcomes) == len(list(TRAFFIC.glob("*.json"))) >= 89
