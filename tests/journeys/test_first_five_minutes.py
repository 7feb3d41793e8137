"""The newcomer's first five minutes: the README's own lines, typed in its own order."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.demo import start
from broker.demo.people import PEOPLE
from tests.house.product import text
from tests.serving import BROKER, Served, serve
from tests.waiting import until

SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def lines() -> str:
    """The shell lines that README.md offers while the demo runs."""
    (block,) = [each for each in SHELL.findall(text("README.md")) if "curl" in each]
    return str(block)


def typed(script: str, folder: Path) -> list[dict[str, object]]:
    """What the lines say, each answer as JSON."""
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    decoder, rest, found = json.JSONDecoder(), done.stdout.strip(), []
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


async def test_the_readme_can_be_typed(tmp_path: Path) -> None:
    """`make run`, then the two calls as they stand there: Sam is pushed, the step runs as Kim."""
    async with serve(tmp_path, demo=True):
        sam, kim = typed(lines(), tmp_path)
    assert sam["userName"] == "sam.doe@acme.example"
    assert (kim["row"], kim["outcome"]) == ("F6", "run")
    assert isinstance(kim["run_as"], dict)
    assert kim["run_as"]["user_name"] == "kim.lee@acme.example"
    assert isinstance(kim["credential"], dict)
    assert kim["credential"]["access_token"]


def test_the_readme_names_the_commands_of_the_makefile() -> None:
    """The two commands of the first screen are targets that exist."""
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    first_screen = "\n".join(text("README.md").splitlines()[:60])
    assert set(re.findall(r"^make (\w+)", first_screen, re.MULTILINE)) == {"run", "test"} & targets
    assert len(first_screen.splitlines()) == len(text("README.md").splitlines())


async def test_the_demo_tells_its_starter_everything(tmp_path: Path) -> None:
    """api.md: address, SCIM, key, link and pid are in the ready-file, and all of them work."""
    async with serve(tmp_path, demo=True) as served:
        said = json.loads((tmp_path / "broker.ready").read_bytes())
        assert set(said) == {"base_url", "scim", "api_key", "admin_link", "pid"}
        assert set(said["scim"]) == {"base_url", "token", "directory"}
        assert set(said["api_key"]) == {"key", "scopes"}
        await look_around(served)


async def look_around(served: Served) -> None:
    """The link, the history behind it, the people, the licenses."""
    assert served.admin_link is not None
    assert served.api_key is not None
    headers = {"Authorization": f"Bearer {served.api_key['key']}"}
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as browser:
        page = await browser.post(served.admin_link)
        assert page.url.path == "/admin/directories"
        assert "Acme" in page.text
        history = re.search(r'href="(/admin/directories/[^"]+/history)"', page.text)
        assert history is not None
        page = await browser.get(served.base_url + history[1])
        assert "Partial success" in page.text
        licenses = await browser.get(f"{served.base_url}/v1/licenses", headers=headers)
        assert licenses.json()["capacity"] == 100
        assert licenses.json()["held"] == 12


async def test_a_second_start_finds_the_first(tmp_path: Path) -> None:
    """What was made stays; key and token are new, the old ones are dead; the step still runs."""
    async with serve(tmp_path, demo=True) as first:
        typed(lines(), tmp_path)
    async with serve(tmp_path, demo=True) as second:
        assert first.api_key is not None
        assert second.api_key is not None
        assert second.scim is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{second.base_url}/v1/users"
            old = {"Authorization": f"Bearer {first.api_key['key']}"}
            assert (await client.get(url, headers=old)).status_code == 401
            token = {"Authorization": f"Bearer {second.scim['token']}"}
            found = await client.get(f"{second.scim['base_url']}/Users?count=1", headers=token)
            assert found.json()["totalResults"] == 121
        kim = typed(lines().partition("curl")[0] + "curl" + lines().rpartition("curl")[2], tmp_path)
        assert kim[0]["row"] == "F6"


async def test_what_was_changed_stays_changed(tmp_path: Path) -> None:
    """Safety 39: who waits, is suspended or deleted, and a renamed connector, end no start."""
    async with serve(tmp_path, demo=True) as first, caller_of(first) as client:
        kim, amara, bela = await changed(first, client)
    async with serve(tmp_path, demo=True) as second, caller_of(second) as client:
        assert (await client.get(f"/v1/users/{kim}")).json()["status"] == "queued"
        assert (await client.get(f"/v1/users/{amara}")).json()["status"] == "suspended"
        assert (await client.get(f"/v1/users/{bela}")).json()["status"] == "deleted"
        found = await salesforce(client)
        assert (found["name"], found["state"]) == ("Orders", "connected")
        (await client.post(f"/v1/connectors/{found['id']}/disable", headers=ANY)).raise_for_status()
    async with serve(tmp_path, demo=True) as third, caller_of(third) as client:
        found = await salesforce(client)
        assert (found["name"], found["state"]) == ("Orders", "disabled")


ANY = {"If-Match": "*"}
TYPE = "salesforce"


async def changed(served: Served, client: httpx.AsyncClient) -> tuple[str, str, str]:
    """Kim waits, Amara is suspended, Bela is deleted, and Salesforce has another name."""
    assert served.admin_link is not None
    assert served.scim is not None
    ids = {one["user_name"]: one["id"] for one in await listed(client, "/v1/users?limit=200")}
    kim, amara, bela = (ids[person.user_name] for person in PEOPLE[:3])
    connector = await salesforce(client)
    done = [
        await client.patch(
            f"/v1/connectors/{connector['id']}", json={"name": "Orders"}, headers=ANY
        ),
        await client.put("/v1/licenses", json={"capacity": 0}),
        await client.post(f"/v1/users/{amara}/suspend"),
        await client.post(f"/v1/users/{kim}/suspend"),
        await client.delete(
            f"{served.scim['base_url']}/Users/{bela}",
            headers={"Authorization": f"Bearer {served.scim['token']}"},
        ),
    ]
    async with httpx.AsyncClient(trust_env=False) as browser:
        await browser.post(served.admin_link)
        done += [await browser.post(f"{served.base_url}/v1/users/{kim}/reinstate")]
    assert [answer.status_code for answer in done if answer.is_error] == []
    return kim, amara, bela


def caller_of(served: Served) -> httpx.AsyncClient:
    """A program with the demo's key."""
    assert served.api_key is not None
    headers = {"Authorization": f"Bearer {served.api_key['key']}"}
    return httpx.AsyncClient(base_url=served.base_url, headers=headers, trust_env=False)


