"""The client as a package: small, typed, and nothing of the service behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from broker import client

LOADED = """
import sys
import httpx
before = set(sys.modules)
import broker.client, broker.client.fake
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
print(*sorted(name for name in sys.modules if name.startswith("broker.")
              and not name.startswith("broker.client")))
"""


def test_it_needs_httpx_and_nothing_else() -> None:
    """Importing the client, and its fake, loads no package but httpx and nothing of the service."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == ["broker", "", ""]


def test_it_is_typed() -> None:
    """The mark of PEP 561 lies beside it, and every public name is there."""
    assert (Path(client.__file__).parent / "py.typed").exists()
    assert all(hasattr(client, name) for name in client.__all__)
