"""What known identity providers send, replayed: the whole corpus, over HTTP, on both engines."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from broker.db.database import Database
from scim.tolerance import Tolerance
from tests import pushing

CORPUS = Path(__file__).parent
SENDERS = sorted({file.name.partition("-")[0] for file in CORPUS.glob("*.json")})


@pytest.mark.parametrize("sender", SENDERS)
async def test_every_scenario_passes(db: Database, sender: str) -> None:
    """R132: what this identity provider sends is answered as it expects, step by step; the
    scenarios of `strict` by a strict directory. None is skipped.
    """
    tolerance = "strict" if sender == "strict" else "standard"
    async with pushing.pushing(await pushing.house(db), tolerance=tolerance) as push:
        runner = await asyncio.create_subprocess_exec(
            *(sys.executable, str(CORPUS / "replay.py"), str(CORPUS), "--quiet"),
            *("--base-url", push.base_url, "--token", push.token, "--only", f"{sender}-"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await runner.communicate()
    assert runner.returncode == 0, said.decode()


def test_every_switch_has_its_scenario() -> None:
    """What `standard` takes beyond the letter, a scenario shows `strict` refusing, and one shows
    what both take.
    """
    switches = {f"strict-{each.name.replace('_', '-')}" for each in fields(Tolerance)}
    assert {file.stem for file in CORPUS.glob("strict-*.json")} == {
        *switches,
        "strict-what-stays-accepted",
    }
