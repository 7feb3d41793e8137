"""What schemathesis says of a running broker, the contract in its hand."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.judges.live import live

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONTRACT = ROOT / "openapi" / "scim.yaml"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_answer_keeps_the_contract(database_url: str, tmp_path: Path) -> None:
    """R132: thousands of requests, good and bad: status, media type, headers and schema of each
    answer are those of `openapi/scim.yaml`, and none is a 5xx.
    """
    async with live(tmp_path, database_url) as at:
        where = urlsplit(at.base_url)
        told = {"TOKEN": at.token, "DIRECTORY": Path(where.path).name, "PYTHONPATH": str(ROOT)}
        judge = await asyncio.create_subprocess_exec(
            *(str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run"),
            *(str(CONTRACT), "--url", f"{where.scheme}://{where.netloc}", "--no-color"),
            cwd=tmp_path,
            env=os.environ | told,
            stdout=PIPE,
            stderr=STDOUT,
        )
        said, _ = await judge.communicate()
    assert judge.returncode == 0, said.decode()
    assert "Traceback" not in at.broker.logs
