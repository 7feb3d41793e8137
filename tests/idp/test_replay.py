"""What known identity providers send, replayed: the whole corpus, over HTTP, on both engines."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from broker.db.database import Database
from tests import pushing

CORPUS = Path(__file__).parent
SENDERS = sorted({file.name.partition("-")[0] for file in CORPUS.glob("*.json")})
NOT_ANNOUNCED = {"rfc-bulk-with-bulkid-references.json", "rfc-cursor-paging.json"}
"""Optional features that ServiceProviderConfig says are not there."""


@pytest.mark.parametrize("sender", SENDERS)
async def test_every_scenario_passes(db: Database, sender: str, tmp_path: Path) -> None:
    """R132: what this identity provider sends is answered as it expects, step by step."""
    outcomes = tmp_path / "outcomes.json"
    async with pushing.pushing(await pushing.house(db)) as push:
        runner = await asyncio.create_subprocess_exec(
            *(sys.executable, str(CORPUS / "replay.py"), str(CORPUS)),
            *("--base-url", push.base_url, "--token", push.token, "--only", f"{sender}-"),
            *("--quiet", "--allow-skip", "--json", str(outcomes)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await runner.communicate()
    assert runner.returncode == 0, said.decode()
    told = json.loads(outcomes.read_bytes())
    skipped = {each["file"] for each in told if each["outcome"] == "skip"}
    assert skipped <= NOT_ANNOUNCED
