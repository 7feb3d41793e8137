"""`Idempotency-Key`: a post that is sent again gets the first one's answer, and does nothing."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

import orjson
from starlette.requests import Request
from starlette.responses import Response

from broker.domain.callers import Caller
from broker.domain.errors import BrokerError, Conflict, Invalid
from broker.service.replaying import Kept, Replaying, Sent
from broker.web import errors
from broker.web.wire import read_up_to

Answering = Callable[[Request, Caller], Awaitable[Response]]
HEADER = "idempotency-key"
VISIBLE = re.compile(r"[!-~]{1,255}")
LIMIT = 1024 * 1024  # of any route's body
KEPT_HEADERS = ("content-type", "etag", "location")
AGAIN = {"Cache-Control": "no-store", "Idempotent-Replayed": "true"}
NAMES = ("id", "actionCoupon")
"""Members that name what was made: all that is kept of an answer with a secret."""


class Repeat(Enum):
    """What a post that is sent again under its key is answered."""

    SAME = auto()
    TOLD_ONCE = auto()  # the answer held a secret: only that it was given is kept (safety 33)
    AFRESH = auto()  # asking again is safe by itself: the key is not looked at


class ToldOnce(Conflict):
    """It was done, and its answer was shown once."""


@dataclass(frozen=True, slots=True)
class Repeating:
    """Lets a post through once for each key of its caller; 2xx and 4xx are kept for a day."""

    replaying: Replaying

    async def answer(
        self, request: Request, caller: Caller, answer: Answering, repeat: Repeat
    ) -> Response:
        """The answer, given now or given before; raises what `Replaying.begin` does.

        What failed on our side, or was too much, is not kept: the same key tries again.
        """
        body = await read_up_to(request, LIMIT)
        url = request.url
        key, said = _key(request), url.query.encode() + b"\n" + body
        sent = self.replaying.sent(caller, f"{request.method} {url.path}", key, said)
        if (kept := await self.replaying.begin(sent)) is not None:
            return _again(kept, repeat)
        response = await self._first(Request(request.scope, _once(body)), caller, answer, sent)
        await self.replaying.finish(sent, _kept(response, repeat))
        return response

    async def _first(
        self, request: Request, caller: Caller, answer: Answering, sent: Sent
    ) -> Response:
        try:
            return await answer(request, caller)
        except Exception as error:
            if isinstance(error, BrokerError) and not error.retryable and error.code != "internal":
                return errors.answer(error, errors.request_id(request))
            await self.replaying.forget(sent)
            raise


def _key(request: Request) -> str:
    given = request.headers.getlist(HEADER)
    if len(given) != 1 or not VISIBLE.fullmatch(given[0]):
        raise Invalid(
            "Idempotency-Key is 1 to 255 visible characters, once.",
            reason="invalid-idempotency-key",
        )
    return given[0]


def _once(body: bytes) -> Callable[[], Awaitable[dict[str, object]]]:
    """A body that was read, to be read by its route."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _kept(response: Response, repeat: Repeat) -> Kept:
    """Headers on a line of JSON, and the body; of a secret answer the name of what was made."""
    body = bytes(response.body)
    if repeat is Repeat.TOLD_ONCE and response.status_code < 300:
        made = orjson.loads(body) if body else {}
        body = orjson.dumps({name: made[name] for name in NAMES if name in made})
    headers = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
    return Kept(response.status_code, orjson.dumps(headers) + b"\n" + body)


def _again(kept: Kept, repeat: Repeat) -> Response:
    headers, _, body = kept.answer.partition(b"\n")
    if repeat is Repeat.TOLD_ONCE and kept.status < 300:
        once = ToldOnce(
            reason="told-once",
            next="Read what there is; where the answer was lost, ask for another with a new key.",
        )
        once.more = {"answered": kept.status, **orjson.loads(body)}
        raise once
    return Response(body, kept.status, headers={**orjson.loads(headers), **AGAIN})
