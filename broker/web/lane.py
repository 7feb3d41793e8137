"""The busiest address, answered by its endpoint without the router that would have found it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from broker.web.door import Receive, Scope, Send

Tellers = Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]
"""Kind of error -> who tells it: what Starlette is given as `exception_handlers`."""


class Lane:
    """One route of an application and its tellers; whatever they do not know goes on to the door,
    as it does from there.
    """

    def __init__(self, routes: list[BaseRoute], method: str, path: str, tellers: Tellers) -> None:
        self._asked = method, path
        self._route = next(
            route
            for route in routes
            if isinstance(route, Route) and route.path == path and method in (route.methods or ())
        )
        self._tellers = {kind: teller for kind, teller in tellers.items() if kind is not Exception}

    def leads(self, scope: Scope) -> bool:
        """Whether a request goes this way."""
        return scope["type"] == "http" and (scope["method"], scope["path"]) == self._asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route
        request = Request(scope, receive)
        try:
            response = await self._route.endpoint(request)
        except Exception as error:
            told = next(
                (self._tellers[kind] for kind in type(error).mro() if kind in self._tellers), None
            )
            if told is None:
                raise
            response = await told(request, error)
        await response(scope, receive, send)
