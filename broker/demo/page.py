"""The few lines of HTML and form parsing the pretend programs need."""

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """A whole page; `body` is HTML already, the title is text."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    html = f'<!doctype html><html lang="en"><head>{head}</head><body><main><h1>{escape(title)}</h1>'
    return HTMLResponse(f"{html}{body}</main></body></html>", status, HEADERS)


def hidden(values: Mapping[str, str]) -> str:
    """Every value as a hidden field, so that a form carries its page's query along."""
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in values.items()
    )


def back(uri: str, answer: Mapping[str, str]) -> str:
    """A redirect URI with an answer in its query."""
    return uri + ("&" if "?" in uri else "?") + urlencode(answer)


def redirect(url: str) -> RedirectResponse:
    """Send the browser on; 303, so that a posted form ends there as a GET."""
    return RedirectResponse(url, 303, HEADERS)


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form; the first of a name counts."""
    pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
    return dict(reversed(pairs))
