"""`broker serve` as a process: ready-file, set-up link, migration, draining, demo rules."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
from pathlib import Path

import httpx
import pytest

from broker.db import seal
from tests import serving
from tests.serving import NotServing, serve
from tests.waiting import until

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EXIT_CONFIG = 78


async def ended(folder: Path, *words: str, **settings: str) -> tuple[int, str]:
    """Exit status and complaint of a `broker` that is not expected to stay."""
    process = await asyncio.create_subprocess_exec(
        serving.BROKER,
        *words,
        env=serving.environment(folder, None, **settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    _, complaint = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, complaint.decode()


async def get(url: str) -> httpx.Response:
    """One request over loopback."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


async def test_a_service_says_when_it_answers(tmp_path: Path, database_url: str) -> None:
    """The ready-file is for us alone, holds address and pid, and goes when the service goes."""
    async with serve(tmp_path, database_url) as served:
        file = tmp_path / "broker.ready"
        assert file.stat().st_mode & 0o777 == 0o600
        said = json.loads(file.read_bytes())
        assert said == {"base_url": served.base_url, "pid": served.pid}
        assert (await get(f"{served.base_url}/healthz")).status_code == 200
        assert (await get(f"{served.base_url}/readyz")).json() == {"status": "ready"}
        assert await served.stop() == 0
    assert not file.exists()
    assert "setup/" not in served.logs


async def test_an_empty_database_is_migrated(tmp_path: Path) -> None:
    """Without a database there is one afterwards: 0600, in a folder that is 0700."""
    async with serve(tmp_path):
        database = tmp_path / "data" / "broker.db"
        assert database.stat().st_mode & 0o777 == 0o600
        assert database.parent.stat().st_mode & 0o777 == 0o700
        others = [each.stat().st_mode & 0o077 for each in database.parent.iterdir()]
        assert others == [0] * len(others)


