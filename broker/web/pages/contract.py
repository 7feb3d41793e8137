"""The contract for people: Swagger UI over it, and a page for each problem in it."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.errors import NotFound
from broker.web import contracts
from broker.web.pages.site import STATIC, Site, files

DOCUMENTS = {
    "/docs": ("Broker API", "/openapi.json"),
    "/docs/scim": ("SCIM", "/scim/openapi.json"),
}
"""Where a contract is shown: its name, and the address it is served at."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
"""The one page with a script: Swagger UI draws its icons from `data:` and asks nobody but us."""
JAVASCRIPT, CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
TYPES = {
    "swagger-ui-bundle.js": JAVASCRIPT,
    "docs.js": JAVASCRIPT,
    "swagger-ui.css": CSS,
    "docs.css": CSS,
}


@dataclass(frozen=True, slots=True)
class ContractPages:
    """What a program's author reads; nobody needs a session for it."""

    site: Site

    def routes(self) -> list[Route]:
        """What this face serves."""
        return [
            Route("/docs", self.docs, methods=["GET"]),
            Route("/docs/scim", self.docs, methods=["GET"]),
            Route("/problems", self.problems, methods=["GET"]),
            Route("/problems/{code}", self.problem, methods=["GET"]),
            Route("/static/docs/{name}", files(STATIC / "docs", TYPES), methods=["GET"]),
        ]

    async def docs(self, request: Request) -> Response:
        here = request.url.path
        return self.site.page("docs.html", policy=POLICY, documents=DOCUMENTS, here=here)

    async def problems(self, _: Request) -> Response:
        return self.site.page("problems.html", problems=await contracts.problems())

    async def problem(self, request: Request) -> Response:
        code = request.path_params["code"]
        if (found := (await contracts.problems()).get(code)) is None:
            raise NotFound()
        return self.site.page("slug.html", code=code, problems=found)
