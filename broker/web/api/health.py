"""Whether the process lives, whether it is ready, and the contract it keeps."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker import __version__
from broker.web import contracts
from broker.web.api.answers import json


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
    return Response(await contracts.served(name), media_type="application/json")