@SQLITE
async def test_two_replicas_share_a_database(tmp_path: Path, database_url: str) -> None:
    """What one was told the other knows; both end with status 0."""
    async with (
        serve(tmp_path, database_url, name="one") as one,
        serve(tmp_path, database_url, name="other") as other,
    ):
        made = await one.command("apikey", "add", "engine", "--scope", "users:read")
        headers = {"Authorization": f"Bearer {made['key']}"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            for served in (one, other):
                answer = await client.get(f"{served.base_url}/v1/licenses")
                assert answer.status_code == 200


@SQLITE
async def test_it_drains_before_it_ends(tmp_path: Path, database_url: str) -> None:
    """SIGTERM: /readyz fails at once, requests are still answered, then it exits 0."""
    async with serve(tmp_path, database_url, BROKER_DRAIN_S="60") as served:
        async with httpx.AsyncClient(trust_env=False, base_url=served.base_url) as client:
            assert (await client.get("/readyz")).status_code == 200
            served.process.send_signal(signal.SIGTERM)
            answer = await until(lambda: _unready(client))
            assert answer.json() == {"status": "unready", "reason": "draining"}
            assert (await client.get("/healthz")).status_code == 200
        assert await served.stop() == 0


async def _unready(client: httpx.AsyncClient) -> httpx.Response | None:
    answer = await client.get("/readyz")
    return answer if answer.status_code == 503 else None


@SQLITE
async def test_a_second_signal_does_not_wait(tmp_path: Path, database_url: str) -> None:
    """Whoever presses Ctrl-C twice means it, however long the drain."""
    async with serve(tmp_path, database_url, BROKER_DRAIN_S="300") as served:
        served.process.send_signal(signal.SIGINT)
        await until(lambda: "draining" in served.logs)
        assert await served.stop() == 0


async def test_nothing_starts_without_a_key(tmp_path: Path) -> None:
    """Exit 78 and a sentence with the command that makes a key (promise 13)."""
    status, complaint = await ended(tmp_path, "serve", "--port", "0")
    assert status == EXIT_CONFIG
    assert "BROKER_ENCRYPTION_KEYS" in complaint
    assert "/dev/urandom" in complaint
    assert "Traceback" not in complaint


@SQLITE
async def test_another_key_does_not_start(tmp_path: Path, database_url: str) -> None:
    """A key that does not open this database is refused, and none is made in its place."""
    async with serve(tmp_path, database_url):
        pass
    with pytest.raises(NotServing, match="does not open this database"):
        async with serve(tmp_path, database_url, BROKER_ENCRYPTION_KEYS=seal.new_key("other")):
            pytest.fail("it serves")


async def test_a_taken_port_is_said_so(tmp_path: Path) -> None:
    """Exit 78 before anything is written."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        keys = {"BROKER_ENCRYPTION_KEYS": serving.KEYS}
        status, complaint = await ended(tmp_path, "serve", "--port", port, **keys)
    assert status == EXIT_CONFIG
    assert f"127.0.0.1:{port}" in complaint
    assert "Choose another: broker serve --port " in complaint
    assert not list((tmp_path / "data").glob("broker.db*"))


async def test_a_taken_port_of_the_demo_is_said_so(tmp_path: Path) -> None:
    """`make run` takes no option, so the complaint is the line to type instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, complaint = await ended(tmp_path, "serve", "--demo", BROKER_PORT=str(port))
    assert status == EXIT_CONFIG
    other = port + 10 if port + 10 < 65536 else 0
    assert f"Choose another: BROKER_PORT={other} make run." in complaint


async def test_no_migrate_refuses_an_older_database(tmp_path: Path) -> None:
    """Told not to migrate, it names the command that does, and exits 78."""
    keys = {"BROKER_ENCRYPTION_KEYS": serving.KEYS}
    status, complaint = await ended(tmp_path, "serve", "--port", "0", "--no-migrate", **keys)
    assert status == EXIT_CONFIG
    assert "broker migrate" in complaint


@pytest.mark.parametrize(
    "settings",
    [
        {"BROKER_HOST": "0.0.0.0"},
        {"BROKER_PUBLIC_URL": "https://broker.example.com"},
    ],
)
async def test_the_demo_stays_at_home(tmp_path: Path, settings: dict[str, str]) -> None:
    """Safety 39: it serves loopback alone, and says which settings to leave."""
    status, complaint = await ended(tmp_path, "serve", "--demo", "--port", "0", **settings)
    assert status == EXIT_CONFIG
    assert "this machine alone" in complaint


async def test_the_demo_wants_a_database_of_its_own(tmp_path: Path, database_url: str) -> None:
    """Safety 39: a database with other data is refused, and stays as it was."""
    async with serve(tmp_path, database_url):
        pass
    with pytest.raises(NotServing, match="wants a database of its own"):
        async with serve(tmp_path, database_url, demo=True):
            pytest.fail("it serves")


async def test_demo_data_is_not_served_to_real_people(tmp_path: Path, database_url: str) -> None:
    """Safety 39: a plain serve refuses a database that holds a demo."""
    async with serve(tmp_path, database_url, demo=True):
        pass
    with pytest.raises(NotServing, match="holds demo data"):
        async with serve(tmp_path, database_url):
            pytest.fail("it serves")


async def test_the_set_up_link_is_for_a_terminal(tmp_path: Path) -> None:
    """Safety 38: on a terminal `serve` prints the link; into a file or a pipe it does not."""
    ours, theirs = pty.openpty()
    ready = tmp_path / "ready"
    process = await asyncio.create_subprocess_exec(
        serving.BROKER,
        *("serve", "--port", "0", "--ready-file", str(ready)),
        env=serving.environment(tmp_path, None, BROKER_ENCRYPTION_KEYS=serving.KEYS),
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        await until(ready.exists)
        said = os.read(ours, 4096).decode()
        assert "/setup/" in said
        assert "admin_link" not in json.loads(ready.read_bytes())
    finally:
        process.terminate()
        await process.wait()
        os.close(ours)
    assert process.returncode == 0


@SQLITE
async def test_metrics_have_a_port_of_their_own(tmp_path: Path, database_url: str) -> None:
    """Off unless asked for; on the service's own port there are none (safety 39)."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with serve(tmp_path, database_url, BROKER_METRICS_PORT=str(port)) as served:
        await get(f"{served.base_url}/v1/users/usr_canary")
        said = (await get(f"http://127.0.0.1:{port}/metrics")).text
        assert 'route="/v1/users/{id}"' in said
        assert "canary" not in said
        assert (await get(f"{served.base_url}/metrics")).status_code == 404


@SQLITE
async def test_debug_logs_hold_no_argument(tmp_path: Path, database_url: str) -> None:
    """At debug level, over a push and a refusal, nothing that was sent is in the log."""
    async with serve(tmp_path, database_url, BROKER_LOG_LEVEL="debug") as served:
        made = await served.command("directory", "add", "Acme")
        headers = {"Authorization": f"Bearer {made['scim']['token']}"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            body = {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "userName": "canary@acme.example",
            }
            url = f"{made['scim']['base_url']}/Users"
            headers = {"Content-Type": "application/scim+json"}
            answer = await client.post(url, json=body, headers=headers)
            assert answer.status_code == 201
            await client.get(url, params={"filter": 'userName eq "canary"'})
            await client.get(f"{served.base_url}/v1/users/canary")
        await served.stop()
        assert '"route":"/scim/v2/{directory}/Users"' in served.logs
        assert "canary" not in served.logs
        assert made["scim"]["token"] not in served.logs


@SQLITE
async def test_work_can_be_done_elsewhere(tmp_path: Path, database_url: str) -> None:
    """`serve --no-worker` leaves runs open; `broker work` ends them, and itself by SIGTERM."""
    async with serve(tmp_path, database_url, "--no-worker") as served:
        made = await served.command("directory", "add", "Acme", "--window-s", "1")
        key = await served.command("apikey", "add", "test", "--scope", "directories:read")
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "kim"}
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"Authorization": f"Bearer {made['scim']['token']}"}
            headers["Content-Type"] = "application/scim+json"
            await client.post(f"{made['scim']['base_url']}/Users", json=body, headers=headers)
            client.headers["Authorization"] = f"Bearer {key['key']}"
            worker = await asyncio.create_subprocess_exec(
                *(str(serving.BROKER), "work"),
                env=dict(served.environment),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await until(lambda: _all_ended(client, served.base_url))
            finally:
                worker.terminate()
                assert await worker.wait() == 0


async def _all_ended(client: httpx.AsyncClient, base_url: str) -> bool:
    runs = (await client.get(f"{base_url}/v1/runs")).json()["items"]
    return [run["state"] for run in runs] == ["ended"]
