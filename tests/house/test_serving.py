"""A broker of its own process, as the tests that need one start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.house.product import ROOT
from tests.serving import NotServing, serve
from tests.waiting import until

ONE_ENGINE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ORPHAN = """
import asyncio, pathlib, sys
from tests.serving import serve

async def main():
    async with serve(pathlib.Path(sys.argv[1]), sys.argv[2]) as broker:
        print(broker.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def is_healthy(url: str) -> bool:
    """Whether the service at `url` says it lives."""
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.get("/healthz")).is_success


def is_running(pid: int) -> bool:
    """Whether that process does anything still: one that waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


async def test_it_answers_while_the_test_needs_it(database_url: str, tmp_path: Path) -> None:
    """A real broker on each engine answers, and ends with status 0 when the test is over."""
    async with serve(tmp_path, database_url) as broker:
        assert broker.pid == broker.process.pid
        assert await is_healthy(broker.base_url)
    assert broker.process.returncode == 0


async def test_two_replicas_share_one_database(database_url: str, tmp_path: Path) -> None:
    """What one process was told, a command beside it and a second process know."""
    async with (
        serve(tmp_path, database_url) as one,
        serve(tmp_path, database_url, name="second") as other,
    ):
        assert one.base_url != other.base_url
        made = await one.command("directory", "add", "acme")
        token = httpx.Headers({"Authorization": f"Bearer {made['scim']['token']}"})
        path = made["scim"]["base_url"].removeprefix(one.base_url)
        async with httpx.AsyncClient(base_url=other.base_url, headers=token) as client:
            assert (await client.get(f"{path}/Users")).status_code == httpx.codes.OK


@ONE_ENGINE
async def test_it_can_be_killed(database_url: str, tmp_path: Path) -> None:
    """A power cut, as a test sees it: the process is gone, and its successor starts."""
    async with serve(tmp_path, database_url) as broker:
        await broker.kill()
        assert not is_running(broker.pid)
    async with serve(tmp_path, database_url, name="again") as broker:
        assert await is_healthy(broker.base_url)


@ONE_ENGINE
async def test_a_broker_that_does_not_start_shows_its_log(
    database_url: str, tmp_path: Path
) -> None:
    """The test that asked for it fails with what the broker said, a misspelt setting here."""
    with pytest.raises(NotServing, match="BROKER_PORTT"):
        async with serve(tmp_path, database_url, BROKER_PORTT="1"):
            pytest.fail("a misspelt setting is refused")


@ONE_ENGINE
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_a_killed_session_leaves_no_broker(database_url: str, tmp_path: Path) -> None:
    """SIGKILL for the test run ends the brokers it started."""
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path), database_url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdout is not None
        pid = int(session.stdout.readline())
        assert is_running(pid)
        session.kill()
    await until(lambda: not is_running(pid))
