"""Answers in JSON: never kept by anybody on the way, times in RFC 3339."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from broker.domain import clock
from broker.domain.callers import Caller
from broker.domain.errors import Invalid, Problem
from broker.web.access import Answering
from broker.web.api import body
from broker.web.errors import ConditionNeeded

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

PAGE = 50
LARGEST_PAGE = 200
LARGEST, DIGITS = 2**63 - 1, 19
NAME_NEEDED = "Send its name: ?name=…."


def json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        orjson.dumps(content),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def nothing() -> Response:
    """204: it is done, and there is nothing to say."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def page(
    request: Request,
    found: Sequence[T],
    limit: int,
    shown: Callable[[T], Any],
    place: Callable[[T], object],
) -> Response:
    """A list, and the cursor behind its last line where there may be more, also as a Link to the
    next page of just what was asked for (RFC 8288).
    """
    more = str(place(found[-1])) if len(found) == limit else None
    headers = {}
    if more is not None:
        after = request.url.include_query_params(cursor=more)
        headers["Link"] = f'<{after.path}?{after.query}>; rel="next"'
    said = {"items": [shown(one) for one in found], "next_cursor": more}
    return json(said, headers=headers)


def bare(act: Callable[[Caller, str], Awaitable[T]], shown: Callable[[T], Any]) -> Answering:
    """The answer to a request that says nothing: `act` is done to what its address names."""

    async def answer(request: Request, caller: Caller) -> Response:
        await body.nothing(request)
        return json(shown(await act(caller, request.path_params["id"])))

    return answer


def moment(micros: int | None) -> str | None:
    """An instant as answers have it."""
    return None if micros is None else clock.rfc3339(micros)


def page_of(request: Request, *also: str) -> tuple[str | None, int]:
    """The cursor and the limit a list was asked with; Invalid for any other parameter."""
    known = {"cursor", "limit", *also}
    for name in request.query_params:
        if name not in known:
            raise Invalid(
                f"There is no parameter {name}; there are {', '.join(sorted(known))}.",
                problems=(Problem("", "unknown_parameter", name),),
            )
    limit = number(request.query_params.get("limit", str(PAGE)))
    if limit is None or not 1 <= limit <= LARGEST_PAGE:
        raise Invalid(f"limit is a number from 1 to {LARGEST_PAGE}.", reason="invalid-limit")
    return request.query_params.get("cursor") or None, limit


def number(text: str) -> int | None:
    """The number in text, where a column can hold it; None where it is none."""
    is_one = text.isascii() and text.isdigit() and len(text) <= DIGITS
    return int(text) if is_one and int(text) <= LARGEST else None


def number_of(cursor: str | None) -> int | None:
    """The cursor of a list whose lines are numbered; Invalid where it is none of ours."""
    if cursor is None:
        return None
    if (found := number(cursor)) is None:
        raise Invalid("That is no cursor of this list.", reason="invalid-cursor")
    return found


def chosen(request: Request, name: str, kind: type[E]) -> list[E]:
    """The words of a closed list that a list is narrowed to; Invalid where one is none of them."""
    try:
        return [kind(word) for word in request.query_params.getlist(name)]
    except ValueError:
        problem = Problem("", "not_a_choice", f"{name} is one of {', '.join(kind)}.")
        raise problem.alone(reason=f"unknown-{name}") from None


def choice(request: Request, name: str, otherwise: E) -> E:
    """The one word a list is made by; Invalid where it is none of them, or stands there twice."""
    first, *more = chosen(request, name, type(otherwise)) or [otherwise]
    if more:
        raise Problem("", "not_a_choice", f"Send {name} once.").alone(reason=f"unknown-{name}")
    return first


def yes(request: Request, name: str) -> bool:
    """Whether a list is narrowed by `name=true`; Invalid for any word but true and false."""
    word = request.query_params.get(name, "false")
    if word not in ("true", "false"):
        problem = Problem("", "not_a_choice", f"{name} is true or false.")
        raise problem.alone()
    return word == "true"


def condition(request: Request) -> int | None:
    """The version a change of configuration was made for; None where any will do (`*`).

    ConditionNeeded where the caller says neither, Invalid where it is no ETag.
    """
    if "if-match" not in request.headers:
        raise ConditionNeeded()
    return if_match(request)


def if_match(request: Request) -> int | None:
    """The version a change was made for; None where the caller names none. Invalid otherwise."""
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    version = number(given.strip().removeprefix("W/").strip('"'))
    if version is None:
        raise Invalid(
            "If-Match takes the ETag of this resource, as it was read.", reason="invalid-if-match"
        )
    return version
