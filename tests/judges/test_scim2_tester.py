"""What scim2-tester, written by strangers, says of a running broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import CheckResult, Status, check_server

from tests.judges.live import Live, live
from tests.scim.own import for_a_judge


def _results(at: Live) -> list[CheckResult]:
    with httpx2.Client(base_url=at.base_url, headers=at.headers) as client:
        peer = SyncSCIMClient(client)
        peer.discover()
        return check_server(peer)


@pytest.mark.parametrize("own", [False, True], ids=["standard", "own"])
async def test_scim2_tester_finds_no_fault(database_url: str, tmp_path: Path, own: bool) -> None:
    """R132: every check of discovery, CRUD, PATCH, search and attribute selection passes, also
    of a deployment's own resource type and extension.
    """
    schemas = str(for_a_judge(tmp_path)) if own else ""
    async with live(tmp_path, database_url, BROKER_SCHEMAS=schemas) as at:
        results = await asyncio.to_thread(_results, at)
    faults = [
        f"{result.title}: {result.reason}"
        for result in results
        if result.status not in (Status.SUCCESS, Status.COMPLIANT, Status.SKIPPED)
    ]
    assert faults == []
    assert sum(result.status is not Status.SKIPPED for result in results) > 100
