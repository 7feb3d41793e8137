"""The contracts in `openapi/`: as they are served, and what each problem in them means."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson
import yaml

from broker.web.errors import MEDIA_TYPE as PROBLEM

HERE = Path(__file__).resolve()
FOLDERS = (HERE.parents[1] / "openapi", HERE.parents[2] / "openapi")
"""Beside the code in a wheel, beside the package in a checkout."""


async def served(name: str) -> bytes:
    """The contract of that name as JSON."""
    return await anyio.to_thread.run_sync(_json, name)


async def problems() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Every problem an answer of `/v1` may have, by its code, one for each status it comes with:
    `summary` says what it means, `description` what to do, `value` is an answer with it.
    """
    return await anyio.to_thread.run_sync(_problems)


@cache
def _json(name: str) -> bytes:
    return orjson.dumps(_read(name))


@cache
def _problems() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for response in orjson.loads(_json("broker.yaml"))["components"]["responses"].values():
        for code, said in response["content"][PROBLEM]["examples"].items():
            found.setdefault(code, []).append(said)
    return found


def _read(name: str) -> Any:
    file = next(folder / name for folder in FOLDERS if (folder / name).is_file())
    return yaml.load(file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
