"""The command line beside a running service (api.md, "Command line")."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from broker import bootstrap, cli
from broker.commands import living
from broker.domain.callers import SCOPES
from tests import engines, serving
from tests.canaries import planted
from tests.serving import Served, serve

JSON_COMMANDS = [
    ("project", "list"),
    ("project", "add", "second"),
    ("project", "set", "--capacity", "7"),
    ("directory", "list"),
    ("directory", "add", "Acme"),
    ("apikey", "list"),
    ("apikey", "add", "engine", "--scope", "resolve"),
    ("admin", "link"),
    ("seal", "status"),
    ("seal", "rotate"),
    ("migrate",),
    ("migrate", "--check"),
]


@pytest.fixture
async def served(tmp_path: Path, database_url: str) -> AsyncIterator[Served]:
    """A service on each engine."""
    async with serve(tmp_path, database_url) as found:
        yield found


async def refused(served: Served, *words: str) -> tuple[int, str]:
    """Exit status and complaint of a command that cannot be done."""
    process = await asyncio.create_subprocess_exec(
        str(serving.BROKER),
        *words,
        env=dict(served.environment),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert process.returncode is not None
    return process.returncode, complaint.decode()


async def status(url: str, token: str) -> int:
    """How a request with this credential is answered."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code


async def test_a_directory_from_its_making_to_its_last_token(served: Served) -> None:
    """add prints address and token once, a second one lives beside it, revoke ends one at once."""
    made = await served.command("directory", "add", "Acme")
    assert set(made) == {"directory", "scim"}
    users = f"{made['scim']['base_url']}/Users"
    assert users.startswith(f"{served.base_url}/scim/v2/{made['directory']}/")
    assert await status(users, made["scim"]["token"]) == 200
    (listed,) = await served.command("directory", "list")
    assert (listed["id"], listed["name"], listed["state"]) == (made["directory"], "Acme", "enabled")
    assert made["scim"]["token"] not in str(listed)
    other = await served.command("directory", "token", "add", made["directory"])
    assert await status(users, other["scim"]["token"]) == 200
    code, complaint = await refused(served, "directory", "token", "add", made["directory"])
    assert (code, "broker directory token list" in complaint) == (1, True)
    tokens = await served.command("directory", "token", "list", made["directory"])
    known = [f"tok_{each['scim']['token'].split('_')[1]}" for each in (made, other)]
    assert [each["id"] for each in tokens] == known
    assert all({"created_at", "last_used_at"} <= set(each) for each in tokens)
    await served.command("directory", "token", "revoke", made["scim"]["token"])
    assert await status(users, made["scim"]["token"]) == 401
    assert await status(users, other["scim"]["token"]) == 200
    code, complaint = await refused(served, "directory", "add", "acme")
    assert (code, "already" in complaint) == (1, True)


async def test_a_key_from_its_making_to_its_end(served: Served) -> None:
    """add prints the key once, list shows it without, revoke ends it at once."""
    words = ("apikey", "add", "engine", "--scope", "users:read,resolve", "--scope", "users:admin")
    made = await served.command(*words)
    assert made["scopes"] == ["resolve", "users:admin", "users:read"]
    url = f"{served.base_url}/v1/licenses"
    assert await status(url, made["key"]) == 200
    (listed,) = await served.command("apikey", "list")
    assert listed["id"] == made["id"]
    assert "key" not in listed
    await served.command("apikey", "revoke", made["id"])
    assert await status(url, made["key"]) == 401
    code, complaint = await refused(served, "apikey", "add", "x", "--scope", "resolv")
    assert code == 1
    assert "There is no scope resolv" in complaint
    assert "Scopes are" in complaint


async def test_a_project_and_what_belongs_to_it(served: Served, tmp_path: Path) -> None:
    """--project on each command; nothing of one project is seen in another."""
    made = await served.command("project", "add", "second")
    assert {each["name"] for each in await served.command("project", "list")} == {
        "default",
        "second",
    }
    key = await served.command(
        "apikey", "add", "engine", "--scope", "users:read", "--project", "second"
    )
    assert await served.command("apikey", "list") == []
    secret = tmp_path / "secret"
    secret.write_text(planted("oidc") + "\n")
    said = await served.command(
        *("project", "set", "--project", "second", "--capacity", "3"),
        *("--oidc-issuer", "https://login.example", "--oidc-client-id", "broker"),
        *("--oidc-secret-file", str(secret), "--oidc-claim", "oid=externalId"),
    )
    assert (said["id"], said["oidc_issuer"]) == (made["id"], "https://login.example")
    assert "canary" not in str(said)
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {key['key']}"}
        answer = await client.get(f"{served.base_url}/v1/licenses", headers=headers)
    assert answer.json()["capacity"] == 3
    words = ("project", "set", "--oidc-issuer", "https://x", "--oidc-client-id", "y")
    code, complaint = await refused(served, *words, "--oidc-claim", "email=externalId")
    assert code == 1
    assert "never changes" in complaint
    code, complaint = await refused(served, "apikey", "list", "--project", "third")
    assert code == 1
    assert "broker project list" in complaint


