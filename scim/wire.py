"""Bytes in and bytes out: a body read with care, stored bytes made into an answer."""

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from scim.errors import InvalidSyntax, InvalidValue, UnsupportedMedia

DEEPEST = 32
SPACED = re.compile(rb'"[ \t\r\n]+:')
MEDIA_TYPES = frozenset({"application/scim+json", "application/json"})
NESTED = frozenset({dict, list})
LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

Body: TypeAlias = bytes | AsyncIterator[bytes]
"""An answer's JSON, in pieces where it is too large to be held in one."""


def decoded(body: bytes) -> dict[str, Any]:
    """The JSON object a body holds.

    InvalidSyntax for what is no JSON object, for NaN, lone surrogates, a name given twice and
    nesting beyond 32 levels; InvalidValue for the character U+0000, which no database keeps.
    """
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise InvalidSyntax(f"The body is not valid JSON: {problem.msg}.") from None
    if not isinstance(message, dict):
        raise InvalidSyntax("The body must be a JSON object.")
    members = _members(message)
    # Every member of the source is followed by one match, so equal counts rule out a name
    # given twice; unequal ones (a text that looks like a member) ask the slow reader.
    if body.count(b'":') != members or SPACED.search(body):
        json.loads(body, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    if b"\\u0000" in body and _has_null(message):
        raise InvalidValue("A value holds the character U+0000.")
    return message


def _members(message: dict[str, Any]) -> int:
    """How many members all objects inside have; InvalidSyntax when they nest too deep."""
    count, level = 0, 0
    layer: list[Any] = [message]
    while layer:
        level += 1
        if level > DEEPEST:
            raise InvalidSyntax(f"The body is nested deeper than {DEEPEST} levels.")
        below: list[Any] = []
        for node in layer:
            if node.__class__ is dict:
                count += len(node)
                node = node.values()
            below += [each for each in node if each.__class__ in NESTED]
        layer = below
    return count


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise InvalidSyntax(f'The body gives "{name}" twice.')
        names.add(name)


def _has_null(node: Any) -> bool:
    if isinstance(node, str):
        return "\0" in node
    if isinstance(node, dict):
        return any("\0" in key or _has_null(each) for key, each in node.items())
    return isinstance(node, list) and any(_has_null(each) for each in node)


def check_media(content_type: str | None, content_encoding: str | None) -> None:
    """Refuse a body that is not JSON as it stands (UnsupportedMedia); any charset will do."""
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedMedia
    named = (content_type or "").partition(";")[0].strip().lower()
    if named and named not in MEDIA_TYPES:
        raise UnsupportedMedia


def spliced(document: bytes, computed: bytes, location: bytes) -> bytes:
    """Stored bytes as an answer: `computed` members in front, `meta.location` at the end.

    `location` is a JSON string without its quotes. Nothing is decoded.
    """
    front = b"{" + computed + b"," if computed else b"{"
    return front + document[1:-2] + b',"location":"' + location + b'"}}'


def listed(resources: Iterable[bytes], **page: int | str | None) -> bytes:
    """A ListResponse of resources that are bytes already (RFC 7644 section 3.4.2).

    `page` is what it says of itself beside itemsPerPage, in this order; None says nothing.
    """
    items = list(resources)
    return _head(len(items), page) + b",".join(items) + b"]}"


def listing(resources: Iterable[Body], **page: int | str | None) -> Body:
    """The same of resources of which some may come in pieces: then so does the whole."""
    items = list(resources)
    whole = [each for each in items if isinstance(each, bytes)]
    return listed(whole, **page) if len(whole) == len(items) else _in_pieces(items, page)


def _head(count: int, page: Mapping[str, int | str | None]) -> bytes:
    said = {name: value for name, value in page.items() if value is not None}
    head = orjson.dumps({"schemas": [LIST_URN], "itemsPerPage": count, **said})
    return head[:-1] + b',"Resources":['


async def _in_pieces(
    items: Sequence[Body], page: Mapping[str, int | str | None]
) -> AsyncIterator[bytes]:
    head = _head(len(items), page)
    for item in items:
        if isinstance(item, bytes):
            yield head + item
        else:
            yield head
            async for piece in item:
                yield piece
        head = b","
    yield b"]}"


async def opened(
    whole: bytes, name: str, batches: AsyncIterator[Sequence[Any]]
) -> AsyncIterator[bytes]:
    """A JSON object with one more member in front, a list that comes batch by batch."""
    head = b'{"' + name.encode() + b'":['
    async for batch in batches:
        if batch:
            yield head + orjson.dumps(batch)[1:-1]
            head = b","
    yield (b"" if head == b"," else head) + b"]," + whole[1:]
