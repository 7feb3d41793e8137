"""What all pretend programs share: a clock that can be moved, and switches for their troubles."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.responses import HTMLResponse, JSONResponse, Response

PROXY_PAGE = "<!doctype html><title>502</title><h1>The proxy could not reach the program</h1>"


class Clock:
    """The simulator's time in seconds since 1970: the real one, plus what it was moved by."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the time, also backwards: sessions end, unused grants lapse, clocks disagree."""
        self._offset += seconds


class Trouble(StrEnum):
    """What can be wrong with an endpoint."""

    GRANT_DEAD = "grant-dead"  # 400 invalid_grant
    USER_INACTIVE = "user-inactive"  # 400 inactive_user
    CLIENT_REFUSED = "client-refused"  # 400 invalid_client
    UNAUTHORIZED = "401"  # 401 and nothing else
    PERSON_NEEDED = "person-needed"  # 400 interaction_required
    CONCURRENT = "concurrent"  # 400 invalid_grant, which only means "at the same time"
    UNKNOWN = "unknown"  # 400 with a code no table names
    RATE_LIMITED = "429"  # 429 with Retry-After
    BROKEN = "500"
    ERROR_IN_200 = "200-with-error"
    EMPTY_TOKEN = "empty-token"
    HTML = "html"  # 200 with a page of some proxy
    LOST = "lost-answer"  # the work is done, the answer never arrives
    SLOW = "slow"  # the work is done later, and then answered
    LATE = "late-answer"  # the work is done at once, the answer arrives later
    FORBIDDEN = "403"  # a directory: these credentials may not read it
    HALF_PAGE = "half-page"  # a directory's page, cut off in the middle
    SAME_PAGE = "same-page"  # a directory's page that leads to itself
    PLACE_GONE = "place-gone"  # a cursor or a delta token that is over
    LARGE_RECORD = "large-record"  # a directory's page whose first person is 10 MB
    ODD_ENTRIES = "odd-entries"  # a directory's page with entries that are no records
    WRONG_TOTAL = "wrong-total"  # a directory that announces ten times what it has


ERRORS: dict[Trouble, tuple[int, dict[str, object]]] = {
    Trouble.GRANT_DEAD: (
        400,
        {"error": "invalid_grant", "error_description": "expired access/refresh token"},
    ),
    Trouble.USER_INACTIVE: (
        400,
        {"error": "inactive_user", "error_description": "user is inactive"},
    ),
    Trouble.CLIENT_REFUSED: (
        400,
        {"error": "invalid_client", "error_description": "invalid client credentials"},
    ),
    Trouble.PERSON_NEEDED: (
        400,
        {"error": "interaction_required", "error_description": "another factor is needed"},
    ),
    Trouble.CONCURRENT: (
        400,
        {
            "error": "invalid_grant",
            "error_description": "token request is already being processed",
        },
    ),
    Trouble.UNKNOWN: (400, {"error": "unknown_error", "error_description": "retry your request"}),
    Trouble.ERROR_IN_200: (
        200,
        {"error": "invalid_grant", "error_description": "expired access/refresh token"},
    ),
    Trouble.EMPTY_TOKEN: (200, {"access_token": "", "token_type": "Bearer"}),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One error as its program words it: status, JSON body and headers."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        return JSONResponse(self.body, self.status, {"Cache-Control": "no-store", **self.headers})


def answer_of(met: Trouble | Answer) -> Response | None:
    """What the endpoint says instead of its answer; None where its own answer goes out late."""
    if isinstance(met, Answer):
        return met.response()
    if met in ERRORS:
        status, body = ERRORS[met]
        return JSONResponse(body, status, {"Cache-Control": "no-store"})
    if met is Trouble.UNAUTHORIZED:
        return Response(status_code=401)
    if met is Trouble.RATE_LIMITED:
        return Response(status_code=429, headers={"Retry-After": "7"})
    if met is Trouble.BROKEN:
        return HTMLResponse(PROXY_PAGE, 500)
    if met is Trouble.HTML:
        return HTMLResponse(PROXY_PAGE, 200)
    return HTMLResponse(PROXY_PAGE, 502) if met is Trouble.LOST else None


@dataclass
class Switch:
    """One trouble at one endpoint: for everyone or for one user, for ever or a few times."""

    trouble: str
    user: str | None
    times: int | None
    seconds: float


@dataclass
class Switches:
    """The troubles that are switched on, by endpoint; `answers` are errors in a program's words."""

    on: dict[str, list[Switch]] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)

    def set(
        self,
        trouble: Trouble | str,
        *,
        endpoint: str = "token",
        user: str | None = None,
        times: int | None = None,
        seconds: float = 1.0,
    ) -> None:
        """From now on this endpoint has this trouble, or answers with this error of the program's;
        `seconds` says how late a slow one is. ValueError where there is no such trouble.
        """
        name = trouble if trouble in self.answers else Trouble(trouble)
        self.on.setdefault(endpoint, []).append(Switch(name, user, times, seconds))

    def clear(self) -> None:
        self.on.clear()

    def pick(self, endpoint: str, user: str | None = None) -> Switch | None:
        """The switch this call meets, counted down."""
        for switch in self.on.get(endpoint, []):
            if switch.times == 0 or (switch.user is not None and switch.user != user):
                continue
            if switch.times is not None:
                switch.times -= 1
            return switch
        return None

    def met(self, switch: Switch) -> Trouble | Answer:
        """What that switch stands for."""
        return self.answers.get(switch.trouble) or Trouble(switch.trouble)

    async def take(self, endpoint: str, user: str | None = None) -> Trouble | Answer | None:
        """The trouble this call meets; a slow one has been waited for."""
        if (switch := self.pick(endpoint, user)) is None:
            return None
        met = self.met(switch)
        if met in (Trouble.SLOW, Trouble.LATE):
            await asyncio.sleep(switch.seconds)
        return met

    async def around(
        self, endpoint: str, user: str | None, work: Callable[[], Response]
    ) -> Response:
        """What a call is answered: its work done or left, sooner or later, as its trouble says."""
        switch = self.pick(endpoint, user)
        if switch is None:
            return work()
        met = self.met(switch)
        if met is Trouble.SLOW:
            await asyncio.sleep(switch.seconds)
        told = answer_of(met)
        if told is not None and met is not Trouble.LOST:
            return told
        answer = work()
        if met is Trouble.LATE:
            await asyncio.sleep(switch.seconds)
        return told or answer
