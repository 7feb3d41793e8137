"""The samples of the documentation, read off its pages and typed as a reader would type them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import canaries
from tests.canaries import planted
from tests.house.product import ROOT, text
from tests.serving import environment

RUN = {"sh", "bash", "console", "curl", "python"}
"""What a block has to say to be typed, or to say beside it why not."""
SHOWN = {"", "json", "http", "text", "powershell", "yaml"}
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]*?) -->\n\n?)?"
    r"^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PROPS = {"secret.txt": planted("sample"), "broker.key": canaries.key("sample")}
"""What a reader has by then: the identity provider's client secret, a key to seal with."""
PATIENCE_S = 120
STOP_S = 20
# A call that is refused ends the page, in a pipe and in `$(…)` too.
CURL = """#!/bin/sh
{curl} --fail-with-body "$@" || {{ status=$?; echo "$status: curl $*" >> {failed}; exit $status; }}
"""
# `serve` goes on for as long as the page does, at a port of its own.
BROKER = """#!/bin/sh
[ "$1" = serve ] || exec {broker} "$@"
rm -f {ready}
{broker} "$@" --port 0 --ready-file {ready} > {log} 2>&1 &
server=$!
until [ -e {ready} ]; do kill -0 $server || {{ cat {log} >&2; exit 1; }}; sleep 0.05; done
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """A fenced block of a page; `why` is the reason that stands beside one that is not run."""

    page: str
    line: int
    language: str
    body: str
    why: str | None

    @property
    def is_run(self) -> bool:
        """Whether a reader would type it, and nothing says that it cannot be."""
        return self.language in RUN and self.why is None


def pages() -> list[str]:
    """Every page for readers."""
    return ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def samples(page: str, source: str | None = None) -> Iterator[Sample]:
    """The blocks of a page, in their order."""
    said = text(page) if source is None else source
    for found in BLOCK.finditer(said):
        line = said.count("\n", 0, found.start("body"))
        yield Sample(page, line, found["language"], found["body"], found["why"])


@dataclass(frozen=True, slots=True)
class Typed:
    """What came of a page: its last words, and every call that was refused."""

    status: int
    said: str
    complaint: str
    refused: str


async def typed(blocks: list[Sample], folder: Path, places: Mapping[str, str]) -> Typed:
    """Type these blocks in one shell in `folder`, which looks like a checkout to them.

    `places` are what a page names, such as a port, with those of this test.
    """
    files = {name: folder / name for name in ("said", "complaint", "broker.log", "refused")}
    _furnish(folder, files["broker.log"], files["refused"])
    script = ["set -eu"]
    for number, block in enumerate(blocks):
        script.append(f"echo '-- {block.page}, line {block.line}' >&2")
        body = block.body
        for named, here in places.items():
            body = body.replace(named, here)
        if block.language == "python":
            (folder / f"sample_{number}.py").write_text(body)
            body = f"python sample_{number}.py"
        script.append(body)
    seen = environment(folder, None)
    seen["PATH"] = os.pathsep.join(
        (str(folder / "bin"), str(Path(sys.executable).parent), seen["PATH"])
    )
    with files["said"].open("wb") as said, files["complaint"].open("wb") as complaint:
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", "\n".join(script)),
            cwd=folder,
            env=seen,
            stdin=DEVNULL,
            stdout=said,
            stderr=complaint,
            start_new_session=True,
        )
    try:
        status = await asyncio.wait_for(shell.wait(), PATIENCE_S)
    finally:
        await _end(shell.pid)
    told = {name: path.read_text() if path.exists() else "" for name, path in files.items()}
    return Typed(status, told["said"], told["complaint"] + told["broker.log"], told["refused"])


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _furnish(folder: Path, log: Path, refused: Path) -> None:
    """What a reader's folder holds: the checkout, and the files that the pages speak of."""
    for name, content in PROPS.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(content)
    (folder / "broker").symlink_to(ROOT / "broker")
    (folder / ".venv").symlink_to(sys.prefix)
    tools = {
        "curl": CURL.format(curl=shutil.which("curl"), failed=refused),
        "broker": BROKER.format(
            broker=Path(sys.executable).with_name("broker"), ready=folder / "ready", log=log
        ),
    }
    (folder / "bin").mkdir()
    for name, content in tools.items():
        (folder / "bin" / name).write_text(content)
        (folder / "bin" / name).chmod(0o700)


async def _end(group: int) -> None:
    """End what a page left running."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            os.killpg(group, sign)
            async with asyncio.timeout(STOP_S):
                while True:
                    os.killpg(group, 0)
                    await asyncio.sleep(0.02)
