"""How a page is made: a template, a strict policy, no script, nothing from elsewhere."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from broker.domain import clock
from broker.domain.errors import BrokerError, NotFound
from broker.web import errors

HERE = Path(__file__).parent
STATIC = HERE / "static"
MACHINES = ("/v1/", "/scim/", "/healthz", "/readyz", "/openapi.json")
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # addresses here may hold one-time secrets
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Site:
    """Renders templates; `product` is the name of the flow product on them."""

    def __init__(
        self, product: str, *, is_trial: bool = False, simulator: str | None = None
    ) -> None:
        """`is_trial` is a public address without TLS: there browsers say where a form comes from
        only by Origin, which `no-referrer` would blank. `simulator` is a further place to go.
        """
        self.outside = " ".join(filter(None, ("https:", simulator)))
        self._headers = HEADERS | ({"Referrer-Policy": "same-origin"} if is_trial else {})
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["product"] = product
        self._templates.filters |= {"time": _time, "iso": clock.rfc3339, "span": _span}

    def page(
        self,
        template: str,
        status: int = 200,
        *,
        goes_to: str | None = None,
        administrator: bool = False,
        policy: str | None = None,
        **values: Any,
    ) -> Response:
        """A whole page. `goes_to` is where its form may end, by redirect: `outside` for a program,
        whose own sign-in may lead on to any other. `policy` replaces that of pages without script.
        """
        shared = {"administrator": administrator, "notices": None, "section": "", "done": None}
        html = self._templates.get_template(template).render(shared | values)
        strict = {"Content-Security-Policy": policy or _policy(goes_to)}
        return HTMLResponse(html, status, headers=self._headers | strict)

    def problem(self, request: Request, error: BrokerError, **values: Any) -> Response:
        """What went wrong, in words, and what to do; `values` as for `page`."""
        said = errors.document(error, errors.request_id(request))
        response = self.page("problem.html", errors.status_of(error), said=said, **values)
        for name, value in errors.headers_of(error).items():
            if name == "Retry-After":
                response.headers[name] = value
        return response


def files(folder: Path, types: Mapping[str, str]) -> Callable[[Request], Awaitable[Response]]:
    """What serves a folder: these names, each as its type, and no other."""

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in types:
            raise NotFound()
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(_content(folder / name), media_type=types[name], headers=headers)

    return answer


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


def wants_page(request: Request) -> bool:
    """Whether a person looks at this address with a browser."""
    return not request.url.path.startswith(MACHINES) and (
        "text/html" in request.headers.get("accept", "")
    )


def redirect(to: str) -> Response:
    """Go on with a GET: after a post, so that reloading sends nothing twice."""
    return RedirectResponse(to, 303, headers=HEADERS)


def _policy(goes_to: str | None) -> str:
    """Chromium holds redirects of a form's answer to form-action too, so the end is named."""
    form = f"'self' {goes_to}" if goes_to else "'self'"
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action {form}"
    )


def _span(micros: int) -> str:
    """A length of time in its largest whole unit: `3 min`; `a moment` below a second."""
    for unit, word in _UNITS:
        if abs(micros) >= unit:
            return f"{abs(micros) // unit} {word}"
    return "a moment"


_UNITS = ((clock.DAY, "d"), (clock.HOUR, "h"), (clock.MINUTE, "min"), (clock.SECOND, "s"))


def _time(micros: int) -> str:
    """An instant as people read it; pages name the zone once."""
    return datetime.fromtimestamp(micros / clock.SECOND, UTC).strftime("%-d %b %Y, %H:%M:%S")
