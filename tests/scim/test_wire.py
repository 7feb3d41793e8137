"""Bytes read with care, and bytes joined without being decoded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim.errors import InvalidSyntax, InvalidValue, UnsupportedMedia
from scim.wire import check_media, decoded, listed, listing, opened, spliced

WORDS = st.text('abAB":,{}[]\\u0 \n', max_size=6)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=4)


@given(OBJECTS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_any_object_is_read(message: dict[str, Any], indent: Any, ascii: bool) -> None:
    """Whatever its spelling, an object without repeats is read as it is."""
    text = json.dumps(message, indent=indent, ensure_ascii=ascii)
    assert decoded(text.encode()) == message


@given(OBJECTS, WORDS, st.integers(0, 5))
def test_a_name_given_twice_is_always_found(message: dict[str, Any], name: str, deep: int) -> None:
    """No repeated name slips through, wherever it stands and whatever texts look like."""
    inner = json.dumps(message | {name: 1})[:-1] + f", {json.dumps(name)} : 2}}"
    text = '{"a": [' * deep + inner + "]}" * deep
    with pytest.raises(InvalidSyntax, match="twice"):
        decoded(text.encode())


def test_any_bytes_are_an_object_or_a_refusal() -> None:
    """Garbage is 400, never a crash; among many bytes there are some of both."""
    outcomes: set[type] = set()

    @given(st.binary(max_size=40) | OBJECTS.map(orjson.dumps))
    def read(body: bytes) -> None:
        try:
            outcomes.add(type(decoded(body)))
        except InvalidSyntax:
            outcomes.add(InvalidSyntax)

    read()
    assert outcomes == {dict, InvalidSyntax}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{oops",
        b'{"userName":',
        b"{} {}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\x00"}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 100_000,
        b'{"a": "x\\":", "n": ' + b"9" * 5000 + b', "n": 1}',
    ],
)
def test_what_is_no_message(body: bytes) -> None:
    """R132: broken JSON, NaN, half surrogates, repeats and deep nesting are 400 invalidSyntax."""
    with pytest.raises(InvalidSyntax):
        decoded(body)


@pytest.mark.parametrize(
    "message", [{"a": "\0"}, {"a": [{"b": "x\0y"}]}, {"a\0": 1}, {"a": {"\0": 1}}]
)
def test_the_null_character_is_refused(message: dict[str, Any]) -> None:
    """`building.md`: U+0000 is refused at the door with invalidValue, in names and in values."""
    with pytest.raises(InvalidValue, match="U\\+0000"):
        decoded(json.dumps(message).encode())


def test_an_escaped_backslash_is_no_null() -> None:
    """A text that spells out an escape is only text."""
    assert decoded(rb'{"a": "\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize(
    ("content_type", "encoding", "fine"),
    [
        ("application/scim+json", None, True),
        ("application/json", None, True),
        ("Application/SCIM+JSON; charset=UTF-8", None, True),
        ("application/json;charset=latin-1", "identity", True),
        (None, None, True),
        ("text/plain", None, False),
        ("application/x-www-form-urlencoded", None, False),
        ("application/json", "gzip", False),
        ("application/json", "br, identity", False),
    ],
)
def test_which_media_are_read(content_type: str | None, encoding: str | None, fine: bool) -> None:
    """Rule 37: JSON in any charset, without Content-Encoding; the rest is 415."""
    refused = False
    try:
        check_media(content_type, encoding)
    except UnsupportedMedia:
        refused = True
    assert refused is not fine


@given(st.dictionaries(WORDS, JSON, max_size=2), st.text(max_size=9))
def test_splicing_is_what_decoding_would_do(computed: dict[str, Any], location: str) -> None:
    """Bytes put together are the object put together."""
    document = {"schemas": ["urn:x"], "id": "u1", "meta": {"resourceType": "User"}}
    computed = {f"_{name}": value for name, value in computed.items()}
    front = orjson.dumps(computed)[1:-1]
    made = orjson.loads(spliced(orjson.dumps(document), front, orjson.dumps(location)[1:-1]))
    assert made == document | computed | {"meta": {"resourceType": "User", "location": location}}


@given(st.lists(OBJECTS, max_size=3), st.integers(0, 9), st.integers(1, 9))
def test_a_list_is_its_items_joined(items: list[Any], total: int, start: int) -> None:
    """RFC 7644 section 3.4.2: itemsPerPage counts what is there, numbers are numbers."""
    made = orjson.loads(listed(map(orjson.dumps, items), totalResults=total, startIndex=start))
    assert made == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "itemsPerPage": len(items),
        "startIndex": start,
        "Resources": items,
    }


@given(
    batches=st.lists(
        st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3)), max_size=3)
    ),
    rest=st.dictionaries(st.text(max_size=3), st.integers(0, 9), min_size=1, max_size=3),
)
async def test_pieces_make_what_one_piece_would(
    batches: list[list[dict[str, str]]], rest: dict[str, int]
) -> None:
    """A list that comes batch by batch, empty ones too, within a resource and within a page."""

    async def coming() -> AsyncIterator[list[dict[str, str]]]:
        for batch in batches:
            yield batch

    def resource() -> AsyncIterator[bytes]:
        return opened(orjson.dumps(rest), "members", coming())

    whole = {**rest, "members": [each for batch in batches for each in batch]}
    assert orjson.loads(b"".join([piece async for piece in resource()])) == whole
    page = listing([b"{}", resource(), b"{}", resource()], totalResults=4)
    assert not isinstance(page, bytes)
    shown = orjson.loads(b"".join([piece async for piece in page]))
    assert shown == orjson.loads(
        listed([b"{}", *map(orjson.dumps, [whole, {}, whole])], totalResults=4)
    )
    assert isinstance(listing([b"{}"], totalResults=1), bytes)
