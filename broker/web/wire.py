"""What came over the wire: a body within its limit, and the one JSON value in it."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from starlette.requests import Request

from broker.web.errors import Malformed, TooLarge, WrongMediaType

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
LIMIT = 256 * 1024
MOST_FIELDS = 1_000
DEEPEST = 64


async def content(
    request: Request, limit: int, *, needed: bool = True, media_type: str = JSON
) -> bytes:
    """The body of a request; TooLarge, or WrongMediaType where it says to be anything else."""
    headers = request.headers
    if "content-encoding" in headers:
        raise WrongMediaType("The body must not be compressed.")  # safety 37
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    body = await read_up_to(request, limit)
    if not body and not needed:
        return b""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise WrongMediaType(f"Send the body as Content-Type: {media_type}.")
    return body


async def read_up_to(request: Request, limit: int) -> bytes:
    """The bytes of a body, whatever they are; TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def fields(request: Request, limit: int) -> list[tuple[str, str]]:
    """The fields of a form (`application/x-www-form-urlencoded`), in their order; Malformed."""
    body = await content(request, limit, needed=False, media_type=FORM)
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise Malformed("The form cannot be read.") from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit // 1024} KB.")


def parse(content: bytes) -> Any:
    """JSON (RFC 8259), with no name twice, no NaN, no U+0000 and no half of a character."""
    try:
        text = content.decode()
        value = _STRICT.decode(text)
        if "\\u" in text:
            _storable(value)
    except RecursionError:
        raise Malformed("The body is nested too deeply.") from None
    except UnicodeError:
        raise Malformed("The body is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"{error.msg} at line {error.lineno}, column {error.colno}.") from None
    except ValueError:
        raise Malformed("The body holds a number nobody can read.") from None
    return value


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise Malformed(f"The name {name!r} stands twice in one object.")
        content[name] = value
    return content


def _whole(digits: str) -> int:
    """A whole number that a column, and an answer, can hold: 64 bits."""
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        raise ValueError(digits[:20])
    return number


def _refuse(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON.")


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_int=_whole, parse_constant=_refuse)
"""Made once: `json.loads` makes one each time it is told how to read."""


def _storable(value: Any, depth: int = 0) -> None:
    """Refuse what a database or an answer could not hold: U+0000, and half of a character."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        if "\x00" in value:
            raise Malformed("U+0000 cannot be kept.")
        value.encode()
    elif isinstance(value, dict):
        for name, held in value.items():
            _storable(name, depth + 1)
            _storable(held, depth + 1)
    elif isinstance(value, list):
        for held in value:
            _storable(held, depth + 1)
