"""The client as a package: small, typed, and nothing of the service behind it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from broker import client

FOLDER = Path(client.__file__).parent
ALONE = """
import asyncio, sys
sys.path.append(sys.argv[1])
from broker.client import Step
from broker.client.fake import FakeBroker

async def asked():
    async with FakeBroker() as broker:
        step = Step(connector="c", id="s", type="t", execution="r", subject=None)
        print((await broker.resolve(step)).row)

asyncio.run(asked())
"""


def needed(name: str) -> set[str]:
    """A distribution, and all that it cannot do without here."""
    found = {name}
    for line in distribution(name).requires or ():
        needs = Requirement(line)
        if needs.marker is None or needs.marker.evaluate({"extra": ""}):
            found |= needed(needs.name)
    return found


def test_the_folder_needs_httpx_and_nothing_else(tmp_path: Path) -> None:
    """docs/client.md: where there is httpx, `broker/client` and no other package, it works, and so
    does its fake.
    """
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "client").symlink_to(FOLDER)
    for name in needed("httpx"):
        of = distribution(name)
        for top in {path.parts[0] for path in of.files or ()} - {".."}:
            (tmp_path / top).symlink_to(Path(str(of.locate_file(top))))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("F16\n", "")


def test_it_is_typed() -> None:
    """The mark of PEP 561 lies beside it, and every public name is there."""
    assert (FOLDER / "py.typed").exists()
    assert all(hasattr(client, name) for name in client.__all__)
