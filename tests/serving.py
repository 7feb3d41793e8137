"""A real `broker serve` for a test: its own process, its own port, gone when the test is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import canaries

BROKER = Path(sys.executable).with_name("broker")
KEYS = canaries.key("test")
"""One sealing key for the session, so that replicas and restarts open each other's rows."""
READY_S = 30.0
STOP_S = 20.0
# PR_SET_PDEATHSIG: the kernel kills the broker when the test session dies without a word.
LEASH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class NotServing(Exception):
    """The broker ended, or was not ready in time; the message holds its log."""


@dataclass(frozen=True, slots=True)
class Served:
    """A broker that answers, as its ready-file describes it (api.md, "Command line")."""

    base_url: str
    pid: int
    scim: Mapping[str, str] | None
    """`base_url`, `token` and `directory` of the demo; None without `--demo`."""
    api_key: Mapping[str, Any] | None
    """`key` and `scopes` of the demo; None without `--demo`."""
    admin_link: str | None
    environment: Mapping[str, str]
    process: Process
    log: Path

    @property
    def logs(self) -> str:
        """All it has said so far, on both streams."""
        return self.log.read_text()

    async def command(self, *words: str) -> Any:
        """What `broker … --json` says beside this service, on the same database."""
        return await command(self.environment, *words)

    async def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Ask it to end (SIGTERM) and wait; answers its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_S)


def environment(folder: Path, url: str | None, **settings: str) -> dict[str, str]:
    """What a broker process of a test sees: this session's own settings are not among it."""
    seen = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
    seen["BROKER_DATA"] = str(folder / "data")
    seen["BROKER_LOG_LEVEL"] = "debug"
    if url is not None:
        seen["BROKER_DATABASE_URL"] = url
    return seen | settings


async def command(environment: Mapping[str, str], *words: str) -> Any:
    """What `broker … --json` says; AssertionError with its complaint where it exits otherwise."""
    process = await asyncio.create_subprocess_exec(
        *(str(BROKER), *words, "--json"), env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    said, complaint = await process.communicate()
    canaries.search(f"broker {' '.join(words)}", said + complaint)
    assert process.returncode == 0, f"broker {' '.join(words)}: {complaint.decode()}"
    return json.loads(said)


@asynccontextmanager
async def serve(
    folder: Path,
    url: str | None = None,
    *words: str,
    name: str = "broker",
    demo: bool = False,
    **settings: str,
) -> AsyncIterator[Served]:
    """Run `broker serve` on the database at `url`, with its data and log below `folder`.

    Two replicas are two calls with the same `folder` and `url`, and a `name` each. `settings` are
    further `BROKER_…` variables, `words` further options. Leaving stops it and demands exit
    status 0, unless the test ended it before.
    """
    if not demo:
        settings = {"BROKER_ENCRYPTION_KEYS": KEYS} | settings
    seen = environment(folder, url, **settings)
    ready, log = folder / f"{name}.ready", folder / f"{name}.log"
    options = ["--port", "0", "--ready-file", str(ready), *(["--demo"] if demo else []), *words]
    ready.unlink(missing_ok=True)  # one that was killed leaves its own behind
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-c", LEASH, str(BROKER), "serve", *options),
            env=seen,
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        said = await _ready(process, ready, log)
        served = Served(
            base_url=said["base_url"],
            pid=said["pid"],
            scim=said.get("scim"),
            api_key=said.get("api_key"),
            admin_link=said.get("admin_link"),
            environment=seen,
            process=process,
            log=log,
        )
        yield served
        if process.returncode is None:
            assert await served.stop() == 0, served.logs
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        canaries.search(log.name, log.read_bytes())


async def _ready(process: Process, file: Path, log: Path) -> dict[str, Any]:
    """The ready-file, once it is there; it is renamed into place, so never read half-written."""
    deadline = time.monotonic() + READY_S
    while not file.exists():
        if process.returncode is not None:
            raise NotServing(f"exit status {process.returncode}\n{log.read_text()}")
        if time.monotonic() > deadline:
            raise NotServing(f"not ready after {READY_S:.0f} s\n{log.read_text()}")
        await asyncio.sleep(0.02)
    said: dict[str, Any] = json.loads(file.read_bytes())
    return said
