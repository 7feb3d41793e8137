"""A request's body: read off the wire, then member by member, as strictly in every route."""

from typing import Any

from starlette.requests import Request

from broker.service.reading import Members
from broker.web.wire import LIMIT, content, parse


async def read(request: Request, *known: str) -> Members:
    """The members of a request's JSON object, none but these, to be read in a `with`.

    Malformed, TooLarge or WrongMediaType where the body is no JSON at all.
    """
    return _closed(parse(await content(request, LIMIT)), known)


async def read_or_empty(request: Request, *known: str) -> Members:
    """The same, where an empty body means no member."""
    sent = await content(request, LIMIT, needed=False)
    return _closed(parse(sent) if sent else {}, known)


async def read_json(request: Request, *, limit: int = LIMIT) -> Any:
    """The JSON value of a request, for a service that reads it itself."""
    return parse(await content(request, limit))


async def nothing(request: Request) -> None:
    """Demand that a request without members says nothing, or `{}`."""
    with await read_or_empty(request):
        pass


def _closed(said: Any, known: tuple[str, ...]) -> Members:
    members = Members(said, "")
    members.close(*known)
    return members
