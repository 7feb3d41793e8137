"""One workload on one server: wrk sends it, the server's own CPU time is what counts."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.targets import NotMeasured, Target

SCRIPT = Path(__file__).with_name("scim.lua")
GRACE_S = 90.0
RUN = f"{int(time.time()) % 10**7:x}"
"""In every name a run makes up, so that a second run on the same database makes others."""

Record = tuple[str, str, str]
"""Method, path on the host, body; `~N~` in path or body becomes a fresh name."""


@dataclass(frozen=True, slots=True)
class Load:
    """How hard and how long."""

    seconds: int = 2
    rounds: int = 3
    connections: int = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. Errors are wrong statuses, broken connections and time-outs."""

    operations: int
    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    errors: int
    wrong: str = ""
    """What was wrong with an answer or its effect; the figures are then not to be quoted."""


Check = Callable[[int], Awaitable[str]]
"""Reads the effect of so many good answers back; answers what is wrong with it, or ''."""


@dataclass(frozen=True, slots=True)
class Job:
    """Requests to send over and over, and which answers are right."""

    records: Sequence[Record]
    mode: str = "cycle"
    """`cycle`: as they are; `unique`: with fresh names; `sync`: filter, then create or patch."""
    statuses: str = "200"
    needle: str = ""
    """What every `every`th answer must hold."""
    every: int = 0
    per_request: int = 1
    check: Check | None = None

    @property
    def text(self) -> str:
        """As the file that `scim.lua` reads."""
        head = [self.mode, self.statuses, self.needle, str(self.every)]
        return "\n".join([*head, *("\t".join(record) for record in self.records), ""])


async def measure(target: Target, job: Job, load: Load, tag: str, turn: int = 0) -> Measured:
    """Send a job for a while and read its effect back; NotMeasured where nothing was answered."""
    before = target.usage
    said = await asyncio.to_thread(_wrk, target, job, load, f"{RUN}{tag}r{turn}", turn * 131)
    after = target.usage
    good = said["users_done"] if job.mode == "sync" else said["good"]
    operations = good * job.per_request
    if not operations:
        raise NotMeasured(said["first_bad"] or "no request was answered in time")
    return Measured(
        operations=operations,
        per_s=operations / said["seconds"],
        cpu_us=(after.cpu_s - before.cpu_s) * 1e6 / operations,
        p50_ms=said["p50_us"] / 1e3,
        p99_ms=said["p99_us"] / 1e3,
        memory_mb=after.memory / 1e6,
        errors=said["bad"] + said["sock_errors"] + said["timeouts"],
        wrong=said["first_bad"] or (await job.check(said["good"]) if job.check else ""),
    )


def _wrk(target: Target, job: Job, load: Load, names: str, offset: int) -> dict[str, Any]:
    """What `scim.lua` counted. A sync is a conversation: each connection has its own thread."""
    parts = urlsplit(target.url)
    threads = load.connections if job.mode == "sync" else 1
    with tempfile.NamedTemporaryFile("w", suffix=".job") as file:
        file.write(job.text)
        file.flush()
        words = ["wrk", f"-t{threads}", f"-c{load.connections}", f"-d{load.seconds}s"]
        words += ["--timeout", "30s", "-s", str(SCRIPT)]
        words += [
            word for name, value in target.headers.items() for word in ("-H", f"{name}: {value}")
        ]
        words += [f"{parts.scheme}://{parts.netloc}", "--", file.name, names, str(offset)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=load.seconds + GRACE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise NotMeasured("wrk did not come back") from error
    found = re.search(r"^RESULT (\{.*\})$", done.stdout, re.MULTILINE)
    if not found:
        raise NotMeasured(f"wrk: {(done.stdout + done.stderr)[-300:]}")
    said: dict[str, Any] = json.loads(found[1])
    return said
