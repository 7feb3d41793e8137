"""What went wrong, told: one table code → status, as problem details (RFC 9457)."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from broker.domain.errors import BrokerError, Invalid, NotFound, Problem

MEDIA_TYPE = "application/problem+json"


class Malformed(Invalid):
    """The body is not JSON."""

    code = "malformed"


class BadRequest(BrokerError):
    """The request is not well formed."""

    code = "bad_request"


class ConditionNeeded(BrokerError):
    """A change of configuration says which version it was made for (RFC 6585 §3)."""

    code = "if_match_needed"


class TooLarge(BrokerError):
    """The body is larger than this route takes."""

    code = "too_large"


class WrongMediaType(BrokerError):
    """The body is of a type this route does not read."""

    code = "wrong_media_type"


class WrongMethod(BrokerError):
    """This address does not do that."""

    code = "wrong_method"


class Misdirected(BrokerError):
    """This service is not reached under that name."""

    code = "misdirected"


class CrossSite(BrokerError):
    """Another site sent this request; nothing was done."""

    code = "cross_site"


class NoRoute(BrokerError):
    """There is nothing at this address."""

    code = "no_route"


STATUS = {
    "malformed": 400,
    "bad_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "cross_site": 403,
    "not_found": 404,
    "no_route": 404,
    "wrong_method": 405,
    "conflict": 409,
    "stale": 412,
    "too_large": 413,
    "wrong_media_type": 415,
    "misdirected": 421,
    "invalid": 422,
    "if_match_needed": 428,
    "too_many": 429,
    "internal": 500,
    "unavailable": 503,
}

NEXT = {
    "malformed": "Correct the body and send it again; nothing was stored.",
    "invalid": "Correct the request and send it again; nothing was stored.",
    "unauthenticated": "Send `Authorization: Bearer brk_…`; `broker apikey add` makes a key.",
    "conflict": "Read it again and decide anew; nothing was stored.",
    "if_match_needed": "Read it and send its ETag as If-Match, or `If-Match: *` for any version.",
    "stale": "Read it again and send the change with its new ETag.",
    "too_many": "Send it again after the time in Retry-After.",
    "unavailable": "Send it again after the time in Retry-After.",
    "internal": "Tell the operator the request_id; the log says more.",
}

BY_STATUS: Mapping[int, type[BrokerError]] = {404: NoRoute, 405: WrongMethod}


def slug(word: str) -> str:
    """The word of a problem as it stands in codes and addresses: `license-exhausted`."""
    return word.replace("_", "-")


def status_of(error: BrokerError) -> int:
    """The HTTP status of an error; what the table does not know is ours."""
    return STATUS.get(error.code, 500)


def headers_of(error: BrokerError) -> dict[str, str]:
    """What an answer with this error carries beside its body."""
    headers = {"Cache-Control": "no-store"}
    if error.code == "unauthenticated":
        headers["WWW-Authenticate"] = 'Bearer realm="broker"'
    if error.retryable:
        headers["Retry-After"] = str(error.retry_after_s or 1)
    return headers


def document(error: BrokerError, request_id: str) -> dict[str, Any]:
    """The problem as a JSON object.

    A thing that is missing and a thing of somebody else are one and the same (safety 3), so not
    even the words of the service that missed it get out.
    """
    if isinstance(error, NotFound):
        error = NotFound()
    status = status_of(error)
    said: dict[str, Any] = {
        "type": f"/problems/{slug(error.reason)}",
        "title": (type(error).__doc__ or "").strip(),
        "status": status,
        "code": slug(error.reason),
        "detail": str(error),
    }
    if error.problems:
        said["errors"] = [_pointed(problem) for problem in error.problems]
    if remedy := error.next or NEXT.get(error.code):
        said["next"] = remedy
    return {**said, **error.more, "retryable": error.retryable, "request_id": request_id}


def answer(error: BrokerError, request_id: str, **more: str) -> Response:
    """The problem as a response."""
    return Response(
        orjson.dumps(document(error, request_id)),
        status_of(error),
        headers=headers_of(error) | more,
        media_type=MEDIA_TYPE,
    )


def from_http(error: HTTPException) -> BrokerError:
    """What the router refuses, in our words."""
    return BY_STATUS.get(error.status_code, BrokerError)()


def request_id(request: Request) -> str:
    """The id the door gave this request."""
    return str(request.scope.get("request_id", ""))


def _pointed(problem: Problem) -> dict[str, str]:
    said = {"pointer": problem.pointer, "code": problem.code, "detail": problem.detail}
    return said | ({"did_you_mean": problem.did_you_mean} if problem.did_you_mean else {})
