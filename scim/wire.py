"""Bytes in and bytes out: a body read with care, stored bytes made into an answer."""

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from scim.errors import InvalidSyntax, InvalidValue, UnsupportedMedia

DEEPEST = 32
MEMBER = re.compile(rb'"[ \t\r\n]*:')
MEDIA_TYPES = frozenset({"application/scim+json", "application/json"})
LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


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
    if len(MEMBER.findall(body)) != members:
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
            values: Iterable[Any] = node
            if isinstance(node, dict):
                count += len(node)
                values = node.values()
            below.extend(each for each in values if isinstance(each, dict | list))
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


def listed(resources: Iterable[bytes], total: int, start_index: int) -> bytes:
    """A ListResponse of resources that are bytes already (RFC 7644 section 3.4.2)."""
    items = list(resources)
    head = (
        f'{{"schemas":["{LIST_URN}"],"totalResults":{total},"itemsPerPage":{len(items)}'
        f',"startIndex":{start_index},"Resources":['
    )
    return head.encode() + b",".join(items) + b"]}"