async def salesforce(client: httpx.AsyncClient) -> dict[str, str]:
    """The connector that leads to the pretend Salesforce, whatever it is called."""
    (found,) = [one for one in await listed(client, "/v1/connectors") if one["type"] == TYPE]
    return found


async def listed(client: httpx.AsyncClient, path: str) -> list[dict[str, str]]:
    """The items of a page."""
    found: list[dict[str, str]] = (await client.get(path)).raise_for_status().json()["items"]
    return found


async def test_commands_find_the_demo(tmp_path: Path) -> None:
    """Without a key of their own they work on the demo in the data folder, and say so."""
    async with serve(tmp_path, demo=True) as served:
        found = await served.command("directory", "list")
        assert [each["name"] for each in found] == ["Acme", "Acme HR"]
        url = (await served.command("admin", "link"))["url"]
        assert url.startswith(served.base_url)
        assert await served.command("healthcheck") == {"alive": True}
        said = await asyncio.create_subprocess_exec(
            *(str(BROKER), "project", "list"),
            env=dict(served.environment),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, aside = await said.communicate()
        assert aside.decode() == f"on the demo in {tmp_path / 'data' / 'demo'}\n"


async def test_the_demo_reads_a_directory_too(tmp_path: Path) -> None:
    """R109: Sync now on the second directory reads the pretend HR system; a start that finds it
    there keeps it, with its schedule.
    """
    for created in (45, 0):  # 40 people in five departments
        async with serve(tmp_path, demo=True) as served, httpx.AsyncClient() as client:
            assert served.api_key is not None
            client.base_url = httpx.URL(served.base_url)
            client.headers["Authorization"] = f"Bearer {served.api_key['key']}"
            _, read = await listed(client, "/v1/directories")
            assert read["next_at"]
            begun = (await client.post(f"/v1/directories/{read['id']}/syncs")).json()

            async def over(id: str = begun["id"]) -> dict[str, Any] | None:
                run: dict[str, Any] = (await client.get(f"/v1/runs/{id}")).json()
                return run if run["state"] == "ended" else None

            run = await until(over)
            assert (run["status"], run["kind"], run["counts"]["created"]) == (
                "Success",
                "pull",
                created,
            )


async def test_the_demo_leaves_no_secret_behind(tmp_path: Path) -> None:
    """Ready-file and `demo/env` are for us alone while it runs, and gone afterwards."""
    async with serve(tmp_path, demo=True):
        environment = tmp_path / "data" / "demo" / "env"
        assert environment.stat().st_mode & 0o777 == 0o600
    assert not environment.exists()
    assert (tmp_path / "data" / "demo").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "data" / "demo").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("with_link", [True, False])
def test_what_is_printed_can_be_typed_too(with_link: bool) -> None:
    """`make run` prints the same two calls with the values filled in, and where to look."""
    said = {
        "base_url": "http://127.0.0.1:8080",
        "scim": {"base_url": "http://127.0.0.1:8080/scim/v2/dir_1", "token": "brs_1_x"},
        "api_key": {"key": "brk_1_x"},
        "simulator": "http://localhost:8081",
    }
    if with_link:
        said["admin_link"] = "http://127.0.0.1:8080/setup/x"
    printed = start.welcome(said, ".venv/bin/broker")
    assert printed.count("curl http://127.0.0.1:8080/") == 2
    assert "http://localhost:8081/control" in printed
    assert ("/setup/x" in printed) is with_link
    assert ".venv/bin/broker admin link" in printed


def test_the_readme_says_where_the_pages_are() -> None:
    """The quick start's line is the banner's: the command is in the environment, not on PATH."""
    assert ".venv/bin/broker admin link" in text("README.md")
    assert "BROKER_PORT=8090 make run" in text("README.md")
