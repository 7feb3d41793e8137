"""The project itself: whose sign-ins it believes, which suffixes it knows."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.service.projects import UNSAID, Projects, SignIn
from broker.service.reading import Members
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import json


@dataclass(frozen=True, slots=True)
class ProjectFace:
    """For an administrator's session alone (safety 27)."""

    projects: Projects
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/v1/project", self.project, methods=["GET"]),
            Route("/v1/project", self.change, methods=["PUT"]),
        ]

    async def project(self, request: Request) -> Response:
        return await self.shown(await self.access.administrator(request))

    async def change(self, request: Request) -> Response:
        caller = await self.access.administrator(request)
        said = await body.read(request, "oidc", "suffixes")
        oidc, suffixes = said.inner_or_none("oidc"), said.texts("suffixes")
        sign_in = None if oidc is None else _sign_in(oidc)
        said.settle()
        await self.projects.change(
            caller.project, by=caller.actor, sign_in=sign_in, suffixes=suffixes
        )
        return await self.shown(caller)

    async def shown(self, caller: Caller) -> Response:
        found = await self.projects.get(caller.project)
        oidc = None
        if found.oidc_issuer is not None:
            oidc = {
                "issuer": found.oidc_issuer,
                "client_id": found.oidc_client_id,
                "client_secret": {"has_value": found.oidc_secret is not None},
                "claim": found.oidc_claim,
            }
        suffixes = await self.projects.suffixes(caller.project)
        return json({"id": found.id, "name": found.name, "oidc": oidc, "suffixes": suffixes})


def _sign_in(said: Members) -> SignIn:
    said.close("issuer", "client_id", "client_secret", "claim")
    said.text("issuer")
    return SignIn(
        issuer=said.url_or_none("issuer") or "",
        client_id=said.text("client_id"),
        secret=said.long_text_or_none("client_secret") or None,
        claim=said.text_or_none("claim") if said.says("claim") else UNSAID,
    )
