"""One HTTP request and its answer, as plain ASGI has them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from scim.errors import ScimError, TooLarge
from scim.wire import Body, check_media

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

MEDIA_TYPE = (b"content-type", b"application/scim+json")


class Gone(Exception):
    """The client hung up before its request was read."""


class Request:
    """What a client asks: method, headers, query, and a body that is read only on demand."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self._receive = receive

    def header(self, name: bytes) -> str | None:
        """A header by lower-case name, several of them joined as RFC 9110 section 5.3 has it."""
        values = [value for key, value in self._headers if key == name]
        return b", ".join(values).decode("latin-1") if values else None

    @property
    def wants_nothing(self) -> bool:
        """Whether the client prefers an empty answer (RFC 7240 section 4.2)."""
        prefer = (self.header(b"prefer") or "").lower().replace(" ", "")
        return "return=minimal" in prefer.replace(";", ",").split(",")

    async def body(self, limit: int) -> bytes:
        """All of the body; TooLarge beyond `limit` bytes, UnsupportedMedia for what is no JSON."""
        check_media(self.header(b"content-type"), self.header(b"content-encoding"))
        announced = self.header(b"content-length") or ""
        if announced.isdecimal() and (len(announced) > 12 or int(announced) > limit):
            raise TooLarge
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLarge
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body (None: none at all) and headers beside the content type."""

    status: int
    body: Body | None = None
    headers: Iterable[tuple[bytes, bytes]] = ()

    async def send(self, send: Send, receive: Receive, *, head: bool = False) -> None:
        """Give the answer; to HEAD without its body.

        A body in pieces has no length before it ends; a client that hangs up ends it early.
        """
        headers = list(self.headers)
        if self.body is not None:
            headers.append(MEDIA_TYPE)
        if isinstance(self.body, bytes):
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        shown = b"" if head or self.body is None else self.body
        if isinstance(shown, bytes):
            await send({"type": "http.response.body", "body": shown})
        else:
            await _send_pieces(shown, send, receive)


async def _send_pieces(pieces: AsyncIterator[bytes], send: Send, receive: Receive) -> None:
    hung_up = asyncio.create_task(_hung_up(receive))
    try:
        async for piece in pieces:
            if hung_up.done():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        hung_up.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def refusal(problem: ScimError) -> Answer:
    """An error as an answer."""
    return Answer(problem.status, problem.body(), problem.headers)
