"""The servers under load, each with fresh data: ours, and the peers it is measured against."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench.targets import Target
from broker.db import seal
from tests import engines

FOLDERS = Path(__file__).with_name("peers")
BROKER = Path(sys.executable).with_name("broker")
TOKEN = "bench-token-0123456789-0123456789-0123456789"
READY_S = 60.0
INSTALL_S = 600.0
STOP_S = 20.0


class NotStarted(Exception):
    """A server could not be installed or started; the message says what it said."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of others, where its root is, and the folder below `peers/` that makes it: that of
    its name, unless several share a `program` that `settings` tell apart.
    """

    name: str
    about: str
    root: str
    program: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    on_postgresql: bool = False

    @property
    def folder(self) -> Path:
        """Its program, and what that needs installed."""
        return FOLDERS / (self.program or self.name)

    @property
    def on_node(self) -> bool:
        """Whether it needs node and npm."""
        return (self.folder / "package.json").exists()


PEERS: tuple[Peer, ...] = (
    Peer("polis", "Ory Polis' directory sync behind express, SQLite", "/scim"),
    Peer("scimmy-sqlite", "SCIMMY behind express, SQLite, synchronous=FULL", "/scim/v2"),
    Peer("scim2-server", "scim2-server on uvicorn, in memory", "/v2"),
    Peer("ceiling", "no product: bare ASGI over SQLite, no schema, no validation", "/scim/v2"),
)


RESOLVERS: tuple[Peer, ...] = (
    Peer(
        "fastify",
        "fastify and better-sqlite3: one JOIN, one token opened, nothing recorded",
        "",
        program="broker-node",
        settings={"STORE": "sqlite"},
    ),
    Peer(
        "nango-shaped",
        "express and PostgreSQL with the round trips of Nango's GET /connection",
        "",
        program="broker-node",
        settings={"STORE": "nango"},
        on_postgresql=True,
    ),
)
"""What others would build for the question of resolve; each fills its own store at start."""


@dataclass(frozen=True, slots=True)
class Service:
    """`broker serve` under load: its address, its processes, and commands beside it."""

    url: str
    pids: frozenset[int]
    environment: Mapping[str, str]

    def made(self, *words: str) -> Any:
        """What a command answers as JSON; NotStarted with what it complains of."""
        done = subprocess.run(
            [str(BROKER), *words, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotStarted(done.stderr)
        return json.loads(done.stdout)


@contextmanager
def served(lab: Path, database_url: str | None = None, **settings: str) -> Iterator[Service]:
    """`broker serve` as anybody runs it; on SQLite in a scratch folder unless an empty database
    is named.
    """
    with tempfile.TemporaryDirectory(prefix="ours-", dir=lab) as scratch:
        folder = Path(scratch)
        seen = {name: value for name, value in os.environ.items() if name[:7] != "BROKER_"}
        seen["BROKER_DATA"] = str(folder / "data")
        seen["BROKER_ENCRYPTION_KEYS"] = seal.new_key("bench")
        seen["BROKER_DATABASE_URL"] = database_url or f"sqlite:///{folder}/data/broker.db"
        seen |= settings
        ready = folder / "ready"
        words = [str(BROKER), "serve", "--port", "0", "--ready-file", str(ready)]
        with _running("ours", words, folder, seen, ready.exists) as process:
            pids = frozenset({process.pid}) | postgres_of(seen["BROKER_DATABASE_URL"])
            yield Service(json.loads(ready.read_text())["base_url"], pids, seen)


@contextmanager
def ours(lab: Path, database_url: str | None = None) -> Iterator[Target]:
    """`broker serve` with one directory."""
    with served(lab, database_url) as service:
        scim = service.made("directory", "add", "bench")["scim"]
        yield Target("ours", scim["base_url"], scim["token"], service.pids)


@contextmanager
def running(peer: Peer, lab: Path, server: str | None = None) -> Iterator[Target]:
    """A peer, installed in the lab folder the first time; NotStarted. `server` is the PostgreSQL
    of one that needs one.
    """
    words = _installed(peer, lab / f"peer-{peer.folder.name}")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix=f"{peer.name}-", dir=lab) as scratch:
        folder = Path(scratch)
        settings = {"PORT": str(port), "TOKEN": TOKEN, "NODE_ENV": "production", **peer.settings}
        settings |= {"DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        settings |= {"PG_URL": server} if server else {}
        words = [word.replace("PORT", str(port)) for word in words]
        seen = os.environ | settings
        with _running(peer.name, words, folder, seen, lambda: _listens(port)) as process:
            url, token = f"http://127.0.0.1:{port}{peer.root}", TOKEN
            if (folder / "url").exists():  # Polis mints its own directory and token
                url, token = (folder / "url").read_text().split()
            pids = frozenset({process.pid}) | postgres_of(server or "sqlite")
            yield Target(peer.name, url, token, pids)


@contextmanager
def _running(
    name: str,
    words: list[str],
    folder: Path,
    environment: Mapping[str, str],
    is_ready: Callable[[], bool],
) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + READY_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{name} did not start: {log.read_text()[-400:]}")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _installed(peer: Peer, home: Path) -> list[str]:
    """The words that start it; `PORT` stands for its port."""
    home.mkdir(parents=True, exist_ok=True)
    if peer.on_node:
        shutil.copyfile(peer.folder / "server.js", home / "server.js")
        npm = ["npm", "install", "--legacy-peer-deps", "--no-audit", "--no-fund"]
        _install(peer.folder / "package.json", home, [npm])
        return ["node", str(home / "server.js")]
    needs = peer.folder / "requirements.txt"
    python = str(home / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "-r", str(needs)]
    _install(needs, home, [[sys.executable, "-m", "venv", str(home)], pip])
    words = [python, "-m", "uvicorn", "app:app", "--app-dir", str(peer.folder), "--port", "PORT"]
    return [*words, "--loop", "uvloop", "--no-access-log", "--log-level", "warning"]


def _install(manifest: Path, home: Path, steps: list[list[str]]) -> None:
    """Run the steps in `home` unless that has been done for this manifest."""
    done = home / ".ready"
    if done.exists() and filecmp.cmp(manifest, done, shallow=False):
        return
    shutil.copyfile(manifest, home / manifest.name)
    for words in steps:
        try:
            subprocess.run(words, cwd=home, check=True, capture_output=True, timeout=INSTALL_S)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error).encode()
            raise NotStarted(f"{' '.join(words[:3])}: {said.decode()[-400:]}") from error
    shutil.copyfile(manifest, done)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def postgres_of(url: str) -> set[int]:
    """The process of a PostgreSQL server on this machine; none where it is elsewhere or hidden."""
    if url.startswith("sqlite"):
        return set()
    local = urlsplit(url).hostname in (None, "127.0.0.1", "localhost")
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        except psycopg.Error:  # only a superuser may
            row = None
    return {int(str(row[0]).split("\n")[0])} if row and local else set()


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of our own, as durable as it is in production; NoServer."""
    with engines.own_server(sys.executable) as server:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM RESET ALL")
            admin.execute("SELECT pg_reload_conf()")
        yield server


def fresh(server: str, name: str) -> str:
    """The URL of a new, empty database there."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
        admin.execute(f'CREATE DATABASE "{name}"')
    return server.replace("/postgres?", f"/{name}?")
