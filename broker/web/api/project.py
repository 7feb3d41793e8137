"""The project itself: whose sign-ins it believes, which suffixes and fields it knows."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.service.projects import UNSAID, Projects, SignIn
from broker.service.reading import Members
from broker.service.signing_in import callback
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import condition, json


@dataclass(frozen=True, slots=True)
class ProjectFace:
    """For an administrator's session alone (safety 27)."""

    projects: Projects
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves."""
        route = self.access.route
        return [
            route("GET", "/v1/project", None, self.project),
            route("PUT", "/v1/project", None, self.change),
        ]

    async def project(self, _: Request, caller: Caller) -> Response:
        found = await self.projects.get(caller.project)
        oidc = None
        if found.oidc_issuer is not None:
            oidc = {
                "issuer": found.oidc_issuer,
                "client_id": found.oidc_client_id,
                "client_secret": {"has_value": found.oidc_secret is not None},
                "claim": found.oidc_claim,
            }
        shown = {
            "id": found.id,
            "name": found.name,
            "redirect_uri": self.access.base_url + callback(found.id),
            "oidc": oidc,
            "suffixes": await self.projects.suffixes(caller.project),
            "fields": found.fields,
            "pause_limit_s": found.pause_limit_s,
        }
        return json(shown, headers={"ETag": f'"{found.version}"'})

    async def change(self, request: Request, caller: Caller) -> Response:
        version = condition(request)
        with await body.read(request, "oidc", "suffixes", "fields", "pause_limit_s") as said:
            oidc, suffixes = said.inner_or_none("oidc"), said.texts("suffixes")
            fields = said.texts("fields")
            sign_in = None if oidc is None else _sign_in(oidc)
            says = said.says("pause_limit_s")
            limit_s = said.number_or_none("pause_limit_s", least=1) if says else UNSAID
        await self.projects.change(
            caller.project,
            by=caller.actor,
            sign_in=sign_in,
            suffixes=suffixes,
            fields=fields,
            pause_limit_s=limit_s,
            version=version,
        )
        return await self.project(request, caller)


def _sign_in(said: Members) -> SignIn:
    said.close("issuer", "client_id", "client_secret", "claim")
    said.text("issuer")
    return SignIn(
        issuer=said.url_or_none("issuer") or "",
        client_id=said.text("client_id"),
        secret=said.long_text_or_none("client_secret") or None,
        claim=said.text_or_none("claim") if said.says("claim") else UNSAID,
    )
