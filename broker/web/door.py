"""The door: each request's Host is checked, its id given, its line logged, its fault told."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any

import structlog

from broker import logs
from broker.domain.errors import BrokerError, Invalid
from broker.web import errors, traces

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Seen = Callable[[str, str, int, float], None]

ANY_HOST = frozenset({"/healthz", "/readyz"})  # probes come by address (safety 32)
SAFE_ID = re.compile(rb"[\w.:-]{8,128}", re.ASCII)
NUL = re.compile(rb"\x00|%00")
SCIM = "/scim/v2/"
SCIM_PATH = re.compile(r"/scim/v2/[^/]+(/[A-Za-z]+|/\.search)?(/[^/]+)?(/\.search)?")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
RETURNING = frozenset({"/oauth/callback/{connector}"})  # a GET that readies what waits (P2)
log = structlog.get_logger("broker.door")


class Door:
    """The outermost ASGI application.

    `inside` answers; `host` is the only one this service has; `seen` is told route template,
    method, status and seconds of every answer; `changed` is called after each one that may have
    left work behind.
    """

    def __init__(
        self, inside: App, *, host: str, seen: Seen, changed: Callable[[], object]
    ) -> None:
        self._inside = inside
        self._host = host.encode()
        self._seen = seen
        self._changed = changed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
            return
        started = time.perf_counter()
        hosts, id, trace = _told(scope)
        scope["request_id"] = id
        also = scope["also"] = [(b"x-request-id", id.encode())]
        status = 0

        async def telling(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *also]
            await send(message)

        named = logs.request_id.set(id)
        traced = logs.trace_id.set(None if trace is None else trace[0])
        if trace is not None:
            also.append((b"traceparent", trace[1]))
        try:
            if (wrong := self._wrong(scope, hosts)) is not None:
                await _refuse(wrong, scope, receive, telling)
            else:
                await self._inside(scope, receive, telling)
        except Exception as error:
            log.error("unexpected", route=template(scope), exc_info=error)
            if not status:
                await _refuse(BrokerError(), scope, receive, telling)
        finally:
            self._tell(scope, status, time.perf_counter() - started)
            logs.trace_id.reset(traced)
            logs.request_id.reset(named)

    def _wrong(self, scope: Scope, hosts: list[bytes]) -> BrokerError | None:
        """Why a request goes no further: two hosts (RFC 9112 §3.2), another's, or U+0000 in its
        address, which names nothing that could be kept.
        """
        path = scope["path"]
        if len(hosts) > 1:
            return errors.BadRequest("A request has one Host.", reason="host-repeated")
        if hosts != [self._host] and path not in ANY_HOST:
            return errors.Misdirected()
        if path.startswith(SCIM):
            return None  # there the protocol's own errors answer
        if "\x00" in path:
            return errors.NoRoute()
        if NUL.search(scope.get("query_string", b"")):
            return Invalid("U+0000 has no place in an address.", reason="invalid-query")
        return None

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        """The access line: the route's template and never the query (safety 32)."""
        route, method = template(scope), scope["method"]
        self._seen(route, method, status, seconds)
        if route not in ANY_HOST:
            ms = round(seconds * 1000, 2)
            logs.access(method=method, route=route, status=status, ms=ms)
        if method not in READING or route in RETURNING:
            self._changed()


def template(scope: Scope) -> str:
    """The route of a request without what it names: `/v1/users/{id}`; "-" where there is none."""
    if (route := scope.get("route")) is not None:
        return str(getattr(route, "path", "-"))
    if (found := SCIM_PATH.fullmatch(scope["path"])) is None:
        return "-"
    kind, id, search = found.groups()
    tail = "/{id}" if id and id != "/.search" else id or ""
    known = kind if kind in SCIM_KINDS else "/{type}" if kind else ""
    return f"/scim/v2/{{directory}}{known}{tail}{search or ''}"


SCIM_KINDS = frozenset(
    {"/Users", "/Groups", "/Bulk", "/Me", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"}
    | {"/.search"}
)


def _told(scope: Scope) -> tuple[list[bytes], str, tuple[str, bytes] | None]:
    """Each Host that was asked; the request's id, the caller's if it is safe, else ours; its trace
    if it is part of one.
    """
    hosts: list[bytes] = []
    traced: list[bytes] = []
    id = None
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value.lower())
        elif name == b"x-request-id" and SAFE_ID.fullmatch(value):
            id = value.decode()
        elif name == b"traceparent":
            traced.append(value)
    trace = traces.joined(traced[0]) if len(traced) == 1 else None
    return hosts, id or f"req_{_PROCESS}{next(_requests):08x}", trace


_PROCESS = secrets.token_hex(8)  # unlike any other process; asking the kernel each time is 13 us
_requests = count(1)


async def _refuse(error: BrokerError, scope: Scope, receive: Receive, send: Send) -> None:
    await errors.answer(error, scope["request_id"])(scope, receive, send)