async def test_an_administrators_link_works_once(served: Served) -> None:
    """`broker admin link` prints it anywhere, for the address the service really has."""
    url = (await served.command("admin", "link"))["url"]
    assert url.startswith(f"{served.base_url}/setup/")
    async with httpx.AsyncClient(trust_env=False) as browser:
        entered = await browser.post(url)
        assert entered.status_code == 303
        page = await browser.get(f"{served.base_url}/admin/directories")
        assert page.status_code == 200
        assert (await browser.post(url)).status_code == 401


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_command_answers_as_json(served: Served) -> None:
    """--json on each command is one JSON value on standard output."""
    for words in JSON_COMMANDS:
        said = await served.command(*words)
        assert isinstance(said, dict | list), words


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_health_check_asks_the_service(served: Served) -> None:
    """Exit 0 while it lives, 1 where nobody answers."""
    port = served.base_url.rpartition(":")[2]
    assert await served.command("healthcheck", "--port", port) == {"alive": True}
    assert await served.command("healthcheck") == {"alive": True}  # where it listened last
    await served.stop()
    code, _ = await refused(served, "healthcheck", "--port", port)
    assert code == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """The port of something alive on this machine; no setting of whoever runs the tests is left."""
    for name in [each for each in os.environ if each.startswith("BROKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def checked() -> int:
    """The exit status of `broker healthcheck`."""
    try:
        return cli.run(["healthcheck"])
    except SystemExit as ended:
        return int(ended.code or 0)


class Alive(BaseHTTPRequestHandler):
    """Answers /healthz as the service does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_health_check_reads_the_environment(
    asked: int, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """BROKER_HOST and BROKER_PORT say where; every address of the machine means its own."""
    monkeypatch.setenv("BROKER_HOST", host)
    monkeypatch.setenv("BROKER_PORT", str(asked))
    assert checked() == 0


def test_the_health_check_reads_the_file(
    asked: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `.env` says counts, and what is wrong in it is status 78 with its line."""
    (tmp_path / ".env").write_text(f"BROKER_HOST=127.0.0.1\nBROKER_PORT={asked}\n")
    assert checked() == 0
    assert capsys.readouterr().out == f"127.0.0.1:{asked} is alive\n"
    (tmp_path / ".env").write_text("BROKER_HOST=127.0.0.1\nBROKER_PORT=many\n")
    assert checked() == 78
    assert "from .env, line 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kept", "port"),
    [("http://127.0.0.1:9000", 9000), ("https://broker.example.com:9000", 8080), (None, 8080)],
)
def test_what_serve_left_is_asked_for_its_port(
    database_url: str, monkeypatch: pytest.MonkeyPatch, kept: str | None, port: int
) -> None:
    """On SQLite, and of this machine's address alone: other replicas use a PostgreSQL too."""

    async def leave(base_url: str) -> None:
        db = await engines.connect(database_url)
        await bootstrap.remember_base_url(db, base_url)
        await db.close()

    if kept is not None:
        asyncio.run(leave(kept))
    monkeypatch.delenv("BROKER_PORT", raising=False)
    monkeypatch.setenv("BROKER_DATABASE_URL", database_url)
    expected = port if database_url.startswith("sqlite") else 8080
    assert living.address(None, None) == ("127.0.0.1", expected)


@pytest.mark.parametrize("there", [b"", None])
def test_without_a_database_the_default_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes | None
) -> None:
    """Nothing there, or nothing in it: 8080, and no file is made."""
    monkeypatch.delenv("BROKER_PORT", raising=False)
    monkeypatch.setenv("BROKER_DATA", str(tmp_path))
    if there is not None:
        (tmp_path / "broker.db").write_bytes(there)
    assert living.address("::1", None) == ("::1", 8080)
    assert (tmp_path / "broker.db").exists() is (there is not None)


