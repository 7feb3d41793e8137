"""Whether the process lives, whether it is ready, and the contract it keeps."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anyio.to_thread
import orjson
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker import __version__
from broker.web.api.answers import json

HERE = Path(__file__).resolve()
CONTRACTS = (HERE.parents[2] / "openapi", HERE.parents[3] / "openapi")
"""Beside the code in a wheel, beside the package in a checkout."""


@dataclass(frozen=True, slots=True)
class HealthFace:
    """Operations; `ready` says why not, or None."""

    ready: Callable[[], Awaitable[str | None]]

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/healthz", self.live, methods=["GET"]),
            Route("/readyz", self.is_ready, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/scim/openapi.json", self.scim, methods=["GET"]),
        ]

    async def live(self, _: Request) -> Response:
        return json({"status": "ok", "version": __version__})

    async def is_ready(self, _: Request) -> Response:
        reason = await self.ready()
        if reason is None:
            return json({"status": "ready"})
        return json({"status": "unready", "reason": reason}, 503)

    async def openapi(self, _: Request) -> Response:
        return await _contract("broker.yaml")

    async def scim(self, _: Request) -> Response:
        return await _contract("scim.yaml")


async def _contract(name: str) -> Response:
    content = await anyio.to_thread.run_sync(_converted, name)
    return Response(content, media_type="application/json")


@cache
def _converted(name: str) -> bytes:
    """The contract as JSON; read once."""
    file = next(folder / name for folder in CONTRACTS if (folder / name).is_file())
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return orjson.dumps(yaml.load(file.read_bytes(), loader))