def test_the_help_names_the_scopes() -> None:
    """Whoever makes a key need not look them up."""
    said = CliRunner().invoke(cli.group, ["apikey", "add", "--help"], terminal_width=4000).output
    assert {scope for scope in SCOPES if scope not in said} == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_directory_may_be_strict(served: Served) -> None:
    """--tolerance is what the directory is made with; standard where nothing is said."""
    strict = await served.command("directory", "add", "Strict", "--tolerance", "strict")
    await served.command("directory", "add", "Other")
    key = await served.command("apikey", "add", "engine", "--scope", "directories:read")
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {key['key']}"}
        found = (await client.get(f"{served.base_url}/v1/directories", headers=headers)).json()
    tolerances = {each["id"]: each["tolerance"] for each in found["items"]}
    assert tolerances.pop(strict["directory"]) == "strict"
    assert list(tolerances.values()) == ["standard"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_directory_is_run_from_a_terminal(served: Served, tmp_path: Path) -> None:
    """R108, R109, R113: edited, read from a source whose secret is never shown, scheduled, synced,
    disabled, enabled and deleted beside the running service.
    """
    made = await served.command("directory", "add", "Acme")
    id, users = made["directory"], f"{made['scim']['base_url']}/Users"
    secret = tmp_path / "secret"
    secret.write_text(planted("source-token"))
    changed = await served.command("directory", "set", id, "--name", "HR", "--percent", "20")
    assert (changed["name"], changed["state"]) == ("HR", "enabled")
    source = ("--field", "base_url", "https://hr.example", "--secret-file", "token", str(secret))
    read = await served.command("directory", "source", id, "scim", *source)
    assert read["source"]["fields"]["token"]["has_value"] is True
    assert "canary" not in str(read)
    assert (await served.command("directory", "source", id, "none"))["source"] is None
    schedule = ("30 2 * * *", "--zone", "Europe/Berlin")
    planned = await served.command("directory", "schedule", id, *schedule)
    assert planned["sentence"] == "At 02:30 every day (Europe/Berlin)"
    assert len(planned["next"]) == 5
    assert await served.command("directory", "schedule", id) == planned
    taken = await served.command("directory", "schedule", id, "none")
    assert taken == {"sentence": None, "next": []}
    assert (await served.command("directory", "sync", id))["kind"] == "reapply"
    await served.command("directory", "disable", id)
    assert await status(users, made["scim"]["token"]) == 503
    code, complaint = await refused(served, "directory", "sync", id)
    assert (code, "disabled" in complaint) == (1, True)
    await served.command("directory", "enable", id)
    assert await status(users, made["scim"]["token"]) == 200
    asked = await served.command("directory", "delete", id)
    would = {"people": 0, "groups": 0, "tokens": 1}
    assert asked == {"id": id, "deleted": False, "would": would}
    code, complaint = await refused(served, "directory", "delete", id, "--name", "Acme")
    assert (code, "name" in complaint) == (1, True)
    assert (await served.command("directory", "delete", id, "--name", "HR"))["deleted"] is True
    assert await status(users, made["scim"]["token"]) == 401
    assert await served.command("directory", "list") == []


async def test_migrate_looks_before_it_leaps(tmp_path: Path) -> None:
    """--check changes nothing and exits 1 where something is to do."""
    environment = serving.environment(tmp_path, None)

    async def migrate(*words: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(str(serving.BROKER), "migrate", *words),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    code, said = await migrate("--check")
    assert (code, "at nothing" in said) == (1, True)
    assert (await migrate())[0] == 0
    code, said = await migrate("--check")
    assert (code, "nothing to do" in said) == (0, True)


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_command_needs_a_migrated_database(tmp_path: Path, is_there: bool) -> None:
    """It says which command comes first, exits 78, and makes no database itself."""
    environment = serving.environment(tmp_path, None, BROKER_ENCRYPTION_KEYS=serving.KEYS)
    if is_there:
        (tmp_path / "data").mkdir(mode=0o700)
        (tmp_path / "data" / "broker.db").touch(mode=0o600)
    process = await asyncio.create_subprocess_exec(
        *(str(serving.BROKER), "apikey", "list"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert process.returncode == 78
    assert "broker migrate" in complaint.decode()
    assert "Traceback" not in complaint.decode()
    assert (tmp_path / "data").exists() is is_there


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("serve", "--help"),
        ("migrate", "--help"),
        ("project", "set", "--help"),
        ("directory", "token", "revoke", "--help"),
        ("apikey", "add", "--help"),
        ("admin", "link", "--help"),
        ("healthcheck", "--help"),
        ("work", "--help"),
    ],
)
def test_help_is_at_hand(words: tuple[str, ...]) -> None:
    """Every command says what it does, and which options it takes."""
    said = CliRunner().invoke(cli.group, words or ("--help",))
    assert said.exit_code == 0
    assert "Usage: " in said.output


@pytest.mark.parametrize(
    "words", [("serv",), ("apikey", "add", "x"), ("project", "set", "--capacity", "many")]
)
def test_a_wrong_command_line_is_status_two(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is done, and the usage is shown."""
    assert cli.run(list(words)) == 2
    assert "Usage: " in capsys.readouterr().err


def test_the_command_line_is_light(tmp_path: Path) -> None:
    """Asking for health or help loads no server, no database, no settings."""
    heavy = ["broker.config", "broker.wiring", "starlette", "uvicorn", "pydantic", "sqlalchemy"]
    code = "import sys, broker.cli; print([m for m in sys.argv[1:] if m in sys.modules])"
    done: Any = subprocess.run(
        [sys.executable, "-c", code, *heavy],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "[]"


def test_the_help_uses_the_word_of_the_glossary() -> None:
    """docs/glossary.md: what belongs together is a project, never a tenant."""
    said = CliRunner().invoke(cli.group, ["--help"], terminal_width=4000).output.casefold()
    assert "projects, and the identity provider" in said
    assert "tenant" not in said
